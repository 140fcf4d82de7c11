"""The private pages of a mapping of this process, by the kernel's scan and by reading every entry."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess

import pytest

from faas_blueprint.merkle import PAGE_SIZE
from faas_microvm import page_map
from faas_microvm.page_map import private_pages

PAGES = 5000


@pytest.fixture
def mapped():
    """A private view of a file, its address, and this process's page map."""
    file = os.memfd_create("pages")
    os.ftruncate(file, PAGES * PAGE_SIZE)
    os.pwrite(file, b"file", 7 * PAGE_SIZE)
    memory = mmap.mmap(file, PAGES * PAGE_SIZE, flags=mmap.MAP_PRIVATE)
    view = ctypes.c_char.from_buffer(memory)
    descriptor = os.open("/proc/self/pagemap", os.O_RDONLY)
    yield memory, ctypes.addressof(view), descriptor
    del view
    memory.close()
    os.close(descriptor)
    os.close(file)


@pytest.mark.parametrize("find", [private_pages, page_map._read])
def test_what_was_written_is_found_and_nothing_else(mapped, find):
    memory, start, descriptor = mapped
    assert find(descriptor, start, PAGES * PAGE_SIZE) == []
    assert memory[7 * PAGE_SIZE : 7 * PAGE_SIZE + 4] == b"file"  # read, not written
    written = [0, *range(3, 4000, 2), *range(4100, 4200), PAGES - 1]  # more regions than one call tells
    for page in written:
        memory[page * PAGE_SIZE] = 1
    assert find(descriptor, start, PAGES * PAGE_SIZE) == written
    assert find(descriptor, start + 3 * PAGE_SIZE, PAGE_SIZE) == [0]


def test_a_kernel_without_the_scan_is_read(mapped, monkeypatch):
    memory, start, descriptor = mapped
    memory[PAGE_SIZE] = 1
    monkeypatch.setattr(page_map, "_SCAN", 0xC0606611)
    with pytest.raises(OSError, match="Errno"):
        page_map._scanned(descriptor, start, PAGE_SIZE)
    assert private_pages(descriptor, start, PAGES * PAGE_SIZE) == [1]


@pytest.mark.parametrize("find", [private_pages, page_map._read])
def test_a_process_that_is_gone_has_no_pages_to_tell(find):
    with subprocess.Popen(["sleep", "60"]) as process:
        descriptor = os.open(f"/proc/{process.pid}/pagemap", os.O_RDONLY)
        process.kill()
        process.wait()
        with pytest.raises(ProcessLookupError):
            find(descriptor, 0x400000, PAGES * PAGE_SIZE)
        os.close(descriptor)
