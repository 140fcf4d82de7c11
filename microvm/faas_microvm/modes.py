"""The five ways to run a job, each what its name says.

    ephemeral     a fresh machine from a snapshot, gone afterwards
    cached        the same, or the outcome that is known already
    checkpointed  the machine is kept as a snapshot; a branch, if one is named, then points at it
    branched      a fork of a snapshot or branch, told from others by a declared record; kept as well
    persistent    a session's machine, which stays up between jobs

A job starts on the snapshot that is named, else on the branch's head, else on the base.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from faas_blueprint.digests import Digest
from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.job import Job, Mode
from faas_microvm.engine import Engine
from faas_microvm.execution import Execution, Output, Progress
from faas_microvm.interactive import Input


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a job runs and what becomes of its machine."""

    mode: Mode = Mode.EPHEMERAL
    snapshot: Digest | None = None
    """What to start on."""
    branch: str | None = None
    """A branch to start on, and to point at what is kept; a session's name."""
    identity: bytes = b""
    """Of a fork: up to 32 bytes, part of its measurement."""
    owner: bytes = b""
    """Whose known outcomes mode cached answers with."""

    def __post_init__(self) -> None:
        if self.mode is Mode.PERSISTENT and (self.branch is None or self.snapshot is not None):
            raise InvalidRequest(
                "mode persistent takes a session's name and no snapshot", {"field": "session"}
            )
        if self.mode is Mode.BRANCHED and self.branch is None and self.snapshot is None:
            raise InvalidRequest("mode branched takes a snapshot or a branch to fork", {"field": "snapshot"})


async def stream(
    engine: Engine, job: Job, setting: Setting, typed: Input | None = None
) -> AsyncGenerator[Output | Progress | Execution]:
    """Output and progress as they come, then the execution; `typed` and errors as of `Engine.stream`."""
    if job.interactive and setting.mode is not Mode.EPHEMERAL:
        raise InvalidRequest("an interactive job runs in mode ephemeral", {"field": "interactive"})
    if job.keep != setting.mode.keeps:
        job = replace(job, keep=setting.mode.keeps)
    if setting.mode is Mode.PERSISTENT:
        assert setting.branch is not None
        events = engine.sessions.stream(setting.branch, job)
    elif setting.mode is Mode.CACHED:
        yield await engine.run_cached(job, await _start(engine, setting), setting.owner)
        return
    else:
        start = await _start(engine, setting)
        if setting.mode is Mode.BRANCHED:
            start = await _fork(engine, job, start or engine.measurement, setting.identity)
        events = engine.stream(job, start, typed=typed)
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Execution) and event.snapshot is not None and setting.branch is not None:
                await engine.library.store.set_branch(setting.branch, event.snapshot)
            yield event


async def run(engine: Engine, job: Job, setting: Setting) -> Execution:
    """The execution alone."""
    async with aclosing(stream(engine, job, setting)) as events:
        async for event in events:
            if isinstance(event, Execution):
                return event
    raise AssertionError("a stream ends with an execution")


async def _start(engine: Engine, setting: Setting) -> Digest | None:
    if setting.snapshot is not None or setting.branch is None:
        return setting.snapshot
    try:
        return await engine.library.store.get_branch(setting.branch)
    except NotFound:
        if setting.mode is Mode.CHECKPOINTED:
            return None  # its first job makes the branch
        raise


async def _fork(engine: Engine, job: Job, start: Digest, identity: bytes) -> Digest:
    """The clock goes on in a fork, or to the job's epoch where that is later."""
    record = await engine.fork(start, job.seed, 0, identity)
    return record.measurement
