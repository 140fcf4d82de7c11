"""The routes of the platform dialect, below `/api/v1`, a module for each resource."""

from __future__ import annotations

from fastapi import APIRouter

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
    session_routes,
    sign_in_routes,
    snapshot_routes,
    stream_routes,
    usage_routes,
)
from faas_operator.branches import BranchService
from faas_operator.executions import ExecutionService
from faas_operator.payments import PayPerRequest
from faas_operator.settings import Settings
from faas_operator.sign_in import SignIn
from faas_operator.snapshots import SnapshotService


def router(
    executions: ExecutionService,
    settings: Settings,
    access: Access,
    sign_in: SignIn,
    payments: PayPerRequest | None = None,
) -> APIRouter:
    """The routes over one service."""
    routes = APIRouter(responses={"default": {"model": ErrorBody, "description": "Error"}})
    snapshots, branches = SnapshotService(executions), BranchService(executions)
    routes.include_router(stream_routes.router(executions, access))
    routes.include_router(execute_routes.router(executions, access, payments))
    routes.include_router(execution_routes.router(executions, access))
    routes.include_router(blob_routes.router(executions.store, executions.engine, settings, access))
    routes.include_router(call_routes.router(executions.store, settings, access))
    routes.include_router(snapshot_routes.router(snapshots, access))
    routes.include_router(branch_routes.router(branches, executions, access))
    routes.include_router(session_routes.router(snapshots, access))
    routes.include_router(credit_routes.router(executions.store, settings, access))
    routes.include_router(usage_routes.router(executions.store, access))
    routes.include_router(sign_in_routes.router(sign_in, access))
    routes.include_router(account_routes.router(executions.store, settings, sign_in, access))
    routes.include_router(admin_routes.router(executions.store, settings, access))
    return routes
