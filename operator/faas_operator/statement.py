"""SQL that every request goes through, in the driver's own form.

SQLAlchemy puts together and looks up a statement each time it is executed, which costs more than SQLite takes
for it. One of these is put together once. What runs seldom stays with SQLAlchemy's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult, Dialect, text
from sqlmodel import Session

Transaction = Session | Connection
"""What statements run in. A connection is enough for these, and quicker made than a session."""


class Statement:
    """One statement in SQL that SQLite and PostgreSQL both take, with parameters as `:name`.

    Values go to the driver as they are: text, bytes, numbers and None, but no `bool` comes back of SQLite.
    """

    def __init__(self, sql: str) -> None:
        self._text = text(sql)
        self._forms: dict[str, tuple[str, Sequence[str] | None]] = {}

    def __str__(self) -> str:
        return str(self._text)

    def run(self, within: Transaction, /, **values: object) -> CursorResult[Any]:
        """Execute it."""
        connection = within if isinstance(within, Connection) else within.connection()
        sql, order = self._form(connection.dialect)
        return connection.exec_driver_sql(sql, _arranged(values, order))

    def run_many(self, within: Transaction, rows: Sequence[Mapping[str, object]]) -> None:
        """Execute it for each of some rows; it answers nothing."""
        connection = within if isinstance(within, Connection) else within.connection()
        sql, order = self._form(connection.dialect)
        connection.exec_driver_sql(sql, [_arranged(values, order) for values in rows])

    def _form(self, dialect: Dialect) -> tuple[str, Sequence[str] | None]:
        """In the dialect, and the order of its parameters, unless it knows them by name."""
        form = self._forms.get(dialect.name)
        if form is None:
            compiled = self._text.compile(dialect=dialect)
            form = self._forms[dialect.name] = str(compiled), compiled.positiontup
        return form


def _arranged(values: Mapping[str, object], order: Sequence[str] | None) -> Any:
    return values if order is None else tuple(values[name] for name in order)
