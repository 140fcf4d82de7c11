"""Extrinsics of one account: the only owner of its nonce.

An extrinsic is mortal. While it lives the same bytes are handed in again whenever the node has lost them;
when a final block ends its life it can never take effect any more. Either way its effect happens once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from scalecodec.utils.ss58 import ss58_encode

from faas_blueprint.errors import ChainUnavailable, FaaSError
from faas_blueprint.tangle.runtime_metadata import SS58_FORMAT
from faas_operator.chain.interface import Block
from faas_operator.chain.substrate.endpoint import Refused
from faas_operator.chain.substrate.extrinsic import Extrinsic, Signing, sign
from faas_operator.chain.substrate.key import AccountKey
from faas_operator.chain.substrate.runtime import SubstrateRuntime

log = logging.getLogger(__name__)

ALREADY_KNOWN = 1013
"""Code of a node that holds the extrinsic."""


@dataclass(frozen=True, slots=True)
class Included:
    """An extrinsic in a block, whose call succeeded."""

    extrinsic_hash: str
    block: Block


class CallFailed(FaaSError):
    """The extrinsic is in a block, and its call failed; `reason` is `Pallet.Error` or the dispatch error."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ExtrinsicSender:
    """Sends for one account; gives up on an extrinsic that is in no block after `patience` seconds."""

    def __init__(
        self, runtime: SubstrateRuntime, key: AccountKey, *, patience: float = 120.0, poll: float = 0.5
    ) -> None:
        self._runtime = runtime
        self._rpc = runtime.rpc
        self._key = key
        self._patience = patience
        self._poll = poll
        self._turn = asyncio.Lock()
        self._under_way: set[int] = set()
        """Nonces of extrinsics that are handed in as often as it takes, whatever the node knows of them."""
        self.account = "0x" + key.account.hex()
        """The account's id."""
        self.address = str(ss58_encode(key.account, SS58_FORMAT))
        """The same, as people write it."""

    async def send(self, call: bytes) -> Included:
        """Send a call and wait for a block with it, which may yet be replaced.

        Several may wait for a block at once. Raises CallFailed, and ChainUnavailable when it cannot be known
        whether it was included.
        """
        async with self._turn:
            start = await self._rpc.finalised()
            nonce = await self._next_nonce()
            while nonce in self._under_way:
                nonce += 1
            extrinsic = await self._sign(call, nonce, start)
            self._under_way.add(nonce)
        try:
            return await self._see_through(extrinsic, start)
        finally:
            self._under_way.discard(nonce)

    async def settled(self) -> None:
        """Wait until nothing of this account is pending, such as from before a restart."""
        deadline = time.monotonic() + self._patience
        while await self._next_nonce() > await self._nonce_in_best():
            if time.monotonic() > deadline:
                raise ChainUnavailable("an earlier extrinsic of this account is still pending")
            await asyncio.sleep(self._poll)

    async def _next_nonce(self) -> int:
        """With what is in the node's pool."""
        return int(await self._rpc.request("system_accountNextIndex", self.address))

    async def _nonce_in_best(self) -> int:
        best = await self._rpc.best()
        account = await self._runtime.value(best.block_hash, "System", "Account", self.account)
        return 0 if account is None else int(account["nonce"])

    async def _sign(self, call: bytes, nonce: int, birth: Block) -> Extrinsic:
        metadata = await self._runtime.metadata()
        signing = Signing(
            self._runtime.genesis,
            self._runtime.spec_version,
            self._runtime.transaction_version,
            tuple(metadata.extensions()),
            birth,
        )
        return sign(call, self._key, nonce, signing)

    async def _see_through(self, extrinsic: Extrinsic, start: Block) -> Included:
        deadline = time.monotonic() + self._patience
        looked: set[str] = set()
        while True:
            await self._hand_in(extrinsic)
            included = await self._find(extrinsic, start, looked)
            if included is not None:
                return included
            if (await self._rpc.finalised()).number >= extrinsic.death:
                raise ChainUnavailable(f"extrinsic {extrinsic.hash} was in no block in its time")
            if time.monotonic() > deadline:
                raise ChainUnavailable(f"extrinsic {extrinsic.hash} is in no block yet")
            await asyncio.sleep(self._poll)

    async def _hand_in(self, extrinsic: Extrinsic) -> None:
        """Also again: a node that restarts loses what waits in it, one that holds it says so."""
        if await self._next_nonce() > extrinsic.nonce:
            return  # it waits, or is in a block
        try:
            await self._rpc.request("author_submitExtrinsic", "0x" + extrinsic.encoded.hex())
        except Refused as error:
            if error.code == ALREADY_KNOWN or await self._next_nonce() > extrinsic.nonce:
                return
            raise ChainUnavailable(f"the node does not take the extrinsic: {error.reason}") from error

    async def _find(self, extrinsic: Extrinsic, start: Block, looked: set[str]) -> Included | None:
        """In the blocks of the best chain from `start` on that were not looked at yet."""
        best = await self._rpc.best()
        for number in range(start.number + 1, best.number + 1):
            block_hash = await self._rpc.block_hash(number)
            if block_hash is None or block_hash in looked:
                continue
            body = await self._rpc.extrinsics(block_hash)
            if extrinsic.encoded not in body:
                looked.add(block_hash)
                continue
            await self._raise_failure(block_hash, body.index(extrinsic.encoded))
            return Included(extrinsic.hash, Block(number, block_hash))
        return None

    async def _raise_failure(self, block_hash: str, index: int) -> None:
        metadata = await self._runtime.metadata()
        for event in await self._runtime.events(block_hash):
            if event.extrinsic == index and (event.pallet, event.name) == ("System", "ExtrinsicFailed"):
                error = event.values["dispatch_error"]
                if isinstance(error, dict) and "Module" in error:
                    module = error["Module"]
                    number = bytes.fromhex(str(module["error"])[2:])[0]
                    raise CallFailed(metadata.error(int(module["index"]), number))
                raise CallFailed(str(error))
