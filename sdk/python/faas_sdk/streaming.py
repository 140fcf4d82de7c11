"""A run as it happens, read from the API's server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field

import httpx

from faas_sdk.effects import Request, reason
from faas_sdk.errors import ConnectionFailed, api_error


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One thing that a run says."""

    type: str
    """`output`, `progress`, `dropped`, and at last `completed` or `error`."""
    execution_id: str
    data: str
    """Of `output`; else empty."""
    stream: str | None
    """`stdout` or `stderr`, of `output`."""
    exit_code: int | None
    """Of `completed`."""
    error: str | None
    """Of `error`."""
    progress: float | None
    """Of `progress`: from 0 to 1, of its time limit."""
    response: Mapping[str, object] = field(repr=False)
    """The whole message."""
    wants_input: bool = False
    """Of `progress`: the run is interactive, and goes on once it is sent its next line or the end."""


class Stream:
    """The events of one run, to be read with `for` or with `async for`, as often as wanted.

    Each reading connects anew and begins with what the run has said so far. Raises ApiError and
    ConnectionFailed.
    """

    def __init__(self, request: Request, timeout: float) -> None:
        """`timeout` in seconds is for connecting, and between two signs of life."""
        self._request = request
        self._timeout = max(timeout, 30.0)

    def __iter__(self) -> Iterator[StreamEvent]:
        request, lines = self._request, _Lines()
        try:
            with (
                httpx.Client(timeout=self._timeout) as http,
                http.stream(request.method, request.url, headers=request.headers) as response,
            ):
                if response.status_code >= 400:
                    raise api_error(response.status_code, _body(response.read()))
                for line in response.iter_lines():
                    if (event := lines.take(line)) is not None:
                        yield event
        except httpx.RequestError as error:
            raise _broken(request, error) from error

    async def __aiter__(self) -> AsyncIterator[StreamEvent]:
        request, lines = self._request, _Lines()
        try:
            async with (
                httpx.AsyncClient(timeout=self._timeout) as http,
                http.stream(request.method, request.url, headers=request.headers) as response,
            ):
                if response.status_code >= 400:
                    raise api_error(response.status_code, _body(await response.aread()))
                async for line in response.aiter_lines():
                    if (event := lines.take(line)) is not None:
                        yield event
        except httpx.RequestError as error:
            raise _broken(request, error) from error


class _Lines:
    """Puts lines together to events."""

    def __init__(self) -> None:
        self._data: list[str] = []

    def take(self, line: str) -> StreamEvent | None:
        if line.startswith("data:"):
            self._data.append(line[5:].removeprefix(" "))
            return None
        if line or not self._data:
            return None
        text, self._data = "\n".join(self._data), []
        return _event(text)


def _event(text: str) -> StreamEvent:
    message = _body(text.encode())
    if not isinstance(message, dict):
        raise ConnectionFailed("the stream cannot be read: is this the API's address?")
    exit_code, progress = message.get("exit_code"), message.get("progress")
    return StreamEvent(
        str(message.get("type")),
        str(message.get("execution_id")),
        str(message.get("data") or ""),
        message.get("stream"),
        exit_code if isinstance(exit_code, int) else None,
        message.get("error"),
        float(progress) if isinstance(progress, int | float) else None,
        message,
        message.get("wants_input") is True,
    )


def _body(content: bytes) -> object:
    try:
        body: object = json.loads(content)
    except ValueError:
        return None
    return body


def _broken(request: Request, error: httpx.RequestError) -> ConnectionFailed:
    return ConnectionFailed(f"{request.url} broke off: {reason(error)}")
