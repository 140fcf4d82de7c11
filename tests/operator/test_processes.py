"""Several processes on one database: who is alive, who does what, the runs of the others, and what two
do to the same rows at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from meanwhile import Meanwhile
from sqlalchemy import text

from faas_blueprint.bisection import Point, Report
from faas_blueprint.digests import sha256
from faas_blueprint.errors import InsufficientResources, RateLimitExceeded
from faas_blueprint.job import Mode, make_job
from faas_blueprint.receipt import ZERO_ADDRESS, CallReference
from faas_operator.blob_store import BlobStore
from faas_operator.chain.interface import Block, SubmittedJob
from faas_operator.execution_record import Conflict, ExecutionStatus, IdempotencyKey, Placement
from faas_operator.execution_run import RunRequest
from faas_operator.executions import ExecutionService
from faas_operator.pipeline import Event, State
from faas_operator.processes import LEASE_SECONDS, OPERATOR_DUTY
from faas_operator.service import Operator
from faas_operator.signer import Signer
from faas_operator.snapshot_catalog import BASE
from faas_operator.store import Store
from faas_operator.usage import Period

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
        with store._engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM duty")).scalar_one() == 0
        assert store.processes.take("duty")


def test_a_duty_is_looked_for_while_who_has_it_leaves(stores):
    first, second = stores
    assert first.processes.take("duty")
    second.processes.beat()
    leaving = Meanwhile(first.processes.leave).before(second, "FROM process")
    second.processes.take("duty")
    leaving.ends()
    assert second.processes.take("duty")
    assert not first.processes.take("duty")


def test_who_was_taken_for_dead_leaves_while_another_takes_over(stores):
    first, second = stores
    assert first.processes.take("duty")
    grow_old(first, LEASE_SECONDS + 5)
    second.processes.beat()
    leaving = Meanwhile(first.processes.leave).after(second, "FROM process")
    assert second.processes.take("duty")
    leaving.ends()
    assert not first.processes.take("duty")


def test_a_run_that_begins_while_the_dead_are_looked_for_is_left_alone(stores):
    """Its process says for the first time that it is there."""
    first, second = stores
    beginning = Meanwhile(lambda: first.executions.begin("exec_1", "alice", JOB))
    beginning.after(second, "FROM process")
    assert second.executions.end_interrupted() == 0
    beginning.ends()
    assert first.executions.get("exec_1", "alice").status is ExecutionStatus.QUEUED
    assert second.executions.end_interrupted() == 0


def test_nor_is_one_that_begins_as_its_process_is_back(stores):
    """It was taken for dead, and what it had in hand before is ended."""
    first, second = stores
    first.executions.begin("exec_1", "alice", JOB)
    grow_old(first, LEASE_SECONDS + 5)
    first.processes._said = None
    beginning = Meanwhile(lambda: first.executions.begin("exec_2", "alice", JOB))
    beginning.after(second, "FROM process")
    assert second.executions.end_interrupted() == 1
    beginning.ends()
    assert first.executions.get("exec_1", "alice").status is ExecutionStatus.FAILED
    assert first.executions.get("exec_2", "alice").status is ExecutionStatus.QUEUED


def test_a_run_is_taken_back_while_another_ends_it(stores):
    """By its process, which was taken for dead while the database was away."""
    first, second = stores
    first.executions.begin("exec_1", "alice", JOB)
    grow_old(first, LEASE_SECONDS + 5)
    ending = Meanwhile(second.executions.end_interrupted).after(first, "FROM execution")
    first.executions.take_back("exec_1", "alice")
    ending.ends()
    assert first.executions.get("exec_1", "alice").status is ExecutionStatus.FAILED
    assert first.usage.lines("alice", Period(0, 1e12), 10, 0)[1] == 1


def test_a_blob_is_brought_twice_at_once(stores):
    first, second = stores
    again = Meanwhile(lambda: second.blobs.upload("alice", b"12345", 8, 60))
    again.before(first, "INSERT INTO uploaded_blob")
    first.blobs.upload("alice", b"12345", 8, 60)
    assert again.ends().sha256 == sha256(b"12345")


def test_two_blobs_that_do_not_fit_are_brought_at_once(stores):
    first, second = stores
    another = Meanwhile(lambda: second.blobs.upload("alice", b"6789", 8, 60))
    another.before(first, "INSERT INTO uploaded_blob")
    first.blobs.upload("alice", b"12345", 8, 60)
    with pytest.raises(InsufficientResources):
        another.ends()


def test_a_blob_that_is_about_to_expire_is_brought_again(stores):
    """By the clock of the other it has expired."""
    first, second = stores
    BlobStore(first._engine, lambda: 1000.0).upload("alice", b"12345", 8, 60)
    other = BlobStore(second._engine, lambda: 1061.0)
    deleting = Meanwhile(lambda: other.upload("bob", b"6789", 8, 60)).before(first, "UPDATE uploaded_blob")
    BlobStore(first._engine, lambda: 1059.0).upload("alice", b"12345", 8, 60)
    deleting.ends()
    assert other.read(sha256(b"12345")) == b"12345"


def test_a_blob_is_brought_while_another_deletes_what_has_expired(stores):
    """By the clock of the other that is more: neither waits for what the other has."""
    first, second = stores
    for content in (b"12345", b"older"):
        BlobStore(first._engine, lambda: 1000.0).upload("alice", content, 100, 60)
    with first._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE uploaded_blob SET expires_at = 1 WHERE content = 'older'")
    other = BlobStore(second._engine, lambda: 1061.0)
    deleting = Meanwhile(lambda: other.upload("bob", b"6789", 8, 60)).after(first, "DELETE FROM uploaded")
    BlobStore(first._engine, lambda: 1059.0).upload("alice", b"12345", 100, 60)
    deleting.ends()
    assert other.read(sha256(b"12345")) == b"12345"


def test_two_take_in_contested_calls_at_once(stores):
    """The one that was taken for dead had not seen it yet."""
    first, second = stores
    block = Block(7, "0x7")
    other = Meanwhile(lambda: second.docket("d").enter([(1, 5)], block))
    other.before(first, "INSERT INTO contested_call")
    first.docket("d").enter([(1, 5)], block)
    other.ends()
    assert [call.place for call in second.docket("d").calls()] == [(1, 5)]
    assert second.docket("d").cursor() == block


def test_two_keep_a_refutation_at_once(stores):
    first, second = stores
    zero, call = sha256(b"zero"), CallReference(31337, ZERO_ADDRESS, 1, 5)
    report = Report(call, ZERO_ADDRESS, zero, zero, 3, zero, Point(zero), Point(zero, sha256(b"end")))
    other = Meanwhile(lambda: second.refutations.keep(report, b"signature"))
    other.before(first, "INSERT INTO refutation")
    first.refutations.keep(report, b"signature")
    other.ends()
    assert len(second.refutations.of_call(call)) == 1


def test_jobs_are_in_the_states_that_are_asked_for(stores):
    """Also when another process moves them on at the same moment."""
    first, second = stores
    call = CallReference(31337, ZERO_ADDRESS, 1, 5)
    submitted = SubmittedJob(call, 0, ZERO_ADDRESS, b"in", Block(7, "0x7"), "0xtx", None)
    [record] = first.record_blocks("d", [submitted], Block(7, "0x7"))
    moving = Meanwhile(lambda: first.apply(record, Event.CONFIRM)).after(second, "FROM job")
    assert {record.state for record in second.jobs_in({State.SEEN})} <= {State.SEEN}
    moving.ends()


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


async def test_runs_that_move_a_branch_wait_for_those_of_another_process(services):
    first, second = services
    branch = first.store.snapshots.add_branch("alice", BASE, None, {}).id
    moving = Placement(Mode.BRANCHED, branch_id=branch)
    order = []

    async def run(service, number):
        async with service.placing.setting("alice", moving):
            order.append(number)

    async with asyncio.timeout(60):
        async with first.placing.setting("alice", moving):
            waiting = asyncio.create_task(run(second, 1))
            cancelled = asyncio.create_task(run(second, 2))
            await asyncio.sleep(0.3)
            assert order == []
            cancelled.cancel()
        await waiting
        async with second.placing.setting("alice", moving):
            left = asyncio.create_task(run(first, 3))
            await asyncio.sleep(0.2)
            left.cancel()
            await asyncio.gather(left, cancelled, return_exceptions=True)
        await run(first, 4)
        await run(second, 5)
    assert order == [1, 4, 5]


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
