"""Which pages of a mapping a process has written, from its page map.

A private page is in memory or swapped, and not of the file that is mapped. Linux 6.7 finds them by itself
(PAGEMAP_SCAN, see the kernel's `admin-guide/mm/pagemap`); before, an entry is read for every page.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

import numpy

from faas_blueprint.merkle import PAGE_SIZE

_PRESENT = numpy.uint64(1 << 63)
_SWAPPED = numpy.uint64(1 << 62)
_SHARED_OR_FILE = numpy.uint64(1 << 61)

_REQUEST = struct.Struct("=12Q")
"""Size, flags, start, end, where the walk ended, address and number of regions, most pages, then four
masks of categories: inverted, of all that is needed, of any that is needed, of what to tell."""
_SCAN = 0xC0606610  # _IOWR('f', 16, _REQUEST)
_WALK_END = 4
_IS_FILE = 1 << 2
_IS_PRESENT = 1 << 3
_IS_SWAPPED = 1 << 4
_REGIONS = 512
"""At once: as many as the kernel holds itself. Given more room, Linux 6.18 tells a wrong end of the walk."""
_REGION_WORDS = 3
"""Start, end, categories."""


def private_pages(page_map: int, start: int, size: int) -> list[int]:
    """Indices of private pages among the `size` bytes at address `start`, ascending; `page_map` is open.

    Raises OSError when the process is gone.
    """
    try:
        return _scanned(page_map, start, size)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EINVAL):
            raise
    return _read(page_map, start, size)


def _scanned(page_map: int, start: int, size: int) -> list[int]:
    regions = numpy.empty((_REGIONS, _REGION_WORDS), dtype="<u8")
    pages: list[int] = []
    at, end = start, start + size
    while at < end:
        masks = (_IS_FILE, _IS_FILE, _IS_PRESENT | _IS_SWAPPED, _IS_FILE)
        asked = (_REQUEST.size, 0, at, end, 0, regions.ctypes.data, _REGIONS, 0, *masks)
        request = bytearray(_REQUEST.pack(*asked))
        found = fcntl.ioctl(page_map, _SCAN, request)
        for first, last, _ in regions[:found].tolist():
            pages.extend(range((first - start) // PAGE_SIZE, (last - start) // PAGE_SIZE))
        at = _REQUEST.unpack(request)[_WALK_END]
    return pages


def _read(page_map: int, start: int, size: int) -> list[int]:
    raw = os.pread(page_map, size // PAGE_SIZE * 8, start // PAGE_SIZE * 8)
    if len(raw) != size // PAGE_SIZE * 8:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    entries = numpy.frombuffer(raw, dtype="<u8")
    mapped = numpy.flatnonzero(entries)  # few of them
    entries = entries[mapped]
    private = (entries & (_PRESENT | _SWAPPED) != 0) & (entries & _SHARED_OR_FILE == 0)
    indices: list[int] = mapped[private].tolist()
    return indices
