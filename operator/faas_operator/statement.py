"""SQL that every request goes through, in the driver's own form.

SQLAlchemy puts together and looks up a statement each time it is executed, and wraps what comes of it, which
takes ten times what SQLite does. One of these is put together once and goes to SQLite's driver as it is; on
PostgreSQL, where the way to the server takes longer than that, SQLAlchemy executes it, since it knows what to
do when a connection breaks. What runs seldom stays with SQLAlchemy's own.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Dialect, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session


@dataclass(frozen=True, slots=True)
class Direct:
    """A transaction under way in a connection of SQLite's driver, see `kept_connections`."""

    driver: sqlite3.Connection


Transaction = Session | Connection | Direct
"""What statements run in."""

Rows = Sequence[Any]
"""What a statement answers: tuples, whose values have the names of its columns too."""


class Statement:
    """One statement in SQL that SQLite and PostgreSQL both take, with parameters as `:name`.

    Values go to the driver as they are: text, bytes, numbers and None, but no `bool` comes back of SQLite.
    """

    def __init__(self, sql: str) -> None:
        self._sql = sql
        """As SQLite's driver takes it."""
        self._elsewhere: str | None = None
        """As the other one does, once that was asked for."""
        self._row: Callable[..., Any] | None = None
        """Makes a row of what SQLite's driver answers."""

    def __str__(self) -> str:
        return self._sql

    def run(self, within: Transaction, /, **values: object) -> Rows:
        """Execute it; answers all its rows."""
        if isinstance(within, Direct):
            return self._named(on_sqlite(within.driver, self._sql, values))
        connection = _begun(within)
        if connection.dialect.name == "sqlite":
            return self._named(on_sqlite(_driver(connection), self._sql, values))
        result = connection.exec_driver_sql(self._compiled(connection.dialect), values)
        return result.all() if result.returns_rows else ()

    def run_many(self, within: Transaction, rows: Sequence[Mapping[str, object]]) -> None:
        """Execute it for each of some rows; it answers nothing."""
        if isinstance(within, Direct):
            on_sqlite(within.driver, self._sql, rows, many=True)
            return
        connection = _begun(within)
        if connection.dialect.name == "sqlite":
            on_sqlite(_driver(connection), self._sql, rows, many=True)
        else:
            connection.exec_driver_sql(self._compiled(connection.dialect), [dict(row) for row in rows])

    def _compiled(self, dialect: Dialect) -> str:
        if self._elsewhere is None:
            self._elsewhere = str(text(self._sql).compile(dialect=dialect))
        return self._elsewhere

    def _named(self, cursor: sqlite3.Cursor) -> Rows:
        rows = cursor.fetchall()
        if not rows:
            return rows
        if self._row is None:
            columns = [column[0] for column in cursor.description]
            self._row = namedtuple("Row", columns)  # type: ignore[misc]
        return [self._row(*row) for row in rows]


def on_sqlite(
    driver: sqlite3.Connection, sql: str, values: Any = (), *, many: bool = False
) -> sqlite3.Cursor:
    """Have SQLite's driver execute a statement, once, or with each of `many` values. Raises what SQLAlchemy
    does, but without the values."""
    try:
        return driver.executemany(sql, values) if many else driver.execute(sql, values)
    except sqlite3.Error as error:
        raise DBAPIError.instance(sql, values, error, sqlite3.Error, hide_parameters=True) from error


def _begun(within: Session | Connection) -> Connection:
    """A connection with a transaction under way: the driver would begin none."""
    connection = within if isinstance(within, Connection) else within.connection()
    assert connection.in_transaction()
    return connection


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection
