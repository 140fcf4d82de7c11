"""Input that comes while a job runs, when it can only go on with it: line by line, or as typed on a terminal.

A machine stands still while it waits, so it does not matter when input comes: the same input in the same
pieces is the same run, whether somebody types it or a verifier has it all.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Protocol

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import MAX_INPUT_BYTES, Job, input_bytes
from faas_blueprint.terminal import Event, TerminalSize, decode_events, encode_events

PATIENCE_SECONDS = 300.0
"""Of wall clock for a piece of input; then it has come to its end."""

MAX_TYPED_BYTES = 1 << 20
"""Of one run's input that comes while it runs; less where the job would become too large with it."""

RESIZE_BYTES = 2
"""What a change of the terminal's size counts for among them."""

EVENT_BYTES = 16
"""In the job's standard input, of each byte that is typed on a terminal, at the most."""


class Input(Protocol):
    """Where an interactive run's input comes from."""

    @property
    def ready(self) -> bool:
        """Whether the next piece, or the end, is at hand."""
        ...

    async def next(self) -> Event:
        """The next piece: a line with its line feed (without one at the end), or what was typed on a terminal
        at once, or the terminal's size from now on. Nothing at the end and after it.
        """
        ...


class TypedInput(ABC):
    """Input that comes while the job runs."""

    def __init__(self, patience: float | None, most: int) -> None:
        """`patience`: seconds for a piece, None for ever; `most`: bytes in all."""
        self._most = most
        self._typed = 0
        self._ended = False
        self._changed = asyncio.Event()
        self._patience = patience

    def put(self, data: bytes) -> None:
        """More of it. Raises InvalidRequest when there is too much, and after the end."""
        self._take_in(data, len(data))

    def resize(self, size: TerminalSize) -> None:
        """The terminal gets that size once what came before is taken.

        Raises InvalidRequest as `put` does, and where there is no terminal.
        """
        self._take_in(size, RESIZE_BYTES)

    def end(self) -> None:
        """There is no more to come."""
        self._ended = True
        self._changed.set()

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether the next piece, or the end, is there."""

    @abstractmethod
    def take(self) -> Event:
        """The next piece of what is there; nothing at the end."""

    @abstractmethod
    def _add(self, piece: Event) -> None: ...

    async def next(self) -> Event:
        """The next piece, as soon as it is whole."""
        try:
            async with asyncio.timeout(self._patience):
                while not self.ready:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self.end()
        return self.take()

    def _take_in(self, piece: Event, size: int) -> None:
        if self._ended:
            raise InvalidRequest("the run's input has ended", {"field": "data"})
        if self._typed + size > self._most:
            raise InvalidRequest(f"this run takes {self._most} bytes of input at the most", {"field": "data"})
        self._typed += size
        self._add(piece)
        self._changed.set()


class TypedLines(TypedInput):
    """Line by line; what is `known` already comes first."""

    def __init__(
        self, known: bytes = b"", patience: float | None = PATIENCE_SECONDS, most: int = MAX_TYPED_BYTES
    ) -> None:
        super().__init__(patience, most)
        self._waiting = bytearray(known)

    def resize(self, size: TerminalSize) -> None:
        """Raises InvalidRequest."""
        raise InvalidRequest("this run has no terminal; ask for it with 'terminal'", {"field": "type"})

    def _add(self, piece: Event) -> None:
        assert isinstance(piece, bytes)
        self._waiting += piece

    @property
    def ready(self) -> bool:
        """Whether a whole line is there, or the end."""
        return self._ended or b"\n" in self._waiting

    def take(self) -> bytes:
        """The next line of what is there; all that is left where it has no end."""
        end = self._waiting.find(b"\n") + 1 or len(self._waiting)
        line = bytes(self._waiting[:end])
        del self._waiting[:end]
        return line


class TypedEvents(TypedInput):
    """As on a terminal: what was typed since the program last waited comes all at once."""

    def __init__(
        self, known: bytes = b"", patience: float | None = PATIENCE_SECONDS, most: int = MAX_TYPED_BYTES
    ) -> None:
        """`known`: encoded events. Raises InvalidRequest."""
        super().__init__(patience, most)
        self._waiting = deque(decode_events(known))

    def _add(self, piece: Event) -> None:
        last = self._waiting.pop() if self._waiting else b""
        if isinstance(last, bytes) and isinstance(piece, bytes):
            piece = last + piece
        elif type(last) is not type(piece) and last:
            self._waiting.append(last)
        if piece:
            self._waiting.append(piece)

    @property
    def ready(self) -> bool:
        """Whether anything is there, or the end."""
        return self._ended or bool(self._waiting)

    def take(self) -> Event:
        """The next event; nothing at the end."""
        return self._waiting.popleft() if self._waiting else b""


def most_typed(job: Job) -> int:
    """Bytes that may be typed for an interactive job, so that it has room for all of them."""
    room = MAX_INPUT_BYTES - input_bytes(job)
    return min(room if job.terminal is None else room // EVENT_BYTES, MAX_TYPED_BYTES)


def typed_input(job: Job, patience: float | None = PATIENCE_SECONDS) -> TypedInput:
    """Of an interactive job: first what it has as its standard input, then what comes."""
    kind = TypedLines if job.terminal is None else TypedEvents
    return kind(job.stdin, patience, most_typed(job))


def given_input(job: Job) -> TypedInput:
    """Of an interactive job whose standard input is all there is."""
    given = typed_input(job)
    given.end()
    return given


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


class TakenInput:
    """Input of others, waited for without keeping anyone from running; it is remembered."""

    def __init__(self, source: Input, turn: Turn) -> None:
        self._source = source
        self._turn = turn
        self._taken: list[Event] = []

    @property
    def ready(self) -> bool:
        """Whether theirs is."""
        return self._source.ready

    async def next(self) -> Event:
        """The next piece, or nothing."""
        if self.ready:
            piece = await self._source.next()
        else:
            async with self._turn.aside():
                piece = await self._source.next()
        self._taken.append(piece)
        return piece

    def taken_by(self, job: Job) -> bytes:
        """All of it together, as the job's standard input."""
        if job.terminal is not None:
            return encode_events(self._taken)
        return b"".join(piece for piece in self._taken if isinstance(piece, bytes))
