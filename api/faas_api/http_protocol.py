"""HTTP/1.1 as uvicorn speaks it, but a request's head has to arrive in time, and errors have our shape."""

from __future__ import annotations

import asyncio
import json

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS

HEAD_SECONDS = 10.0
"""From the first byte, or from the connection, to the end of the headers."""


class HttpProtocol(H11Protocol):
    """A connection that is closed when it says nothing whole for too long."""

    head_seconds = HEAD_SECONDS
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Begin to wait for the rest, unless it is there."""
        if self._waiting is None and self.conn.their_state is h11.IDLE:
            self._wait()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._wait_no_longer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection on, unless the next protocol would not read such a head."""
        lines = [len(name) + len(value) + 4 for name, value in self.headers]
        if len(lines) > MAX_NUM_HEADERS or max([*lines, len(event.target) + 16]) > MAX_LINE_LENGTH:
            self._refuse(431, f"an upgrade has {MAX_NUM_HEADERS} headers of {MAX_LINE_LENGTH} bytes at most")
        else:
            super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Say that this is no HTTP."""
        self._refuse(400, msg)

    def _refuse(self, status: int, msg: str) -> None:
        error = {"code": "INVALID_REQUEST", "message": msg, "details": {}}
        body = json.dumps({"error": error}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.head_seconds, self.transport.close)

    def _wait_no_longer(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
