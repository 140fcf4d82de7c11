"""Short transactions of the event loop's own thread: while nobody else writes, no change of threads.

A change of threads takes longer than such a transaction does: another processor is woken, its caches know
nothing of what is done, and the two threads take the interpreter from each other. So what is small is written
at once, as long as that is quick: one that took SLOW_SECONDS, since the disk is slow or the file had to be
read, is followed by no other for PAUSE times as long. What has to wait for another writer is not for here,
nor is moving pages from the journal to the file: threads have a turn of MOVING_SECONDS for that, after
IN_A_ROW of these. On PostgreSQL nothing is written here.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from faas_blueprint.job import Job
from faas_blueprint.outcome import Outcome
from faas_operator.kept_connections import KEPT, KeptConnections
from faas_operator.statement import Direct, on_sqlite
from faas_operator.transactions import BEGIN, Kind

SMALL_BYTES = 64 << 10
"""Of what is written at once, at most."""

SLOW_SECONDS = 0.005
PAUSE = 20
"""So the loop stands still for slow ones a twentieth of the time at most."""
IN_A_ROW = 100
MOVING_SECONDS = 0.05

Result = TypeVar("Result")


class NotNow(Exception):
    """It is to be written in a thread; nothing was done."""


class PromptWriting:
    """Of one database. Belongs to one event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: KeptConnections | None = engine.get_execution_options().get(KEPT)
        self._driver: sqlite3.Connection | None = None
        """A connection of its own, once it was needed."""
        self._not_before = 0.0
        """By the monotonic clock."""
        self._left = IN_A_ROW

    def write(self, work: Callable[[Direct], Result], kind: Kind = Kind.LASTING) -> Result:
        """What `work` answers, once its transaction is committed. Raises NotNow, and what `work` raises;
        nothing is stored then."""
        begun = time.monotonic()
        driver = self._begun(kind, begun)
        try:
            result = work(Direct(driver))
            on_sqlite(driver, "COMMIT")
        except BaseException:
            driver.rollback()
            raise
        ended = time.monotonic()
        if ended - begun > SLOW_SECONDS:
            self._not_before = ended + PAUSE * (ended - begun)
        return result

    def close(self) -> None:
        """Let go of the database."""
        self._kept = None
        if self._driver is not None:
            self._driver.close()

    def _begun(self, kind: Kind, now: float) -> sqlite3.Connection:
        if self._left == 0:
            self._left, self._not_before = IN_A_ROW, max(self._not_before, now + MOVING_SECONDS)
        if self._kept is None or now < self._not_before:
            raise NotNow
        self._left -= 1
        if self._driver is None:
            self._driver = self._kept.take(self._engine)
            self._driver.execute("PRAGMA busy_timeout=0")
            self._driver.execute("PRAGMA wal_autocheckpoint=0")
        try:
            for statement in BEGIN[kind]:
                on_sqlite(self._driver, statement)
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                raise
            raise NotNow from error
        return self._driver


def is_small(content: Job | Outcome) -> bool:
    """Whether what is written of it is."""
    if isinstance(content, Job):
        size = len(content.code) + len(content.stdin)
    else:
        size = len(content.stdout.content) + len(content.stderr.content) + 32 * len(content.trace)
    return size + sum(len(file.content) for file in content.files) <= SMALL_BYTES
