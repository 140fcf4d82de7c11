"""Snapshots of accounts: taken of executions, restored, compared, proven, deleted. Branches: `branches`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from faas_blueprint.digests import Digest
from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.job import Job, Mode
from faas_blueprint.proof import FileProof, PageProof
from faas_microvm.comparing import SnapshotDiff, diff_snapshots, prove_page, prove_path
from faas_microvm.modes import Setting
from faas_operator.execution_record import Conflict, ExecutionRecord, ExecutionStatus, Placement
from faas_operator.execution_run import RunRequest
from faas_operator.executions import ExecutionService, is_over, new_execution_id
from faas_operator.placing import new_session_name
from faas_operator.snapshot_catalog import BASE, Details, Removed, SessionEntry, SnapshotEntry, SnapshotOrigin
from faas_operator.snapshot_keeping import store_branch, store_session


class SnapshotService:
    """Snapshots by the ids of their accounts."""

    def __init__(self, executions: ExecutionService) -> None:
        self._executions = executions
        self._engine = executions.engine
        self._keeping = executions.keeping
        self._catalog = executions.store.snapshots
        self._releasing = asyncio.Lock()

    async def create(
        self, account: str, execution_id: str, details: Details, virtual_ms: int | None = None
    ) -> SnapshotEntry:
        """The machine of an execution: at its end, where it is now, or `virtual_ms` into it.

        Found by running it again unless it was kept. Raises NotFound, Conflict where there is no machine.
        """
        record = await self._executions.record(execution_id, account)
        if record.placement.session is not None:
            return await self._of_session(record, details)
        if virtual_ms is None and record.kept_snapshot_id is not None:
            known = await self._again(record, details)
            if known is not None:
                return known
        job, start, at = await self._replay(record, virtual_ms)
        taken = await self._engine.snapshot_at(job, start, at)
        return await self._enter(record, taken.measurement, details, paused=at is not None)

    async def page(
        self,
        account: str,
        limit: int,
        offset: int,
        mode: Mode | None = None,
        parent_id: str | None = None,
        execution_id: str | None = None,
    ) -> tuple[Sequence[SnapshotEntry], int]:
        """Snapshots of an account, newest first, and how many there are in all."""
        return await asyncio.to_thread(
            self._catalog.snapshots, account, limit, offset, mode, parent_id, execution_id
        )

    async def get(self, account: str, snapshot_id: str) -> SnapshotEntry:
        """Raises NotFound."""
        return await asyncio.to_thread(self._catalog.snapshot, account, snapshot_id)

    async def delete(self, account: str, snapshot_id: str, cascade: bool) -> Removed:
        """Delete a snapshot, with all made from it if `cascade`. Raises NotFound, Conflict."""
        if snapshot_id == BASE:
            raise InvalidRequest("the base snapshot belongs to everyone", {"field": "snapshot_id"})
        removed = await asyncio.to_thread(self._catalog.remove, account, snapshot_id, cascade)
        for branch_id in removed.branches:
            await self._keeping.unpoint(store_branch(account, branch_id))
        await self.release()
        return removed

    async def release(self) -> None:
        """Give back what nobody has any more."""
        async with self._releasing:
            await self._keeping.release()
        self._keeping.collect()

    async def restore(self, account: str, snapshot_id: str) -> tuple[ExecutionRecord, int]:
        """A machine that stands where the snapshot was taken, as a new execution, and the milliseconds it
        took.

        It is a session's: runs in mode persistent that name it go on in it. Where a run was under way,
        that run is run again, by itself, to its end. Raises NotFound.
        """
        started = time.perf_counter()
        entry = await self._keeping.entry(account, snapshot_id)
        if entry is not None and entry.paused:
            record = await self._go_on(account, entry)
        else:
            record = await self._stand_by(account, snapshot_id, started)
        return record, max(1, round((time.perf_counter() - started) * 1000))

    async def diff(self, account: str, snapshot_id: str, against: str | None) -> tuple[str, SnapshotDiff]:
        """What leads to a snapshot, from its parent unless another is named; and that one's id."""
        entry = await self._keeping.entry(account, snapshot_id)
        before = against or (None if entry is None else entry.parent_id) or BASE
        old = await self._keeping.measurement(account, before)
        new = await self._keeping.measurement(account, snapshot_id)
        return before, await diff_snapshots(self._engine, old, new)

    async def prove(
        self, account: str, snapshot_id: str, path: str | None, page: int | None, with_content: bool
    ) -> FileProof | PageProof:
        """A proof for a file or a page of a snapshot, against its measurement. Raises InvalidRequest."""
        measurement = await self._keeping.measurement(account, snapshot_id)
        if (path is None) == (page is None):
            raise InvalidRequest("name either a path or a page to prove", {"field": "path"})
        if page is not None:
            return await prove_page(self._engine, measurement, page)
        assert path is not None
        return await prove_path(self._engine, measurement, path, with_content=with_content)

    # -- sessions

    async def sessions(
        self, account: str, limit: int, offset: int
    ) -> tuple[list[tuple[SessionEntry, bool]], int]:
        """Each with whether its machine is up, and how many there are in all; used latest first."""
        found, total = await asyncio.to_thread(self._catalog.sessions, account, limit, offset)
        up = set(self._engine.sessions.names)
        return [(entry, store_session(account, entry.name) in up) for entry in found], total

    async def end_session(self, account: str, name: str) -> None:
        """Free a session's machine and forget it; snapshots of its executions stay. Raises NotFound."""
        await asyncio.to_thread(self._catalog.remove_session, account, name)
        stored = store_session(account, name)
        try:
            head = await self._engine.sessions.checkpoint(stored)
        except NotFound:
            return
        if await asyncio.to_thread(self._catalog.id_of, account, head) is None:
            await self._keeping.abandon(account, head)
        await self._keeping.unpoint(stored)
        await self.release()

    # -- parts

    async def _enter(
        self,
        record: ExecutionRecord,
        measurement: Digest,
        details: Details,
        paused: bool = False,
        parent_id: str | None = None,
    ) -> SnapshotEntry:
        placement = record.placement
        origin = SnapshotOrigin(
            placement.mode if placement.mode.keeps else Mode.CHECKPOINTED,
            parent_id=parent_id or await self._executions.placing.started_on(record.account, placement),
            execution_id=record.id,
            branch_id=placement.branch_id,
            paused=paused,
        )
        return await self._keeping.enter(record.account, measurement, origin, details)

    async def _again(self, record: ExecutionRecord, details: Details) -> SnapshotEntry | None:
        """Another id for the machine that an execution left, if its first one is still there."""
        assert record.kept_snapshot_id is not None
        try:
            kept = await self.get(record.account, record.kept_snapshot_id)
        except NotFound:
            return None
        return await self._enter(record, kept.measurement, details, parent_id=kept.parent_id)

    async def _replay(
        self, record: ExecutionRecord, virtual_ms: int | None
    ) -> tuple[Job, Digest, int | None]:
        """The job to run again, what it starts on, and how far to run it; None is its end.

        It is run as one whose machine is kept: files are then part of what is measured, and its
        interpreter can go on.
        """
        if record.job is None:
            raise Conflict(f"execution {record.id} has run nothing yet")
        job = replace(record.job, keep=True)
        if record.attested is not None:
            return job, record.attested.receipt.snapshot, virtual_ms
        if is_over(record):
            raise Conflict(
                f"execution {record.id} has no machine to take a snapshot of: it is {record.status}"
            )
        under_way = self._executions.under_way(record.id, record.account)
        if under_way is None:
            raise Conflict(f"execution {record.id} has not begun, or is just ending; try again")
        setting, reached = under_way
        return job, await self._started_on(setting, job), virtual_ms or reached

    async def _started_on(self, setting: Setting, job: Job) -> Digest:
        start = setting.snapshot or self._engine.measurement
        if setting.mode is not Mode.BRANCHED:
            return start
        return (await self._engine.fork(start, job.seed, 0, setting.identity)).measurement

    async def _of_session(self, record: ExecutionRecord, details: Details) -> SnapshotEntry:
        """Where a session stands, if this execution was its last; or what is stored of an earlier one."""
        assert record.placement.session is not None
        if not is_over(record):
            raise Conflict(f"execution {record.id} is under way in a session; wait for its end")
        wanted = None if record.attested is None else record.attested.receipt.state_root
        try:
            head = await self._engine.sessions.checkpoint(
                store_session(record.account, record.placement.session)
            )
        except NotFound:
            raise Conflict(f"session {record.placement.session} is over, or has run nothing yet") from None
        if wanted is None and record.status is not ExecutionStatus.RESTORED:
            raise Conflict(
                f"execution {record.id} has no machine to take a snapshot of: it is {record.status}"
            )
        try:
            return await self._enter(record, wanted or head, details)
        except NotFound:
            raise Conflict(
                f"session {record.placement.session} has gone on since execution {record.id}; "
                "take a snapshot of its latest execution"
            ) from None

    async def _go_on(self, account: str, entry: SnapshotEntry) -> ExecutionRecord:
        """Run the job that is under way in a snapshot from its beginning to its end: what comes out is then
        a function of a snapshot and a job, which a receipt can say."""
        assert entry.execution_id is not None
        assert entry.parent_id is not None
        origin = await self._executions.record(entry.execution_id, account)
        assert origin.job is not None
        mode = Mode.BRANCHED if origin.placement.mode is Mode.BRANCHED else Mode.CHECKPOINTED
        request = RunRequest(origin.job, Placement(mode, entry.parent_id))
        execution_id = await self._executions.start(request, account)
        return await self._executions.record(execution_id, account)

    async def _stand_by(self, account: str, snapshot_id: str, started: float) -> ExecutionRecord:
        session = new_session_name()
        await self._executions.placing.open_session(account, session, snapshot_id)
        await self._engine.sessions.open(store_session(account, session))
        placement = Placement(Mode.PERSISTENT, snapshot_id, session=session)
        execution_id = new_execution_id()
        records = self._executions.store.executions
        number = await asyncio.to_thread(
            records.begin, execution_id, account, None, placement, None, ExecutionStatus.RESTORED
        )
        await asyncio.to_thread(records.restored, number, (time.perf_counter() - started) * 1000)
        return await self._executions.record(execution_id, account)
