"""Page tables: which pages a snapshot changed, where their content lies, and the device stream.

One object per snapshot, named by the SHA-256 of its bytes. It also names the tables of the parents,
nearest first, back to one that is *complete* (holds everything that differs from the base), so a
snapshot at any depth is read in three steps: its table, the tables before it, their packs.

Layout under zstd, little-endian: counts, table names, pack names, device stream, then a column each
of page-index steps (u32), pack numbers (u32, 0 is the zero page) and position steps (u16).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy
import zstandard
from numpy.typing import NDArray

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.merkle import HASH_SIZE
from faas_microvm.objects import DamagedObject

COMPLETE_EVERY = 16
"""Tables that are read at most for one snapshot; every so many is complete."""

Place = tuple[Digest, int]
"""Pack and position in it."""

_MAGIC = b"faastab1"
_COUNTS = struct.Struct("<4I")
_LEVEL = 3
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Row by row, where the content of a page lies; ascending by page index."""

    packs: tuple[Digest, ...]
    indices: NDArray[numpy.uint32]
    numbers: NDArray[numpy.uint32]
    """0 for the zero page, else one more than the index in `packs`."""
    positions: NDArray[numpy.uint16]

    @classmethod
    def of(cls, places: Mapping[int, Place | None]) -> Placement:
        """From page index to place; None is the zero page."""
        order = sorted(places)
        numbers: dict[Digest, int] = {}
        rows = []
        for index in order:
            place = places[index]
            rows.append((numbers.setdefault(place[0], len(numbers) + 1), place[1]) if place else (0, 0))
        columns = numpy.array(rows, dtype=numpy.uint32).reshape(-1, 2)
        return cls(
            tuple(numbers),
            numpy.array(order, dtype=numpy.uint32),
            columns[:, 0],
            columns[:, 1].astype(numpy.uint16),
        )

    def by_pack(self) -> Iterator[tuple[Digest | None, list[int], list[int]]]:
        """Per pack (None: zero pages) the page indices and their positions."""
        order = numpy.argsort(self.numbers, kind="stable")
        numbers, starts = numpy.unique(self.numbers[order], return_index=True)
        for number, rows in zip(numbers.tolist(), numpy.split(order, starts[1:]), strict=False):
            pack = self.packs[number - 1] if number else None
            yield pack, self.indices[rows].tolist(), self.positions[rows].tolist()


def merge_placements(nearest_first: Sequence[Placement]) -> Placement:
    """All rows of all, the nearest where several have one for a page; drops packs that none needs."""
    packs: dict[Digest, int] = {}
    columns = []
    for placement in nearest_first:
        known = [0] + [packs.setdefault(pack, len(packs) + 1) for pack in placement.packs]
        columns.append(numpy.array(known, dtype=numpy.uint32)[placement.numbers])
    indices = numpy.concatenate([placement.indices for placement in nearest_first])
    merged, rows = numpy.unique(indices, return_index=True)
    numbers = numpy.concatenate(columns)[rows]
    positions = numpy.concatenate([placement.positions for placement in nearest_first])[rows]
    used = numpy.union1d(numbers, numpy.zeros(1, dtype=numpy.uint32))
    names = tuple(packs)
    return Placement(
        tuple(names[number - 1] for number in used[1:].tolist()),
        merged,
        numpy.searchsorted(used, numbers).astype(numpy.uint32),
        positions,
    )


@dataclass(frozen=True, slots=True, eq=False)
class PageTable:
    """What one snapshot adds to its parent, and the way back."""

    previous: tuple[Digest, ...]
    """Tables of the parents, nearest first; none when this one is complete."""
    devices: bytes
    placement: Placement

    def encode(self) -> bytes:
        """The object; its SHA-256 is its name."""
        rows = self.placement
        counts = (len(self.previous), len(rows.packs), len(rows.indices), len(self.devices))
        raw = b"".join(
            (
                _COUNTS.pack(*counts),
                *self.previous,
                *rows.packs,
                self.devices,
                numpy.diff(rows.indices, prepend=numpy.uint32(0)).astype("<u4").tobytes(),
                rows.numbers.astype("<u4").tobytes(),
                numpy.diff(rows.positions, prepend=numpy.uint16(0)).astype("<u2").tobytes(),
            )
        )
        return _MAGIC + zstandard.ZstdCompressor(level=_LEVEL).compress(raw)

    @classmethod
    def decode(cls, name: Digest, content: bytes) -> PageTable:
        """Raises DamagedObject when the content is not what the name promises."""
        if sha256(content) != name:
            raise DamagedObject(f"table {name.hex()} is not what its name promises")
        if not content.startswith(_MAGIC):
            raise DamagedObject(f"table {name.hex()} has a format that is not known here")
        try:
            return _decode(_unpack(content[len(_MAGIC) :]))
        except (zstandard.ZstdError, struct.error, ValueError) as error:
            raise DamagedObject(f"table {name.hex()} cannot be read: {error}") from error


def _unpack(content: bytes) -> bytes:
    if zstandard.get_frame_parameters(content).content_size > _MOST_BYTES:
        raise ValueError(f"over {_MOST_BYTES} bytes")
    return zstandard.ZstdDecompressor().decompress(content)


def _decode(raw: bytes) -> PageTable:
    table_count, pack_count, row_count, devices_size = _COUNTS.unpack_from(raw)
    devices_start = _COUNTS.size + HASH_SIZE * (table_count + pack_count)
    rows_start = devices_start + devices_size
    if len(raw) != rows_start + 10 * row_count:
        raise ValueError("its size does not fit its counts")
    names = [Digest(raw[at : at + HASH_SIZE]) for at in range(_COUNTS.size, devices_start, HASH_SIZE)]
    steps = numpy.frombuffer(raw, "<u4", row_count, rows_start)
    numbers = numpy.frombuffer(raw, "<u4", row_count, rows_start + 4 * row_count)
    position_steps = numpy.frombuffer(raw, "<u2", row_count, rows_start + 8 * row_count)
    indices = numpy.cumsum(steps, dtype=numpy.uint64)
    if row_count and (not steps[1:].all() or indices[-1] >> 32 or numbers.max() > pack_count):
        raise ValueError("its rows are not in order")
    placement = Placement(
        tuple(names[table_count:]),
        indices.astype(numpy.uint32),
        numbers.astype(numpy.uint32),
        numpy.cumsum(position_steps, dtype=numpy.uint16),
    )
    return PageTable(tuple(names[:table_count]), raw[devices_start:rows_start], placement)
