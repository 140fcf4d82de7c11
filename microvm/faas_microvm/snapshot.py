"""The base snapshot: a booted, warmed machine, stopped at an exact instruction and measured.

On disk a snapshot is a folder named after its measurement: `ram` (sparse), `devices` (the
canonical stream) and `manifest.json`. Loading checks every page against the measurement; what does
not match is an error that names the snapshot, never a wrong run.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import mmap
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import FatalError, MachineFailure
from faas_blueprint.measurement import MachineState
from faas_blueprint.merkle import PAGE_SIZE, PageTree
from faas_microvm import mailbox
from faas_microvm.devices import DeviceState
from faas_microvm.home import working_folder
from faas_microvm.image import Image
from faas_microvm.machine import Machine
from faas_microvm.memory import RAM_NAME, hash_memory, hash_pages
from faas_microvm.profile import RAM_BYTES, MachineProfile, detect_profile
from faas_microvm.sandbox import HostLimits

BOOT_SECONDS = 900.0
BOOT_LIMITS = HostLimits(cpu_seconds=int(BOOT_SECONDS), memory_bytes=4 << 30, file_bytes=RAM_BYTES)
PAGE_COUNT = RAM_BYTES // PAGE_SIZE
FORK_PHYSICAL = mailbox.PHYSICAL + mailbox.FORK_OFFSET

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement and the parts it is made of."""

    measurement: Digest
    profile_id: Digest
    ram_root: Digest
    device_hash: Digest

    def to_json(self) -> dict[str, str]:
        """Every part as `0x…`."""
        return {name: to_hex(value) for name, value in asdict(self).items()}


class Snapshot:
    """A measured machine, ready to be restored any number of times.

    A base snapshot owns its memory file; close it to free it. A derived one is the pages that differ
    from its base, whose file it shares: as many as the job wrote, however large RAM is.
    """

    def __init__(
        self,
        profile: MachineProfile,
        ram_fd: int,
        devices: DeviceState,
        tree: PageTree,
        overlay: Mapping[int, bytes] | None = None,
        base: Snapshot | None = None,
    ) -> None:
        self.profile = profile
        self.ram_fd = ram_fd
        self.devices = devices
        self.tree = tree
        self.overlay = overlay or {}
        self.base = base or self
        state = MachineState(profile.profile_id, tree.root, devices.digest())
        self.measured = Measured(state.measurement(), profile.profile_id, tree.root, state.device_hash)

    @property
    def measurement(self) -> Digest:
        """What names this snapshot."""
        return self.measured.measurement

    def derived(
        self, pages: Mapping[int, bytes], hashes: Mapping[int, Digest], devices: DeviceState
    ) -> Snapshot:
        """Another stopped machine on the same base: `pages` are all that differ from the base."""
        base = self.base
        return Snapshot(base.profile, base.ram_fd, devices, base.tree.with_changes(hashes), pages, base)

    def with_bytes(self, offset: int, data: bytes) -> Snapshot:
        """The same machine with other bytes at a guest-physical address, inside one page."""
        index, start = divmod(offset, PAGE_SIZE)
        page = self.page(index)
        pages = {**self.overlay, index: page[:start] + data + page[start + len(data) :]}
        hashes = {number: self.tree.leaf(number) for number in self.overlay} | hash_pages(
            {index: pages[index]}
        )
        return self.derived(pages, hashes, self.devices)

    def forked(self, seed: int, epoch: int, identity: bytes) -> Snapshot:
        """The same machine with another fork record, which is in range: its next job takes note of it."""
        return self.with_bytes(FORK_PHYSICAL, mailbox.encode_fork(seed, epoch, identity))

    @cached_property
    def is_under_way(self) -> bool:
        """Whether it was stopped amid a job: then it cannot take another. One whose report cannot be read,
        as somebody may have made it up, was not."""
        report = self.read(mailbox.PHYSICAL + mailbox.RESULT_OFFSET, mailbox.RESULT_SIZE)
        try:
            return mailbox.decode_result(report).state in (mailbox.State.PAUSED, mailbox.State.MILESTONE)
        except ValueError:
            return False

    def changed_from(self, parent: Snapshot) -> dict[int, bytes]:
        """The pages of this snapshot that are not those of `parent`, another on the same base."""
        differing = self.overlay.keys() | parent.overlay.keys()
        return {
            index: self.page(index)
            for index in sorted(differing)
            if self.tree.leaf(index) != parent.tree.leaf(index)
        }

    def page(self, index: int) -> bytes:
        """The content of one page."""
        page = self.overlay.get(index)
        return os.pread(self.ram_fd, PAGE_SIZE, index * PAGE_SIZE) if page is None else page

    def read(self, offset: int, size: int) -> bytes:
        """Memory at a guest-physical address."""
        first, last = offset // PAGE_SIZE, (offset + size - 1) // PAGE_SIZE
        data = b"".join(self.page(index) for index in range(first, last + 1))
        return data[offset - first * PAGE_SIZE :][:size]

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the base's memory file; machines that were restored from it keep theirs."""
        if self.base is self:
            os.close(self.ram_fd)


async def boot_snapshot(image: Image, kernel_arguments: str, progress: Progress) -> Snapshot:
    """Boot an image under the instruction counter until its agent stops the machine."""
    profile = detect_profile(image.manifest.kernel_sha256, kernel_arguments)
    ram_fd = os.memfd_create(RAM_NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(ram_fd, RAM_BYTES)
        progress("booting the guest under the instruction counter (about a minute)")
        devices = await _boot(image, profile.kernel_command_line, ram_fd, progress)
        progress("measuring memory")
        tree = await asyncio.to_thread(_hash_file, ram_fd)
        _seal(ram_fd)
    except BaseException:
        os.close(ram_fd)
        raise
    return Snapshot(profile, ram_fd, devices, tree)


async def _boot(image: Image, command_line: str, ram_fd: int, progress: Progress) -> DeviceState:
    kernel = os.open(image.kernel, os.O_RDONLY | os.O_CLOEXEC)
    initrd = os.open(image.initrd, os.O_RDONLY | os.O_CLOEXEC)
    try:
        machine = await Machine.boot(ram_fd, kernel, initrd, command_line, BOOT_LIMITS)
    finally:
        os.close(kernel)
        os.close(initrd)
    async with machine:
        await machine.resume()
        ticker = asyncio.create_task(_tick(progress))
        try:
            await machine.await_stop(BOOT_SECONDS)
        finally:
            ticker.cancel()
        result = mailbox.decode_result(
            machine.memory.read(mailbox.PHYSICAL + mailbox.RESULT_OFFSET, mailbox.RESULT_SIZE)
        )
        if result.state is not mailbox.State.READY:
            raise MachineFailure(f"the guest did not get ready: {result.message or result.state.name}")
        return await machine.device_state()


async def _tick(progress: Progress) -> None:
    seconds = 0
    while True:
        await asyncio.sleep(5)
        seconds += 5
        progress(f"booting the guest: {seconds} s")


def save_snapshot(snapshot: Snapshot, folder: Path) -> Path:
    """Write a snapshot below `folder`, complete or not at all; returns its own folder."""
    target = folder / snapshot.measurement.hex()
    if target.is_dir():
        return target
    with working_folder(folder, "snapshot") as working:
        _copy_memory(snapshot.ram_fd, working / "ram")
        (working / "devices").write_bytes(snapshot.devices.stream)
        manifest = {"format": 1, **snapshot.measured.to_json(), "profile": asdict(snapshot.profile)}
        (working / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        working.chmod(0o755)
        working.rename(target)
    return target


def load_snapshot(folder: Path) -> Snapshot:
    """Read a snapshot into sealed memory, checking every page. Raises FatalError naming it."""
    try:
        profile = read_profile(folder)
        devices = DeviceState.from_stream((folder / "devices").read_bytes())
        ram_fd = _read_memory(folder / "ram")
    except (OSError, KeyError, TypeError, ValueError, MachineFailure) as error:
        raise FatalError(f"snapshot {folder.name} cannot be read: {error}") from error
    try:
        snapshot = Snapshot(profile, ram_fd, devices, _hash_file(ram_fd))
        if snapshot.measurement.hex() != folder.name:
            raise FatalError(
                f"snapshot {folder} is damaged (it measures {snapshot.measurement.hex()}); delete it"
            )
        _seal(ram_fd)
    except BaseException:
        os.close(ram_fd)
        raise
    return snapshot


def read_profile(folder: Path) -> MachineProfile:
    """The machine profile of a snapshot's folder. Raises FatalError naming it."""
    try:
        values = json.loads((folder / "manifest.json").read_text())["profile"]
        return MachineProfile(**{**values, "arguments": tuple(values["arguments"])})
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FatalError(f"snapshot {folder.name} cannot be read: {error}") from error


def _seal(ram_fd: int) -> None:
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(ram_fd, fcntl.F_ADD_SEALS, seals)


def data_extents(descriptor: int, size: int) -> list[tuple[int, int]]:
    """Start and end of what is not a hole of a sparse file."""
    extents = []
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:
            break
        position = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        extents.append((start, position))
    return extents


def _hash_file(descriptor: int) -> PageTree:
    leaves: dict[int, Digest] = {}
    with (
        mmap.mmap(descriptor, RAM_BYTES, prot=mmap.PROT_READ) as mapped,
        memoryview(mapped) as view,
    ):
        for start, end in data_extents(descriptor, RAM_BYTES):
            first = start // PAGE_SIZE
            leaves.update(hash_memory(view, first, -(-end // PAGE_SIZE) - first))
    return PageTree.build(PAGE_COUNT, leaves)


def _copy_memory(descriptor: int, path: Path) -> None:
    zero = bytes(1 << 16)
    with path.open("wb") as file:
        for start, end in data_extents(descriptor, RAM_BYTES):
            for position in range(start, end, len(zero)):
                part = os.pread(descriptor, min(len(zero), end - position), position)
                if part != zero[: len(part)]:
                    file.seek(position)
                    file.write(part)
        file.truncate(RAM_BYTES)


def _read_memory(path: Path) -> int:
    ram_fd = os.memfd_create(RAM_NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(ram_fd, RAM_BYTES)
        with path.open("rb") as file:
            for start, end in data_extents(file.fileno(), RAM_BYTES):
                while start < end:
                    os.lseek(ram_fd, start, os.SEEK_SET)
                    start += os.sendfile(ram_fd, file.fileno(), start, min(end - start, 1 << 26))
    except BaseException:
        os.close(ram_fd)
        raise
    return ram_fd
