"""Blocks with headers, bodies and states; a tree of them with a best chain, a finalised one, and a pool.

Blocks are made when a test asks for them. The roots in headers are hashes of what they stand for, not tries.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from extrinsics import InvalidTransaction, Signed, compact, hash_of, parse_signed, unsigned
from pallets import Execution, Jobs, check_bounds
from runtime_metadata import Runtime
from runtime_values import encode_call
from storage import Storage, twox128

BLOCK_MS = 6000
START_MS = 1_767_225_600_000
_EVENTS = twox128("System") + twox128("Events")


@dataclass(frozen=True)
class Block:
    """A block that stays what it is."""

    number: int
    parent: str
    state_root: bytes
    extrinsics_root: bytes
    extrinsics: tuple[bytes, ...]
    state: Storage

    @property
    def hash(self) -> str:
        """Blake2b-256 of the header."""
        header = bytes.fromhex(self.parent[2:]) + compact(self.number) + self.state_root
        return hash_of(header + self.extrinsics_root + b"\0")

    def header(self) -> dict[str, object]:
        """As JSON-RPC has it."""
        return {
            "parentHash": self.parent,
            "number": hex(self.number),
            "stateRoot": "0x" + self.state_root.hex(),
            "extrinsicsRoot": "0x" + self.extrinsics_root.hex(),
            "digest": {"logs": []},
        }


class BlockTree:
    """All blocks ever made. Not safe for threads."""

    def __init__(self, runtime: Runtime, genesis: Storage, jobs: Jobs, versions: tuple[int, int]) -> None:
        """`versions`: of the runtime and of its transactions."""
        self.runtime = runtime
        self.versions = versions
        self._jobs = jobs
        self.pool: dict[str, Signed] = {}
        """Extrinsics that wait for a block, by hash."""
        first = Block(0, "0x" + "00" * 32, _root(genesis), bytes(32), (), genesis)
        self.by_hash = {first.hash: first}
        self.best = self.finalised = self.genesis = first

    def at(self, number: int, head: Block | None = None) -> Block | None:
        """The block of a number on the best chain, or on the chain that ends in `head`."""
        block = head or self.best
        if number > block.number:
            return None
        while block.number > number:
            block = self.by_hash[block.parent]
        return block

    def chain_to(self, block: Block, down_to: int) -> list[Block]:
        """The blocks above a number up to `block`, the lowest first."""
        found = []
        while block.number > down_to:
            found.append(block)
            block = self.by_hash[block.parent]
        return found[::-1]

    def take(self, raw: bytes) -> Signed:
        """Check an extrinsic and keep it for a block. Raises InvalidTransaction."""
        signed = parse_signed(raw)
        if signed.hash in self.pool:
            raise InvalidTransaction("Transaction is already imported", code=1013)
        check_bounds(self.runtime, signed)
        self._check_signature(signed, self.best)
        self._execution(self.best).check(signed, future=True)
        self.pool[signed.hash] = signed
        return signed

    def make(self, parent: Block | None = None, include: bool = True) -> Block:
        """A block on top of the best one, or of `parent`, with all that is ready unless told otherwise."""
        below = parent or self.best
        execution = self._execution(below)
        number = below.number + 1
        now = START_MS + number * BLOCK_MS
        body = [unsigned(encode_call(self.runtime, "Timestamp", "set", now=now))]
        execution.state.put("Timestamp", "Now", now)
        execution.state.put("System", "Number", number)
        execution.state.put("System", "ParentHash", below.hash)
        execution.state.put("System", "BlockHash", below.number, below.hash)
        info = {"weight": {"ref_time": 1, "proof_size": 0}, "class": "Mandatory", "pays_fee": "Yes"}
        execution.emit("System", "ExtrinsicSuccess", dispatch_info=info)
        if include:
            self._fill(execution, below, body)
        execution.state.entries[_EVENTS] = compact(len(execution.events)) + b"".join(execution.events)
        root = hashlib.blake2b(b"".join(body), digest_size=32).digest()
        block = Block(number, below.hash, _root(execution.state), root, tuple(body), execution.state)
        self.by_hash[block.hash] = block
        if block.number > self.best.number:
            self._move_to(block)
        return block

    def finalise(self, block: Block | None = None) -> None:
        """Make the best block, or another of its chain, final."""
        target = block or self.best
        assert self.at(target.number) == target, "only the best chain is finalised"
        assert target.number >= self.finalised.number, "finality does not go back"
        self.finalised = target

    def _fill(self, execution: Execution, below: Block, body: list[bytes]) -> None:
        while True:
            ready = [signed for signed in self.pool.values() if self._is_ready(execution, signed, below)]
            if not ready:
                return
            signed = ready[0]
            execution.extrinsic = len(body)
            execution.apply(signed)
            body.append(signed.raw)
            del self.pool[signed.hash]

    def _is_ready(self, execution: Execution, signed: Signed, below: Block) -> bool:
        try:
            self._check_signature(signed, below)
            execution.check(signed)
        except InvalidTransaction:
            return False
        return True

    def _check_signature(self, signed: Signed, head: Block) -> None:
        def block_hash(number: int) -> str:
            block = self.at(number, head)
            assert block is not None, "a birth is never above the head"
            return block.hash

        signed.check_signature(head.number, block_hash, *self.versions)

    def _execution(self, block: Block) -> Execution:
        return Execution(self.runtime, block.state.copy(), self._jobs, [])

    def _move_to(self, block: Block) -> None:
        """A new best block; what was only in blocks left behind goes back to the pool."""
        left = self.best
        self.best = block
        kept = {raw for item in self.chain_to(block, self.finalised.number) for raw in item.extrinsics}
        while self.at(left.number) != left:
            for raw in left.extrinsics[1:]:
                if raw not in kept:
                    signed = parse_signed(raw)
                    self.pool[signed.hash] = signed
            left = self.by_hash[left.parent]


def _root(state: Storage) -> bytes:
    digest = hashlib.blake2b(digest_size=32)
    for key, value in sorted(state.entries.items()):
        digest.update(key + value)
    return digest.digest()
