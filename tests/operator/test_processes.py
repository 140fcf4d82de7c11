"""Several processes on one database: who is alive, who does what, and the runs of the others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from sqlalchemy import text

from faas_blueprint.digests import sha256
from faas_blueprint.errors import RateLimitExceeded
from faas_blueprint.job import make_job
from faas_operator.execution_record import Conflict, ExecutionStatus, IdempotencyKey
from faas_operator.execution_run import RunRequest
from faas_operator.executions import ExecutionService
from faas_operator.pipeline import State
from faas_operator.processes import LEASE_SECONDS, OPERATOR_DUTY
from faas_operator.service import Operator
from faas_operator.signer import Signer
from faas_operator.store import Store

JOB = make_job("python", "print(1)")
KEY = IdempotencyKey("k", sha256(b"request"))


class NoSessions:
    names = ()


class EndlessEngine:
    """Runs that never end by themselves. For what can be done about them meanwhile only."""

    profile_id = sha256(b"no machine")
    measurement = sha256(b"no snapshot")
    sessions = NoSessions()

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0

    async def stream(self, _job, _snapshot, **_):
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1
        yield


@pytest.fixture
def stores(database):
    """Two processes' stores of one database; this process plays both."""
    with closing(Store.open(database)) as first, closing(Store.open(database)) as second:
        yield first, second


@pytest.fixture
async def services(stores):
    first, second = (ExecutionService(EndlessEngine(), Signer(b"\x01" * 32), store) for store in stores)
    async with first, second:
        yield first, second


def grow_old(store, seconds):
    with store._engine.begin() as connection:
        connection.execute(text(f"UPDATE process SET seen_at = seen_at - {seconds}"))


def test_a_duty_is_one_processes_until_it_leaves(stores):
    first, second = stores
    assert first.processes.take("duty")
    assert not second.processes.take("duty")
    assert second.processes.take("another")
    assert first.processes.take("duty")
    first.processes.leave()
    assert second.processes.take("duty")
    assert not first.processes.take("duty")


def test_who_says_nothing_for_long_is_dead(stores):
    first, second = stores
    assert first.processes.take("duty")
    number = first.executions.begin("exec_1", "alice", JOB)
    grow_old(first, LEASE_SECONDS - 5)
    assert second.executions.end_interrupted() == 0
    assert not second.processes.take("duty")
    grow_old(first, 10)
    second.processes._said = None  # its own row is as old
    assert second.processes.take("duty")
    assert second.executions.end_interrupted() == 1
    assert first.executions.get("exec_1", "alice").status is ExecutionStatus.FAILED
    first.executions.end(number, ExecutionStatus.CANCELLED, "too late")
    assert first.executions.get("exec_1", "alice").status is ExecutionStatus.FAILED
    assert not first.processes.take("duty")


_DIES = """
import os, sys
from faas_blueprint.job import make_job
from faas_operator.store import Store
store = Store.open(sys.argv[1])
store.executions.begin("exec_1", "alice", make_job("python", ""))
store.processes.take("duty")
print("begun", flush=True)
sys.stdin.read()
os._exit(9)
"""


def test_a_process_of_this_host_that_died_is_not_waited_for(database):
    with closing(Store.open(database)) as store:
        arguments = [sys.executable, "-c", _DIES, database]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as dying:
            assert dying.stdout.readline() == b"begun\n"
            assert store.executions.end_interrupted() == 0
            assert not store.processes.take("duty")
            dying.communicate(timeout=60)
        assert store.executions.end_interrupted() == 1
        assert store.processes.take("duty")


class Meanwhile:
    """What another process does just before or after one looks who is alive, as far as it gets before it has
    to wait for that one. For what comes between two steps only."""

    def __init__(self, monkeypatch, processes, other_does, *, before):
        self._alive, self._before = processes.alive, before
        self._other = threading.Thread(target=other_does)
        monkeypatch.setattr(processes, "alive", self)

    def __call__(self, session):
        if self._before:
            self._does()
        alive = self._alive(session)
        if not self._before:
            self._does()
        return alive

    def _does(self):
        if self._other.ident is None:
            self._other.start()
            self._other.join(0.5)

    def ends(self):
        self._other.join(60)
        assert not self._other.is_alive()


def test_a_duty_is_looked_for_while_who_has_it_leaves(stores, monkeypatch):
    first, second = stores
    assert first.processes.take("duty")
    leaving = Meanwhile(monkeypatch, second.processes, first.processes.leave, before=True)
    second.processes.take("duty")
    leaving.ends()
    assert second.processes.take("duty")
    assert not first.processes.take("duty")


def test_who_was_taken_for_dead_leaves_while_another_takes_over(stores, monkeypatch):
    first, second = stores
    assert first.processes.take("duty")
    grow_old(first, LEASE_SECONDS + 5)
    leaving = Meanwhile(monkeypatch, second.processes, first.processes.leave, before=False)
    assert second.processes.take("duty")
    leaving.ends()
    assert not first.processes.take("duty")


def test_a_run_that_begins_while_the_dead_are_looked_for_is_left_alone(stores, monkeypatch):
    """Its process says for the first time that it is there."""
    first, second = stores
    beginning = Meanwhile(
        monkeypatch, second.processes, lambda: first.executions.begin("exec_1", "alice", JOB), before=False
    )
    assert second.executions.end_interrupted() == 0
    beginning.ends()
    assert first.executions.get("exec_1", "alice").status is ExecutionStatus.QUEUED
    assert second.executions.end_interrupted() == 0


def both_at_once(stores, work):
    """What becomes of the same in many threads of two processes."""
    ended = []

    def one(store, number):
        try:
            ended.append(work(store, number))
        except (Conflict, RateLimitExceeded) as error:
            ended.append(type(error))

    threads = [threading.Thread(target=one, args=(stores[n % 2], n)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def test_the_last_place_is_taken_once(stores):
    """Also by an account that has no row."""
    ended = both_at_once(
        stores, lambda store, number: store.executions.begin(f"exec_{number}", "alice", JOB, at_once=5)
    )
    assert ended.count(RateLimitExceeded) == 7
    assert stores[0].executions.page("alice", 20, 0)[1] == 5


def test_a_key_and_an_id_are_used_once(stores):
    ended = both_at_once(
        stores, lambda store, number: store.executions.begin(f"exec_{number}", "alice", JOB, key=KEY)
    )
    assert ended.count(Conflict) == 11
    ended = both_at_once(stores, lambda store, _number: store.executions.begin("exec_same", "alice", JOB))
    assert ended.count(Conflict) == 11


async def test_two_processes_asked_under_one_key_at_once_find_one_run(services):
    request = RunRequest(JOB, key=KEY)
    found = await asyncio.gather(*(services[n % 2].start(request, "alice") for n in range(8)))
    assert len(set(found)) == 1
    async with asyncio.timeout(60):
        while sum(service.engine.begun for service in services) == 0:
            await asyncio.sleep(0.01)
    assert sum(service.engine.begun for service in services) == 1


async def test_a_run_is_cancelled_and_followed_from_another_process(services):
    first, second = services
    execution_id = await first.start(RunRequest(JOB), "alice")
    async with asyncio.timeout(60):
        while not first.engine.begun:
            await asyncio.sleep(0.01)

        async def follow():
            return [event async for event in second.follow(execution_id, "alice")]

        following = asyncio.create_task(follow())
        waiting = asyncio.create_task(second.wait(execution_id, "alice"))
        await asyncio.sleep(0.1)
        assert not following.done()
        record = await second.cancel(execution_id, "alice", "enough")
        assert (record.status, record.error) == (ExecutionStatus.CANCELLED, "enough")
        assert first.engine.cancelled == 1
        assert [event.status for event in await following] == [ExecutionStatus.CANCELLED]
        assert (await waiting).status is ExecutionStatus.CANCELLED


async def test_a_node_that_starts_leaves_the_runs_of_the_living_alone(services, database):
    execution_id = await services[0].start(RunRequest(JOB), "alice")
    with closing(Store.open(database)) as third:
        ExecutionService(EndlessEngine(), Signer(b"\x01" * 32), third)
        assert third.executions.get(execution_id, "alice").status in ("queued", "running")


async def test_one_process_follows_the_chain_and_another_takes_over(node, database):
    """A machine that the first was running on is given up by it, and the job is run by the second."""
    running = []

    async def until(condition):
        while not condition():
            for task in running:
                if task.done():
                    task.result()
            await asyncio.sleep(0.002)

    with closing(Store.open(database)) as other:
        second = Operator(
            chain=node.chain, engine=node.engine, signer=node.signer, store=other,
            settings=node.settings, deployment="test",
        )  # fmt: skip
        first = node.operator()
        running.append(asyncio.create_task(first.run()))
        async with asyncio.timeout(60):
            call = node.submit(0)
            await until(lambda: node.state(call) is State.FINAL)
            running.append(asyncio.create_task(second.run()))
            await until(lambda: second.stands_by)
            late = node.submit(1)
            await until(lambda: node.state(late) is State.FINAL)
            assert not first.stands_by
            first.stop()
            await running[0]
            node.store.processes.leave()
            last = node.submit(2)
            await until(lambda: node.state(last) is State.FINAL)
            assert not second.stands_by
            second.stop()
            await running[1]
    assert len(node.engine.runs) == 3
    assert node.chain.attempted_posts == 3


async def test_who_was_taken_for_dead_stops_what_it_does_for_all(node, database):
    node.engine.open.clear()
    call = node.submit(0)
    first = node.operator()
    running = asyncio.create_task(first.run())
    async with asyncio.timeout(60):
        await node.engine.is_running(1)
        with closing(Store.open(database)) as other:
            grow_old(node.store, LEASE_SECONDS + 1)
            assert other.processes.take(OPERATOR_DUTY)
            while not first.stands_by:
                await asyncio.sleep(0.002)
            assert node.engine.at_once == 0
        node.engine.open.set()
        while node.state(call) is not State.FINAL:
            await asyncio.sleep(0.002)
        first.stop()
        await running
