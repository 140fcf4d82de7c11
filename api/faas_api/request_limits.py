"""Refuses requests that are too large or too slow to arrive, before they are in memory.

Headers over 16 KiB are 431, a body over the settings' limit 413, whether its length was declared or not, and
one that is not there after a minute 408. Of a caller without a valid key no more than 64 KiB are read.
Frames of the protocol below are `http_protocol`'s to bound.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faas_api.errors import error_response, request_headers
from faas_blueprint.errors import RequestError

HEADER_BYTES = 16 << 10
"""Of all names and values together."""

BODY_SECONDS = 60.0

STRANGERS_BYTES = 64 << 10
"""Of a body, before it is looked at who sends it: routes ask for a key only once they have all of it."""


class RequestLimits:
    """ASGI middleware."""

    def __init__(
        self,
        app: ASGIApp,
        body_bytes: int,
        require_key: Callable[[HTTPConnection], Awaitable[None]],
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        """`require_key` raises RequestError for a caller without a valid key."""
        self._app = app
        self._require_key = require_key
        self._body_bytes = body_bytes
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless its headers or its declared length are over the limit."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES:
            await _refuse(431, f"the request's headers are over {HEADER_BYTES} bytes", HEADER_BYTES)(
                scope, receive, send
            )
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        elif _declared_length(scope) > self._body_bytes:
            await _refuse(413, self._message(), self._body_bytes)(scope, receive, send)
        else:
            await self._app(scope, self._bounded(scope, receive), send)

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        seen, whole, known = 0, False, False
        until = time.monotonic() + self._body_seconds

        async def bounded() -> Message:
            nonlocal seen, whole, known
            if whole:  # waiting for the caller to go away
                return await receive()
            if not known and max(seen, _declared_length(scope)) > STRANGERS_BYTES:
                await self._know(scope)
                known = True
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(
                    408, f"the request's body did not arrive within {self._body_seconds:g} seconds"
                ) from error
            seen += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if seen > self._body_bytes:
                raise HTTPException(413, self._message())
            return message

        return bounded

    async def _know(self, scope: Scope) -> None:
        try:
            await self._require_key(HTTPConnection(scope))
        except RequestError as error:  # as what FastAPI lets pass out of reading a body
            raise HTTPException(error.http_status, error.message, dict(request_headers(error))) from error

    def _message(self) -> str:
        return f"the request body is over {self._body_bytes} bytes"


def _refuse(status: int, message: str, limit: int) -> ASGIApp:
    return error_response(status, "INVALID_REQUEST", message, {"limit": limit})


def _declared_length(scope: Scope) -> int:
    """0 where none is declared; a malformed one is the server's to refuse."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
