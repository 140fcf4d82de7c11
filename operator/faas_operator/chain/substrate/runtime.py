"""One node with the metadata of its runtime: storage and events by name, read again after an upgrade."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Any

from scalecodec.exceptions import RemainingScaleBytesNotEmptyException

from faas_blueprint.errors import ChainUnavailable, FatalError
from faas_blueprint.tangle.runtime_metadata import RuntimeEvent, RuntimeMetadata
from faas_operator.chain.substrate.rpc import SubstrateRpc

_UNREADABLE = (
    ValueError,
    KeyError,
    TypeError,
    StopIteration,
    NotImplementedError,
    RemainingScaleBytesNotEmptyException,
)
"""What decoding raises for bytes that are of something else."""


@functools.lru_cache(maxsize=2)
def _read(encoded: bytes) -> RuntimeMetadata:
    """Reading takes a moment, and connections to one chain read the same."""
    return RuntimeMetadata(encoded)


class SubstrateRuntime:
    """Made by `connect`; the RPC stays the caller's to close."""

    def __init__(self, rpc: SubstrateRpc, genesis: str) -> None:
        self.rpc = rpc
        self.genesis = genesis
        """Hash of block 0: the chain's identity."""
        self.spec_version = -1
        self.transaction_version = -1
        self._metadata: RuntimeMetadata | None = None
        self._turn = asyncio.Lock()

    @classmethod
    async def connect(cls, rpc: SubstrateRpc) -> SubstrateRuntime:
        """Raises ChainUnavailable, and FatalError when the chain has no Services pallet."""
        runtime = cls(rpc, await rpc.genesis())
        if not (await runtime.metadata()).has("Services"):
            raise FatalError("the chain's runtime has no Services pallet: it is not Tangle's")
        return runtime

    async def metadata(self) -> RuntimeMetadata:
        """The metadata of the runtime that the newest block has."""
        async with self._turn:
            version = await self.rpc.request("state_getRuntimeVersion")
            if self._metadata is None or version["specVersion"] != self.spec_version:
                encoded = bytes.fromhex((await self.rpc.request("state_getMetadata"))[2:])
                self._metadata = await asyncio.to_thread(_read, encoded)
                self.spec_version = int(version["specVersion"])
                self.transaction_version = int(version["transactionVersion"])
            return self._metadata

    async def value(self, block_hash: str, pallet: str, item: str, *keys: object) -> Any:
        """What is stored at a block, decoded; None when nothing is."""
        metadata = await self.metadata()
        data = await self.rpc.storage(metadata.storage_key(pallet, item, *keys), block_hash)
        try:
            return None if data is None else metadata.storage_value(pallet, item, data)
        except _UNREADABLE as error:
            raise ChainUnavailable(
                f"{pallet}.{item} of block {block_hash} cannot be read: {error!r}"
            ) from error

    async def exists(self, block_hash: str, pallet: str, item: str, *keys: object) -> bool:
        """Whether anything is stored."""
        key = (await self.metadata()).storage_key(pallet, item, *keys)
        return await self.rpc.storage(key, block_hash) is not None

    async def events(self, block_hash: str) -> Sequence[RuntimeEvent]:
        """A block's events. A block of an older runtime whose types differ raises ChainUnavailable."""
        metadata = await self.metadata()
        data = await self.rpc.storage(metadata.storage_key("System", "Events"), block_hash)
        try:
            return metadata.events(data or b"\0")
        except _UNREADABLE as error:
            raise ChainUnavailable(f"the events of block {block_hash} cannot be read: {error!r}") from error
