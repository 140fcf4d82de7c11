"""Refuses request bodies that are too large before they are in memory: 413, declared or not."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faas_api.errors import error_response


class BodyLimit:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless its declared length is over the limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif _declared_length(scope) > self._limit:
            refusal = error_response(413, "INVALID_REQUEST", self._message(), {"limit": self._limit})
            await refusal(scope, receive, send)
        else:
            await self._app(scope, self._counting(receive), send)

    def _counting(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise HTTPException(413, self._message())
            return message

        return counted

    def _message(self) -> str:
        return f"the request body is over {self._limit} bytes"


def _declared_length(scope: Scope) -> int:
    """0 where none is declared; a malformed one is the server's to refuse."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
