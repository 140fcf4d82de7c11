"""Storing what must not be lost, however long the database is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from faas_blueprint.errors import DatabaseUnavailable
from faas_operator.backoff import Backoff
from faas_operator.logs import about

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_BACKOFF = Backoff(0.2, 5.0)


async def until_stored(work: Callable[[], Result]) -> Result:
    """Do it in a thread until the database answers. When the connection broke at the end of a transaction,
    that may be twice."""
    return await until_answered(lambda: asyncio.to_thread(work))


async def until_answered(work: Callable[[], Awaitable[Result]]) -> Result:
    """The same, on the event loop, for what finds its threads itself."""
    failures = 0
    while True:
        try:
            return await work()
        except DatabaseUnavailable as error:
            failures += 1
            log.warning("database unavailable, what is to be stored waits", extra=about(error=error))
            await asyncio.sleep(_BACKOFF.pause(failures))
