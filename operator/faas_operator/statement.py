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
from typing import Any

from sqlalchemy import Connection, Dialect, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

Transaction = Session | Connection
"""What statements run in. A connection is enough for these, and quicker made than a session."""

Rows = Sequence[Any]
"""What a statement answers: tuples, whose values have the names of its columns too."""


class Statement:
    """One statement in SQL that SQLite and PostgreSQL both take, with parameters as `:name`.

    Values go to the driver as they are: text, bytes, numbers and None, but no `bool` comes back of SQLite.
    """

    def __init__(self, sql: str) -> None:
        self._text = text(sql)
        self._forms: dict[str, tuple[str, Sequence[str] | None]] = {}
        self._row: Callable[..., Any] | None = None
        """Makes a row of what SQLite's driver answers."""

    def __str__(self) -> str:
        return str(self._text)

    def run(self, within: Transaction, /, **values: object) -> Rows:
        """Execute it; answers all its rows."""
        connection = _begun(within)
        sql, order = self._form(connection.dialect)
        if connection.dialect.name == "sqlite":
            return self._named(on_sqlite(connection, sql, _arranged(values, order)))
        result = connection.exec_driver_sql(sql, _arranged(values, order))
        return result.all() if result.returns_rows else ()

    def run_many(self, within: Transaction, rows: Sequence[Mapping[str, object]]) -> None:
        """Execute it for each of some rows; it answers nothing."""
        connection = _begun(within)
        sql, order = self._form(connection.dialect)
        if connection.dialect.name == "sqlite":
            for values in rows:
                on_sqlite(connection, sql, _arranged(values, order))
        else:
            connection.exec_driver_sql(sql, [_arranged(values, order) for values in rows])

    def _form(self, dialect: Dialect) -> tuple[str, Sequence[str] | None]:
        """In the dialect, and the order of its parameters, unless it knows them by name."""
        form = self._forms.get(dialect.name)
        if form is None:
            compiled = self._text.compile(dialect=dialect)
            form = self._forms[dialect.name] = str(compiled), compiled.positiontup
        return form

    def _named(self, cursor: sqlite3.Cursor) -> Rows:
        rows = cursor.fetchall()
        if not rows:
            return rows
        if self._row is None:
            columns = [column[0] for column in cursor.description]
            self._row = namedtuple("Row", columns)  # type: ignore[misc]
        return [self._row(*row) for row in rows]


def on_sqlite(connection: Connection, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
    """Have SQLite's driver execute a statement. Raises what SQLAlchemy does, but without the values."""
    driver: Any = connection.connection.dbapi_connection
    try:
        cursor: sqlite3.Cursor = driver.execute(sql, values)
    except sqlite3.Error as error:
        raise DBAPIError.instance(sql, values, error, sqlite3.Error, hide_parameters=True) from error
    return cursor


def _begun(within: Transaction) -> Connection:
    """A connection with a transaction under way: the driver would begin none."""
    connection = within if isinstance(within, Connection) else within.connection()
    assert connection.in_transaction()
    return connection


def _arranged(values: Mapping[str, object], order: Sequence[str] | None) -> Any:
    return values if order is None else tuple(values[name] for name in order)
