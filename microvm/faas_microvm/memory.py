"""A machine's RAM as the host sees it: read, written and compared while the machine is stopped."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from types import TracebackType

from faas_blueprint.digests import Digest
from faas_blueprint.errors import MachineFailure
from faas_blueprint.merkle import PAGE_SIZE, ZERO_PAGE, hash_page
from faas_microvm.page_map import private_pages

RAM_NAME = "faas-ram"
"""Name of the memory file, as it shows in the process's mappings."""


class GuestMemory:
    """RAM of one machine process, through /proc. Offsets are guest-physical addresses."""

    def __init__(self, pid: int, size: int, base: int = 0) -> None:
        """`base` is where the process has it mapped; found when it is not given."""
        self._size = size
        self._base = base or _find_mapping(pid, size)
        self._memory = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)
        try:
            self._pagemap = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self._memory)
            raise

    def __enter__(self) -> GuestMemory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the process."""
        os.close(self._memory)
        os.close(self._pagemap)

    def read(self, offset: int, size: int) -> bytes:
        """Bytes at a guest-physical address."""
        data = os.pread(self._memory, size, self._base + offset)
        if len(data) != size:
            raise MachineFailure("the machine's memory cannot be read")
        return data

    def write(self, offset: int, data: bytes) -> None:
        """Change guest memory; only while the machine is stopped."""
        view = memoryview(data)
        while view:
            try:
                written = os.pwrite(self._memory, view, self._base + offset)
            except OSError as error:
                raise MachineFailure(f"the machine's memory cannot be written: {error}") from error
            if written == 0:  # the process is gone
                raise MachineFailure("the machine's memory cannot be written")
            offset += written
            view = view[written:]

    def write_pages(self, pages: Mapping[int, bytes]) -> None:
        """Lay pages out, in as few calls as runs; only while the machine is stopped."""
        for first, count in _runs(sorted(pages)):
            self.write(first * PAGE_SIZE, b"".join(pages[first + number] for number in range(count)))

    def changed_pages(self) -> list[int]:
        """Indices of the pages that this machine has written since it was restored, ascending."""
        try:
            return private_pages(self._pagemap, self._base, self._size)
        except OSError as error:
            raise MachineFailure(f"the machine's page map cannot be read: {error}") from error

    def read_pages(self, indices: Iterable[int]) -> dict[int, bytes]:
        """The content of pages, read in as few calls as runs."""
        pages: dict[int, bytes] = {}
        for first, count in _runs(indices):
            run = self.read(first * PAGE_SIZE, count * PAGE_SIZE)
            for number in range(count):
                pages[first + number] = run[number * PAGE_SIZE : (number + 1) * PAGE_SIZE]
        return pages


def hash_pages(pages: Mapping[int, bytes]) -> dict[int, Digest]:
    """Leaf digests by page index."""
    return {index: hash_page(page) for index, page in pages.items()}


def hash_memory(memory: memoryview, first_page: int, page_count: int) -> dict[int, Digest]:
    """Leaf digests of the pages in a range that are not zero."""
    leaves: dict[int, Digest] = {}
    sha256 = hashlib.sha256
    prefix = b"\0"
    for index in range(first_page, first_page + page_count):
        page = memory[index * PAGE_SIZE : (index + 1) * PAGE_SIZE]
        if page == ZERO_PAGE:
            continue
        state = sha256(prefix)
        state.update(page)
        leaves[index] = Digest(state.digest())
    return leaves


def _runs(indices: Iterable[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and runs[-1][0] + runs[-1][1] == index:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs


def _find_mapping(pid: int, size: int) -> int:
    with open(f"/proc/{pid}/maps") as maps:
        for line in maps:
            if RAM_NAME in line:
                start, end = (int(part, 16) for part in line.split(" ", 1)[0].split("-"))
                if end - start == size:
                    return start
    raise MachineFailure("the machine has no memory of the expected size mapped")
