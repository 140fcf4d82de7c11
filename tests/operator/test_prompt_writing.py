"""What the event loop writes by itself: at once or not at all."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing

import pytest
from one_table import ADD, count, one_table
from sqlalchemy.exc import IntegrityError

from faas_blueprint.job import make_job
from faas_operator import prompt_writing
from faas_operator.database import connect, let_go
from faas_operator.kept_connections import transaction
from faas_operator.prompt_writing import IN_A_ROW, SMALL_BYTES, NotNow, PromptWriting, is_small
from faas_operator.transactions import Kind


def adding(name):
    return lambda within: ADD.run(within, name=name)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite"


@pytest.fixture
def engine(path):
    with one_table(path) as made:
        yield made


@pytest.fixture
def promptly(engine, monkeypatch):
    monkeypatch.setattr(prompt_writing, "SLOW_SECONDS", 60.0)  # of a busy host
    with closing(PromptWriting(engine)) as made:
        yield made


def test_what_is_written_is_there_as_its_kind_says(engine, promptly):
    def work(within):
        ADD.run(within, name=str(count(engine)))  # others read meanwhile
        return (*within.driver.execute("PRAGMA synchronous"),), threading.get_ident()

    for kind, synchronous in ((Kind.LASTING, 2), (Kind.LATER, 1), (Kind.LASTING, 2)):
        assert promptly.write(work, kind) == (((synchronous,),), threading.get_ident())
    assert count(engine) == 3


def test_what_raises_leaves_nothing_and_the_next_goes_on(engine, promptly):
    promptly.write(adding("kept"))

    def two(within):
        ADD.run(within, name="gone")
        ADD.run(within, name="kept")

    with pytest.raises(IntegrityError):
        promptly.write(two)
    promptly.write(adding("after"))
    assert count(engine) == 2


def test_it_waits_for_no_other_writer(engine, promptly, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotNow):
            promptly.write(lambda _: pytest.fail("nobody comes here"))
        other.execute("ROLLBACK")
    promptly.write(adding("after"))
    assert count(engine) == 1


def test_after_one_that_was_slow_comes_none_for_a_while(engine, promptly, monkeypatch):
    monkeypatch.setattr(prompt_writing, "SLOW_SECONDS", 0.01)
    monkeypatch.setattr(prompt_writing, "PAUSE", 20)

    def slow(within):
        time.sleep(0.03)
        ADD.run(within, name="slow")

    promptly.write(slow)
    with pytest.raises(NotNow):
        promptly.write(adding("too soon"))
    monkeypatch.setattr(prompt_writing, "SLOW_SECONDS", 60.0)
    time.sleep(promptly._not_before - time.monotonic() + 0.01)
    promptly.write(adding("after"))
    assert count(engine) == 2


def test_the_journal_is_moved_by_who_may_wait(engine, promptly, path):
    journal, content, others_turns = path.with_name(path.name + "-wal"), "x" * 20_000, 0
    grown = 0
    for number in range(10 * IN_A_ROW):
        work = adding(f"{number}{content}")
        try:
            promptly.write(work)
        except NotNow:
            others_turns += 1
            grown = grown or journal.stat().st_size
            with transaction(engine) as within:
                work(within)
    assert others_turns >= 9
    assert count(engine) == 10 * IN_A_ROW
    assert grown > 1000 * 4096
    assert journal.stat().st_size < 2 * grown


def test_a_database_in_memory_has_one_connection_that_threads_share():
    engine = connect("sqlite://")
    with pytest.raises(NotNow):
        PromptWriting(engine).write(lambda _: None)
    let_go(engine)


def test_nothing_is_written_after_the_end(engine, promptly):
    promptly.write(adding("there"))
    promptly.close()
    with pytest.raises(NotNow):
        promptly.write(adding("late"))


def test_what_may_be_large_is_not_small():
    assert is_small(make_job("python", "1", stdin=b"x" * (SMALL_BYTES - 1)))
    assert not is_small(make_job("python", "1", stdin=b"x" * SMALL_BYTES))
    assert not is_small(make_job("python", "1", files={"a": b"x" * SMALL_BYTES}))
