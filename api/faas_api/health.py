"""`GET /health`: is the service up, and what does it run on. Open to everyone."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter

from faas_api.version import VERSION
from faas_blueprint.digests import to_hex
from faas_operator.executions import ExecutionService


def router(executions: ExecutionService) -> APIRouter:
    """The health routes."""
    routes = APIRouter(tags=["health"])

    @routes.get("/health")
    @routes.head("/health", include_in_schema=False)
    @routes.api_route("/api/v1/health", methods=["GET", "HEAD"], include_in_schema=False)
    async def health() -> dict[str, object]:
        """Whether the service is up, and what it runs on."""
        return {
            "status": "ok",
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "version": VERSION,
            "engine": {
                "profile_id": to_hex(executions.profile_id),
                "measurement": to_hex(executions.measurement),
            },
        }

    return routes
