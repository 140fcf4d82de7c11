"""Runs as they happen: WebSockets on both of the documented paths, server-sent events on the same ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Response, WebSocket
from fastapi.responses import StreamingResponse

from faas_api.authentication import Access, AccountId
from faas_api.errors import refusal
from faas_api.platform.stream_messages import Message, messages
from faas_api.platform.stream_socket import StreamSocket
from faas_blueprint.errors import RequestError
from faas_operator.account_record import Scope
from faas_operator.executions import ExecutionService

HEARTBEAT_SECONDS = 15.0

END_ID = "end"
"""Of the last event: a client that comes back with it has all."""

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

_DESCRIPTION = """Follow an execution: what it has written so far, then what it writes, then how it ended.

**Server-sent events** (this operation): the events `output`, `progress`, `dropped`, `completed` and `error`,
each with a JSON object as its data. Exactly one `completed` or `error` is the last.

**WebSocket** on `/api/v1/stream/{execution_id}` and `/api/v1/execute/{execution_id}/stream`, which follow
that execution, and on `/api/v1/execute/stream`, which follows what the client subscribes to. The same objects
come as text messages; the client sends `{"type": "subscribe" | "unsubscribe", "execution_id": …}`.
The key goes into a header or, where that cannot be, into the query as `api_key`; without one the upgrade is
refused with 401. An id that is not known yet is waited for some seconds.

An execution that was asked for with `"interactive": true` takes
`{"type": "input", "execution_id": …, "data": text, "end": false}`, from a key that may execute. `progress`
has `"wants_input": true` each time that it can only go on with its next line. One that was asked for with a
`"terminal"` waits for anything that is typed, in the place of a line, and takes
`{"type": "resize", "execution_id": …, "cols": …, "rows": …}` too.

A reader that is slow holds up nobody. One that falls over a megabyte behind gets `dropped`, with how many
bytes were left out.
"""


def router(executions: ExecutionService, access: Access) -> APIRouter:
    """The routes over one service."""
    routes = APIRouter(tags=["streams"])
    caller = access.stream_to(Scope.READ)

    async def serve(socket: WebSocket, execution_id: str | None) -> None:
        try:
            caller = await access.stream_caller(socket, Scope.READ)
        except RequestError as error:
            await socket.send_denial_response(refusal(error))
            return
        may_type = Scope.EXECUTE in caller.scopes
        await StreamSocket(socket, executions, caller.account, may_type).serve(execution_id)

    @routes.websocket("/execute/stream")
    async def stream_any(socket: WebSocket) -> None:
        await serve(socket, None)

    @routes.websocket("/stream/{execution_id}")
    @routes.websocket("/execute/{execution_id}/stream")
    async def stream_one(socket: WebSocket, execution_id: str) -> None:
        await serve(socket, execution_id)

    @routes.get("/stream/{execution_id}", response_model=None, responses=_EVENTS, description=_DESCRIPTION)  # type: ignore[arg-type]
    @routes.get(
        "/executions/{execution_id}/stream",
        operation_id="stream_execution",
        response_model=None,
        responses=_EVENTS,  # type: ignore[arg-type]
        description=_DESCRIPTION,
    )
    async def stream(
        execution_id: str,
        account: AccountId = caller,
        last_event_id: Annotated[str | None, Header(description="`end`: nothing is missing")] = None,
    ) -> Response:
        await executions.record(execution_id, account)
        if last_event_id == END_ID:
            return Response(status_code=204)  # tells an EventSource not to come back
        said = messages(executions, execution_id, account)
        return StreamingResponse(_as_events(said), media_type="text/event-stream", headers=_HEADERS)

    return routes


_EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": ["output", "progress", "dropped", "completed", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "id": {"const": END_ID},
    },
}
"""`itemSchema` is OpenAPI 3.2's; readers of earlier ones pass over it."""

_EVENTS = {
    200: {
        "content": {"text/event-stream": {"itemSchema": _EVENT}},
        "description": "The events",
    },
    204: {"description": "`Last-Event-ID` says that nothing is missing"},
}


async def _as_events(said: AsyncGenerator[Message]) -> AsyncIterator[bytes]:
    """With a comment now and then, so that nobody in between gives the connection up."""
    async with aclosing(said):
        following = asyncio.ensure_future(anext(said, None))
        try:
            while True:
                await asyncio.wait({following}, timeout=HEARTBEAT_SECONDS)
                if not following.done():
                    yield b":\n\n"
                    continue
                message = following.result()
                if message is None:
                    return
                yield _event(message)
                following = asyncio.ensure_future(anext(said, None))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def _event(message: Message) -> bytes:
    last = f"id: {END_ID}\n" if message["type"] in ("completed", "error") else ""
    return f"event: {message['type']}\n{last}data: {json.dumps(message)}\n\n".encode()
