"""The database itself: its revisions, two processes that start at once, a server that is away."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import DatabaseError
from sqlmodel import SQLModel

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import DatabaseUnavailable, FatalError, MissingPrerequisite
from faas_blueprint.job import make_job
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_operator import migrations, schema
from faas_operator.database import connect, let_go, open_database
from faas_operator.execution_record import ExecutionStatus
from faas_operator.execution_statements import LOOK
from faas_operator.ledger import GRANTS, LARGEST, Cause, Posting
from faas_operator.schema import Standing
from faas_operator.statement import Statement
from faas_operator.store import Store
from faas_operator.stored_outcomes import decode_outcome, encode_outcome
from faas_operator.transactions import on_disk_later, reading


@pytest.fixture
def engine_of():
    """Opens databases as they stand."""
    opened = []

    def open_(url):
        opened.append(connect(url))
        return opened[-1]

    yield open_
    for engine in opened:
        let_go(engine)


def tables_of(engine):
    """Everything that a database says of its tables, in an order of its own."""
    if engine.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
    with engine.connect() as connection:
        triggers = sorted(map(tuple, connection.execute(text(query))))
    look = inspect(engine)
    return triggers, {
        name: (
            sorted((item["name"], str(item["type"]), item["nullable"]) for item in look.get_columns(name)),
            look.get_pk_constraint(name)["constrained_columns"],
            sorted(map(str, look.get_foreign_keys(name))),
            sorted(tuple(item["column_names"]) for item in look.get_unique_constraints(name)),
            sorted((item["name"], tuple(item["column_names"])) for item in look.get_indexes(name)),
        )
        for name in look.get_table_names()
    }  # fmt: skip


def make_first(engine):
    """A database as it was before there were revisions."""
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"as_sql": False})
        script = ScriptDirectory(schema.Path(migrations.__file__).parent)
        from alembic.operations import Operations

        with Operations.context(context):
            script.get_revision(migrations.FIRST).module.upgrade()


def test_revisions_and_tables_agree(new_database, engine_of):
    """Both ways to a database of this version come to the same, and Alembic finds nothing to change."""
    open_database(new_database("new")).dispose()
    made, migrated = engine_of(new_database("new")), engine_of(new_database("old"))
    make_first(migrated)
    schema.bring_up_to_date(migrated)
    assert tables_of(made) == tables_of(migrated)
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
    script = ScriptDirectory(schema.Path(migrations.__file__).parent)
    assert script.get_heads() == [migrations.NEWEST]


def test_a_database_from_before_revisions_is_taken_over_with_what_it_holds(database, engine_of):
    engine = engine_of(database)
    make_first(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO execution (id, account, status, mode, cached, created_at, updated_at) "
                "VALUES ('exec_1', 'acct_1', 'running', 'ephemeral', false, 1.5, 1.5)"
            )
        )
    assert schema.state(engine) == schema.State(Standing.OLDER, None)
    with closing(Store.open(database)) as store:
        assert store.executions.get("exec_1", "acct_1").created_at == 1.5
        assert store.executions.end_interrupted() == 1
        store.accounts.create("test")
    assert schema.state(engine) == schema.State(Standing.CURRENT, migrations.NEWEST)
    with pytest.raises(DatabaseError, match="append-only"), engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_log"))


def test_an_outcome_from_before_traces_says_that_it_has_none(database, engine_of):
    outcome = Outcome(Status.EXITED, 3, 0, 9, Stream(b"out"), Stream(), Digest(bytes([7] * 32)))
    engine = engine_of(database)
    make_first(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO execution (id, account, status, mode, cached, created_at, updated_at, outcome) "
                "VALUES ('exec_1', 'a', 'completed', 'ephemeral', false, 1, 1, :outcome), "
                "('exec_2', 'a', 'running', 'ephemeral', false, 1, 1, NULL)"
            ),
            {"outcome": encode_outcome(outcome)[: -4 - 32 - 1]},
        )
    schema.bring_up_to_date(engine)
    with engine.connect() as connection:
        stored = connection.execute(text("SELECT outcome FROM execution ORDER BY id")).scalars().all()
        empty = connection.execute(
            text("SELECT content FROM blob WHERE sha256 = :key"), {"key": sha256(b"").hex()}
        )
        assert bytes(empty.scalar_one()) == b""
    assert stored[1] is None
    assert decode_outcome(bytes(stored[0])) == outcome.summary()


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        ("DROP TABLE account", "no table 'account'"),
        ("ALTER TABLE job DROP COLUMN toolchain", "no 'toolchain'"),
    ],
)
def test_tables_that_no_revision_has_are_refused_and_left_alone(database, engine_of, change, sign):
    engine = engine_of(database)
    make_first(engine)
    with engine.begin() as connection:
        connection.execute(text(change))
    before = tables_of(engine)
    with pytest.raises(FatalError, match=f"earlier version.*{sign}"):
        open_database(database)
    assert tables_of(engine) == before


def test_a_newer_version_is_refused_and_left_alone(database, engine_of):
    engine = engine_of(database)
    Store.open(database).close()
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(FatalError, match=r"newer version \(revision 9999, this program knows"):
        open_database(database)
    assert schema.state(engine) == schema.State(Standing.NEWER, "9999")


def test_many_that_start_at_once_make_the_tables_once(database):
    errors = []

    def start():
        try:
            Store.open(database).close()
        except (FatalError, DatabaseError, DatabaseUnavailable) as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_file_whose_journal_another_is_changing_is_waited_for(tmp_path):
    """SQLite itself says at once that it is locked."""
    path = tmp_path / "store.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with closing(sqlite3.connect(path)) as hasty, pytest.raises(sqlite3.OperationalError, match="locked"):
        hasty.execute("PRAGMA journal_mode=WAL")
    done = threading.Timer(0.2, other.rollback)
    done.start()
    Store.open(f"sqlite:///{path}").close()
    done.join()
    other.close()


def test_a_store_of_this_version_opens_without_the_migrations_library(tmp_path):
    """Which takes longer to import than the rest of an opening takes."""
    url = f"sqlite:///{tmp_path}/store.sqlite"
    program = f"""
import sys
from faas_operator.store import Store
from faas_operator.stored_outcomes import decode_outcome, encode_outcome
for _ in range(2):
    Store.open({url!r}).close()
assert "alembic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_numbers_and_texts_come_back_as_they_were(database):
    with closing(Store.open(database)) as store:
        store.ledger.post(Cause("grant", "ü"), Posting(GRANTS, -LARGEST), Posting("available:a", LARGEST))
        store.ledger.post(Cause("grant", "Ü"), Posting(GRANTS, -LARGEST), Posting("available:a", LARGEST))
        assert store.ledger.balance("available:a") == 2 * LARGEST
        store.ledger.check()
        name = "ü\u200d😀 'quoted' %s"
        store.executions.begin("exec_1", name, make_job("python", "print('\0')"))
        record = store.executions.get("exec_1", name)
        assert record.job.code == "print('\0')"


def test_what_is_no_database_says_so_without_its_secret():
    for url in ("no url at all", "nosuch://u:hidden@h/d", "mysql://u:hidden@h/d"):
        with pytest.raises(MissingPrerequisite, match="FAAS_DATABASE_URL is not") as raised:
            open_database(url)
        assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://faas:hidden@127.0.0.1:1/store",
        "postgresql://faas:hidden@/store?host=/nowhere",
        "postgresql://faas@127.0.0.1:1/store?password=hidden",
        "postgresql+psycopg://faas:hidden@127.0.0.1:1/store",
    ],
)
def test_a_server_that_is_away_at_the_start_says_so_without_its_secret(url):
    with pytest.raises(DatabaseUnavailable, match=r"the database store at .* does not answer") as raised:
        open_database(url)
    assert "FAAS_DATABASE_URL" in raised.value.message
    assert "hidden" not in raised.value.message
    assert raised.value.http_status == 503


@pytest.mark.postgresql
def test_a_server_that_goes_away_is_missed_and_found_again(own_postgresql):
    with closing(Store.open(own_postgresql.new_database())) as store:
        number = store.executions.begin("exec_1", "acct_1", make_job("python", ""))
        own_postgresql.stop()
        with pytest.raises(DatabaseUnavailable):
            store.executions.get("exec_1", "acct_1")
        own_postgresql.start()
        store.executions.started(number)
        assert store.executions.get("exec_1", "acct_1").status is ExecutionStatus.RUNNING


@pytest.mark.postgresql
def test_a_connection_that_breaks_within_a_transaction_is_told_as_such(postgresql):
    with closing(Store.open(postgresql.new_database())) as store:
        with pytest.raises(DatabaseUnavailable), store._engine.begin() as connection:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        assert store.ledger.balance("available:a") == 0


@pytest.mark.postgresql
async def test_two_that_wait_for_each_other_are_told_to_try_again(postgresql):
    """A deadlock is the database's to end; whoever it gives up may do the same again."""
    with closing(Store.open(postgresql.new_database())) as store:
        for account in ("a", "b"):
            store.ledger.post(Cause("grant", account), Posting(GRANTS, -1), Posting(account, 1))
        met = threading.Barrier(2)

        def cross(first, second):
            update = text("UPDATE ledger_balance SET amount = amount WHERE account = :account")
            with store._engine.begin() as connection:
                connection.execute(update, {"account": first})
                met.wait(20)
                connection.execute(update, {"account": second})

        ended = await asyncio.gather(
            *(asyncio.to_thread(cross, *pair) for pair in (("a", "b"), ("b", "a"))), return_exceptions=True
        )
        assert sorted(type(item).__name__ for item in ended) == ["DatabaseUnavailable", "NoneType"]


def test_whoever_reads_waits_for_no_writer(tmp_path):
    """And sees what was committed before."""
    with closing(Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")) as store:
        store.ledger.post(Cause("x", "1"), Posting("a", 5), Posting("b", -5))
        with store._engine.begin() as writer:
            writer.exec_driver_sql("UPDATE ledger_balance SET amount = 6 WHERE account = 'a'")
            started = time.monotonic()
            assert store.ledger.balance("a") == 5
            assert store.executions.page("acct_1", 10, 0) == ([], 0)
            assert time.monotonic() - started < 10  # of the 30 that a writer waits
            writer.rollback()


def test_how_a_transaction_reaches_the_disk(tmp_path):
    """One connection after another, each of which may have done the other before."""
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    with closing(Store.open(url)) as store:
        for engine, level in ((on_disk_later(store._engine), 1), (store._engine, 2)) * 2:
            with engine.begin() as connection:
                assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == level
                assert connection.connection.driver_connection.in_transaction
        with reading(store._engine).begin() as connection, store._engine.begin() as writer:
            assert writer.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_what_reaches_the_disk_later_survives_the_process(database):
    program = (
        "import os, sys\nfrom faas_blueprint.job import make_job\nfrom faas_operator.store import Store\n"
        "store = Store.open(sys.argv[1])\n"
        "store.executions.begin('exec_1', 'acct_1', make_job('python', ''), lasting=False)\nos._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program, database], timeout=120).returncode == 9
    with closing(Store.open(database)) as store:
        assert store.executions.get("exec_1", "acct_1").status is ExecutionStatus.QUEUED
        assert store.executions.end_interrupted() == 1


def test_counting_what_an_account_runs_does_not_go_through_all_it_ever_ran(tmp_path):
    with closing(Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")) as store:
        asked = {"account": "a", "id": "b", "key": None}
        with store._engine.begin() as connection:
            plan = Statement("EXPLAIN QUERY PLAN " + str(LOOK)).run(connection, **asked).all()
    used = [row.detail for row in plan if "execution" in row.detail]
    assert len(used) == 3
    assert "USING INDEX ix_execution_status (status=?)" in used[-1]
    assert all("account=? AND" in line for line in used[:-1])
