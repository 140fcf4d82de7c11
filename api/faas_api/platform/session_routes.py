"""Sessions of mode persistent: listed, ended. Running in them is `POST /execute`'s."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from faas_api.authentication import Account, ApiKeys
from faas_api.platform.paging import DEFAULT_LIMIT, Limit, Offset
from faas_api.platform.snapshot_bodies import SessionList, session_answer
from faas_operator.snapshots import SnapshotService


def router(snapshots: SnapshotService, keys: ApiKeys) -> APIRouter:
    """The routes over one service."""
    routes = APIRouter(tags=["sessions"])
    caller = Depends(keys)

    @routes.get("/sessions")
    async def list_sessions(
        account: Account = caller, limit: Limit = DEFAULT_LIMIT, offset: Offset = 0
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
    async def end_session(session_id: str, account: Account = caller) -> Response:
        """Free a session's machine and forget it. Snapshots that were taken of it stay."""
        await snapshots.end_session(account, session_id)
        return Response(status_code=204)

    return routes
