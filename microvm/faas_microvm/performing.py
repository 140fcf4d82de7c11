"""Doing what a call on-chain asks for, on an engine: the same bits for everyone who does it.

The execution's measurement is that of the snapshot that the call names, of a merge its first branch. The
state root is the machine that came of it: of a fork or merge it is the new snapshot itself, which no
program has run in, so no virtual time has passed. A merge with conflicts leaves the first branch as it is,
ends with exit code 1, and lists them on stdout.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import NotFound
from faas_blueprint.file_manifest import FileEntry
from faas_blueprint.job import Job, Mode
from faas_blueprint.operation import (
    CreateBranch,
    ForkRecord,
    InstanceRequest,
    MergeBranches,
    Operation,
    RestoreSnapshot,
    Run,
    job_of,
    not_served,
    snapshots_of,
)
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_microvm.comparing import merge_snapshots
from faas_microvm.execution import Execution
from faas_microvm.merge import Conflict
from faas_microvm.published_snapshots import is_published, publish

if TYPE_CHECKING:
    from faas_microvm.engine import Engine

_ON_CHAIN = b"\0chain"
"""Whose known outcomes mode cached answers with: what is on-chain is everyone's."""


async def perform(
    engine: Engine, operation: Operation, contents: Mapping[Digest, bytes], keeper: str | None = None
) -> Execution:
    """Do it. `contents` holds the operation's blobs by SHA-256, checked; what is kept is held in the store
    under the name `keeper`, so that nobody else's deletion takes it, and published to all: for a keeper it is
    a call on-chain, which is everyone's.

    Raises InvalidRequest, NotFound for a snapshot that is not here, NotServed, and as `Engine.run` does.
    """
    if keeper is not None:
        for snapshot in await missing(engine, operation):
            raise NotFound(f"there is no snapshot {to_hex(snapshot)} here that calls may start on")
    execution = await _perform(engine, operation, contents, keeper is not None)
    if keeper is not None and execution.snapshot is not None:
        await engine.library.store.set_branch(f"{keeper}.{execution.snapshot.hex()}", execution.snapshot)
        await publish(engine.library.store, execution.snapshot)
    return execution


async def missing(engine: Engine, operation: Operation) -> tuple[Digest, ...]:
    """The snapshots that a call works on, and cannot have here. What an account has kept over HTTP is unknown
    to calls: anyone could name it, and have it read out."""
    named = {snapshot for snapshot in snapshots_of(operation) if snapshot not in (None, engine.measurement)}
    store = engine.library.store
    return tuple([one for one in sorted(filter(None, named)) if not await is_published(store, one)])


async def _perform(
    engine: Engine, operation: Operation, contents: Mapping[Digest, bytes], everyones: bool
) -> Execution:
    match operation:
        case Run():
            return await _run(engine, operation, *await start_of_run(engine, operation, contents), everyones)
        case RestoreSnapshot():
            job, start = await start_of_run(engine, operation, contents)
            return await engine.run(job, start, everyones=everyones)
        case CreateBranch():
            return await _create_branch(engine, operation)
        case MergeBranches():
            return await _merge(engine, operation)
        case InstanceRequest():
            raise not_served()


async def _run(engine: Engine, run: Run, job: Job, start: Digest, everyones: bool) -> Execution:
    if run.fork is not None:
        execution = await engine.run(job, start, everyones=everyones)
        return replace(execution, measurement=run.snapshot or engine.measurement)
    if run.mode is Mode.CACHED:
        return await engine.run_cached(job, start, _ON_CHAIN, everyones=everyones)
    return await engine.run(job, start, everyones=everyones)


async def start_of_run(
    engine: Engine, operation: Run | RestoreSnapshot, contents: Mapping[Digest, bytes]
) -> tuple[Job, Digest]:
    """The job that an operation runs, and the snapshot that it starts on. Raises as `perform` does."""
    start = operation.snapshot or engine.measurement
    if isinstance(operation, Run) and operation.fork is not None:
        start = await _fork(engine, start, operation.fork)
    return job_of(operation, contents), start


async def _create_branch(engine: Engine, branch: CreateBranch) -> Execution:
    started = time.perf_counter()
    start = branch.snapshot or engine.measurement
    made = await _fork(engine, start, branch.fork)
    return _execution(engine, start, made, _outcome(made), started)


async def _fork(engine: Engine, start: Digest, fork: ForkRecord) -> Digest:
    record = await engine.fork(start, fork.seed, fork.epoch, fork.identity)
    return record.measurement


async def _merge(engine: Engine, merge: MergeBranches) -> Execution:
    started = time.perf_counter()
    base, first = merge.base or engine.measurement, merge.branches[0]
    merged = first
    for branch in merge.branches[1:]:
        result = await merge_snapshots(engine, merged, branch, merge.strategy, ancestor=base)
        if result.record is None:
            outcome = _outcome(first, exit_code=1, stdout=_listed(branch, result.conflicts))
            return _execution(engine, first, None, outcome, started)
        merged = result.record.measurement
    return _execution(engine, first, merged, _outcome(merged), started)


def _outcome(state_root: Digest, exit_code: int = 0, stdout: bytes = b"") -> Outcome:
    return Outcome(Status.EXITED, exit_code, 0, 0, Stream(stdout), Stream(), state_root)


def _execution(
    engine: Engine, start: Digest, made: Digest | None, outcome: Outcome, started: float
) -> Execution:
    wall_ms = (time.perf_counter() - started) * 1000
    return Execution(outcome, engine.profile_id, start, wall_ms, snapshot=made)


def _listed(branch: Digest, conflicts: Sequence[Conflict]) -> bytes:
    """One JSON object, keys sorted, without spaces: `branch`, and `conflicts` by path, then kind."""
    lines = [
        {
            "path": conflict.path,
            "kind": str(conflict.kind),
            "ours": _side(conflict.ours_entry),
            "theirs": _side(conflict.theirs_entry),
            "base": _side(conflict.base_entry),
        }
        for conflict in conflicts
    ]
    listed = {"branch": to_hex(branch), "conflicts": lines}
    return json.dumps(listed, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _side(entry: FileEntry | None) -> dict[str, object] | None:
    if entry is None:
        return None
    return {"kind": entry.kind.name.lower(), "size": entry.size, "sha256": to_hex(entry.sha256)}
