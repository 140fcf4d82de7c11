"""`GET /ready` for load balancers and `GET /metrics` for Prometheus. Open to everyone who reaches them."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from faas_operator.executions import ExecutionService
from faas_operator.metrics import NodeMetrics
from faas_operator.readiness import reasons_against
from faas_operator.service import Operator

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def router(executions: ExecutionService, operator: Operator | None) -> APIRouter:
    """The routes of one node; neither is part of the API that clients are written against."""
    routes = APIRouter(include_in_schema=False)
    metrics = NodeMetrics(executions, operator)

    @routes.api_route("/ready", methods=["GET", "HEAD"])
    async def ready() -> Response:
        """200 when the node can do its work now, else 503 with the reasons."""
        reasons = await reasons_against(executions, operator)
        return JSONResponse({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    @routes.api_route("/metrics", methods=["GET", "HEAD"])
    async def exposition() -> Response:
        """In Prometheus' text format."""
        return Response(await metrics.exposition(), media_type=_TEXT)

    return routes
