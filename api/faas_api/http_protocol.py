"""HTTP/1.1 as uvicorn speaks it with llhttp, but heads are bounded in time and size; errors have our shape.

What is no part of a body (a head, a chunk's extensions, trailers) has bounds of its own. Requests that come
at once on one connection are answered in turn.
"""

from __future__ import annotations

import asyncio
import json

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS

HEAD_SECONDS = 10.0
"""From the first byte, or from the connection, to the end of the headers."""

HEAD_BYTES = 32 << 10
"""A request line with its headers, before they are looked at one by one; as much between pieces of a body."""

_STATUS_LINES = {
    400: b"HTTP/1.1 400 Bad Request\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
}


class HttpProtocol(HttpToolsProtocol):
    """A connection that is closed when it says nothing whole for too long."""

    head_seconds = HEAD_SECONDS
    _waiting: asyncio.TimerHandle | None = None
    _head_is_due = True
    """No message is under way, or its head is not whole."""
    _untold = 0
    """Bytes that came since the parser last told of a head, a piece of a body or an end."""
    _answering: RequestResponseCycle | None = None
    """The first request that is not answered yet, or the last that was."""

    # -- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Begin to wait for the rest of a head, unless it is there."""
        self._untold += len(data)
        super().data_received(data)
        if self._untold > HEAD_BYTES:
            self.send_400_response("what came is neither a head nor a part of a body")
        elif self._untold and self._head_is_due and self._waiting is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting, and tell the request that is being answered, though another came after it."""
        self._wait_no_longer()
        super().connection_lost(exc)
        if self._answering is not None and self._answering is not self.cycle:
            self._answering.disconnected = not self._answering.response_complete
            self._answering.message_event.set()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection on, unless the next protocol would not read such a head."""
        self._wait_no_longer()
        lines = [len(name) + len(value) + 4 for name, value in self.headers]
        if self._is_answering():
            self.transport.close()
        elif len(lines) > MAX_NUM_HEADERS or max([*lines, len(self.url) + 16]) > MAX_LINE_LENGTH:
            self._refuse(431, f"an upgrade has {MAX_NUM_HEADERS} headers of {MAX_LINE_LENGTH} bytes at most")
        else:
            super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Say that this is no HTTP, unless that would be taken for the answer to a request before it."""
        if self._is_answering() and (self.cycle.response_started or not self.cycle.more_body):
            self.transport.close()
        else:
            self._refuse(400, msg)

    # -- what the parser tells

    def on_message_begin(self) -> None:
        """What came in one piece with the message before may be the beginning of its head."""
        self._untold = max(self._untold, 1)
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers are passed over."""
        if self._head_is_due:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there. Raises ValueError, which is told as a 400."""
        self._head_is_due, self._untold = False, 0
        self._wait_no_longer()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if (self.parser.get_http_version(), hosts) not in (("1.1", 1), ("1.0", 1), ("1.0", 0)):
            raise ValueError("not HTTP/1.1 with one header Host, nor HTTP/1.0")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next head is due."""
        self._head_is_due, self._untold = True, 0
        super().on_message_complete()

    # -- parts

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _is_answering(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _refuse(self, status: int, msg: str) -> None:
        body = json.dumps({"error": {"code": "INVALID_REQUEST", "message": msg, "details": {}}}).encode()
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(
            body
        )
        self.transport.write(_STATUS_LINES[status] + head + body)
        self.transport.close()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.head_seconds, self.transport.close)

    def _wait_no_longer(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
