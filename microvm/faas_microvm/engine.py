"""The engine: takes a job, restores the base snapshot, runs it there, and hands back what came out.

    open      image and base snapshot, built and measured when they are missing
    run       one job, one fresh machine, gone afterwards
    stream    the same, with output as it is written

Calls may be concurrent; as many machines run at once as the host has processors, others wait.
Not here: receipts (`faas_operator`), checking them (`faas_verifier`).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from faas_blueprint.digests import Digest
from faas_blueprint.errors import MachineFailure
from faas_blueprint.job import Job
from faas_blueprint.measurement import MachineState
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_microvm import mailbox, sandbox
from faas_microvm.base import open_base_snapshot
from faas_microvm.devices import DeviceState
from faas_microvm.execution import Execution, Output
from faas_microvm.machine import Machine
from faas_microvm.memory import hash_pages
from faas_microvm.snapshot import Snapshot

Progress = Callable[[str], None]

STREAM_INTERVAL_SECONDS = 0.02
_CPU_SLACK_SECONDS = 30
"""The watchdog ends a machine before its limit of processor time does."""

_STATUS = {
    mailbox.Reason.EXITED: Status.EXITED,
    mailbox.Reason.SIGNALED: Status.SIGNALED,
    mailbox.Reason.TIMEOUT: Status.TIMEOUT,
    mailbox.Reason.OUT_OF_MEMORY: Status.OUT_OF_MEMORY,
}


_cgroup_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How much of the host the engine may use."""

    machines: int = 0
    """Machines at once; 0 means as many as there are processors."""
    watchdog_base_seconds: float = 60.0
    watchdog_factor: float = 60.0
    """Wall-clock seconds per virtual second before a machine is given up, on top of the base."""
    memory_bytes: int = 3 << 30
    """Host memory of one machine: guest RAM, translated code, overhead."""

    def watchdog_seconds(self, job: Job) -> float:
        """Wall-clock time after which a job has no result; a protection of the host, not a limit."""
        return self.watchdog_base_seconds + self.watchdog_factor * job.limits.timeout_ms / 1000


@dataclass(frozen=True, slots=True)
class _Finished:
    """What is taken off a stopped machine before it is ended."""

    result: mailbox.Result
    stdout: bytes
    stderr: bytes
    devices: DeviceState
    pages: dict[int, bytes]


class Engine:
    """Runs jobs on one base snapshot. Make one with `open`, end it with `close`."""

    def __init__(self, snapshot: Snapshot, settings: EngineSettings) -> None:
        self._snapshot = snapshot
        self._settings = settings
        self._count = settings.machines or os.cpu_count() or 1
        self._free = asyncio.Semaphore(self._count)
        self._cgroups: list[sandbox.Cgroup] = self._make_cgroups()
        self._machines: set[Machine] = set()

    @classmethod
    async def open(
        cls,
        home: Path | None = None,
        progress: Progress | None = None,
        settings: EngineSettings | None = None,
    ) -> Engine:
        """Load the base snapshot of this host's profile; build and measure what is missing.

        Raises MissingPrerequisite (says what to install) or FatalError (says what is damaged).
        """
        snapshot = await open_base_snapshot(home, progress or (lambda _: None))
        return cls(snapshot, settings or EngineSettings())

    @property
    def profile_id(self) -> Digest:
        """Of the machine profile that jobs run on."""
        return self._snapshot.measured.profile_id

    @property
    def measurement(self) -> Digest:
        """Of the base snapshot."""
        return self._snapshot.measurement

    async def run(self, job: Job) -> Execution:
        """Run one job. Raises MachineFailure when there is no outcome; then it may be tried again."""
        async for event in self.stream(job):
            if isinstance(event, Execution):
                return event
        raise MachineFailure("the machine gave no outcome")

    async def stream(self, job: Job) -> AsyncIterator[Output | Execution]:
        """Output as it is written, then the execution. Reading does not change the run."""
        started = time.perf_counter()
        request = mailbox.encode_request(job)
        async with self._machine(job) as machine:
            machine.memory.write(mailbox.PHYSICAL, request)
            await machine.resume()
            reader = _StreamReader(machine)
            stop = asyncio.create_task(machine.await_stop(self._settings.watchdog_seconds(job)))
            try:
                while not (await asyncio.wait({stop}, timeout=STREAM_INTERVAL_SECONDS))[0]:
                    for output in reader.fresh():
                        yield output
                await stop
            finally:
                stop.cancel()
            finished = await self._take(machine)
            for output in reader.fresh():
                yield output
        outcome = await asyncio.to_thread(self._outcome, finished)
        wall_ms = (time.perf_counter() - started) * 1000
        yield Execution(outcome, self.profile_id, self.measurement, wall_ms)

    @asynccontextmanager
    async def _machine(self, job: Job) -> AsyncIterator[Machine]:
        seconds = self._settings.watchdog_seconds(job)
        limits = sandbox.HostLimits(int(seconds) + _CPU_SLACK_SECONDS, self._settings.memory_bytes)
        async with self._free:
            cgroup = self._cgroups.pop() if self._cgroups else None
            try:
                machine = await Machine.restore(self._snapshot.ram_fd, self._snapshot.devices, limits, cgroup)
                self._machines.add(machine)
                try:
                    yield machine
                finally:
                    await machine.close()
                    self._machines.discard(machine)
            finally:
                if cgroup is not None:
                    self._cgroups.append(cgroup)

    async def _take(self, machine: Machine) -> _Finished:
        memory = machine.memory
        report = memory.read(mailbox.PHYSICAL + mailbox.RESULT_OFFSET, mailbox.RESULT_SIZE)
        try:
            result = mailbox.decode_result(report)
        except ValueError as error:
            raise MachineFailure(f"the guest's report cannot be read: {error}") from error
        if result.state is not mailbox.State.FINISHED:
            raise MachineFailure(f"the guest gave up: {result.message or result.state.name}")
        return _Finished(
            result,
            memory.read(mailbox.PHYSICAL + mailbox.STDOUT_OFFSET, result.stdout_length),
            memory.read(mailbox.PHYSICAL + mailbox.STDERR_OFFSET, result.stderr_length),
            await machine.device_state(),
            memory.read_pages(memory.changed_pages()),
        )

    def _outcome(self, finished: _Finished) -> Outcome:
        result = finished.result
        ram_root = self._snapshot.tree.changed_root(hash_pages(finished.pages))
        state = MachineState(self.profile_id, ram_root, finished.devices.digest())
        return Outcome(
            _STATUS[result.reason],
            result.exit_code,
            result.signal,
            finished.devices.virtual_ns - self._snapshot.devices.virtual_ns,
            Stream(finished.stdout, result.stdout_truncated),
            Stream(finished.stderr, result.stderr_truncated),
            state.measurement(),
        )

    def _make_cgroups(self) -> list[sandbox.Cgroup]:
        limits = sandbox.HostLimits(0, self._settings.memory_bytes)
        made = (sandbox.Cgroup.create(next(_cgroup_numbers), limits) for _ in range(self._count))
        return [cgroup for cgroup in made if cgroup is not None]

    async def close(self) -> None:
        """End all machines and free the snapshot."""
        for machine in list(self._machines):
            await machine.close()
        for cgroup in self._cgroups:
            cgroup.remove()
        self._cgroups.clear()
        self._snapshot.close()

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _StreamReader:
    """Reads what has been added to a running machine's streams."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._done = {"stdout": 0, "stderr": 0}

    def fresh(self) -> list[Output]:
        memory = self._machine.memory
        report = memory.read(mailbox.PHYSICAL + mailbox.RESULT_OFFSET, mailbox.RESULT_SIZE)
        try:
            result = mailbox.decode_result(report)
        except ValueError:
            return []  # half written; the final reading is exact
        outputs = []
        for name, offset, length in (
            ("stdout", mailbox.STDOUT_OFFSET, result.stdout_length),
            ("stderr", mailbox.STDERR_OFFSET, result.stderr_length),
        ):
            done = self._done[name]
            if length > done:
                data = memory.read(mailbox.PHYSICAL + offset + done, length - done)
                outputs.append(Output("stdout" if name == "stdout" else "stderr", data))
                self._done[name] = length
        return outputs
