"""Transactions of what every request does, in connections of SQLite's driver that are kept for that.

Making, lending and taking back a connection takes SQLAlchemy several times what BEGIN and COMMIT take SQLite.
Elsewhere, and for a database in memory, which has one connection, these are SQLAlchemy's transactions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from faas_operator.statement import Direct, Transaction, on_sqlite
from faas_operator.transactions import BEGIN, kind_of

KEPT = "faas_kept"
"""The execution option that holds an engine's `KeptConnections`."""


class KeptConnections:
    """Those of one database file that wait for the next transaction. May be used from any thread."""

    def __init__(self) -> None:
        self._waiting: list[sqlite3.Connection] = []
        self._closed = False

    def take(self, engine: Engine) -> sqlite3.Connection:
        """The one that was used last, which knows the pages as they are; a new one where none waits."""
        try:
            return self._waiting.pop()
        except IndexError:
            made = engine.raw_connection()
            driver = made.driver_connection
            made.detach()
            assert isinstance(driver, sqlite3.Connection)
            return driver

    def give_back(self, driver: sqlite3.Connection) -> None:
        """Keep it for the next, unless something is wrong with it."""
        if driver.in_transaction:
            driver.close()
            return
        self._waiting.append(driver)
        if self._closed:
            self.close()

    def close(self) -> None:
        """Close those that wait now, and others when they are given back."""
        self._closed = True
        while self._waiting:
            self._waiting.pop().close()


@contextmanager
def transaction(engine: Engine) -> Iterator[Transaction]:
    """One for statements (`Statement`), committed at the block's end and taken back where that raises."""
    kept = engine.get_execution_options().get(KEPT)
    if kept is None:
        with engine.begin() as connection:
            yield connection
        return
    driver = kept.take(engine)
    try:
        for statement in BEGIN[kind_of(engine)]:
            on_sqlite(driver, statement)
        yield Direct(driver)
        on_sqlite(driver, "COMMIT")
    except BaseException:
        driver.rollback()
        raise
    finally:
        kept.give_back(driver)
