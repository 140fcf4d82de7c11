"""What a transaction of the store may count on, on SQLite and on PostgreSQL.

SQLite has one writer: a transaction takes the write lock as it begins, so none sees another's half. Those
that only read wait for nobody. On PostgreSQL transactions run side by side, and each statement sees what was
committed before it. So whatever writes by what it has read takes a lock before it reads: that of a row
(`with_for_update`), or, where there may be no row yet, one that is taken by name.
"""

from __future__ import annotations

from enum import Enum

from sqlalchemy import Connection, Engine, text
from sqlmodel import Session

from faas_operator.statement import Direct, Statement, Transaction

_LOCK = Statement("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_NOW = {
    "sqlite": text("SELECT (julianday('now') - 2440587.5) * 86400.0"),
    "postgresql": text("SELECT extract(epoch FROM clock_timestamp())"),
}

KIND = "faas_kind"
"""The execution option that says of what kind a connection's transactions are."""


class Kind(Enum):
    """Of transactions. One that names none is LASTING: on the disk once it is committed."""

    LASTING = "lasting"
    LATER = "later"
    READING = "reading"


BEGIN = {
    Kind.LASTING: ("PRAGMA synchronous=FULL", "BEGIN IMMEDIATE"),
    Kind.LATER: ("PRAGMA synchronous=NORMAL", "BEGIN IMMEDIATE"),
    Kind.READING: ("BEGIN",),
}
"""On SQLite. What writes takes the write lock at once, so that two never both read and then fail to write."""


def reading(engine: Engine) -> Engine:
    """For what only reads: on SQLite what was committed when it began, and it waits for nobody."""
    return engine.execution_options(**{KIND: Kind.READING})


def on_disk_later(engine: Engine) -> Engine:
    """For what nobody is told of before something that lasts is committed.

    On SQLite its commit does not wait for the disk: it gets there with the next that does, of any connection.
    It survives the death of the process at once; where the machine dies before that next commit, it is as if
    it had never been. On PostgreSQL, whose server may die alone, it lasts at once.
    """
    return engine.execution_options(**{KIND: Kind.LATER})


def kind_of(having_options: Engine | Connection) -> Kind:
    """Of what kind its transactions are."""
    kind: Kind = having_options.get_execution_options().get(KIND, Kind.LASTING)
    return kind


def _dialect(within: Transaction) -> str:
    if isinstance(within, Direct):
        return "sqlite"
    return (within if isinstance(within, Connection) else within.get_bind()).dialect.name


def lock(within: Transaction, name: str) -> None:
    """Nobody else holds the lock of this name before this transaction ends. Waits for whoever does."""
    if _dialect(within) == "postgresql":
        _LOCK.run(within, name=name)


def read_together(session: Session) -> None:
    """Everything that this transaction reads is of one moment; to be called before it reads."""
    if _dialect(session) == "postgresql":
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def database_time(session: Session) -> float:
    """Unix seconds by the clock of the database, which all its processes share."""
    return float(session.execute(_NOW[_dialect(session)]).scalar_one())
