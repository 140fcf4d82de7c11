"""Branches: begun, listed, run in, merged, deleted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from faas_api.authentication import Access, AccountId
from faas_api.platform.command_request import AnyExecuteRequest
from faas_api.platform.execute_routes import DOCUMENTED, Answering, IdempotencyHeader, PreferHeader
from faas_api.platform.multipart import DOCUMENTED_BODY, MultipartRoute
from faas_api.platform.paging import DEFAULT_LIMIT, Limit, Offset
from faas_api.platform.snapshot_bodies import (
    Branch,
    BranchList,
    BranchRequest,
    Deleted,
    Merged,
    MergeRequest,
    branch_answer,
    details_of,
    snapshot_answer,
)
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import Mode
from faas_operator.account_record import Scope
from faas_operator.branches import BranchService
from faas_operator.executions import ExecutionService


def router(branches: BranchService, executions: ExecutionService, access: Access) -> APIRouter:
    """The routes over one service."""
    routes = APIRouter(tags=["branches"], route_class=MultipartRoute)
    reader = access.account_to(Scope.READ)
    runner = access.account_to(Scope.EXECUTE)
    keeper = access.account_to(Scope.SNAPSHOTS)
    answering = Answering(executions)

    @routes.post("/branches")
    async def create_branch(body: BranchRequest, account: AccountId = keeper) -> Branch:
        """Begin a branch."""
        details = details_of(body.metadata)
        return branch_answer(await branches.create(account, body.snapshot_id, body.parent_branch, details))

    @routes.get("/branches")
    async def list_branches(
        account: AccountId = reader,
        snapshot_id: str | None = None,
        parent_branch: str | None = None,
        limit: Limit = DEFAULT_LIMIT,
        offset: Offset = 0,
    ) -> BranchList:
        """The caller's branches, newest first."""
        found, total = await branches.page(account, limit, offset, snapshot_id, parent_branch)
        return BranchList(
            branches=[branch_answer(entry) for entry in found], total=total, limit=limit, offset=offset
        )

    @routes.post("/branches/merge")
    async def merge_branches(body: MergeRequest, account: AccountId = keeper) -> Merged:
        """Merge the files of branches into a new snapshot, the machine of the first with other files.

        What both sides changed differently and the strategy does not decide is listed with 409.
        """
        done = await branches.merge(account, body.branch_ids, body.chosen(), details_of(body.metadata))
        return Merged(
            **snapshot_answer(done.snapshot).model_dump(),
            branch_ids=list(done.branch_ids),
            strategy=str(done.strategy),
            conflicts=[],
        )

    @routes.get("/branches/{branch_id}")
    async def get_branch(branch_id: str, account: AccountId = reader) -> Branch:
        """A branch of the caller's."""
        return branch_answer(await branches.get(account, branch_id))

    @routes.delete("/branches/{branch_id}")
    async def delete_branch(branch_id: str, account: AccountId = keeper) -> Deleted:
        """Forget a branch; its snapshots stay."""
        await branches.delete(account, branch_id)
        return Deleted(snapshots=[], branches=[branch_id])

    @routes.post(
        "/branches/{branch_id}/execute",
        response_model=None,
        responses=DOCUMENTED,  # type: ignore[arg-type]
        openapi_extra=DOCUMENTED_BODY,
    )
    async def execute_in_branch(
        branch_id: str,
        body: Annotated[AnyExecuteRequest, Body()],
        request: Request,
        account: AccountId = runner,
        key: IdempotencyHeader = None,
        prefer: PreferHeader = None,
    ) -> Response:
        """Run code in a branch and move its head there; in mode branched unless the body says otherwise."""
        if body.branch_id not in (None, branch_id):
            raise InvalidRequest("branch_id must be left out, or the path's", {"field": "branch_id"})
        mode = str(Mode.BRANCHED) if body.mode is None else body.mode
        placed = body.model_copy(update={"branch_id": branch_id, "mode": mode})
        return await answering.answer(placed, request, account, key, prefer)

    return routes
