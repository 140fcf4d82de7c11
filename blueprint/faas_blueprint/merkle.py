"""The Merkle tree over a machine's RAM: SHA-256, 4 KiB pages, four children a node.

Leaf `sha256(0x00 ‖ page)`, node `sha256(0x01 ‖ four children)`. Four children halve the interior
work of a binary tree for a proof one and a half times as long: 864 bytes for 1 GiB.
RAM is `4**height` pages, so every level is full.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from faas_blueprint.digests import Digest

PAGE_SIZE = 4096
ARITY = 4
HASH_SIZE = 32
_NODE_SIZE = ARITY * HASH_SIZE


def hash_page(page: bytes | bytearray | memoryview) -> Digest:
    """The leaf of one page."""
    state = hashlib.sha256(b"\0")
    state.update(page)
    return Digest(state.digest())


def hash_node(children: bytes | bytearray | memoryview) -> Digest:
    """The node over four children, concatenated."""
    state = hashlib.sha256(b"\1")
    state.update(children)
    return Digest(state.digest())


ZERO_PAGE = bytes(PAGE_SIZE)
ZERO_LEAF = hash_page(ZERO_PAGE)


@dataclass(frozen=True, slots=True)
class PageTree:
    """All levels of a tree, leaves first; the last level is the root alone."""

    levels: tuple[bytes, ...]

    @property
    def root(self) -> Digest:
        """The RAM root."""
        return Digest(self.levels[-1])

    @property
    def page_count(self) -> int:
        """Number of leaves."""
        return len(self.levels[0]) // HASH_SIZE

    @classmethod
    def build(cls, page_count: int, pages: Mapping[int, Digest]) -> PageTree:
        """The tree of RAM that is zero but for `pages` (index to leaf)."""
        height = height_of(page_count)
        levels = []
        zero = ZERO_LEAF
        nodes: dict[int, Digest] = dict(pages)
        for level in range(height + 1):
            buffer = bytearray(zero * (ARITY ** (height - level)))
            for index, digest in nodes.items():
                buffer[index * HASH_SIZE : (index + 1) * HASH_SIZE] = digest
            levels.append(bytes(buffer))
            zero = hash_node(zero * ARITY)
            nodes = {
                parent: hash_node(buffer[parent * _NODE_SIZE : (parent + 1) * _NODE_SIZE])
                for parent in {index // ARITY for index in nodes}
                if level < height
            }
        return cls(tuple(levels))

    def changed_root(self, pages: Mapping[int, Digest]) -> Digest:
        """The root with some leaves replaced; costs what changed, not what there is."""
        nodes: Mapping[int, Digest] = pages
        for level in self.levels[:-1]:
            parents: dict[int, bytearray] = {}
            for index, digest in nodes.items():
                parent, child = divmod(index, ARITY)
                if parent not in parents:
                    parents[parent] = bytearray(level[parent * _NODE_SIZE : (parent + 1) * _NODE_SIZE])
                parents[parent][child * HASH_SIZE : (child + 1) * HASH_SIZE] = digest
            nodes = {parent: hash_node(children) for parent, children in parents.items()}
        return nodes.get(0, self.root)

    def with_changes(self, pages: Mapping[int, Digest]) -> PageTree:
        """The whole tree with some leaves replaced."""
        levels = [bytearray(level) for level in self.levels]
        nodes: Iterable[tuple[int, Digest]] = pages.items()
        for number, level in enumerate(levels):
            parents = set()
            for index, digest in nodes:
                level[index * HASH_SIZE : (index + 1) * HASH_SIZE] = digest
                parents.add(index // ARITY)
            if number + 1 < len(levels):
                nodes = [(p, hash_node(level[p * _NODE_SIZE : (p + 1) * _NODE_SIZE])) for p in parents]
        return PageTree(tuple(map(bytes, levels)))

    def proof(self, index: int) -> tuple[bytes, ...]:
        """Per level from the leaves up, the three siblings of page `index`, concatenated in order."""
        siblings = []
        for level in self.levels[:-1]:
            parent, child = divmod(index, ARITY)
            node = level[parent * _NODE_SIZE : (parent + 1) * _NODE_SIZE]
            siblings.append(node[: child * HASH_SIZE] + node[(child + 1) * HASH_SIZE :])
            index = parent
        return tuple(siblings)


def height_of(page_count: int) -> int:
    """Levels above the leaves. Raises ValueError unless `page_count` is a power of four."""
    height = (page_count.bit_length() - 1) // 2
    if page_count < 1 or ARITY**height != page_count:
        raise ValueError(f"{page_count} pages is not a power of {ARITY}")
    return height


def root_of_proof(page: bytes, index: int, proof: Sequence[bytes]) -> Digest:
    """The root that a page and its proof lead to; equal to the RAM root if the proof holds."""
    digest = hash_page(page)
    for siblings in proof:
        index, child = divmod(index, ARITY)
        cut = child * HASH_SIZE
        digest = hash_node(siblings[:cut] + digest + siblings[cut:])
    if index != 0:
        raise ValueError("the proof is too short for this page index")
    return digest
