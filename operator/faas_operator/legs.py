"""Running a part of a call's job again, to see with one's own eyes what is signed against another operator.

It goes on from the machine where the leg starts, if that is kept, else from the run's start as far as the leg
goes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from faas_blueprint.bisection import Point
from faas_blueprint.digests import Digest
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.operation import Operation, RestoreSnapshot, Run
from faas_microvm.engine import Engine
from faas_microvm.performing import start_of_run
from faas_microvm.tracing import run_on, run_to_milestone


@dataclass(frozen=True, slots=True)
class Retraced:
    """A run that was made again, as far as it was asked for."""

    trace: tuple[Digest, ...]
    """Roots of the milestones on the way."""
    end: Point
    """The last of these milestones, or the run's end."""


Retrace = Callable[[Operation, Mapping[Digest, bytes], tuple[Digest, ...], int], Awaitable[Retraced]]
"""Runs an operation, given its blobs by SHA-256, up to a milestone counted from 1, or to its end where that
comes first. The roots are those of its own trace up to the leg that matters, which may start there; with none
the whole run matters. Raises as `JobEngine.perform` does."""


async def retrace(
    engine: Engine,
    operation: Operation,
    contents: Mapping[Digest, bytes],
    trace: tuple[Digest, ...],
    milestone: int,
) -> Retraced:
    """See `Retrace`. What starts no program, or a program that does not compile, has only an end."""
    if isinstance(operation, Run | RestoreSnapshot):
        job, start = await start_of_run(engine, operation, contents)
        kept = await engine.milestone(trace[-1]) if trace else None
        try:
            if kept is not None:
                ran = await run_on(engine, kept, await engine.library.get(start), trace, job)
            else:
                ran = await run_to_milestone(engine, job, start, milestone)
        except InvalidRequest:
            pass  # it does not compile: that is its outcome
        else:
            return Retraced(ran.trace, ran.point)
    outcome = (await engine.perform(operation, contents)).outcome
    return Retraced(outcome.trace, Point(outcome.state_root, outcome.digest()))
