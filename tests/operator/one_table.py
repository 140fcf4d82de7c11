"""A database file with one table of names, for what writes to databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from faas_operator.database import connect, let_go
from faas_operator.kept_connections import transaction
from faas_operator.statement import Statement
from faas_operator.transactions import reading

ADD = Statement("INSERT INTO thing (name) VALUES (:name)")
MAKE = Statement("CREATE TABLE thing (name TEXT PRIMARY KEY)")
COUNT = Statement("SELECT count(*) AS many FROM thing")


@contextmanager
def one_table(path: Path) -> Iterator[Engine]:
    """The database, made at `path`."""
    made = connect(f"sqlite:///{path}")
    with transaction(made) as within:
        MAKE.run(within)
    yield made
    let_go(made)


def count(engine: Engine) -> int:
    """How many names are in it."""
    with transaction(reading(engine)) as within:
        return int(COUNT.run(within)[0].many)
