"""One machine process: started in its sandbox, driven, read, ended.

A machine is in one of the phases of `Phase` and refuses calls that do not fit. Whatever goes wrong
with the process is a MachineFailure that carries its exit code and last words; `close` always
leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from types import TracebackType
from typing import cast

from qemu.qmp import EventListener, QMPClient, QMPError

from faas_blueprint.digests import Digest
from faas_blueprint.errors import InsufficientResources, MachineFailure, MissingPrerequisite
from faas_microvm import sandbox
from faas_microvm.devices import DeviceState
from faas_microvm.emulator import Emulator, stock_emulator
from faas_microvm.memory import GuestMemory
from faas_microvm.orphans import owner_mark
from faas_microvm.profile import MACHINE_ARGUMENTS, RAM_BYTES
from faas_microvm.to_its_end import to_its_end

START_SECONDS = 30.0


class Phase(Enum):
    """Where a machine is in its life."""

    PAUSED = auto()
    RUNNING = auto()
    CLOSED = auto()


class Machine:
    """A paused or running microVM. Make one with `boot` or `restore`."""

    def __init__(self, process: asyncio.subprocess.Process, stderr_fd: int, state_fd: int) -> None:
        self._process = process
        self._stderr_fd = stderr_fd
        self._state_fd = state_fd
        self._qmp = QMPClient()
        self._stops = EventListener("STOP")
        self._qmp.register_listener(self._stops)
        self._memory: GuestMemory | None = None
        self._phase = Phase.PAUSED
        self._closing: asyncio.Task[None] | None = None
        self.pid = 0

    @classmethod
    async def boot(
        cls,
        ram_fd: int,
        kernel_fd: int,
        initrd_fd: int,
        command_line: str,
        limits: sandbox.HostLimits,
        emulator: Emulator | None = None,
    ) -> Machine:
        """A machine at its first instruction, whose RAM is the (shared) memory file."""
        arguments = [
            *_ram_arguments(ram_fd, shared=True),
            *("-kernel", f"/proc/self/fd/{kernel_fd}", "-initrd", f"/proc/self/fd/{initrd_fd}"),
            *("-append", command_line),
            *sandbox.SECCOMP,
        ]
        descriptors = (ram_fd, kernel_fd, initrd_fd)
        return await cls._start(emulator or stock_emulator(), arguments, descriptors, limits)

    @classmethod
    async def restore(
        cls,
        ram_fd: int,
        devices: DeviceState,
        limits: sandbox.HostLimits,
        cgroup: sandbox.Cgroup | None = None,
        overlay: Mapping[int, bytes] | None = None,
        emulator: Emulator | None = None,
        fork_requests: int | None = None,
    ) -> Machine:
        """A machine paused where the snapshot was taken; its RAM is a private view of the file.

        `overlay` are the pages in which the snapshot differs from that file. With `fork_requests`,
        a packet socket, the machine is a fork server too: see `fork_server`.
        """
        incoming = os.memfd_create("faas-devices", os.MFD_CLOEXEC)
        try:
            os.write(incoming, devices.stream)
            os.lseek(incoming, 0, os.SEEK_SET)
            arguments = [*_ram_arguments(ram_fd, shared=False), "-incoming", f"fd:{incoming}"]
            descriptors = [ram_fd, incoming]
            if fork_requests is not None:
                arguments += ["-fork-server", str(fork_requests), *sandbox.SECCOMP_FORKING]
                descriptors.append(fork_requests)
            else:
                arguments += sandbox.SECCOMP
            machine = await cls._start(emulator or stock_emulator(), arguments, descriptors, limits, cgroup)
        finally:
            os.close(incoming)
        try:
            await machine._await_restored()
            if overlay:
                await asyncio.to_thread(machine.memory.write_pages, overlay)
        except BaseException:
            await machine.close()
            raise
        return machine

    @classmethod
    async def _start(
        cls,
        emulator: Emulator,
        arguments: Sequence[str],
        descriptors: Sequence[int],
        limits: sandbox.HostLimits,
        cgroup: sandbox.Cgroup | None = None,
    ) -> Machine:
        """Start to the end, even when cancelled: a sandbox killed half made leaves its inner process."""
        start = cls._start_unhurried(emulator, arguments, descriptors, limits, cgroup)
        starting = asyncio.create_task(start)
        try:
            return await to_its_end(starting)
        except asyncio.CancelledError:
            if starting.exception() is None:
                await starting.result().close()
            raise

    @classmethod
    async def _start_unhurried(
        cls,
        emulator: Emulator,
        arguments: Sequence[str],
        descriptors: Sequence[int],
        limits: sandbox.HostLimits,
        cgroup: sandbox.Cgroup | None = None,
    ) -> Machine:
        if shutil.which("bwrap") is None:
            raise MissingPrerequisite("bwrap is not installed; run scripts/setup")
        ours, theirs = socket.socketpair()
        info_read, info_write = os.pipe()
        stderr_fd = os.memfd_create("faas-stderr", os.MFD_CLOEXEC)
        state_fd = os.memfd_create("faas-state", os.MFD_CLOEXEC)
        command = [
            emulator.command,
            *MACHINE_ARGUMENTS,
            *("-name", owner_mark(), "-S"),
            *("-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon", "chardev=qmp,mode=control"),
            *arguments,
        ]
        try:
            process = await asyncio.create_subprocess_exec(
                *sandbox.sandbox_command(command, info_write, limits, emulator.bindings),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stderr_fd,
                stderr=stderr_fd,
                pass_fds=(*descriptors, theirs.fileno(), info_write, state_fd),
                env={"PATH": os.environ.get("PATH", os.defpath)},
                start_new_session=True,  # Ctrl-C would end its outer process alone, which `close` waits for
            )
        except BaseException:
            for descriptor in (stderr_fd, state_fd, info_read):
                os.close(descriptor)
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(info_write)
        machine = cls(process, stderr_fd, state_fd)
        try:
            async with asyncio.timeout(START_SECONDS):
                await machine._attach(ours, info_read, cgroup)
        except BaseException as error:
            failure = InsufficientResources(
                f"the host could not start a machine: {type(error).__name__}: {error}".rstrip(": "),
                machine._failure("did not start").details,
            )
            ours.close()
            await machine.close()
            if isinstance(error, TimeoutError | QMPError | OSError | MachineFailure):
                raise failure from error
            raise
        return machine

    async def _attach(self, connection: socket.socket, info_read: int, cgroup: sandbox.Cgroup | None) -> None:
        text = await _read_pipe(info_read)
        if not text:
            raise self._failure("its sandbox could not be made")
        self.pid = int(json.loads(text)["child-pid"])
        # the kernel takes some 10 ms to move a process, as long as the emulator takes to start
        joining = None if cgroup is None else asyncio.create_task(asyncio.to_thread(cgroup.add, self.pid))
        try:
            connection.setblocking(False)
            await self._qmp.connect(connection)
        finally:
            if joining is not None:
                await joining

    async def _await_restored(self) -> None:
        for _ in range(3000):
            status = cast("dict[str, object]", await self._execute("query-status"))
            if status["status"] not in ("inmigrate", "prelaunch"):
                return
            await asyncio.sleep(0.001)
        raise self._failure("did not take its snapshot")

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.returncode is None

    @property
    def memory(self) -> GuestMemory:
        """RAM; mapped on first use."""
        if self._phase is Phase.CLOSED:
            raise self._failure("is closed")
        if self._memory is None:
            self._memory = GuestMemory(self.pid, RAM_BYTES)
        return self._memory

    async def resume(self) -> None:
        """Let it run until it stops itself."""
        if self._phase is not Phase.PAUSED:
            raise self._failure(f"cannot go on: it is {self._phase.name.lower()}")
        self._stops.clear()
        self._phase = Phase.RUNNING
        await self._execute("cont")

    async def await_stop(self, seconds: float) -> None:
        """Wait until the guest stops the machine. Raises MachineFailure after `seconds` of wall clock."""
        if self._phase is not Phase.RUNNING:
            raise self._failure("is not running")
        stop = asyncio.ensure_future(self._stops.get())
        end = asyncio.ensure_future(self._process.wait())
        try:
            done, _ = await asyncio.wait((stop, end), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            end.cancel()
        if stop in done:
            self._phase = Phase.PAUSED
        elif end in done:
            raise self._failure("ended by itself")
        else:
            raise self._failure(f"was stopped by the wall-clock watchdog after {seconds:.0f} s")

    async def device_state(self) -> DeviceState:
        """The canonical device state of the paused machine."""
        if self._phase is not Phase.PAUSED:
            raise self._failure("is not paused")
        await self._execute("xen-save-devices-state", {"filename": f"/proc/self/fd/{self._state_fd}"})
        size = os.fstat(self._state_fd).st_size
        return DeviceState.from_stream(os.pread(self._state_fd, size, 0))

    async def ram_root(self) -> Digest | None:
        """It computes none."""
        return None

    async def translated_blocks(self) -> int:
        """Blocks of guest code that the emulator has translated: where a short job's time goes."""
        said = cast("dict[str, str]", await self._execute("x-query-jit"))
        match = re.search(r"^TB count +(\d+)", said["human-readable-text"], re.MULTILINE)
        if match is None:
            raise self._failure("does not say how many blocks it has translated")
        return int(match[1])

    async def _execute(self, command: str, arguments: dict[str, object] | None = None) -> object:
        try:
            return await self._qmp.execute(command, arguments)
        except (QMPError, asyncio.CancelledError, OSError) as error:
            if isinstance(error, asyncio.CancelledError):
                raise
            raise self._failure(f"failed at {command}: {error}") from error

    def _failure(self, what: str) -> MachineFailure:
        words = b""
        with contextlib.suppress(OSError):
            words = os.pread(self._stderr_fd, 2000, 0).strip()
        return MachineFailure(
            f"the machine {what}",
            {"exit_code": self._process.returncode, "log": words.decode("utf-8", "replace")},
        )

    def kill(self) -> None:
        """Stop the process at once; `close` waits for its end."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                if self.pid:
                    os.kill(self.pid, signal.SIGKILL)
                else:
                    self._process.kill()

    async def close(self) -> None:
        """End the process and free what it held, even when cancelled. Safe to call twice."""
        if self._closing is None:
            self._phase = Phase.CLOSED
            self._closing = asyncio.create_task(self._close())
        await to_its_end(self._closing)

    async def _close(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        self.kill()
        with contextlib.suppress(QMPError, OSError, EOFError):
            await self._qmp.disconnect()
        await self._process.wait()
        os.close(self._state_fd)
        os.close(self._stderr_fd)

    async def __aenter__(self) -> Machine:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _read_pipe(descriptor: int) -> bytes:
    """All that comes, without a thread, which would hold whoever gives up; closes it."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    try:
        return await reader.read()
    finally:
        transport.close()


def _ram_arguments(ram_fd: int, *, shared: bool) -> list[str]:
    share = "on" if shared else "off"
    backend = f"memory-backend-file,id=ram,mem-path=/proc/self/fd/{ram_fd},size={RAM_BYTES},share={share}"
    return ["-object", backend]
