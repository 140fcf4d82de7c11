"""Where a machine that an operator claims differs from our own: clock, registers, pages, files.

The claimed machine is never run. Its pages are read, its device state is looked at through `DeviceState`, and
files are named by our own machine: a page of it that holds a part of a file, page by page from the file's
beginning, is that file's page.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faas_blueprint.errors import FaaSError, MachineFailure
from faas_blueprint.file_manifest import FileKind
from faas_blueprint.merkle import PAGE_SIZE, ZERO_PAGE

if TYPE_CHECKING:
    from faas_microvm.devices import DeviceState
    from faas_microvm.engine import Engine
    from faas_microvm.snapshot import Snapshot

SHOWN_PAGES = 8
"""Of which the first differing byte is told."""

_READ_BYTES = 64 << 20
"""Of files that are read to name pages."""


@dataclass(frozen=True, slots=True)
class PageDifference:
    """The first byte of a page that differs."""

    index: int
    offset: int
    own: int
    claimed: int
    file: str | None
    """Whose content our page is, if it is a file's."""


@dataclass(frozen=True, slots=True)
class MachineDifference:
    """All that differs."""

    virtual_ns: tuple[int, int]
    """Guest time since power-on, our own and the claimed."""
    registers: dict[str, tuple[int, int]] | None
    """Those that differ, likewise; None where the claimed device state has none that can be read."""
    pages: tuple[int, ...]
    """Indices, ascending."""
    first: tuple[PageDifference, ...]
    files: tuple[str, ...]
    """Paths below the work folder whose content lies in our version of a page that differs."""

    def to_json(self) -> dict[str, object]:
        """Registers as `0x…`."""
        return {
            "virtual_ns": list(self.virtual_ns),
            "registers": None
            if self.registers is None
            else {name: [hex(own), hex(other)] for name, (own, other) in self.registers.items()},
            "page_count": len(self.pages),
            "pages": list(self.pages),
            "first": [
                {
                    "page": page.index,
                    "offset": page.offset,
                    "own": page.own,
                    "claimed": page.claimed,
                    "file": page.file,
                }
                for page in self.first
            ],
            "files": list(self.files),
        }


async def compare_machines(engine: Engine, own: Snapshot, claimed: Snapshot) -> MachineDifference:
    """Two machines on the same base, of which only `own` may be run."""
    pages = await asyncio.to_thread(claimed.changed_from, own)
    named = _named(await _file_pages(engine, own), own, tuple(pages)) if pages else {}
    return MachineDifference(
        (own.devices.virtual_ns, claimed.devices.virtual_ns),
        _registers(own.devices, claimed.devices),
        tuple(pages),
        tuple(
            _difference(index, own.page(index), pages[index], named.get(index))
            for index in list(pages)[:SHOWN_PAGES]
        ),
        tuple(sorted(set(named.values()))),
    )


def _registers(own: DeviceState, claimed: DeviceState) -> dict[str, tuple[int, int]] | None:
    try:
        others = claimed.registers()
    except (MachineFailure, struct.error):
        return None  # whoever claims it made it up
    return {name: (value, others[name]) for name, value in own.registers().items() if others[name] != value}


async def _file_pages(engine: Engine, own: Snapshot) -> dict[bytes, str]:
    """The path by a page's content; without pages of zeros, which could be anything's."""
    from faas_microvm.disk import LARGEST_FILE, read_files, read_manifest

    try:
        manifest = await read_manifest(engine, own)
        wanted, room = [], _READ_BYTES
        for entry in manifest.entries:
            if entry.kind is FileKind.FILE and 0 < entry.size <= min(LARGEST_FILE, room):
                wanted.append(entry)
                room -= entry.size
        contents = await read_files(engine, own, wanted)
    except (FaaSError, ValueError):
        return {}  # a machine that cannot be asked: pages stay without names
    found: dict[bytes, str] = {}
    for entry in wanted:
        content = contents.get(entry.sha256, b"")
        for start in range(0, len(content), PAGE_SIZE):
            found.setdefault(content[start : start + PAGE_SIZE].ljust(PAGE_SIZE, b"\0"), entry.path)
    found.pop(ZERO_PAGE, None)
    return found


def _named(paths: Mapping[bytes, str], own: Snapshot, indices: Sequence[int]) -> dict[int, str]:
    found = {index: paths.get(own.page(index)) for index in indices}
    return {index: path for index, path in found.items() if path is not None}


def _difference(index: int, own: bytes, claimed: bytes, file: str | None) -> PageDifference:
    offset = next(at for at in range(PAGE_SIZE) if own[at] != claimed[at])
    return PageDifference(index, offset, own[offset], claimed[offset], file)
