"""A Substrate node's JSON-RPC as plans: blocks, storage and events, each by the runtime of its own block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from faas_sdk.effects import Plan, work
from faas_sdk.errors import ConnectionFailed
from faas_sdk.rpc import Rpc, RpcError
from faas_sdk.substrate.metadata import RuntimeEvent, RuntimeMetadata, read_metadata

_PAGE = 500
"""Keys in one answer; nodes give 1,000 at the most."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Version:
    """Of a runtime, as signatures name it."""

    spec: int
    transaction: int


class Node:
    """One node. Holds no connection."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc
        self._genesis: str | None = None
        self._metadata: dict[int, RuntimeMetadata] = {}
        """By spec version."""
        self._spec_of: tuple[str, int] = ("", 0)
        """Hash and spec version of the block that was read last."""

    def genesis(self) -> Plan[str]:
        """The hash of block 0: the chain's identity."""
        if self._genesis is None:
            self._genesis = (yield from self.block(0)).hash
        return self._genesis

    def finalised(self) -> Plan[Block]:
        """The newest block that stays."""
        found = str((yield from self.rpc.call("chain_getFinalizedHead")))
        header = yield from self.rpc.call("chain_getHeader", found)
        if not isinstance(header, dict):
            raise ConnectionFailed(f"{self.rpc.url} does not know its newest final block")
        return Block(int(str(header["number"]), 16), found)

    def block(self, number: int) -> Plan[Block]:
        """The block of a number on the best chain."""
        found = yield from self.rpc.call("chain_getBlockHash", number)
        if not isinstance(found, str):
            raise ConnectionFailed(f"{self.rpc.url} has no block {number}")
        return Block(number, found)

    def body(self, block: Block) -> Plan[list[bytes]]:
        """A block's extrinsics."""
        found = cast("dict[str, Any] | None", (yield from self.rpc.call("chain_getBlock", block.hash)))
        if found is None:
            raise ConnectionFailed(f"{self.rpc.url} does not know block {block.hash}")
        return [bytes.fromhex(raw[2:]) for raw in found["block"]["extrinsics"]]

    def version(self, block: Block) -> Plan[Version]:
        """Of the runtime that a block has."""
        found = yield from self._read("state_getRuntimeVersion", block)
        version = cast("dict[str, int]", found)
        return Version(version["specVersion"], version["transactionVersion"])

    def metadata(self, block: Block) -> Plan[RuntimeMetadata]:
        """Of the runtime that a block has."""
        if self._spec_of[0] != block.hash:
            self._spec_of = (block.hash, (yield from self.version(block)).spec)
        spec = self._spec_of[1]
        if spec not in self._metadata:
            encoded = bytes.fromhex(str((yield from self._read("state_getMetadata", block)))[2:])
            self._metadata[spec] = yield from work(lambda: read_metadata(encoded))
        return self._metadata[spec]

    def raw(self, block: Block, pallet: str, item: str, *keys: object) -> Plan[bytes | None]:
        """The bytes that stand in storage at a block."""
        key = (yield from self.metadata(block)).storage_key(pallet, item, *keys)
        found = yield from self._read("state_getStorage", block, "0x" + key.hex())
        return None if found is None else bytes.fromhex(str(found)[2:])

    def value(self, block: Block, pallet: str, item: str, *keys: object) -> Plan[Any]:
        """The same, decoded; None when nothing is there."""
        data = yield from self.raw(block, pallet, item, *keys)
        if data is None:
            return None
        return (yield from self.metadata(block)).storage_value(pallet, item, data)

    def keys(self, block: Block, pallet: str, item: str, *keys: object) -> Plan[list[bytes]]:
        """What follows the given keys in the keys of all entries."""
        prefix = (yield from self.metadata(block)).storage_key(pallet, item, *keys)
        found: list[str] = []
        while True:
            start = found[-1] if found else None
            page = yield from self.rpc.call(
                "state_getKeysPaged", "0x" + prefix.hex(), _PAGE, start, block.hash
            )
            found += cast("list[str]", page)
            if len(cast("list[str]", page)) < _PAGE:
                return [bytes.fromhex(key[2:])[len(prefix) :] for key in found]

    def events(self, block: Block) -> Plan[list[RuntimeEvent]]:
        """A block's events."""
        metadata = yield from self.metadata(block)
        data = yield from self.raw(block, "System", "Events")
        try:
            return metadata.events(data or b"\0")
        except (ValueError, KeyError, StopIteration, NotImplementedError) as error:
            raise ConnectionFailed(f"the events of block {block.number} cannot be read: {error!r}") from error

    def _read(self, method: str, block: Block, *arguments: object) -> Plan[object]:
        """State at a block. Raises ConnectionFailed when the node has forgotten it."""
        try:
            return (yield from self.rpc.call(method, *arguments, block.hash))
        except RpcError as error:
            raise ConnectionFailed(
                f"{self.rpc.url} has no state of block {block.number} any more ({error}): ask an archive node"
            ) from error
