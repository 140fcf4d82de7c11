"""The tables of the store's database, and how one of an earlier version becomes one of this.

`migrations` holds a revision for each change. A new database is made from the tables as they are now, which
is quicker and comes to the same, and says that it is at the newest revision.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, inspect, text
from sqlmodel import SQLModel

from faas_blueprint.errors import FatalError
from faas_operator import (
    account_tables,
    blob_tables,
    court_tables,
    ledger_tables,
    migrations,
    payment_tables,
    process_tables,
    quote_tables,
    tables,
)

ROWS: tuple[type[SQLModel], ...] = (
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
    payment_tables.PaymentRow,
    process_tables.ProcessRow,
    process_tables.DutyRow,
    court_tables.ContestedCallRow,
    court_tables.RefutationRow,
    quote_tables.JobQuoteRow,
    quote_tables.ServiceQuoteRow,
)

VERSION_TABLE = "alembic_version"

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('schema', 0))"


class Standing(StrEnum):
    """How a database's tables compare with this version's."""

    EMPTY = "empty"
    CURRENT = "current"
    OLDER = "older"
    NEWER = "newer"
    FOREIGN = "foreign"
    """Tables that no revision has."""


@dataclass(frozen=True, slots=True)
class State:
    """What a database's tables are."""

    standing: Standing
    revision: str | None
    """None: it does not say."""
    sign: str = ""
    """By what it was recognised, where it is foreign."""


def state(engine: Engine) -> State:
    """Looks, and changes nothing. Raises DatabaseUnavailable."""
    with engine.begin() as connection:
        return _state(connection)


def bring_up_to_date(engine: Engine) -> State:
    """Make the tables, or change those of an earlier version; all of it, or nothing. Answers what was there.

    Processes that start at once wait for each other. Raises FatalError for tables of a newer version, or of
    none that is known, and leaves them alone.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(_LOCK)
        found = _state(connection)
        match found.standing:
            case Standing.CURRENT:
                pass
            case Standing.EMPTY:
                SQLModel.metadata.create_all(connection, tables=own_tables())
                _stamp(connection, migrations.NEWEST)
            case Standing.OLDER:
                if found.revision is None:
                    _stamp(connection, migrations.FIRST)
                _upgrade(connection)
            case Standing.NEWER:
                raise FatalError(
                    f"the store {_place(engine)} is of a newer version (revision {found.revision}, "
                    f"this program knows {migrations.NEWEST}): start the version that has made it"
                )
            case Standing.FOREIGN:
                raise FatalError(
                    f"the store {_place(engine)} is of an earlier version ({found.sign}): "
                    "finish its jobs with that version, then move it away"
                )
    return found


def own_tables() -> list[Table]:
    """All tables of the store; others may share its database."""
    return [SQLModel.metadata.tables[str(row.__tablename__)] for row in ROWS]


def _state(connection: Connection) -> State:
    there = set(inspect(connection).get_table_names())
    if VERSION_TABLE in there:
        revision = str(connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one())
        return State(_standing_of(revision), revision)
    if not there & {table.name for table in own_tables()}:
        return State(Standing.EMPTY, None)
    sign = _missing_from_first(connection, there)
    return State(Standing.OLDER if sign is None else Standing.FOREIGN, None, sign or "")


def _standing_of(revision: str) -> Standing:
    if revision == migrations.NEWEST:
        return Standing.CURRENT
    folder = Path(migrations.__file__).parent / "versions"
    return Standing.OLDER if any(folder.glob(f"{revision}_*.py")) else Standing.NEWER


def _missing_from_first(connection: Connection, there: set[str]) -> str | None:
    """What tables without a revision lack of the first one's, which they were before there were revisions."""
    for name, wanted in migrations.FIRST_COLUMNS.items():
        if name not in there:
            return f"no table {name!r}"
        found = {column["name"] for column in inspect(connection).get_columns(name)}
        missing = sorted(set(wanted.split()) - found)
        if missing:
            return f"no {missing[0]!r} in table {name!r}"
    return None


def _stamp(connection: Connection, revision: str) -> None:
    connection.execute(
        text(
            f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
            f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES (:revision)"), {"revision": revision})


def _upgrade(connection: Connection) -> None:
    """Takes a fifth of a second to import, so only where it is needed."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _place(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)
