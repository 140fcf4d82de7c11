"""WebSockets as uvicorn speaks them with `websockets`, but an upgrade that was refused is over."""

from __future__ import annotations

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A connection that tells nobody of an error where an upgrade was answered with a response."""

    async def send(self, message: ASGISendEvent) -> None:
        """Send an event. Uvicorn by itself logs an error after each refusal, so anyone could fill the log."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True
