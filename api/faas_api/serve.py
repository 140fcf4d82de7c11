"""Serving the application inside an event loop that others use too.

    with listen(settings.api_host, settings.api_port) as listener:
        await serve(app, listener)           # until cancelled

Signals stay the caller's: cancelling `serve` is how it ends.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from faas_api.http_protocol import HttpProtocol
from faas_api.websocket_protocol import WebSocketProtocol
from faas_blueprint.errors import FatalError

GRACE_SECONDS = 5
"""How long requests in progress may go on after the end."""

MESSAGE_BYTES = 64 << 10


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one (see `getsockname`). Raises FatalError."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise FatalError(f"cannot listen on {host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise FatalError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener


async def serve(app: FastAPI, listener: socket.socket, message_bytes: int = MESSAGE_BYTES) -> None:
    """Serve until cancelled; requests in progress get a few seconds, then their runs are cancelled.

    `message_bytes` is the largest message that a WebSocket's client may send.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        http=HttpProtocol,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws=WebSocketProtocol,
        ws_max_size=message_bytes,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await serving
