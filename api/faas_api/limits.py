"""How many requests an account, or a caller without a key, may make: in a minute and in an hour.

Counted by the library `limits` in windows that begin with their first request: in this process, or in a Redis
that several share. While that Redis does not answer, each process counts for itself. How many executions an
account may have at once is counted where they are stored: `faas_operator.execution_store`.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.errors import StorageError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faas_blueprint.errors import FatalError, RateLimitExceeded
from faas_operator.account_record import AccountLimits

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

log = logging.getLogger(__name__)

REDIS_SECONDS = 1.0
"""How long to wait for Redis before counting without it."""

STATE = "rate_standing"
"""Where a request's state holds how it stands with its limits."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The window that has the fewest requests left, after this one."""

    allowed: bool
    limit: int
    remaining: int
    reset: float
    """Unix seconds when the window ends and all of `limit` is there again."""

    def headers(self) -> list[tuple[bytes, bytes]]:
        """As every answer carries it, in ASGI's form."""
        return [
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % math.ceil(self.reset)),
        ]

    def require(self) -> None:
        """Raises RateLimitExceeded."""
        if self.allowed:
            return
        wait = max(1, math.ceil(self.reset - time.time()))
        raise RateLimitExceeded(
            f"Rate limit exceeded. Please retry after {wait} seconds.",
            {
                "limit": self.limit,
                "remaining": 0,
                "reset_at": datetime.fromtimestamp(math.ceil(self.reset), UTC)
                .isoformat()
                .replace("+00:00", "Z"),
                "retry_after": wait,
            },
        )


class RequestCounts:
    """Counts requests by who made them. Belongs to one event loop."""

    def __init__(self, per_minute: int, per_hour: int, redis_url: str | None = None) -> None:
        """With what an account may do that has no limits of its own. Raises FatalError for a wrong URL."""
        self._per_minute = per_minute
        self._per_hour = per_hour
        self._own = MemoryStorage()
        self._pool: ConnectionPool | None = None
        self._shared: RedisStorage | None = None
        if redis_url is not None:
            self._pool = _connect(redis_url)
            self._shared = RedisStorage(
                "async+redis://",
                wrap_exceptions=True,
                implementation="redispy",
                connection_pool=self._pool,  # type: ignore[arg-type]
            )

    async def count(self, who: str, limits: AccountLimits | None = None) -> Standing:
        """Count a request, unless a window is full: then it is not allowed and not counted by the longer."""
        windows: tuple[RateLimitItem, ...] = (
            RateLimitItemPerMinute((limits and limits.requests_per_minute) or self._per_minute),
            RateLimitItemPerHour((limits and limits.requests_per_hour) or self._per_hour),
        )
        if self._shared is not None:
            try:
                return await _count(self._shared, windows, who)
            except StorageError as error:
                log.warning("Redis does not answer, this process counts for itself: %s", error.storage_error)
        return await _count(self._own, windows, who)

    async def close(self) -> None:
        """Let go of Redis."""
        if self._pool is not None:
            await self._pool.disconnect()


def _connect(redis_url: str) -> ConnectionPool:
    from redis.asyncio import ConnectionPool  # what few nodes have

    try:
        return ConnectionPool.from_url(
            redis_url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
        )
    except ValueError as error:
        raise FatalError("FAAS_REDIS_URL is not a Redis URL such as redis://127.0.0.1:6379/0") from error


async def _count(storage: Storage, windows: tuple[RateLimitItem, ...], who: str) -> Standing:
    """By fixed windows, as the library's strategy of that name does, which asks the storage more often."""
    fewest: Standing | None = None
    for window in windows:
        key = window.key_for(who)
        count = await storage.incr(key, window.get_expiry())
        reset = await storage.get_expiry(key)
        standing = Standing(count <= window.amount, window.amount, max(0, window.amount - count), reset)
        if not standing.allowed:
            return standing
        if fewest is None or standing.remaining < fewest.remaining:
            fewest = standing
    assert fewest is not None
    return fewest


class RateHeaders:
    """ASGI middleware: writes into every answer how its request stands with the limits."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; what counts it leaves a Standing in its state."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                standing = state.get(STATE)
                if standing is not None:
                    message["headers"] = [*message.get("headers", ()), *standing.headers()]
            await send(message)

        await self._app(scope, receive, with_headers)
