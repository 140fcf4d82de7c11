"""Sessions of mode persistent: listed, ended. Running in them is `POST /execute`'s."""

from __future__ import annotations

from fastapi import APIRouter, Response

from faas_api.authentication import Access, AccountId
from faas_api.platform.paging import DEFAULT_LIMIT, Limit, Offset
from faas_api.platform.snapshot_bodies import SessionList, session_answer
from faas_operator.account_record import Scope
from faas_operator.snapshots import SnapshotService


def router(snapshots: SnapshotService, access: Access) -> APIRouter:
    """The routes over one service."""
    routes = APIRouter(tags=["sessions"])
    reader = access.account_to(Scope.READ)
    runner = access.account_to(Scope.EXECUTE)

    @routes.get("/sessions")
    async def list_sessions(
        account: AccountId = reader, limit: Limit = DEFAULT_LIMIT, offset: Offset = 0
    ) -> SessionList:
        """The caller's sessions, used latest first."""
        found, total = await snapshots.sessions(account, limit, offset)
        return SessionList(
            sessions=[session_answer(entry, running) for entry, running in found],
            total=total,
            limit=limit,
            offset=offset,
        )

    @routes.delete("/sessions/{session_id}", status_code=204, response_model=None)
    async def end_session(session_id: str, account: AccountId = runner) -> Response:
        """Free a session's machine and forget it. Snapshots that were taken of it stay."""
        await snapshots.end_session(account, session_id)
        return Response(status_code=204)

    return routes
