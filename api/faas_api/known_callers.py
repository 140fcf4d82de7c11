"""Callers whose key was looked up a moment ago, so that the next request need not wait for the database.

What this process does to a key or an account counts at once, and so does a key's expiry; what another process
does, after KNOWN_SECONDS at the latest. Keys that are not valid are looked up each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from faas_operator.key_changes import KeyChanges

KNOWN_SECONDS = 1.0

MOST = 10_000
"""Callers that are remembered; then all are forgotten."""

Caller = TypeVar("Caller")


@dataclass(frozen=True, slots=True)
class _Known(Generic[Caller]):
    caller: Caller
    until: float
    """By the monotonic clock."""
    expires_at: float | None
    """By the store's."""
    mark: object


class KnownCallers(Generic[Caller]):
    """By the SHA-256 of their key. Belongs to one event loop."""

    def __init__(
        self,
        changes: KeyChanges,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is what keys expire by."""
        self._changes = changes
        self._clock = clock
        self._monotonic = monotonic
        self._known: dict[str, _Known[Caller]] = {}

    @property
    def mark(self) -> object:
        """To be taken before a key is looked up."""
        return self._changes.mark

    def get(self, digest: str) -> Caller | None:
        """The caller, if that is still true without asking."""
        known = self._known.get(digest)
        if known is None:
            return None
        expired = known.expires_at is not None and self._clock() >= known.expires_at
        if expired or self._monotonic() >= known.until or known.mark is not self._changes.mark:
            del self._known[digest]
            return None
        return known.caller

    def add(self, digest: str, caller: Caller, expires_at: float | None, mark: object) -> None:
        """Remember whom a key admits, as it was looked up after the mark was taken."""
        if len(self._known) >= MOST:
            self._known.clear()
        until = self._monotonic() + KNOWN_SECONDS
        self._known[digest] = _Known(caller, until, expires_at, mark)
