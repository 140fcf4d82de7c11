"""One client's WebSocket: which runs it follows, and what it may say.

    {"type": "subscribe" | "unsubscribe", "execution_id"}
    {"type": "input", "execution_id", "data": text, "end": false}   for an interactive run
    {"type": "resize", "execution_id", "cols", "rows"}   for one on a terminal

An error that concerns a message and not a run has `"fatal": false`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from fastapi import WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from faas_api.errors import documented_code
from faas_api.platform.requests import Size
from faas_api.platform.stream_messages import Message, messages
from faas_blueprint.errors import FaaSError, InvalidRequest, RequestError
from faas_blueprint.terminal import MAX_CELLS
from faas_operator.account_record import Scope
from faas_operator.executions import ExecutionService, told

PATIENCE_SECONDS = 5.0
"""For ids that are not known yet: a client may connect before it asks for the run."""

SEND_SECONDS = 60.0
"""A client that takes nothing for so long is let go."""

SUBSCRIPTIONS = 64
"""At once, on one socket."""

IDLE_SECONDS = 300.0
"""A client that follows nothing and says nothing for so long is let go."""

MESSAGES_PER_MINUTE = 600
"""A client that says more is let go."""

NAME_CHARACTERS = 100
"""Of an execution's id, at the most."""

POLICY_VIOLATION = 1008
"""RFC 6455's code for that."""

log = logging.getLogger(__name__)

Giving = Callable[[str, Message], Awaitable[None]]
"""Gives a run what a message has for it."""

_GONE = (WebSocketDisconnect, TimeoutError, RuntimeError)
"""What sending to a client that is not there any more raises."""


class StreamSocket:
    """A client's subscriptions."""

    def __init__(self, socket: WebSocket, executions: ExecutionService, account: str, may_type: bool) -> None:
        """`may_type`: whether the client's key allows it to give runs their input."""
        self._socket = socket
        self._executions = executions
        self._account = account
        self._may_type = may_type
        self._following: dict[str, asyncio.Task[None]] = {}
        self._sending = asyncio.Lock()
        self._closes = False
        """Whether the socket is closed when nothing is followed any more."""
        self._over = asyncio.Event()
        self._minute = (0.0, 0)
        """When this minute began, and how many messages have come in it."""

    async def serve(self, execution_id: str | None) -> None:
        """Until the client goes away; with an id, until all that it follows is over."""
        await self._socket.accept()
        listening = asyncio.create_task(self._listen())
        over = asyncio.create_task(self._over.wait())
        try:
            if execution_id is not None:
                self._closes = True
                self._subscribe(execution_id)
            await asyncio.wait([listening, over], return_when=asyncio.FIRST_COMPLETED)
            code = listening.result() if listening.done() else 1000
            if code is not None:
                await asyncio.wait_for(self._socket.close(code), SEND_SECONDS)
        except _GONE:
            return
        finally:
            started = [listening, over, *self._following.values()]
            for task in started:
                task.cancel()
            await asyncio.gather(*started, return_exceptions=True)

    async def _listen(self) -> int | None:
        """Answers the code to close with, or None once the client has gone."""
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    received = await self._socket.receive()
            except TimeoutError:
                if all(task.done() for task in self._following.values()):
                    return 1000
                continue
            if received["type"] == "websocket.disconnect":
                return None
            if self._talkative():
                return POLICY_VIOLATION
            await self._hear(received.get("text") or "")

    def _talkative(self) -> bool:
        began, count = self._minute
        now = time.monotonic()
        self._minute = (now, 1) if now - began >= 60 else (began, count + 1)
        return self._minute[1] > MESSAGES_PER_MINUTE

    async def _hear(self, text: str) -> None:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            await self._refuse(None, "a message is a JSON object, sent as text")
            return
        kind, execution_id = message.get("type"), message.get("execution_id")
        if not isinstance(execution_id, str) or not _is_name(execution_id):
            await self._refuse(None, "a message names its execution_id")
        elif kind == "subscribe":
            if self._crowded(execution_id):
                await self._refuse(execution_id, f"{SUBSCRIPTIONS} subscriptions at the most")
            else:
                self._subscribe(execution_id)
        elif kind == "unsubscribe":
            task = self._following.pop(execution_id, None)
            if task is not None:
                task.cancel()
        elif kind == "input":
            await self._type(self._give_input, execution_id, message)
        elif kind == "resize":
            await self._type(self._resize, execution_id, message)
        else:
            await self._refuse(execution_id, f"there is no message type {str(kind)[:40]!r}")

    async def _type(self, give: Giving, execution_id: str, message: Message) -> None:
        if not self._may_type:
            await self._refuse(execution_id, f"this key has no scope {str(Scope.EXECUTE)!r}")
            return
        try:
            await give(execution_id, message)
        except RequestError as error:
            await self._refuse(execution_id, error.message)

    async def _give_input(self, execution_id: str, message: Message) -> None:
        """Raises RequestError."""
        data, end = message.get("data", ""), message.get("end", False)
        if not isinstance(data, str) or not isinstance(end, bool):
            raise InvalidRequest("input has text as its data, and a boolean as its end")
        typed = data.encode(errors="surrogatepass")
        await self._executions.give_input(execution_id, self._account, typed, end)

    async def _resize(self, execution_id: str, message: Message) -> None:
        """Raises RequestError."""
        try:
            size = Size.model_validate({name: message.get(name) for name in Size.model_fields}).size()
        except ValidationError as error:
            wrong = " and ".join(str(problem["loc"][0]) for problem in error.errors())
            cells = f"whole numbers from 1 to {MAX_CELLS}"
            raise InvalidRequest(f"resize has {cells} as its cols and rows; wrong here: {wrong}") from error
        await self._executions.resize(execution_id, self._account, size)

    def _crowded(self, execution_id: str) -> bool:
        running = [name for name, task in self._following.items() if not task.done()]
        return execution_id not in running and len(running) >= SUBSCRIPTIONS

    def _subscribe(self, execution_id: str) -> None:
        """Once for each run; one that is over may be asked for again."""
        known = self._following.get(execution_id)
        if known is None or known.done():
            self._following[execution_id] = asyncio.create_task(self._follow(execution_id))

    async def _follow(self, execution_id: str) -> None:
        said = messages(self._executions, execution_id, self._account, PATIENCE_SECONDS)
        try:
            async with aclosing(said):
                async for message in said:
                    await self._send(message)
        except FaaSError as error:
            await self._send(_failure(execution_id, error))
        except _GONE:
            self._over.set()
        except Exception as error:
            log.error("following %s failed", execution_id, exc_info=error)
            await self._send(_failure(execution_id, FaaSError("internal error")))
        finally:
            ours = asyncio.current_task()
            others = [task for task in self._following.values() if task is not ours]
            if self._closes and all(task.done() for task in others):
                self._over.set()

    async def _refuse(self, execution_id: str | None, problem: str) -> None:
        await self._send(
            {
                "type": "error",
                "execution_id": execution_id,
                "error": problem,
                "code": "INVALID_REQUEST",
                "fatal": False,
            }
        )

    async def _send(self, message: Message) -> None:
        async with self._sending, asyncio.timeout(SEND_SECONDS):
            await self._socket.send_text(json.dumps(message))


def _is_name(text: str) -> bool:
    """JSON can spell lone surrogates, which no store takes."""
    return len(text) <= NAME_CHARACTERS and not any("\ud800" <= character <= "\udfff" for character in text)


def _failure(execution_id: str, error: FaaSError) -> Message:
    return {
        "type": "error",
        "execution_id": execution_id,
        "error": told(error),
        "code": documented_code(error),
    }
