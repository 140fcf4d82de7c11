"""The HTTP application: puts the dialects' routes, the error shapes and the limits together.

    app = create_app(executions, settings, secrets)
    await uvicorn.Server(uvicorn.Config(app, host=…, port=…)).serve()

No logic of its own: what a request does is in `faas_operator.executions`.
"""

from __future__ import annotations

import logging

from fastapi import FastAPI
from fastapi.routing import APIRoute

from faas_api import health, observing
from faas_api.authentication import ApiKeys
from faas_api.body_limit import BodyLimit
from faas_api.errors import handle_errors
from faas_api.platform import routes as platform
from faas_api.version import VERSION
from faas_operator.executions import ExecutionService
from faas_operator.service import Operator
from faas_operator.settings import Secrets, Settings

_DESCRIPTION = """Code, run in bit-deterministic microVMs.

Every finished run has a receipt, signed by the operator, that anyone can check by running it again.

Every error is `{"error": {"code", "message", "details"}}`. Lists answer at most 100 entries, newest first.
"""

log = logging.getLogger(__name__)


def create_app(
    executions: ExecutionService, settings: Settings, secrets: Secrets, operator: Operator | None = None
) -> FastAPI:
    """The application over a running engine; whoever opens engine and store closes them.

    `operator` is the one that follows the chain beside it; /ready and /metrics tell of it.
    """
    if not secrets.api_keys:
        log.warning("no API key is set: every request that needs one will be refused")
    app = FastAPI(
        title="Tangle FaaS",
        version=VERSION,
        redirect_slashes=False,
        description=_DESCRIPTION,
        generate_unique_id_function=_operation_id,
    )
    handle_errors(app)
    app.add_middleware(BodyLimit, limit=settings.api_body_bytes)
    app.include_router(health.router(executions))
    app.include_router(observing.router(executions, operator))
    app.include_router(platform.router(executions, ApiKeys(secrets.api_keys)), prefix="/api/v1")
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
