"""Tables whose rows are added and never changed: the database itself refuses anything else."""

from __future__ import annotations

from sqlalchemy import DDL, Table, event

_CHANGES = ("UPDATE", "DELETE")


def make_append_only(table: Table) -> None:
    """Have triggers made with the table; on PostgreSQL it cannot be emptied by TRUNCATE either."""
    for statement in sqlite_triggers(table.name):
        _after_create(table, statement, "sqlite")
    for statement in postgresql_triggers(table.name):
        _after_create(table, statement, "postgresql")


def sqlite_triggers(table: str) -> list[str]:
    """Statements that make a table append-only."""
    return [
        f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for change in _CHANGES
    ]


def postgresql_triggers(table: str) -> list[str]:
    """Likewise."""
    return [
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$",
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    ]


def _after_create(table: Table, statement: str, dialect: str) -> None:
    escaped = statement.replace("%", "%%")
    ddl = DDL(escaped)  # type: ignore[no-untyped-call]
    event.listen(table, "after_create", ddl.execute_if(dialect=dialect))
