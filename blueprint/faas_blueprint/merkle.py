"""The Merkle tree over a machine's RAM: SHA-256, 4 KiB pages, four children a node.

Leaf `sha256(0x00 ‖ page)`, node `sha256(0x01 ‖ four children)`. Four children halve the interior
work of a binary tree for a proof one and a half times as long: 864 bytes for 1 GiB.
RAM is `4**height` pages, so every level is full.

A tree that descends from another shares its levels and adds what differs, so that it costs what was
changed. What differs is kept from the levels that were built, not from the tree before: a descendant
of a descendant is read as fast as the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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

_Nodes = Mapping[int, bytes]
"""By index of the parent, its four children."""


@dataclass(frozen=True, slots=True, eq=False)
class PageTree:
    """A tree as its levels, leaves first, and what differs from them."""

    levels: tuple[bytes, ...]
    """As built; the last is the root alone. Descendants share them."""
    root: Digest
    """The RAM root."""
    changed: tuple[_Nodes, ...]
    """Per level but the last, the groups of children that differ from `levels`."""

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
        return cls(tuple(levels), Digest(levels[-1]), tuple({} for _ in range(height)))

    def leaf(self, index: int) -> Digest:
        """The leaf of page `index`."""
        if not 0 <= index < self.page_count:
            raise IndexError(f"page {index} of {self.page_count}")
        if not self.changed:
            return self.root
        parent, child = divmod(index, ARITY)
        return Digest(self._children(0, parent)[child * HASH_SIZE : (child + 1) * HASH_SIZE])

    def changed_root(self, pages: Mapping[int, Digest]) -> Digest:
        """The root with some leaves replaced; costs what changed, not what there is."""
        return self._change(pages)[1]

    def with_changes(self, pages: Mapping[int, Digest]) -> PageTree:
        """The tree with some leaves replaced; costs what differs from the levels that it shares."""
        changes, root = self._change(pages)
        merged = tuple({**old, **new} for old, new in zip(self.changed, changes, strict=True))
        return PageTree(self.levels, root, merged)

    def proof(self, index: int, count: int = 1) -> tuple[bytes, ...]:
        """Per level from the leaves up, what `root_of_proof` needs besides pages `index` to `index + count`.

        That is the nodes which complete the first and the last group of four, concatenated in order:
        the three siblings for a single page.
        """
        if count < 1 or not 0 <= index <= self.page_count - count:
            raise IndexError(f"{count} pages from page {index} of {self.page_count}")
        siblings = []
        end = index + count
        for level in range(len(self.changed)):
            (first, before), (last, final) = divmod(index, ARITY), divmod(end - 1, ARITY)
            head = self._children(level, first)[: before * HASH_SIZE]
            siblings.append(head + self._children(level, last)[(final + 1) * HASH_SIZE :])
            index, end = first, last + 1
        return tuple(siblings)

    def _children(self, level: int, parent: int) -> bytes:
        children = self.changed[level].get(parent)
        return children or self.levels[level][parent * _NODE_SIZE : (parent + 1) * _NODE_SIZE]

    def _change(self, pages: Mapping[int, Digest]) -> tuple[list[dict[int, bytes]], Digest]:
        """What replacing leaves does: the groups that change, level by level, and the root."""
        if pages and not 0 <= min(pages) <= max(pages) < self.page_count:
            raise IndexError(f"pages {min(pages)} to {max(pages)} of {self.page_count}")
        sha256 = hashlib.sha256
        changes = []
        nodes: Mapping[int, Digest] = pages
        for level, old in zip(self.levels, self.changed, strict=False):
            groups: dict[int, bytearray] = {}
            for index, digest in nodes.items():
                parent = index >> 2
                if (group := groups.get(parent)) is None:
                    children = old.get(parent) or level[parent * _NODE_SIZE : (parent + 1) * _NODE_SIZE]
                    group = groups[parent] = bytearray(children)
                start = (index & 3) * HASH_SIZE
                group[start : start + HASH_SIZE] = digest
            changes.append({parent: bytes(group) for parent, group in groups.items()})
            nodes = {parent: Digest(sha256(b"\1" + group).digest()) for parent, group in changes[-1].items()}
        return changes, nodes.get(0, self.root)


def height_of(page_count: int) -> int:
    """Levels above the leaves. Raises ValueError unless `page_count` is a power of four."""
    height = (page_count.bit_length() - 1) // 2
    if page_count < 1 or ARITY**height != page_count:
        raise ValueError(f"{page_count} pages is not a power of {ARITY}")
    return height


def root_of_proof(pages: bytes, index: int, proof: Sequence[bytes]) -> Digest:
    """The root that pages side by side, the first being `index`, and their proof lead to.

    It is the RAM root if the proof holds. Raises ValueError when the parts do not fit each other.
    """
    if not pages or len(pages) % PAGE_SIZE:
        raise ValueError(f"{len(pages)} bytes is no number of whole pages")
    view = memoryview(pages)
    row = b"".join(hash_page(view[start : start + PAGE_SIZE]) for start in range(0, len(pages), PAGE_SIZE))
    for siblings in proof:
        index, before = divmod(index, ARITY)
        cut = before * HASH_SIZE
        row = siblings[:cut] + row + siblings[cut:]
        if not cut <= len(siblings) < cut + _NODE_SIZE or len(row) % _NODE_SIZE:
            raise ValueError("the proof does not fit this page index")
        row = b"".join(hash_node(row[start : start + _NODE_SIZE]) for start in range(0, len(row), _NODE_SIZE))
    if index != 0 or len(row) != HASH_SIZE:
        raise ValueError("the proof is too short for this page index")
    return Digest(row)
