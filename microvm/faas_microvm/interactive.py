"""Standard input that comes line by line, each line when the job can only go on with it.

A machine stands still while it waits, so it does not matter when a line comes: the same lines are the same
run, whether somebody types them or a verifier has them all.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Protocol

from faas_blueprint.errors import InvalidRequest

PATIENCE_SECONDS = 300.0
"""Of wall clock for a line; then the input has come to its end."""

MAX_TYPED_BYTES = 1 << 20
"""Of one run's input that comes while it runs."""


class Lines(Protocol):
    """Where an interactive run's input comes from."""

    @property
    def ready(self) -> bool:
        """Whether the next line, or the end, is at hand."""
        ...

    async def next(self) -> bytes:
        """The next line with its line feed; without one at the end; nothing after that."""
        ...


class GivenLines:
    """Input that is known."""

    def __init__(self, data: bytes) -> None:
        self._lines = io.BytesIO(data)

    @property
    def ready(self) -> bool:
        """It always is."""
        return True

    async def next(self) -> bytes:
        """The next line, or nothing."""
        return self._lines.readline()


class TypedLines:
    """Input that comes while the job runs; what is `known` already comes first."""

    def __init__(self, known: bytes = b"", patience: float = PATIENCE_SECONDS) -> None:
        self._waiting = bytearray(known)
        self._typed = 0
        self._ended = False
        self._changed = asyncio.Event()
        self._patience = patience

    def put(self, data: bytes) -> None:
        """More of it. Raises InvalidRequest when there is too much, and after the end."""
        if self._ended:
            raise InvalidRequest("the run's input has ended", {"field": "data"})
        if self._typed + len(data) > MAX_TYPED_BYTES:
            raise InvalidRequest(
                f"a run takes {MAX_TYPED_BYTES} bytes of input at the most", {"field": "data"}
            )
        self._typed += len(data)
        self._waiting += data
        self._changed.set()

    def end(self) -> None:
        """There is no more to come."""
        self._ended = True
        self._changed.set()

    @property
    def ready(self) -> bool:
        """Whether a whole line is there, or the end."""
        return self._ended or b"\n" in self._waiting

    async def next(self) -> bytes:
        """The next line, as soon as it is whole."""
        until = time.monotonic() + self._patience
        while not self.ready:
            self._changed.clear()
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    await self._changed.wait()
            except TimeoutError:
                self.end()
        return self.take()

    def take(self) -> bytes:
        """The next line of what is there; all that is left where it has no end."""
        end = self._waiting.find(b"\n") + 1 or len(self._waiting)
        line = bytes(self._waiting[:end])
        del self._waiting[:end]
        return line


class Turn:
    """One of a semaphore's places, which can be given up for a while."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._held = False

    async def __aenter__(self) -> Turn:
        await self._places.acquire()
        self._held = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._held:
            self._places.release()

    @asynccontextmanager
    async def aside(self) -> AsyncGenerator[None]:
        """Leave the place to others; what follows has to wait for one again."""
        self._held = False
        self._places.release()
        yield
        await self._places.acquire()
        self._held = True


class TakenLines:
    """Lines of others, waited for without keeping anyone from running; they are remembered."""

    def __init__(self, lines: Lines, turn: Turn) -> None:
        self._lines = lines
        self._turn = turn
        self._taken: list[bytes] = []

    @property
    def ready(self) -> bool:
        """Whether theirs is."""
        return self._lines.ready

    async def next(self) -> bytes:
        """The next line, or nothing."""
        if self.ready:
            line = await self._lines.next()
        else:
            async with self._turn.aside():
                line = await self._lines.next()
        self._taken.append(line)
        return line

    @property
    def taken(self) -> bytes:
        """All of it together."""
        return b"".join(self._taken)
