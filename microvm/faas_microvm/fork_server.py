"""Machines that are forked from a warm one: a job starts on code that is translated already.

The parent is a machine of our own emulator, restored from a snapshot. It runs the warm-up corpus
and is rolled back in place after each program: RAM and devices are the snapshot's again, only the
translations stay, and those are not machine state. For each job it forks; the child runs in the
same namespaces under limits and a system call filter of its own, and has no descriptor but a socket
to us. A job's outcome is the one that a machine of stock QEMU gives.

Not here: what the corpus holds (`warm_up`), when a fork server is used (`engine`).
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Iterable
from enum import IntEnum

from faas_blueprint.digests import Digest
from faas_blueprint.errors import InsufficientResources, MachineFailure
from faas_blueprint.merkle import PageTree
from faas_microvm import mailbox
from faas_microvm.devices import DeviceState
from faas_microvm.emulator import Emulator
from faas_microvm.machine import Machine, Phase
from faas_microvm.memory import GuestMemory
from faas_microvm.profile import RAM_BYTES
from faas_microvm.sandbox import Cgroup, HostLimits
from faas_microvm.snapshot import Snapshot

START_SECONDS = 30.0
WARM_UP_SECONDS = 120.0

_REQUEST = struct.Struct("<IIQ")
_ANSWER = struct.Struct("<I")
_COMMAND = struct.Struct("<I")
_REPORT = struct.Struct("<IIQ")
_CREDENTIALS = struct.Struct("<iII")
_DIGEST_SIZE = 32
_MOST_DEVICES = 1 << 20


class _Request(IntEnum):
    """What a parent is asked."""

    CAPTURE = 1
    ROLL_BACK = 2
    FORK = 3


class _Report(IntEnum):
    """What a child says."""

    READY = 1
    STOPPED = 2
    FAILED = 3


_RUN = 1


class ForkedMachine:
    """A child of a fork server, paused where the snapshot was taken. Used like a `Machine`."""

    def __init__(self, pid: int, base: int, channel: socket.socket) -> None:
        """Takes the channel over unless it raises OSError, as when the process is gone."""
        self.pid = pid
        self._channel = channel
        self._phase = Phase.PAUSED
        self._devices: DeviceState | None = None
        self._root: Digest | None = None
        self._memory = GuestMemory(pid, RAM_BYTES, base)
        try:
            self._pid_fd = os.pidfd_open(pid)
        except OSError:
            self._memory.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        if self._phase is Phase.CLOSED:
            return False
        try:
            signal.pidfd_send_signal(self._pid_fd, 0)
        except ProcessLookupError:
            return False
        return True

    @property
    def memory(self) -> GuestMemory:
        """RAM."""
        if self._phase is Phase.CLOSED:
            raise MachineFailure("the machine is closed")
        return self._memory

    async def resume(self) -> None:
        """Let it run until it stops itself."""
        if self._phase is not Phase.PAUSED:
            raise MachineFailure(f"the machine cannot go on: it is {self._phase.name.lower()}")
        self._devices = self._root = None
        self._phase = Phase.RUNNING
        try:
            self._channel.send(_COMMAND.pack(_RUN), socket.MSG_NOSIGNAL)
        except OSError as error:
            raise MachineFailure("the machine ended by itself") from error

    async def await_stop(self, seconds: float) -> None:
        """Wait until the guest stops the machine. Raises MachineFailure after `seconds` of wall clock."""
        if self._phase is not Phase.RUNNING:
            raise MachineFailure("the machine is not running")
        try:
            async with asyncio.timeout(seconds):
                await self._take_report()
        except TimeoutError as error:
            raise MachineFailure(
                f"the machine was stopped by the wall-clock watchdog after {seconds:.0f} s"
            ) from error
        self._phase = Phase.PAUSED

    async def _take_report(self) -> None:
        report = bytearray()
        await self._receive(report, _REPORT.size)
        what, size, _ = _REPORT.unpack_from(report)
        if size > _MOST_DEVICES:
            raise MachineFailure("the machine sent a report of an impossible size")
        stopped = what == _Report.STOPPED
        await self._receive(report, _REPORT.size + size + (_DIGEST_SIZE if stopped else 0))
        said, root = report[_REPORT.size : _REPORT.size + size], report[_REPORT.size + size :]
        if not stopped:
            raise MachineFailure("the machine ended by itself", {"log": said.decode("utf-8", "replace")})
        self._devices = DeviceState.from_stream(bytes(said))
        self._root = Digest(bytes(root))

    async def _receive(self, report: bytearray, size: int) -> None:
        """More of a report, which comes in one piece as a rule, until it has this many bytes."""
        loop = asyncio.get_running_loop()
        while len(report) < size:
            try:
                part = await loop.sock_recv(self._channel, _MOST_DEVICES)
            except ConnectionError:
                part = b""
            if not part:
                raise MachineFailure("the machine ended by itself")
            report += part

    async def device_state(self) -> DeviceState:
        """The canonical device state of the stopped machine."""
        if self._devices is None:
            raise MachineFailure("the machine is not stopped")
        return self._devices

    async def ram_root(self) -> Digest:
        """The root of the stopped machine's RAM."""
        if self._root is None:
            raise MachineFailure("the machine is not stopped")
        return self._root

    def kill(self) -> None:
        """Stop the process at once; `close` frees what it held."""
        if self._phase is not Phase.CLOSED:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pid_fd, signal.SIGKILL)

    async def close(self) -> None:
        """End the process and free what it held. Safe to call twice."""
        if self._phase is Phase.CLOSED:
            return
        self.kill()
        self._phase = Phase.CLOSED
        self._channel.close()
        os.close(self._pid_fd)
        self._memory.close()


class ForkParent:
    """A restored machine that forks. Make one with `start`; its children end with it."""

    def __init__(self, machine: Machine, requests: socket.socket, limits: HostLimits) -> None:
        self._machine = machine
        self._requests = requests
        self._limits = limits
        self._turn = asyncio.Lock()
        self._owed = 0
        """Answers to come: more than one where a caller was cancelled before it had its own."""

    @classmethod
    async def start(
        cls, snapshot: Snapshot, emulator: Emulator, limits: HostLimits, cgroup: Cgroup | None = None
    ) -> ForkParent:
        """A parent of this snapshot, cold. Raises InsufficientResources or MachineFailure."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs:
                machine = await Machine.restore(
                    snapshot.ram_fd,
                    snapshot.devices,
                    limits,
                    cgroup,
                    snapshot.overlay,
                    emulator,
                    theirs.fileno(),
                )
        except BaseException:
            ours.close()
            raise
        parent = cls(machine, ours, limits)
        tree = _tree_file(snapshot.base.tree)
        try:
            await parent._ask(_Request.CAPTURE, tree)
        except BaseException:
            await parent.close()
            raise
        finally:
            os.close(tree)
        return parent

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._machine.alive

    @property
    def pid(self) -> int:
        """The process, as the host numbers it."""
        return self._machine.pid

    async def warm_up(self, requests: Iterable[bytes]) -> None:
        """Run requests, each from the snapshot; what was translated stays, what they changed does not."""
        for request in requests:
            self._machine.memory.write(mailbox.PHYSICAL, request)
            await self._machine.resume()
            await self._machine.await_stop(WARM_UP_SECONDS)
            await self._ask(_Request.ROLL_BACK)

    async def fork(self) -> ForkedMachine:
        """A child, paused at the snapshot."""
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            with theirs:
                await self._ask(_Request.FORK, theirs.fileno())
            async with asyncio.timeout(START_SECONDS):
                pid, base = await _await_child(ours)
            return ForkedMachine(pid, base, ours)
        except (OSError, TimeoutError) as error:
            ours.close()
            raise MachineFailure(f"the fork server's child did not start: {error}") from error
        except BaseException:
            ours.close()
            raise

    async def _ask(self, what: _Request, descriptor: int | None = None) -> None:
        loop = asyncio.get_running_loop()
        packet = _REQUEST.pack(what, self._limits.cpu_seconds, self._limits.memory_bytes)
        extra = [] if descriptor is None else [_rights(descriptor)]
        async with self._turn:
            try:
                self._requests.sendmsg([packet], extra, socket.MSG_NOSIGNAL)
                self._owed += 1
                async with asyncio.timeout(START_SECONDS):
                    while self._owed:
                        answer = await loop.sock_recv(self._requests, _ANSWER.size)
                        self._owed -= 1
            except (OSError, TimeoutError) as error:
                raise InsufficientResources(f"the fork server does not answer: {error}") from error
        if len(answer) != _ANSWER.size or not _ANSWER.unpack(answer)[0]:
            raise MachineFailure(f"the fork server refused to {what.name.lower().replace('_', ' ')}")

    async def close(self) -> None:
        """End the parent, and with it what children are left. Safe to call twice."""
        self._requests.close()
        await self._machine.close()


async def _await_child(channel: socket.socket) -> tuple[int, int]:
    """The child's process id, as the host numbers it, and where it has its RAM."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    descriptor = channel.fileno()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
    data, extra, _, _ = channel.recvmsg(_REPORT.size, socket.CMSG_SPACE(_CREDENTIALS.size))
    if len(data) != _REPORT.size or not extra:
        raise MachineFailure("the fork server's child ended at once")
    what, _, base = _REPORT.unpack(data)
    pid = _CREDENTIALS.unpack(extra[0][2])[0]
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
    if what != _Report.READY or pid == 0:
        raise MachineFailure("the fork server's child is not ready")
    return pid, base


def _rights(descriptor: int) -> tuple[int, int, array.array[int]]:
    return socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor])


def _tree_file(tree: PageTree) -> int:
    """All levels of a tree in a sealed memory file, leaves first."""
    descriptor = os.memfd_create("faas-tree", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    for level in tree.levels:
        view = memoryview(level)
        while view:
            view = view[os.write(descriptor, view) :]
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor
