"""Legs of a run, run again: from the machine of a milestone where that is at hand, else from the start.

What comes out is a point, which is held against what operators say of the same place. Not here: who said
what (`sides`), and what follows from it (`dispute`, `interval_audit`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faas_blueprint.bisection import Point
from faas_blueprint.digests import Digest
from faas_blueprint.errors import BlobUnavailable, FatalError, InvalidRequest, NotFound
from faas_blueprint.job import Job
from faas_blueprint.operation import Operation, RestoreSnapshot, Run, job_of
from faas_verifier.blobs import Endpoints
from faas_verifier.published_machine import fetch_derived_machine

if TYPE_CHECKING:
    from faas_microvm.engine import Engine
    from faas_microvm.snapshot import Snapshot
    from faas_microvm.tracing import Ran

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FoundMachine:
    """A machine by its measurement."""

    snapshot: Snapshot
    place: str
    """Where it was, for readers."""


FindMachine = Callable[[Digest], Awaitable[FoundMachine | None]]
"""A measured machine on the engine's base; None when it is not to be had."""


@dataclass(frozen=True, slots=True)
class LegRun:
    """A leg as it was run here."""

    prefix: tuple[Digest, ...]
    """Roots of the milestones before it."""
    machine: Snapshot
    """Where it starts."""
    ran: Ran
    place: str
    """Where that machine was had from, for readers."""

    @property
    def milestone(self) -> int:
        """How many milestones lie before it."""
        return len(self.prefix)

    @property
    def point(self) -> Point:
        """Where it ends."""
        return self.ran.point


@dataclass(frozen=True, slots=True)
class TracedRun:
    """A run that can be made again, as a whole or in parts."""

    engine: Engine
    job: Job
    start: Snapshot
    """What the job starts on."""
    find: FindMachine
    progress: Note = lambda _: None

    async def whole(self) -> LegRun:
        """All of it. Raises MachineFailure, and InvalidRequest for a program that does not compile."""
        from faas_microvm.tracing import TO_THE_END, run_from

        self.progress("running the whole job")
        ran = await run_from(self.engine, self.start, self.job, TO_THE_END)
        return LegRun((), self.start, ran, "the run's start")

    async def leg(self, prefix: tuple[Digest, ...]) -> LegRun:
        """The leg after these milestones. An earlier one, where our own run does not come through them: it
        is the first that ends elsewhere. Raises likewise."""
        from faas_microvm.tracing import run_from, run_on

        if not prefix:
            self.progress("running the first leg")
            ran = await run_from(self.engine, self.start, self.job, 1)
            return LegRun((), self.start, ran, "the run's start")
        found = await self.find(prefix[-1])
        if found is None or not found.snapshot.is_under_way:
            self.progress(f"nobody serves the machine of milestone {len(prefix)}: running from the start")
            reached = await run_from(self.engine, self.start, self.job, len(prefix))
            if reached.trace != prefix:
                return await self.leg(_common(prefix, reached.trace))
            found = FoundMachine(reached.end, "run from the start")
        self.progress(f"running the leg from milestone {len(prefix)}")
        ran = await run_on(self.engine, found.snapshot, self.start, prefix, self.job)
        return LegRun(prefix, found.snapshot, ran, found.place)


def job_and_start(
    operation: Operation, contents: Mapping[Digest, bytes], parent: Snapshot
) -> tuple[Job, Snapshot]:
    """The job that an operation runs, and the machine that it starts on, which is `parent` (the receipt's
    snapshot) or a fork of it. Raises InvalidRequest for an operation that runs nothing."""
    if not isinstance(operation, Run | RestoreSnapshot):
        raise InvalidRequest("this job runs no program: there are no legs to run again")
    fork = operation.fork if isinstance(operation, Run) else None
    start = parent if fork is None else parent.forked(fork.seed, fork.epoch, fork.identity)
    return job_of(operation, contents), start


def own_machines(engine: Engine) -> FindMachine:
    """The machines that are kept here."""

    async def find(measurement: Digest) -> FoundMachine | None:
        try:
            return FoundMachine(await engine.library.get(measurement), "kept here")
        except (NotFound, InvalidRequest, FatalError):
            return None

    return find


def found_machines(engine: Engine, endpoints: Endpoints, progress: Note) -> FindMachine:
    """Those, and else what an operator serves, measured; it is in memory only."""
    own = own_machines(engine)

    async def find(measurement: Digest) -> FoundMachine | None:
        kept = await own(measurement)
        if kept is not None or not endpoints.addresses:
            return kept
        try:
            fetched = await fetch_derived_machine(
                endpoints, measurement, engine.library.base, progress=progress
            )
        except BlobUnavailable:
            return None
        return FoundMachine(fetched, "fetched by its hash and measured")

    return find


def _common(left: tuple[Digest, ...], right: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """What two traces begin with alike."""
    same = 0
    while same < min(len(left), len(right)) and left[same] == right[same]:
        same += 1
    return left[:same]
