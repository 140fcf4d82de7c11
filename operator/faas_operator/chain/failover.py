"""Endpoints of one chain that stand in for each other: the one that answered last is asked first.

What an endpoint must show before it is believed is the chain's business: `rpc`'s and `substrate.rpc`'s.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from faas_blueprint.errors import ChainUnavailable, MissingPrerequisite
from faas_operator.logs import about

E = TypeVar("E")
T = TypeVar("T")

Belief = Callable[[E], Awaitable[None]]
"""Raises ChainUnavailable for an endpoint that is not to be asked."""

CATCH_UP_SECONDS = 60.0
"""How long an endpoint that lags is not believed; then the chain itself is taken to have gone back."""

log = logging.getLogger(__name__)


def endpoint_urls(urls: str) -> list[str]:
    """URLs that are separated by commas or blanks. Raises MissingPrerequisite when there is none."""
    found = [url for url in re.split(r"[\s,]+", urls.strip()) if url]
    if not found:
        raise MissingPrerequisite("set FAAS_RPC_URL to an endpoint of the chain")
    return found


class Failover(Generic[E]):
    """Tries all endpoints `attempts` times, waiting `backoff` seconds in between, doubled each time."""

    def __init__(self, endpoints: Sequence[E], believe: Belief[E], attempts: int, backoff: float) -> None:
        self.endpoints = endpoints
        self._believe = believe
        self._attempts = attempts
        self._backoff = backoff
        self._asked = 0
        """Index of the endpoint that is asked."""

    @property
    def asked(self) -> E:
        """The endpoint that is asked now."""
        return self.endpoints[self._asked]

    async def ask(self, request: Callable[[E], Awaitable[T]]) -> T:
        """What an endpoint answers to all of a request. Raises ChainUnavailable; its detail `retry` says
        whether the same may go well later."""
        wait = self._backoff
        for attempt in range(self._attempts):
            if attempt:
                await asyncio.sleep(wait)
                wait *= 2
            for _ in self.endpoints:
                asked = self._asked
                try:
                    return await request(self.endpoints[asked])
                except ChainUnavailable as error:
                    last = error
                    if not await self._left(asked, error, self._believe):
                        break
            if not last.details.get("retry"):
                break
        raise last

    async def leave(self, reason: ChainUnavailable, believe: Belief[E]) -> bool:
        """Ask another endpoint from now on, one that is believed by this measure; whether there is one."""
        return await self._left(self._asked, reason, believe)

    async def _left(self, asked: int, error: ChainUnavailable, believe: Belief[E]) -> bool:
        for step in range(1, len(self.endpoints)):
            other = (asked + step) % len(self.endpoints)
            try:
                await believe(self.endpoints[other])
            except ChainUnavailable as reason:
                log.warning("endpoint cannot be used", extra=about(endpoint=other + 1, error=reason))
                continue
            if self._asked == asked:  # no one else has found one meanwhile
                self._asked = other
                log.warning("another endpoint is asked", extra=about(endpoint=other + 1, error=error))
            break
        return self._asked != asked
