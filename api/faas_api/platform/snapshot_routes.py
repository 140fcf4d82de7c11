"""Snapshots: taken, listed, restored, compared, proven, deleted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from faas_api.authentication import Access, AccountId
from faas_api.json_bodies import JsonRoute
from faas_api.platform.paging import DEFAULT_LIMIT, Limit, Offset
from faas_api.platform.snapshot_bodies import (
    Deleted,
    Restored,
    Snapshot,
    SnapshotList,
    SnapshotRequest,
    details_of,
    snapshot_answer,
)
from faas_blueprint.job import Mode
from faas_blueprint.proof_json import proof_to_json
from faas_operator.account_record import Scope
from faas_operator.execution_record import ExecutionStatus
from faas_operator.snapshots import SnapshotService

_SNAPSHOT = "/snapshots/{snapshot_id}"


def router(snapshots: SnapshotService, access: Access) -> APIRouter:
    """The routes over one service."""
    routes = APIRouter(tags=["snapshots"], route_class=JsonRoute)
    reader = access.account_to(Scope.READ)
    keeper = access.account_to(Scope.SNAPSHOTS)

    @routes.post("/snapshots")
    async def create_snapshot(body: SnapshotRequest, account: AccountId = keeper) -> Snapshot:
        """The machine of an execution, at its end or on its way.

        A machine that was not kept is found by running the execution again, which takes as long as it did.
        The new run is one whose machine is kept: its interpreter stays alive, exit handlers do not run.
        """
        details = details_of(body.metadata)
        return snapshot_answer(await snapshots.create(account, body.execution_id, details, body.virtual_ms))

    @routes.get("/snapshots")
    async def list_snapshots(
        account: AccountId = reader,
        mode: Mode | None = None,
        parent_id: str | None = None,
        execution_id: str | None = None,
        limit: Limit = DEFAULT_LIMIT,
        offset: Offset = 0,
    ) -> SnapshotList:
        """The caller's snapshots, newest first."""
        found, total = await snapshots.page(account, limit, offset, mode, parent_id, execution_id)
        return SnapshotList(
            snapshots=[snapshot_answer(entry) for entry in found], total=total, limit=limit, offset=offset
        )

    @routes.get(_SNAPSHOT)
    async def get_snapshot(snapshot_id: str, account: AccountId = reader) -> Snapshot:
        """A snapshot of the caller's."""
        return snapshot_answer(await snapshots.get(account, snapshot_id))

    @routes.post(f"{_SNAPSHOT}/restore")
    async def restore_snapshot(snapshot_id: str, account: AccountId = keeper) -> Restored:
        """A machine that stands where the snapshot was taken, ready for runs in mode persistent.

        Where a run was under way in the snapshot, the new execution is that run to its end: run again from
        its beginning, with the same output, so that its receipt can be checked like any other.
        """
        record, took = await snapshots.restore(account, snapshot_id)
        return Restored(
            execution_id=record.id,
            id=record.id,
            snapshot_id=snapshot_id,
            session_id=record.placement.session,
            status=str(ExecutionStatus.RESTORED),
            duration_ms=took,
        )

    @routes.delete(_SNAPSHOT)
    async def delete_snapshot(
        snapshot_id: str,
        account: AccountId = keeper,
        cascade: Annotated[bool, Query(description="With all snapshots and branches made from it")] = False,
    ) -> Deleted:
        """Delete a snapshot. Refused with 409 while others were made from it, unless all go."""
        removed = await snapshots.delete(account, snapshot_id, cascade)
        return Deleted(snapshots=list(removed.snapshots), branches=list(removed.branches))

    @routes.get(f"{_SNAPSHOT}/diff", response_model=dict[str, object])
    async def diff_snapshot(
        snapshot_id: str,
        account: AccountId = reader,
        against: Annotated[str | None, Query(description="Another snapshot; default: its parent")] = None,
    ) -> Response:
        """Files, memory pages, registers and time by which a snapshot differs from another."""
        before, found = await snapshots.diff(account, snapshot_id, against)
        return JSONResponse({**found.to_json(), "snapshot_id": snapshot_id, "against": before})

    @routes.get(f"{_SNAPSHOT}/proof", response_model=dict[str, object])
    async def prove_snapshot(
        snapshot_id: str,
        account: AccountId = reader,
        path: Annotated[str | None, Query(description="A path of its disk, there or not")] = None,
        page: Annotated[int | None, Query(ge=0, description="A page of its memory")] = None,
        content: Annotated[bool, Query(description="With the file's content")] = False,
    ) -> Response:
        """What `faas verify-proof` takes: that a file or a page is part of the measurement."""
        return JSONResponse(proof_to_json(await snapshots.prove(account, snapshot_id, path, page, content)))

    return routes
