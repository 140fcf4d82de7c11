"""Transactions in SQLite's own connections: whole or not at all, and none is left behind."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest
from one_table import ADD, COUNT, MAKE, count, one_table
from sqlalchemy.exc import IntegrityError, OperationalError

from faas_operator.database import connect, let_go
from faas_operator.kept_connections import KEPT, transaction
from faas_operator.statement import Direct
from faas_operator.transactions import on_disk_later, reading


def add(engine, *names: str, then: type[BaseException] | None = None) -> None:
    with transaction(engine) as within:
        ADD.run(within, name=names[0])
        ADD.run_many(within, [{"name": name} for name in names[1:]])
        if then is not None:
            raise then


def waiting(engine) -> list[sqlite3.Connection]:
    return engine.get_execution_options()[KEPT]._waiting


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite"


@pytest.fixture
def engine(path):
    with one_table(path) as made:
        yield made


def test_what_raises_leaves_nothing_and_the_next_goes_on(engine):
    with transaction(engine) as within:
        assert isinstance(within, Direct)
        ADD.run(within, name="kept")
    with pytest.raises(IntegrityError):
        add(engine, "gone", "kept")
    with pytest.raises(KeyboardInterrupt):
        add(engine, "gone", "gone too", then=KeyboardInterrupt)
    assert count(engine) == 1
    assert len(waiting(engine)) == 1


def test_each_kind_waits_for_the_disk_as_it_says(engine):
    for asked, synchronous in ((engine, 2), (on_disk_later(engine), 1), (engine, 2)):
        with transaction(asked) as within:
            assert isinstance(within, Direct)
            assert within.driver.execute("PRAGMA synchronous").fetchone() == (synchronous,)
            assert within.driver.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_who_writes_waits_for_who_writes_and_who_reads_does_not(engine, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert count(engine) == 0
        [driver] = waiting(engine)
        driver.execute("PRAGMA busy_timeout=1")
        with pytest.raises(OperationalError, match="locked"), transaction(engine):
            raise AssertionError("nobody comes here")
        other.execute("ROLLBACK")
    with transaction(engine) as within:
        ADD.run(within, name="after")
    assert count(engine) == 1


def test_threads_have_a_connection_each_and_all_are_closed(engine):
    together = threading.Barrier(4)

    def work(name):
        add(on_disk_later(engine), name)
        with transaction(reading(engine)) as within:
            together.wait(20)
            COUNT.run(within)

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = list(waiting(engine))
    assert len(kept) == 4
    assert count(engine) == 4
    with transaction(reading(engine)) as within:
        let_go(engine)
        COUNT.run(within)  # whoever is at it comes to an end
    assert waiting(engine) == []
    for driver in kept:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            driver.execute("SELECT 1")


def test_a_connection_with_a_transaction_left_in_it_is_not_used_again(engine):
    with transaction(engine) as within:
        assert isinstance(within, Direct)
        driver = within.driver
    waiting(engine).remove(driver)
    driver.execute("BEGIN")
    engine.get_execution_options()[KEPT].give_back(driver)
    assert waiting(engine) == []


def test_a_database_in_memory_has_one_connection():
    engine = connect("sqlite://")
    with transaction(engine) as within:
        assert not isinstance(within, Direct)
        MAKE.run(within)
    with transaction(engine) as within:
        ADD.run(within, name="there")
    assert count(engine) == 1
    let_go(engine)
