"""Opening the store's database: SQLite with a write-ahead log by default, PostgreSQL by its URL.

What is committed survives the death of the process and of the machine (`synchronous=FULL`; PostgreSQL's own
default), but for what says that it may reach the disk later, see `transactions`. Whatever a connection's loss
interrupts raises DatabaseUnavailable, from any statement; the next one connects again. Which tables there are
is in `schema`; what transactions may count on, in `transactions`.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import create_engine

from faas_blueprint.errors import DatabaseUnavailable, MissingPrerequisite
from faas_operator import schema
from faas_operator.kept_connections import KEPT, KeptConnections
from faas_operator.statement import on_sqlite
from faas_operator.transactions import BEGIN, kind_of

_BUSY_SECONDS = 30
"""How long a transaction on SQLite waits for another."""

_CONNECT_SECONDS = 5

_CONNECTIONS_AT_MOST = 20
"""Of one process; whoever needs another waits."""

_NO_DATABASE = (
    "the database {place} does not answer ({reason}): see that its server runs and lets this node in, "
    "and that FAAS_DATABASE_URL is right"
)

_LOST_STATES = ("08", "57P", "53", "40P01", "55P03")
"""SQLSTATEs, or how they begin, of what may go well the next time: the connection broke, the server stops or
has no room, two transactions waited for each other, or one too long."""


def open_database(url: str) -> Engine:
    """The database at a SQLAlchemy URL, brought up to this version's tables; a missing SQLite file is made,
    readable by its owner only.

    Raises DatabaseUnavailable where it cannot be reached, MissingPrerequisite for a URL of anything else, and
    FatalError where another version of this program has made it, see `schema.bring_up_to_date`.
    """
    engine = connect(url)
    try:
        schema.bring_up_to_date(engine)
    except BaseException:
        let_go(engine)
        raise
    return engine


def let_go(engine: Engine) -> None:
    """Close all connections: at once, or when the threads that still use them are done."""
    event.listen(engine.pool, "checkin", _close)
    engine.dispose()
    kept = engine.get_execution_options().get(KEPT)
    if kept is not None:
        kept.close()


def _close(connection: DBAPIConnection | None, _entry: ConnectionPoolEntry) -> None:
    if connection is not None:
        connection.close()


def connect(url: str) -> Engine:
    """The same as it stands, whatever its tables are; `schema.state` says. Connects when it is first used."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _not_a_database() from None  # its text may hold the password
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(parsed)
        case "postgresql":
            return _postgresql(parsed)
        case _:
            raise _not_a_database()


def place_of(engine: Engine) -> str:
    """Where a database is, for people: without user, password and options."""
    url = engine.url
    if url.get_backend_name() == "sqlite":
        return url.database or "in memory"
    host = url.host or url.query.get("host") or "local socket"
    return f"{url.database or ''} at {host}" + ("" if url.port is None else f":{url.port}")


def _not_a_database() -> MissingPrerequisite:
    return MissingPrerequisite(
        "FAAS_DATABASE_URL is not the URL of a database that this node can use: "
        "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"
    )


def _sqlite(url: URL) -> Engine:
    if url.database:
        _make_private_file(Path(url.database))
        # the connection that was used last knows the pages as they are
        engine = create_engine(url, pool_use_lifo=True, execution_options={KEPT: KeptConnections()})
    else:
        engine = create_engine(url)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin)
    return engine


def _postgresql(url: URL) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_size=_CONNECTIONS_AT_MOST,
        max_overflow=0,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": "faas",
            "keepalives_idle": 30,
            "tcp_user_timeout": 15_000,
            "options": "-c lock_timeout=30s -c idle_in_transaction_session_timeout=60s",
        },
    )
    event.listen(engine, "handle_error", _tell_what_is_lost)
    return engine


def _tell_what_is_lost(context: ExceptionContext) -> None:
    """Raises DatabaseUnavailable instead of the driver's error, where trying again may help."""
    if context.is_pre_ping or context.engine is None:
        return  # the pool is about to connect again
    state = getattr(context.original_exception, "sqlstate", None)
    connecting = context.connection is None
    if context.is_disconnect or connecting or (state or "").startswith(_LOST_STATES):
        reason = _reason(context.original_exception, context.engine.url)
        raise DatabaseUnavailable(_NO_DATABASE.format(place=place_of(context.engine), reason=reason))


def _reason(error: BaseException, url: URL) -> str:
    """The first line of what the server or the driver says, without what the URL keeps secret."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    secrets = [str(url.password or ""), *(str(value) for value in url.query.values())]
    for secret in filter(None, secrets):
        said = said.replace(secret, "…")
    return said


def _make_private_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun below
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")
    _write_ahead(cursor)
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _write_ahead(cursor: DBAPICursor) -> None:
    """SQLite doesn't wait where several that open a new database change its journal at once."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _begin(connection: Connection) -> None:
    driver: Any = connection.connection.dbapi_connection
    for statement in BEGIN[kind_of(connection)]:
        on_sqlite(driver, statement)
