"""When a request is made again.

- Nothing can have arrived (no connection was made): any request, whatever its method.
- The service says that it did not begin (503, 507): any request, after its `Retry-After`.
- The connection broke on the way, or 500, 502, 504: only requests that may be repeated (GET, and what
  has an idempotency key).

429 is the caller's to hear about, not ours to sit out. Pauses double from 0.25 s; a `Retry-After`
over 30 s is not waited for. A request whose answer did not come in time is not made again.
"""

from __future__ import annotations

from collections.abc import Mapping

from faas_sdk.effects import Lost, Plan, Request, Response, pause, send
from faas_sdk.errors import ConnectionFailed, RequestTimeout

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 30.0

_NOT_BEGUN = frozenset({503, 507})
_REPEATABLE_STATUS = frozenset({500, 502, 504})


def send_with_retries(request: Request, max_retries: int) -> Plan[Response]:
    """The first answer that ends it. Raises ConnectionFailed when there is none, RequestTimeout when late."""
    for attempt in range(max_retries + 1):
        reply = yield from send(request)
        wait = _wait(request, reply, attempt)
        if attempt < max_retries and wait is not None:
            yield from pause(wait)
            continue
        if isinstance(reply, Lost) and reply.late:
            raise RequestTimeout(f"{request.url} does not answer in time")
        if isinstance(reply, Lost):
            raise ConnectionFailed(f"{request.url} does not answer: {reply.message}")
        return reply
    raise ValueError("max_retries must not be negative")


def _wait(request: Request, reply: Response | Lost, attempt: int) -> float | None:
    """Seconds until the next attempt; None when there must be none."""
    backoff = min(LONGEST_PAUSE, FIRST_PAUSE * float(2**attempt))
    repeatable = request.method == "GET" or "Idempotency-Key" in request.headers
    if isinstance(reply, Lost):
        return backoff if not reply.sent or (repeatable and not reply.late) else None
    if reply.status in _NOT_BEGUN or (repeatable and reply.status in _REPEATABLE_STATUS):
        asked = _retry_after(reply.headers)
        if asked is None:
            return backoff
        return asked if asked <= LONGEST_PAUSE else None
    return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; the date form is not used by this API and reads as none."""
    value = headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None
