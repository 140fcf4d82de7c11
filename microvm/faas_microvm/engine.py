"""The engine: takes a job, restores the base snapshot, runs it there, and hands back what came out.

    open      image and base snapshot, built and measured when they are missing
    run       one job, one fresh machine, gone afterwards
    stream    the same, with output as it is written
    run_cached    the same, or what an earlier run of the same job gave

Calls may be concurrent; as many machines run at once as the host has processors, others wait.
Not here: receipts (`faas_operator`), checking them (`faas_verifier`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from faas_blueprint.digests import Digest
from faas_blueprint.errors import MachineFailure
from faas_blueprint.job import Job, job_digest
from faas_blueprint.measurement import MachineState
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_microvm import mailbox
from faas_microvm.base import open_base_snapshot
from faas_microvm.devices import DeviceState
from faas_microvm.execution import Execution, Output
from faas_microvm.home import default_home
from faas_microvm.machine import Machine
from faas_microvm.memory import hash_pages
from faas_microvm.outcome_cache import DEFAULT_BYTES, OutcomeCache, cache_key
from faas_microvm.pool import MachinePool
from faas_microvm.sandbox import HostLimits
from faas_microvm.snapshot import Snapshot

Progress = Callable[[str], None]

STREAM_INTERVAL_SECONDS = 0.02
_CPU_SECONDS = 7 * 24 * 3600
"""A backstop only: the watchdog ends a machine long before."""

_STATUS = {
    mailbox.Reason.EXITED: Status.EXITED,
    mailbox.Reason.SIGNALED: Status.SIGNALED,
    mailbox.Reason.TIMEOUT: Status.TIMEOUT,
    mailbox.Reason.OUT_OF_MEMORY: Status.OUT_OF_MEMORY,
}


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How much of the host the engine may use."""

    machines: int = 0
    """Machines at once; 0 means as many as there are processors."""
    waiting: int = 0
    """Machines kept restored and paused, so that a job starts at once; each takes some 20 MB."""
    watchdog_base_seconds: float = 60.0
    watchdog_factor: float = 60.0
    """Wall-clock seconds per virtual second before a machine is given up, on top of the base."""
    cache_bytes: int = DEFAULT_BYTES
    """Room for outcomes that `run_cached` remembers."""
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

    def __init__(self, snapshot: Snapshot, settings: EngineSettings, cache: OutcomeCache) -> None:
        self._cache = cache
        self._snapshot = snapshot
        self._settings = settings
        self._free = asyncio.Semaphore(settings.machines or os.cpu_count() or 1)
        limits = HostLimits(_CPU_SECONDS, settings.memory_bytes)
        self._pool = MachinePool(snapshot, limits, settings.waiting)
        self._pool.fill()

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
        home = home or default_home()
        settings = settings or EngineSettings()
        snapshot = await open_base_snapshot(home, progress or (lambda _: None))
        return cls(snapshot, settings, OutcomeCache(home / "outcomes.sqlite", settings.cache_bytes))

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

    async def run_cached(self, job: Job) -> Execution:
        """Like `run`, but an outcome that is known already is answered at once and marked `cached`."""
        started = time.perf_counter()
        key = cache_key(self.profile_id, self.measurement, job_digest(job))
        outcome = await asyncio.to_thread(self._cache.get, key)
        if outcome is None:
            execution = await self.run(job)
            await asyncio.to_thread(self._cache.put, key, execution.outcome)
            return execution
        wall_ms = (time.perf_counter() - started) * 1000
        return Execution(outcome, self.profile_id, self.measurement, wall_ms, cached=True)

    async def stream(self, job: Job) -> AsyncIterator[Output | Execution]:
        """Output as it is written, then the execution. Reading does not change the run."""
        started = time.perf_counter()
        request = mailbox.encode_request(job)
        async with self._machine() as machine:
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
    async def _machine(self) -> AsyncIterator[Machine]:
        async with self._free:
            machine = await self._pool.take()
            try:
                yield machine
            finally:
                await self._pool.end(machine)

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

    async def close(self) -> None:
        """End all machines and free the snapshot."""
        await self._pool.close()
        self._snapshot.close()
        self._cache.close()

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
