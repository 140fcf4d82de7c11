"""How long to pause between tries, and doing something again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from faas_blueprint.errors import ChainUnavailable, DatabaseUnavailable


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double from `first` up to `most` seconds."""

    first: float
    most: float

    def pause(self, failures: int) -> float:
        """Seconds to wait after this many failures in a row; 0 after none."""
        if failures <= 0:
            return 0.0
        return min(self.most, self.first * 2.0 ** min(failures - 1, 60))


async def repeat(
    work: Callable[[], Awaitable[object]],
    seconds: float,
    backoff: Backoff,
    failed: Callable[[ChainUnavailable | DatabaseUnavailable], object],
) -> None:
    """Until cancelled, every so many seconds, later after failures. `failed` is told of an outage; whatever
    else the work raises ends it."""
    failures = 0
    while True:
        try:
            await work()
            failures = 0
        except (ChainUnavailable, DatabaseUnavailable) as error:
            failures += 1
            failed(error)
        await asyncio.sleep(backoff.pause(failures) or seconds)
