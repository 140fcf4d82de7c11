"""The store keeps what it was told, once, through closing and opening."""

from __future__ import annotations

import stat
import threading
from contextlib import closing
from dataclasses import replace

import pytest

from faas_blueprint.digests import sha256
from faas_blueprint.errors import NotFound
from faas_blueprint.job import Mode, make_job
from faas_blueprint.outcome import Outcome, OutputFile, Status, Stream, decode_manifest
from faas_blueprint.receipt import ZERO_ADDRESS, Address, CallReference
from faas_microvm.execution import Execution
from faas_operator.chain.interface import Block, PostedResult, SubmittedJob
from faas_operator.execution_record import ExecutionStatus, Placement
from faas_operator.job_record import Change, SignedResult
from faas_operator.pipeline import Event, IllegalTransition, State
from faas_operator.signer import Signer
from faas_operator.store import StaleRecord, Store

CALLER = Address("0x" + "cd" * 20)
BLOCK = Block(7, "0x7")
FILES = (OutputFile("a/ü.bin", b"\0\xff" * 5000), OutputFile("b", b""), OutputFile("c", b"err"))
OUTCOME = Outcome(
    Status.EXITED, 3, 0, 77, Stream(b"\0out" * 3000, True), Stream(b"err"), sha256(b"root"), FILES, True
)
EXECUTION = Execution(OUTCOME, sha256(b"profile"), sha256(b"snapshot"), 12.5, toolchain=sha256(b"toolchain"))


def submitted(call_id=0, block=BLOCK, inputs=b"in", quoted=None):
    call = CallReference(31337, CALLER, 1, call_id)
    return SubmittedJob(call, 0, CALLER, inputs, block, "0xtx", quoted)


@pytest.fixture
def url(database):
    return database


@pytest.fixture
def store(url):
    made = Store.open(url)
    yield made
    made.close()


def walk(store, record, *events, change=None):
    for event in events[:-1]:
        record = store.apply(record, event)
    return store.apply(record, events[-1], change or Change())


def test_a_job_survives_with_everything_it_was_given(store, url):
    job = submitted(quoted=(CALLER, ZERO_ADDRESS))
    [record] = store.record_blocks("d", [job], Block(9, "0x9"))
    assert (record.state, record.submitted) == (State.SEEN, job)

    record = walk(store, record, Event.CONFIRM, Event.ACCEPT, Event.START, Event.FINISH,
                  change=Change(execution=EXECUTION))  # fmt: skip
    signer = Signer(b"\x01" * 32)
    receipt, _ = signer.attest(
        profile_id=EXECUTION.profile_id, snapshot=EXECUTION.measurement, job_digest=sha256(b""),
        outcome=OUTCOME, call=job.call,
    )  # fmt: skip
    signed = SignedResult(b"payload", receipt)
    record = store.apply(record, Event.SIGN, Change(signed=signed))
    posted = PostedResult("0xresult", Block(11, "0xb"))
    record = store.apply(record, Event.INCLUDE, Change(posted=posted))

    again = Store.open(url)
    found = again.job_of_call(job.call)
    assert found == record
    assert (found.signed, found.posted, found.state) == (signed, posted, State.POSTED)
    assert found.executed.profile_id == EXECUTION.profile_id
    assert found.executed.toolchain == EXECUTION.toolchain
    assert again.outcome(found) == OUTCOME
    assert again.blobs.read(sha256(OUTCOME.stdout.content)) == OUTCOME.stdout.content
    assert again.blobs.read(sha256(FILES[0].content)) == FILES[0].content
    assert decode_manifest(again.blobs.read(OUTCOME.summary().files.sha256)) == OUTCOME.manifest()
    assert again.cursor("d") == Block(9, "0x9")
    assert again.cursor("another") is None
    again.close()


def test_a_call_is_stored_once_and_starts_again_only_from_another_block(store):
    [first] = store.record_blocks("d", [submitted(), submitted()], Block(7, "0x7"))
    assert store.record_blocks("d", [submitted()], Block(8, "0x8")) == []
    way = (Event.CONFIRM, Event.ACCEPT, Event.START, Event.LOSE, Event.START, Event.FINISH)
    done = walk(store, first, *way, change=Change(error="lost", execution=EXECUTION))
    assert (done.attempts, done.error) == (1, "lost")
    elsewhere = submitted(block=Block(8, "0x8b"), inputs=b"other")
    [again] = store.record_blocks("d", [elsewhere], Block(8, "0x8b"))
    assert (again.number, again.state, again.submitted) == (done.number, State.SEEN, elsewhere)
    assert (again.executed, again.attempts, again.error) == (None, 0, None)
    with pytest.raises(StaleRecord):
        store.apply(done, Event.SIGN)


def test_a_dropped_call_comes_back_with_its_own_block(store):
    [record] = store.record_blocks("d", [submitted()], Block(7, "0x7"))
    store.apply(record, Event.VANISH)
    [again] = store.record_blocks("d", [submitted()], Block(7, "0x7"))
    assert again.state is State.SEEN


def test_the_table_is_asked_before_anything_is_written(store):
    [record] = store.record_blocks("d", [submitted()], Block(7, "0x7"))
    with pytest.raises(IllegalTransition):
        store.apply(record, Event.SIGN)
    assert store.job(record.number) == record


def test_of_two_writers_one_wins(store):
    [record] = store.record_blocks("d", [submitted()], Block(7, "0x7"))
    outcomes: list[str] = []

    def move() -> None:
        try:
            store.apply(record, Event.CONFIRM)
            outcomes.append("moved")
        except StaleRecord:
            outcomes.append("stale")

    threads = [threading.Thread(target=move) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["moved"] + ["stale"] * 7


def test_only_losing_a_machine_counts_as_an_attempt(store):
    [record] = store.record_blocks("d", [submitted()], Block(7, "0x7"))
    record = walk(store, record, Event.CONFIRM, Event.ACCEPT, Event.START, Event.INTERRUPT, Event.START)
    assert record.attempts == 0
    record = store.apply(record, Event.LOSE, Change(error="gone"))
    assert (record.attempts, record.error, record.state) == (1, "gone", State.ACCEPTED)


def test_numbers_are_listed_oldest_first(store):
    records = store.record_blocks("d", [submitted(n) for n in range(5)], Block(7, "0x7"))
    numbers = [record.number for record in records]
    assert store.numbers_in({State.SEEN}) == numbers
    assert store.numbers_in({State.FINAL}) == []
    assert store.count_by_state() == {State.SEEN: 5}


def test_what_is_not_there_is_said_so(store):
    with pytest.raises(NotFound):
        store.job(99)
    with pytest.raises(NotFound):
        store.blobs.read(sha256(b"?"))
    [record] = store.record_blocks("d", [submitted()], Block(7, "0x7"))
    with pytest.raises(NotFound):
        store.outcome(record)
    with pytest.raises(NotFound):
        store.executions.get("exec_0", "account")


def test_the_file_is_private_and_committed_to_disk(tmp_path):
    path = tmp_path / "folder" / "store.sqlite"
    with closing(Store.open(f"sqlite:///{path}")) as store:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with store._engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_an_execution_belongs_to_its_account_and_keeps_everything(store, url):
    job = make_job("python", "print()", seed=(1 << 64) - 1)
    number = store.executions.begin("exec_1", "alice", job)
    signer = Signer(b"\x01" * 32)
    receipt, signature = signer.attest(
        profile_id=EXECUTION.profile_id, snapshot=EXECUTION.measurement, job_digest=sha256(b""),
        outcome=OUTCOME, call=CallReference(0, ZERO_ADDRESS, 0, number),
    )  # fmt: skip
    store.executions.finish(number, ExecutionStatus.COMPLETED, EXECUTION, receipt, signature)
    record = store.executions.get("exec_1", "alice")
    assert (record.job, record.status, record.number) == (job, ExecutionStatus.COMPLETED, number)
    assert record.attested.outcome == OUTCOME
    assert (record.attested.receipt, record.attested.signature) == (receipt, signature)
    assert store.executions.file("exec_1", "alice", "a/ü.bin") == FILES[0].content
    for account, path in (("alice", "a"), ("alice", "a/ü"), ("alice", ""), ("mallory", "b")):
        with pytest.raises(NotFound):
            store.executions.file("exec_1", account, path)
    with pytest.raises(NotFound):
        store.executions.get("exec_1", "mallory")


def test_a_run_without_an_outcome_has_no_files(store):
    store.executions.begin("exec_1", "alice", make_job("python", ""))
    with pytest.raises(NotFound, match="queued"):
        store.executions.file("exec_1", "alice", "a")


def test_runs_that_a_dead_node_left_are_marked(store, url):
    left = Store.open(url)
    left.executions.begin("exec_1", "alice", make_job("python", ""))
    assert store.executions.end_interrupted() == 0
    left.close()
    assert store.executions.end_interrupted() == 1
    assert store.executions.end_interrupted() == 0
    assert store.executions.get("exec_1", "alice").status is ExecutionStatus.FAILED


def test_services_and_their_customers_take_turns(store):
    """Six jobs of one customer are stored before two of another, and one of another service."""
    other = Address("0x" + "ef" * 20)
    first = [submitted(call_id) for call_id in range(6)]
    second = [replace(submitted(call_id), caller=other) for call_id in (6, 7)]
    third = [replace(submitted(8), call=CallReference(31337, CALLER, 2, 8))]
    stored = store.record_blocks("d", [*first, *second, *third], Block(7, "0x7"))
    number = {record.call.call_id: record.number for record in stored}

    def turns(*but, limit=9):
        found = store.turns_in({State.SEEN}, [number[call_id] for call_id in but], limit)
        return [call_id for wanted in found for call_id in number if number[call_id] == wanted]

    assert turns() == [0, 8, 6, 1, 7, 2, 3, 4, 5]
    assert turns(limit=2) == [0, 8]
    assert turns(0, 1, 2) == [8, 6, 7, 3, 4, 5]
    assert store.turns_in({State.FINAL}, [], 9) == []


def test_a_customers_jobs_go_by_price_then_by_age(store):
    """Another's turn does not depend on what anyone pays. Prices are compared as numbers."""
    other = Address("0x" + "ef" * 20)
    prices = [9, 10, 2**256 - 1, 10, 0]
    jobs = [replace(submitted(call_id), price=price) for call_id, price in enumerate(prices)]
    stranger = [replace(submitted(call_id), caller=other) for call_id in (5, 6)]
    stored = store.record_blocks("d", [*jobs, *stranger], Block(7, "0x7"))
    assert [record.submitted.price for record in stored] == [*prices, 0, 0]
    first = stored[0].number

    def turns(*but, limit=9):
        found = store.turns_in(set(State), [first + call_id for call_id in but], limit)
        return [number - first for number in found]

    assert turns() == [2, 5, 1, 6, 3, 0, 4]
    assert turns(0, 4) == [5, 6, 2, 1, 3]  # what is in hand has had its turn, though it pays less

    await_earlier = (Event.CONFIRM, Event.ACCEPT, Event.START, Event.WAIT)
    for call_id in (3, 2):
        walk(store, stored[call_id], *await_earlier)
    assert turns() == [1, 5, 0, 6, 4, 2, 3]  # they go by age, after those that need not wait


def test_what_is_answered_of_a_finished_run_is_what_is_stored(store):
    placement = Placement(Mode.CHECKPOINTED, snapshot_id="base", branch_id="branch_1")
    number = store.executions.begin("exec_1", "alice", make_job("python", "1"), placement, lasting=False)
    receipt, signature = Signer(b"\x01" * 32).attest(
        profile_id=EXECUTION.profile_id, snapshot=EXECUTION.measurement, job_digest=sha256(b""),
        outcome=OUTCOME, call=CallReference(0, ZERO_ADDRESS, 0, number),
    )  # fmt: skip
    finish = (number, ExecutionStatus.COMPLETED, EXECUTION, receipt, signature, "snap_1")
    answered = store.executions.finish(*finish)
    assert answered == store.executions.get("exec_1", "alice")
    assert answered.placement == placement
    assert (answered.kept_snapshot_id, answered.attested.outcome) == ("snap_1", OUTCOME)
    assert store.executions.finish(*finish) is None
