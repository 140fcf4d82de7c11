"""Pages of snapshots on their way into a store and back: deduplicated, packed, checked.

Why a page may be referred to and not stored again: a snapshot that is there needs its pack. What a
deleted snapshot needed stays for a while (see `snapshot_garbage`), and storing takes less than that.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.merkle import PAGE_SIZE, ZERO_LEAF, ZERO_PAGE
from faas_microvm.objects import DamagedObject, Objects
from faas_microvm.packs import PACK_PAGES, Pack, PackedPages, pack_pages
from faas_microvm.page_index import Need, PageIndex
from faas_microvm.page_table import COMPLETE_EVERY, PageTable, Place, Placement, merge_placements

PACKS = "packs"
TABLES = "tables"

_KEPT_TABLES = 64

IsNeeded = Callable[[Need], Awaitable[bool]]
"""Whether a snapshot is still there with the table that it had."""


@dataclass(frozen=True, slots=True)
class PreparedPages:
    """Everything that one snapshot adds, ready to be written."""

    table_name: Digest
    table: bytes
    packs: tuple[PackedPages, ...]
    needed: tuple[Digest, ...]
    """Every pack that the table refers to."""

    @property
    def size(self) -> int:
        """Bytes to be written."""
        return len(self.table) + sum(len(pack.content) for pack in self.packs)


@dataclass(frozen=True, slots=True)
class ReadPages:
    """Pages by index, with the leaf digests that they were checked against."""

    pages: dict[int, bytes]
    hashes: dict[int, Digest]


class SnapshotPages:
    """Tables and packs of one store."""

    def __init__(self, objects: Objects, index: PageIndex) -> None:
        self._objects = objects
        self._index = index
        self._tables: OrderedDict[Digest, PageTable] = OrderedDict()

    async def prepare(
        self,
        parent_table: Digest | None,
        devices: bytes,
        pages: Mapping[int, bytes],
        hashes: Mapping[int, Digest],
        is_needed: IsNeeded,
    ) -> PreparedPages:
        """Find out what is new, and pack it. Writes nothing. Raises DamagedObject for the parent's table."""
        by_hash = _by_hash(pages, hashes)
        known = await asyncio.to_thread(self._index.locate, list(by_hash))
        known = await self._keep_needed(known, is_needed)
        packs = await _pack_all({digest: page for digest, page in by_hash.items() if digest not in known})
        for pack in packs:
            known.update({digest: (pack.name, place) for place, digest in enumerate(pack.hashes)})
        places: dict[int, Place | None] = {
            index: None if hashes[index] == ZERO_LEAF else known[hashes[index]] for index in pages
        }
        table = await self._table(parent_table, devices, await asyncio.to_thread(Placement.of, places))
        content = await asyncio.to_thread(table.encode)
        name = sha256(content)
        self._keep(name, table)
        return PreparedPages(name, content, tuple(packs), table.placement.packs)

    async def _table(self, parent: Digest | None, devices: bytes, placement: Placement) -> PageTable:
        if parent is None:
            return PageTable((), devices, placement)
        chain = (parent, *(await self.table(parent)).previous)
        if len(chain) < COMPLETE_EVERY:
            return PageTable(chain, devices, placement)
        tables = await asyncio.gather(*map(self.table, chain))
        merged = merge_placements([placement, *(table.placement for table in tables)])
        return PageTable((), devices, merged)

    async def _keep_needed(self, known: dict[Digest, Place], is_needed: IsNeeded) -> dict[Digest, Place]:
        """Drop what lies in packs that no snapshot needs any more, so that it is stored again."""
        waiting = {place[0] for place in known.values()}
        lost: set[Digest] = set()
        while waiting:
            newest = {pack: self._index.newest_need(pack) for pack in waiting}
            lost.update(pack for pack, need in newest.items() if need is None)
            needs = list({need for need in newest.values() if need is not None})
            present = dict(zip(needs, await asyncio.gather(*map(is_needed, needs)), strict=True))
            for need in needs:
                if not present[need]:
                    self._index.forget_need(need)
            waiting = {pack for pack, need in newest.items() if need is not None and not present[need]}
        self._index.forget_packs(lost)
        return {digest: place for digest, place in known.items() if place[0] not in lost}

    async def write(self, prepared: PreparedPages) -> None:
        """Write packs and table. Over what is there, so that a damaged object is mended."""
        await asyncio.gather(
            self._objects.write(table_object(prepared.table_name), prepared.table),
            *(self._objects.write(pack_object(pack.name), pack.content) for pack in prepared.packs),
        )

    async def table(self, name: Digest) -> PageTable:
        """Read a table; the last few are kept. Raises DamagedObject."""
        if name in self._tables:
            self._tables.move_to_end(name)
            return self._tables[name]
        content = await self._objects.read(table_object(name))
        if content is None:
            raise DamagedObject(f"table {name.hex()} is missing")
        table = PageTable.decode(name, content)
        self._keep(name, table)
        return table

    def _keep(self, name: Digest, table: PageTable) -> None:
        self._tables[name] = table
        if len(self._tables) > _KEPT_TABLES:
            self._tables.popitem(last=False)

    async def read(self, table: PageTable) -> ReadPages:
        """Everything that differs from the base. Raises DamagedObject."""
        previous = await asyncio.gather(*map(self.table, table.previous))
        placement = merge_placements([table.placement, *(earlier.placement for earlier in previous)])
        parts = await asyncio.gather(
            *(self._read_part(pack, indices, places) for pack, indices, places in placement.by_pack())
        )
        pages: dict[int, bytes] = {}
        hashes: dict[int, Digest] = {}
        for part in parts:
            pages.update(part.pages)
            hashes.update(part.hashes)
        return ReadPages(pages, hashes)

    async def _read_part(self, name: Digest | None, indices: list[int], places: list[int]) -> ReadPages:
        if name is None:
            return ReadPages(dict.fromkeys(indices, ZERO_PAGE), dict.fromkeys(indices, ZERO_LEAF))
        content = await self._objects.read(pack_object(name))
        try:
            if content is None:
                raise DamagedObject(f"pack {name.hex()} is missing")
            return await asyncio.to_thread(_unpack_part, name, content, indices, places)
        except DamagedObject:
            self._index.forget_packs([name])
            raise

    async def learn(self, measurement: Digest, table: Digest) -> None:
        """Put a stored snapshot's packs into the index. Raises DamagedObject for its table."""
        needed = (await self.table(table)).placement.packs
        hashes = await asyncio.gather(*map(self._hashes_of_pack, needed))
        fresh = {pack: known for pack, known in zip(needed, hashes, strict=True) if known is not None}
        await asyncio.to_thread(self._index.learn, Need(measurement, table), fresh, ())

    async def _hashes_of_pack(self, name: Digest) -> tuple[Digest, ...] | None:
        """Leaf digests of a pack's pages; None when it is missing or damaged."""
        content = await self._objects.read(pack_object(name))
        try:
            return None if content is None else Pack.decode(name, content).hashes
        except DamagedObject:
            return None


def table_object(name: Digest) -> str:
    """The object that holds a table."""
    return f"{TABLES}/{name.hex()}"


def pack_object(name: Digest) -> str:
    """The object that holds a pack."""
    return f"{PACKS}/{name.hex()}"


def _by_hash(pages: Mapping[int, bytes], hashes: Mapping[int, Digest]) -> dict[Digest, bytes]:
    """Distinct pages that are not zero, in the order of their indices: neighbours compress together."""
    by_hash: dict[Digest, bytes] = {}
    for index in sorted(pages):
        if len(pages[index]) != PAGE_SIZE:
            raise ValueError(f"page {index} has {len(pages[index])} bytes, not {PAGE_SIZE}")
        if hashes[index] != ZERO_LEAF:
            by_hash.setdefault(hashes[index], pages[index])
    return by_hash


async def _pack_all(fresh: Mapping[Digest, bytes]) -> list[PackedPages]:
    order = list(fresh.items())
    parts = [dict(order[start : start + PACK_PAGES]) for start in range(0, len(order), PACK_PAGES)]
    return await asyncio.gather(*(asyncio.to_thread(pack_pages, part) for part in parts))


def _unpack_part(name: Digest, content: bytes, indices: Sequence[int], places: Sequence[int]) -> ReadPages:
    pack = Pack.decode(name, content)
    found = pack.pages(dict.fromkeys(places))
    pairs: Iterable[tuple[int, int]] = list(zip(indices, places, strict=True))
    return ReadPages(
        {index: found[place] for index, place in pairs}, {index: pack.hashes[place] for index, place in pairs}
    )
