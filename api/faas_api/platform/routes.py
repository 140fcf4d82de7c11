"""The routes of the platform dialect, below PREFIX, a module for each resource."""

from __future__ import annotations

from fastapi import FastAPI

from faas_api.authentication import Access
from faas_api.errors import ErrorBody
from faas_api.platform import (
    account_routes,
    admin_routes,
    blob_routes,
    branch_routes,
    call_routes,
    credit_routes,
    execute_routes,
    execution_routes,
    quote_routes,
    session_routes,
    sign_in_routes,
    snapshot_routes,
    stream_routes,
    usage_routes,
)
from faas_operator.branches import BranchService
from faas_operator.executions import ExecutionService
from faas_operator.payments import PayPerRequest
from faas_operator.quoting import Quoting
from faas_operator.settings import Settings
from faas_operator.sign_in import SignIn
from faas_operator.snapshots import SnapshotService

PREFIX = "/api/v1"

ERRORS: dict[int | str, dict[str, object]] = {
    "default": {"model": ErrorBody, "description": "Error"},
}


def add_routes(
    app: FastAPI,
    executions: ExecutionService,
    settings: Settings,
    access: Access,
    sign_in: SignIn,
    payments: PayPerRequest | None = None,
    quoting: Quoting | None = None,
) -> None:
    """Add the routes over one service, what is asked most first, each router by itself: one within another
    would be gone through again for each request."""
    store = executions.store
    snapshots, branches = SnapshotService(executions), BranchService(executions)
    for routes in (
        execute_routes.router(executions, access, payments),
        stream_routes.router(executions, access),
        execution_routes.router(executions, access),
        blob_routes.router(store, executions.engine, settings, access),
        call_routes.router(store, settings, access),
        quote_routes.router(quoting, access),
        snapshot_routes.router(snapshots, access),
        branch_routes.router(branches, executions, access),
        session_routes.router(snapshots, access),
        credit_routes.router(store, settings, access),
        usage_routes.router(store, access),
        sign_in_routes.router(sign_in, access),
        account_routes.router(store, settings, sign_in, access),
        admin_routes.router(store, settings, access),
    ):
        app.include_router(routes, prefix=PREFIX, responses=ERRORS)
