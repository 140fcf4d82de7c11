"""The logs of the credits contracts on an EVM chain."""

from __future__ import annotations

from collections.abc import Sequence

from faas_blueprint.receipt import Address
from faas_blueprint.tangle.credit_events import TOPICS, decode_credit_event
from faas_operator.chain.interface import Block
from faas_operator.chain.rpc import LogEntry, Rpc
from faas_operator.credit_events import ChainEvent


class CreditsChain:
    """Reads one chain. Raises ChainUnavailable when it does not answer."""

    def __init__(self, rpc: Rpc, chain_id: int, contracts: Sequence[Address]) -> None:
        self.chain_id = chain_id
        self.contracts = tuple(contracts)
        self._rpc = rpc

    async def head(self) -> Block:
        """The newest block."""
        return (await self._rpc.head()).block

    async def block_hash(self, number: int) -> str | None:
        """The hash of a block by number, None when there is none."""
        header = await self._rpc.header(number)
        return None if header is None else header.block.block_hash

    async def events(self, first_block: int, last_block: int) -> list[ChainEvent]:
        """All credit events in the range, in chain order of each contract."""
        return [
            self._event(contract, entry)
            for contract in self.contracts
            for entry in await self._rpc.logs(contract, (TOPICS,), first_block, last_block)
        ]

    def _event(self, contract: Address, entry: LogEntry) -> ChainEvent:
        event = decode_credit_event(entry.log)
        return ChainEvent(event, self.chain_id, contract, entry.block, entry.transaction_hash, entry.index)
