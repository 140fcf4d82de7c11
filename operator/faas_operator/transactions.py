"""What a transaction of the store may count on, on SQLite and on PostgreSQL.

SQLite has one writer: every transaction takes the write lock as it begins, so none sees another's half. On
PostgreSQL transactions run side by side, and each statement sees what was committed before it. So whatever
writes by what it has read takes a lock before it reads: that of a row (`with_for_update`), or, where there
may be no row yet, one that is taken by name.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_NOW = {
    "sqlite": text("SELECT (julianday('now') - 2440587.5) * 86400.0"),
    "postgresql": text("SELECT extract(epoch FROM clock_timestamp())"),
}


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


def lock(session: Session, name: str) -> None:
    """Nobody else holds the lock of this name before this transaction ends. Waits for whoever does."""
    if _dialect(session) == "postgresql":
        session.execute(_LOCK, {"name": name})


def read_together(session: Session) -> None:
    """Everything that this transaction reads is of one moment; to be called before it reads."""
    if _dialect(session) == "postgresql":
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def database_time(session: Session) -> float:
    """Unix seconds by the clock of the database, which all its processes share."""
    return float(session.execute(_NOW[_dialect(session)]).scalar_one())
