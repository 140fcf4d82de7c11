"""How one piece of logic serves two clients: plans, and what carries them out.

A *plan* is a generator that yields what it wants done (a request, a pause, a long computation) and is sent
what came of it. It does no I/O, so it is written once; `run` carries it out blocking, `run_async` without.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

import httpx

from faas_sdk.errors import ConnectionFailed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request to make."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    timeout: float | None = None
    """Seconds to wait for the answer; by default as long as the connection's other requests."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds to let pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """A computation that takes long: an event loop is not held up by it."""

    do: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, of whatever status. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer."""

    message: str
    sent: bool
    """Whether the request may have reached the other side."""
    late: bool = False
    """Whether it was sent and the answer did not come in time."""


Effect = Request | Pause | Work
Reply = Response | Lost | None
Plan = Generator[Effect, Reply, T]

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def send(request: Request) -> Plan[Response | Lost]:
    """Make a request."""
    reply = yield request
    if reply is None:
        raise RuntimeError("a request was not answered by the one who runs the plan")
    return reply


def pause(seconds: float) -> Plan[None]:
    """Let time pass."""
    yield Pause(seconds)


def work(compute: Callable[[], T]) -> Plan[T]:
    """What a long computation gives."""
    made: list[T] = []
    yield Work(lambda: made.append(compute()))
    return made[0]


def run(plan: Plan[T], http: httpx.Client) -> T:
    """Carry a plan out, blocking. Raises what the plan does, and ConnectionFailed where `http` is closed."""
    _require_open(http)
    reply: Reply = None
    try:
        while True:
            try:
                effect = plan.send(reply)
            except StopIteration as stop:
                return cast(T, stop.value)
            reply = None
            if isinstance(effect, Pause):
                time.sleep(effect.seconds)
                continue
            if isinstance(effect, Work):
                effect.do()
                continue
            try:
                reply = _response(http.send(_made(effect, http)))
            except httpx.RequestError as error:
                reply = _lost(error)
    finally:
        plan.close()


async def run_async(plan: Plan[T], http: httpx.AsyncClient) -> T:
    """Carry a plan out, letting others go on meanwhile. Raises likewise."""
    _require_open(http)
    reply: Reply = None
    try:
        while True:
            try:
                effect = plan.send(reply)
            except StopIteration as stop:
                return cast(T, stop.value)
            reply = None
            if isinstance(effect, Pause):
                await asyncio.sleep(effect.seconds)
                continue
            if isinstance(effect, Work):
                await asyncio.to_thread(effect.do)
                continue
            try:
                reply = _response(await http.send(_made(effect, http)))
            except httpx.RequestError as error:
                reply = _lost(error)
    finally:
        plan.close()


def reason(error: httpx.RequestError) -> str:
    """Why there is no answer. What a request was found wrong by is not shown: it may be the key."""
    if isinstance(error, httpx.LocalProtocolError):
        return "the request cannot be sent"
    return str(error) or type(error).__name__


def _require_open(http: httpx.Client | httpx.AsyncClient) -> None:
    if http.is_closed:
        raise ConnectionFailed("this client is closed")


def _made(request: Request, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
    timeout = http.timeout
    if request.timeout is not None:
        connect = request.timeout if timeout.connect is None else min(request.timeout, timeout.connect)
        timeout = httpx.Timeout(request.timeout, connect=connect)
    return http.build_request(
        request.method, request.url, headers=request.headers, content=request.content, timeout=timeout
    )


def _response(response: httpx.Response) -> Response:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Response(response.status_code, headers, response.content)


def _lost(error: httpx.RequestError) -> Lost:
    sent = not isinstance(error, _NEVER_SENT)
    return Lost(reason(error), sent, sent and isinstance(error, httpx.TimeoutException))
