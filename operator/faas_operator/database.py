"""Opening the store's database: SQLite with a write-ahead log by default, PostgreSQL by its URL.

What is committed survives the death of the process and of the machine (`synchronous=FULL`).
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, Table, event, inspect, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import SQLModel, create_engine

from faas_blueprint.errors import FatalError
from faas_operator import account_tables, blob_tables, ledger_tables, tables

_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000")


def open_database(url: str) -> Engine:
    """The database at a SQLAlchemy URL, with all tables; a missing SQLite file is made, readable by its
    owner only. Raises sqlalchemy's OperationalError where it cannot be reached, and FatalError where an
    earlier version of this program has made it."""
    parsed = make_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    if is_sqlite and parsed.database:
        _make_private_file(Path(parsed.database))
    engine = create_engine(parsed)
    if is_sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    _require_tables(engine)
    SQLModel.metadata.create_all(engine, tables=[_table(row) for row in _ROWS])
    _require_columns(engine)
    return engine


_ROWS: tuple[type[SQLModel], ...] = (
    tables.CursorRow,
    tables.JobRow,
    tables.BlobRow,
    blob_tables.UploadedBlobRow,
    tables.ExecutionRow,
    tables.SnapshotRow,
    tables.BranchRow,
    tables.SessionRow,
    account_tables.AccountRow,
    account_tables.ApiKeyRow,
    account_tables.AddressRow,
    account_tables.ChallengeRow,
    account_tables.AuditRow,
    *ledger_tables.ROWS,
)


def _table(row: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(row.__tablename__)]


def _require_tables(engine: Engine) -> None:
    """A store has all tables of this version, or none of them yet."""
    there = set(inspect(engine).get_table_names())
    missing = sorted({_table(row).name for row in _ROWS} - there)
    if missing and len(missing) < len(_ROWS):
        raise _earlier_version(engine, f"no table {missing[0]!r}")


def _require_columns(engine: Engine) -> None:
    """Tables that were there already are left as they are; they must be of this version."""
    for table in map(_table, _ROWS):
        missing = set(table.columns.keys()) - {
            column["name"] for column in inspect(engine).get_columns(table.name)
        }
        if missing:
            raise _earlier_version(engine, f"no {sorted(missing)[0]!r} in table {table.name!r}")


def _earlier_version(engine: Engine, sign: str) -> FatalError:
    shown = engine.url.render_as_string(hide_password=True)
    engine.dispose()
    return FatalError(
        f"the store {shown} is of an earlier version ({sign}): "
        "finish its jobs with that version, then move it away"
    )


def _make_private_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun below
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once, so that two transactions never both read and then fail to write."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
