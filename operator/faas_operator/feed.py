"""What a run says while it runs, for any number of readers, none of which can hold it up.

Output is kept once, up to a bound; each reader goes through it at its own pace. One that falls so far
behind that output was let go of is told how much, and goes on with what is there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from faas_blueprint.outcome import Stream
from faas_microvm.execution import Output, Progress
from faas_operator.execution_record import Written

FEED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Dropped:
    """Output that this reader was too slow for."""

    count: int
    """Bytes of both streams together."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over and its record says how."""


class Feed:
    """One run's output and progress."""

    def __init__(self, capacity: int = FEED_BYTES) -> None:
        self._capacity = capacity
        self._pieces: deque[Output] = deque()
        self._held = 0
        self._first = 0
        """Number of the oldest piece that is still there."""
        self._gone = 0
        """Bytes of the pieces before it."""
        self._progress: Progress | None = None
        self._ended = False
        self._changed = asyncio.Event()

    @property
    def virtual_ms(self) -> int | None:
        """How far the run is, if it has begun."""
        return None if self._progress is None else self._progress.virtual_ms

    def publish(self, event: Output | Progress) -> None:
        """Hand something to all readers."""
        if isinstance(event, Progress):
            self._progress = event
        elif event.data:
            self._pieces.append(event)
            self._held += len(event.data)
            while self._held > self._capacity and len(self._pieces) > 1:
                self._forget()
        self._wake()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._wake()

    def said(self) -> Written:
        """What is still there of both streams."""
        cut = self._gone > 0
        return Written(Stream(self._of("stdout"), cut), Stream(self._of("stderr"), cut))

    def _of(self, stream: str) -> bytes:
        return b"".join(piece.data for piece in self._pieces if piece.stream == stream)

    async def read(self) -> AsyncGenerator[Output | Progress | Dropped | Ended]:
        """All that is there, then what comes; Ended is the last."""
        following, taken = 0, 0
        told: Progress | None = None
        while True:
            changed = self._changed
            while following < self._first + len(self._pieces):
                if following < self._first:
                    lost, taken, following = self._gone - taken, self._gone, self._first
                    yield Dropped(lost)
                    continue
                piece = self._pieces[following - self._first]
                following, taken = following + 1, taken + len(piece.data)
                yield piece
            if self._progress is not None and self._progress != told and following == self._end:
                told = self._progress
                yield told
            elif self._ended and following == self._end:
                yield Ended()
                return
            else:
                await changed.wait()

    @property
    def _end(self) -> int:
        return self._first + len(self._pieces)

    def _forget(self) -> None:
        size = len(self._pieces.popleft().data)
        self._held -= size
        self._gone += size
        self._first += 1

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
