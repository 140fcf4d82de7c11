"""The HTTP application: puts the dialects' routes, the error shapes and the limits together.

    app = create_app(executions, settings, secrets)
    await uvicorn.Server(uvicorn.Config(app, host=…, port=…)).serve()

No logic of its own: what a request does is in `faas_operator.executions`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from faas_api import health, observing, other_origins
from faas_api.authentication import Access, describe_key_header
from faas_api.console_files import add_console
from faas_api.errors import handle_errors
from faas_api.limits import RateHeaders, RequestCounts
from faas_api.platform import routes as platform
from faas_api.request_limits import RequestLimits
from faas_api.version import VERSION
from faas_operator.executions import ExecutionService
from faas_operator.payments import PayPerRequest
from faas_operator.quoting import Quoting
from faas_operator.service import Operator
from faas_operator.settings import Secrets, Settings
from faas_operator.sign_in import SignIn
from faas_operator.store import Store
from faas_operator.wallets import Relying

_DESCRIPTION = """Code, run in bit-deterministic microVMs.

Every finished run has a receipt, signed by the operator, that anyone can check by running it again.

Every error is `{"error": {"code", "message", "details"}}`. Lists answer at most 100 entries, newest first.

Requests are counted for each account; `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`
(Unix seconds) tell of the window that has the fewest left. 429 has `Retry-After`.
"""

log = logging.getLogger(__name__)


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The description, made once."""
        if self.openapi_schema is None:
            describe_key_header(super().openapi())
        assert self.openapi_schema is not None
        return self.openapi_schema


def create_app(
    executions: ExecutionService,
    settings: Settings,
    secrets: Secrets,
    operator: Operator | None = None,
    payments: PayPerRequest | None = None,
    quoting: Quoting | None = None,
) -> FastAPI:
    """The application over a running engine; whoever opens engine and store closes them.

    `operator` is the one that follows the chain beside it; /ready and /metrics tell of it. With `payments`,
    callers without a key can pay for single runs; with `quoting`, anyone can ask what a job on-chain costs.
    """
    if not secrets.api_keys and not secrets.admin_keys:
        log.info("no API key is set: make one with `faas keys create`, or sign in")
    redis_url = None if secrets.redis_url is None else secrets.redis_url.get_secret_value()
    counts = RequestCounts(settings.requests_per_minute, settings.requests_per_hour, redis_url)
    access = Access(executions.store, secrets, counts)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await counts.close()

    app = _Application(
        title="Tangle FaaS",
        version=VERSION,
        redirect_slashes=False,
        docs_url=None,  # these two pages run scripts from elsewhere on the console's origin, beside its key
        redoc_url=None,
        description=_DESCRIPTION,
        generate_unique_id_function=_operation_id,
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # `observing` tells what there is
    )
    app.router.default = _not_found
    handle_errors(app)
    app.add_middleware(RequestLimits, body_bytes=settings.api_body_bytes, require_key=access.require_key)
    app.add_middleware(RateHeaders)
    other_origins.let_in(app, settings.api_origins)
    sign_in = _sign_in(executions.store, settings)
    platform.add_routes(app, executions, settings, access, sign_in, payments, quoting)
    app.include_router(health.router(executions))
    app.include_router(observing.router(executions, operator))
    add_console(app)
    return app


def _sign_in(store: Store, settings: Settings) -> SignIn:
    relying = Relying(settings.public_url, settings.chain_id)
    is_open = settings.billing if settings.api_open_sign_in is None else settings.api_open_sign_in
    return SignIn(store.accounts, store.keys, store.challenges, relying, is_open)


async def _not_found(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Of an upgrade to a WebSocket too, which Starlette by itself refuses without a word."""
    raise HTTPException(404)


def _operation_id(route: APIRoute) -> str:
    return route.name
