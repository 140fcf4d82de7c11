"""Machines that stay up between jobs: one for each session, freed when idle.

A session's name is that of a branch. Its first job starts on the branch's head, or on the base; its
next ones go on in the same machine, which stands still in between. After a while without a job the
machine is checkpointed, the branch points at the checkpoint, and the machine is freed; the next job
that names the session brings it back. Coming back, going on and running everything again elsewhere
give the same bits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from faas_blueprint.digests import Digest
from faas_blueprint.errors import FaaSError, InsufficientResources, MachineFailure, NotFound
from faas_blueprint.job import Job
from faas_microvm.execution import Execution, Output, Progress
from faas_microvm.mailbox import Program
from faas_microvm.paused_machine import PausedMachine
from faas_microvm.running import Stopped, origin_of
from faas_microvm.snapshot import Snapshot

if TYPE_CHECKING:
    from faas_microvm.engine import Engine

_log = logging.getLogger(__name__)


class _Session:
    """One name's machine. `point` is where it stands, `stored` what the branch points at."""

    def __init__(self, stored: Snapshot) -> None:
        self.lock = asyncio.Lock()
        self.stored = stored
        self.point = stored
        self.origin: dict[str, str] = {}
        self.machine: PausedMachine | None = None
        self.used = time.monotonic()


class Sessions:
    """The sessions of one engine. Close it before the engine."""

    def __init__(self, engine: Engine, limit: int = 16, idle_seconds: float = 300.0) -> None:
        self._engine = engine
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._open: dict[str, _Session] = {}
        self._sweeper: asyncio.Task[None] | None = None

    async def run(self, name: str, job: Job) -> Execution:
        """Run a job in a session; jobs of one session wait for each other."""
        async with aclosing(self.stream(name, job)) as events:
            async for event in events:
                if isinstance(event, Execution):
                    return event
        raise MachineFailure("the machine gave no outcome")

    async def stream(self, name: str, job: Job) -> AsyncGenerator[Output | Progress | Execution]:
        """The same, with output and progress as they come."""
        started = time.perf_counter()
        job = replace(job, keep=True)
        prepared = await self._engine.prepare(job)
        async with self._locked(name) as session:
            start = session.point
            if prepared.program is None:
                for said in self._engine.refused(prepared, start, started):
                    yield said
                return
            stopped: Stopped | None = None
            try:
                async with aclosing(self._run(session, job, prepared.program)) as events:
                    async for event in events:
                        if isinstance(event, Stopped):
                            stopped = event
                        else:
                            yield event
                if stopped is None:
                    raise MachineFailure("the machine gave no outcome")
                end = await asyncio.to_thread(stopped.snapshot, start)
                outcome = stopped.outcome(start, end.measurement)
                session.point, session.origin = end, origin_of(job)
            finally:
                if session.point is start:
                    await self._free(session)  # there is no outcome: the next job starts where this one did
                session.used = time.monotonic()
        wall_ms = (time.perf_counter() - started) * 1000
        yield Execution(
            outcome, self._engine.profile_id, start.measurement, wall_ms, toolchain=prepared.toolchain
        )

    async def _run(
        self, session: _Session, job: Job, program: Program
    ) -> AsyncGenerator[Output | Progress | Stopped]:
        async with self._engine.processors:
            if session.machine is None:
                session.machine = await self._engine.pool.take(session.point, program.runner)
            async with aclosing(self._engine.run_in(session.machine, job, program)) as events:
                async for event in events:
                    yield event

    async def open(self, name: str) -> Digest:
        """Bring a session's machine up ahead of its next job. Answers where it stands."""
        async with self._locked(name) as session:
            if session.machine is None:
                session.machine = await self._engine.pool.take(session.point)
            session.used = time.monotonic()
            return session.point.measurement

    async def checkpoint(self, name: str) -> Digest:
        """Store where a session stands, point its branch there and free its machine. Raises NotFound."""
        if name not in self._open:
            return await self._engine.library.store.get_branch(name)
        async with self._locked(name) as session:
            await self._store(name, session)
            await self._free(session)
            del self._open[name]
        return session.stored.measurement

    async def close(self) -> None:
        """Checkpoint every session."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        for name in list(self._open):
            await self._put_away(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Of sessions whose machine is up."""
        return tuple(self._open)

    @asynccontextmanager
    async def _locked(self, name: str) -> AsyncIterator[_Session]:
        """The session for one caller; opened anew if it was put away in the meantime."""
        while True:
            session = await self._session(name)
            async with session.lock:
                if self._open.get(name) is session:
                    yield session
                    return

    async def _session(self, name: str) -> _Session:
        session = self._open.get(name)
        if session is None:
            await self._make_room()
            try:
                head = await self._engine.library.store.get_branch(name)
            except NotFound:
                head = self._engine.measurement
            stored = await self._engine.idle(head)
            session = self._open.setdefault(name, _Session(stored))
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep())
        return session

    async def _make_room(self) -> None:
        """For one more. Raises InsufficientResources where a machine that stands still cannot be stored."""
        idle = sorted(
            (session.used, name) for name, session in self._open.items() if not session.lock.locked()
        )
        for _, name in idle[: max(0, len(self._open) + 1 - self._limit)]:
            await self._put_away(name)
            if name in self._open:
                raise InsufficientResources("no session can be put away to make room for another one")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(self._idle_seconds / 4, 10.0))
            for name, session in list(self._open.items()):
                if not session.lock.locked() and time.monotonic() - session.used > self._idle_seconds:
                    await self._put_away(name)

    async def _put_away(self, name: str) -> None:
        try:
            await self.checkpoint(name)
        except FaaSError as error:
            _log.error("session %s could not be checkpointed and stays up: %s", name, error)

    async def _store(self, name: str, session: _Session) -> None:
        if session.point is session.stored:
            return
        library = self._engine.library
        await library.keep(session.point, session.stored, "checkpoint", origin=session.origin)
        await library.store.set_branch(name, session.point.measurement)
        session.stored = session.point

    async def _free(self, session: _Session) -> None:
        machine, session.machine = session.machine, None
        if machine is not None:
            await self._engine.pool.end(machine)
