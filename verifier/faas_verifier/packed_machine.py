"""A machine as an evidence bundle holds it: the device state, and the pages that differ from the base.

`devices` is the canonical stream. `pages` is a row for each page, ascending: its index (u32, little-endian)
and its 4096 bytes. Whoever unpacks one measures it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faas_blueprint.digests import Digest
from faas_blueprint.errors import InvalidRequest, MachineFailure
from faas_blueprint.merkle import PAGE_SIZE

if TYPE_CHECKING:
    from faas_microvm.snapshot import Snapshot

_INDEX = struct.Struct("<I")
_ROW = _INDEX.size + PAGE_SIZE

MOST_DEVICE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class PackedMachine:
    """Two byte strings of a bundle."""

    devices: bytes
    pages: bytes


def pack_machine(snapshot: Snapshot) -> PackedMachine:
    """All of its pages that are not the base's."""
    overlay = snapshot.overlay
    rows = b"".join(_INDEX.pack(index) + overlay[index] for index in sorted(overlay))
    return PackedMachine(snapshot.devices.stream, rows)


def unpack_machine(packed: PackedMachine, base: Snapshot, measurement: Digest, what: str) -> Snapshot:
    """The machine on this base. Raises InvalidRequest, which begins with `what`, when it cannot be read or
    does not measure to `measurement`."""
    from faas_microvm.devices import DeviceState
    from faas_microvm.memory import hash_pages
    from faas_microvm.snapshot import PAGE_COUNT

    pages = _rows(packed.pages, PAGE_COUNT, what)
    try:
        devices = DeviceState.from_stream(packed.devices)
    except MachineFailure as error:
        raise InvalidRequest(f"{what}: its device state cannot be read: {error}") from error
    snapshot = base.derived(pages, hash_pages(pages), devices)
    if snapshot.measurement != measurement:
        raise InvalidRequest(f"{what} measures 0x{snapshot.measurement.hex()}, not 0x{measurement.hex()}")
    return snapshot


def _rows(data: bytes, page_count: int, what: str) -> dict[int, bytes]:
    if len(data) % _ROW:
        raise InvalidRequest(f"{what}: {len(data)} bytes are no rows of an index and a page")
    pages: dict[int, bytes] = {}
    last = -1
    for start in range(0, len(data), _ROW):
        (index,) = _INDEX.unpack_from(data, start)
        if not last < index < page_count:
            raise InvalidRequest(f"{what}: page {index} is out of order, or beyond the end of memory")
        pages[index] = data[start + _INDEX.size : start + _ROW]
        last = index
    return pages
