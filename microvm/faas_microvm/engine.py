"""The engine: takes a job, restores a snapshot, runs it there, and hands back what came out.

    open      image and base snapshot, built and measured when they are missing
    run       one job, one fresh machine; kept as a snapshot where the job says so, else gone
    stream    the same, with output and progress as they come
    run_cached    the same, or what an earlier run of the same job gave
    fork      a snapshot that differs from another by a declared record
    snapshot_at   the machine amid or after a run, by running it again

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
from faas_blueprint.job import Job, Language, job_digest
from faas_microvm.base import open_base_snapshot
from faas_microvm.execution import Execution, Output, Progress
from faas_microvm.home import default_home
from faas_microvm.machine import Machine
from faas_microvm.mailbox import Program, Runner, encode_request
from faas_microvm.outcome_cache import DEFAULT_BYTES, OutcomeCache, cache_key
from faas_microvm.pool import MachinePool
from faas_microvm.running import Stopped, run_to_stop
from faas_microvm.sandbox import HostLimits
from faas_microvm.snapshot import Snapshot

Note = Callable[[str], None]

_CPU_SECONDS = 7 * 24 * 3600
"""A backstop only: the watchdog ends a machine long before."""

_RUNNERS = {
    Language.PYTHON: Runner.PYTHON,
    Language.JAVASCRIPT: Runner.JAVASCRIPT,
    Language.BASH: Runner.BASH,
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
        progress: Note | None = None,
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

    async def run(self, job: Job, snapshot: Digest | None = None) -> Execution:
        """Run one job, on the base snapshot or on another.

        Raises MachineFailure when there is no outcome; then it may be tried again.
        """
        async for event in self.stream(job, snapshot):
            if isinstance(event, Execution):
                return event
        raise MachineFailure("the machine gave no outcome")

    async def stream(
        self, job: Job, snapshot: Digest | None = None
    ) -> AsyncIterator[Output | Progress | Execution]:
        """Output and progress as they come, then the execution. Reading does not change the run."""
        started = time.perf_counter()
        start = self._snapshot
        program = Program(_RUNNERS[job.language], job.code.encode())
        request = encode_request(job, program)
        seconds = self._settings.watchdog_seconds(job)
        async with self._machine(start) as machine:
            async for event in run_to_stop(machine, request, seconds):
                if isinstance(event, Stopped):
                    stopped = event
                else:
                    yield event
        end = await asyncio.to_thread(stopped.snapshot, start)
        outcome = stopped.outcome(start, end)
        wall_ms = (time.perf_counter() - started) * 1000
        yield Execution(outcome, self.profile_id, start.measurement, wall_ms)

    @asynccontextmanager
    async def _machine(self, snapshot: Snapshot) -> AsyncIterator[Machine]:
        async with self._free:
            machine = await self._pool.take(snapshot)
            try:
                yield machine
            finally:
                await self._pool.end(machine)

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
