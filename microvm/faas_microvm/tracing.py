"""Parts of a run: the machine at the milestones of its trace, and what lies between two of them.

A milestone is where the machine stood when another of the profile's intervals had passed. Its root is the
measurement of the machine there, as of any snapshot, so a run can go on from it anywhere. Not here: who
keeps such machines, and what two differing traces mean (`faas_verifier`).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from faas_blueprint.bisection import Point
from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import Job
from faas_blueprint.outcome import Outcome
from faas_microvm.mailbox import encode_request
from faas_microvm.running import run_to_end
from faas_microvm.snapshot import Snapshot

if TYPE_CHECKING:
    from faas_microvm.engine import Engine


TO_THE_END = 1 << 32
"""As a milestone: no run has so many."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A part of a run, from its start or a milestone."""

    end: Snapshot
    """The machine at the last milestone, or at the job's end."""
    trace: tuple[Digest, ...]
    """Roots of all milestones since the run's start."""
    outcome: Outcome | None
    """What the whole run gave, if the job ended here."""
    wall_ms: float

    @property
    def point(self) -> Point:
        """Where it ended, to hold against what others say."""
        if self.outcome is None:
            return Point(self.end.measurement)
        return Point(self.outcome.state_root, self.outcome.digest())


async def run_to_milestone(engine: Engine, job: Job, snapshot: Digest | None, milestone: int) -> Ran:
    """From the start to a milestone, counted from 1, or to the job's end where that comes first.

    Raises as `Engine.run` does, and InvalidRequest for a program that does not compile.
    """
    return await run_from(engine, await engine.idle(snapshot), job, milestone)


async def run_from(engine: Engine, start: Snapshot, job: Job, milestone: int) -> Ran:
    """The same, where the machine that the run starts on is at hand. Raises likewise."""
    prepared = await engine.prepare(job)
    if prepared.program is None:
        raise InvalidRequest("the program does not compile", {"field": "code"})
    request = encode_request(job, prepared.program, start.profile.trace_interval_ms)
    return await _run(engine, start, start, (), request, engine.watchdog_seconds(job), milestone)


async def run_on(
    engine: Engine, machine: Snapshot, start: Snapshot, trace: tuple[Digest, ...], job: Job
) -> Ran:
    """From a milestone to the next, or to the job's end.

    `start` is where the run started, `trace` the roots up to `machine`'s own, and `job` only says how long it
    may take here. Raises InvalidRequest unless the machine stands at a milestone with that root.
    """
    if not machine.is_under_way or not trace or trace[-1] != machine.measurement:
        raise InvalidRequest(f"{to_hex(machine.measurement)} is not the last milestone of the trace")
    return await _run(engine, machine, start, trace, b"", engine.watchdog_seconds(job), 1)


async def _run(
    engine: Engine,
    machine: Snapshot,
    start: Snapshot,
    trace: tuple[Digest, ...],
    request: bytes,
    seconds: float,
    milestones: int,
) -> Ran:
    started = time.perf_counter()
    async with engine.machine(machine) as running:
        stopped = await run_to_end(running, start.base, request, seconds, milestones)
    stopped = replace(stopped, trace=(*trace, *stopped.trace))
    end = await asyncio.to_thread(stopped.snapshot, start)
    outcome = None if stopped.is_milestone else stopped.outcome(start, end.measurement)
    return Ran(end, stopped.trace, outcome, (time.perf_counter() - started) * 1000)
