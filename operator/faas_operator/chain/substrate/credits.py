"""What the Credits pallet grants, in final blocks: for burning the native token, and for what staking earned.

Neither has money behind it that an operator could fetch: what is burned goes to the chain's treasury. So a
node says what each is worth to it, and follows nothing by default.
"""

from __future__ import annotations

from collections.abc import Collection

from faas_blueprint.digests import Digest
from faas_blueprint.receipt import ZERO_ADDRESS, Address
from faas_blueprint.tangle.credit_events import CreditEvent, CreditEventKind
from faas_blueprint.tangle.runtime_metadata import RuntimeEvent
from faas_operator.chain.interface import Block
from faas_operator.chain.substrate.extrinsic import extrinsic_hash
from faas_operator.chain.substrate.runtime import SubstrateRuntime
from faas_operator.credit_events import ChainEvent

_NOBODY = Digest(bytes(32))
"""An account id that names none: the event has no place for one."""


class SubstrateCredits:
    """Reads one chain. Raises ChainUnavailable when it does not answer, or has forgotten a block's state."""

    def __init__(
        self,
        runtime: SubstrateRuntime,
        chain_id: int,
        contract: Address,
        kinds: Collection[CreditEventKind],
    ) -> None:
        """`contract`: what stands for the chain's contracts in receipts, see `place_of`. Events of other
        `kinds` are not seen."""
        self.chain_id = chain_id
        self._contract = contract
        self._kinds = kinds
        self._runtime = runtime

    async def head(self) -> Block:
        """The newest block that is final: what stands there is never taken back."""
        return await self._runtime.rpc.finalised()

    async def block_hash(self, number: int) -> str | None:
        """The hash of a final block, None for one that is not final yet."""
        if number > (await self._runtime.rpc.finalised()).number:
            return None
        return await self._runtime.rpc.block_hash(number)

    async def events(self, first_block: int, last_block: int) -> list[ChainEvent]:
        """All credit events in the range of final blocks, in chain order."""
        return [
            event
            for number in range(max(first_block, 0), last_block + 1)
            for event in await self._in_block(number)
        ]

    async def _in_block(self, number: int) -> list[ChainEvent]:
        block_hash = await self._runtime.rpc.block_hash(number)
        assert block_hash is not None, "blocks up to a final one are there"
        found: list[ChainEvent] = []
        body: list[bytes] | None = None
        for index, seen in enumerate(await self._runtime.events(block_hash)):
            event = _credit_event(seen)
            if event is None or event.kind not in self._kinds:
                continue
            body = await self._runtime.rpc.extrinsics(block_hash) if body is None else body
            # The pallet grants in calls only; what a later runtime granted by itself would have no extrinsic.
            transaction = "" if seen.extrinsic is None else extrinsic_hash(body[seen.extrinsic])
            place = Block(number, block_hash)
            found.append(ChainEvent(event, self.chain_id, self._contract, place, transaction, index))
        return found


def _credit_event(seen: RuntimeEvent) -> CreditEvent | None:
    if seen.pallet != "Credits" or "who" not in seen.raw:
        return None
    payer = Address("0x" + seen.raw["who"].hex())
    match seen.name:
        case "CreditsGrantedFromBurn":
            amount = int(seen.values["tnt_burned"])
            return CreditEvent(CreditEventKind.BURNED, _NOBODY, payer, ZERO_ADDRESS, amount)
        case "CreditsClaimed":
            amount = int(seen.values["amount_claimed"])
            named = _account_id(seen.raw["offchain_account_id"])
            return CreditEvent(CreditEventKind.CLAIMED, named, payer, ZERO_ADDRESS, amount)
    return None


def _account_id(encoded: bytes) -> Digest:
    """Up to 32 bytes as deposits have them; a longer name is nobody's."""
    name = encoded[(1, 2, 4)[encoded[0] & 3] :]  # after its length
    return Digest(name.ljust(32, b"\0")) if len(name) <= 32 else _NOBODY
