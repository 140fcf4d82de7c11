"""What a run costs: held, settled by its receipt, given back; and the same for calls on-chain, which are not
charged."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from meanwhile import Meanwhile

from faas_blueprint.digests import sha256
from faas_blueprint.errors import (
    ChainUnavailable,
    FatalError,
    MissingPrerequisite,
    NotFound,
    PaymentRequired,
)
from faas_blueprint.job import Limits, Mode, encode_job, make_job
from faas_blueprint.outcome import Outcome, OutputFile, Status, Stream
from faas_blueprint.prices import (
    PRICES,
    execution_cost,
    most_use_of,
    price_table_to_json,
    storage_cost,
    use_of,
)
from faas_blueprint.receipt import ZERO_ADDRESS, Address, CallReference
from faas_microvm.execution import Execution
from faas_operator.bookkeeping import Bookkeeping
from faas_operator.chain.interface import Block, PostedResult, SubmittedJob
from faas_operator.charging import Terms
from faas_operator.credit_events import Rates
from faas_operator.database import open_database
from faas_operator.deposits import DepositFollower
from faas_operator.execution_record import Conflict, ExecutionStatus, IdempotencyKey, Placement
from faas_operator.job_record import Change
from faas_operator.ledger import REVENUE, LedgerBroken, available, held
from faas_operator.node import terms_of
from faas_operator.pipeline import Event, State
from faas_operator.settings import Settings
from faas_operator.signer import Signer
from faas_operator.snapshot_catalog import SnapshotOrigin
from faas_operator.store import Store
from faas_operator.usage import Period

CREDIT = 10**9
ACCOUNT = "acct_1"
JOB = make_job("python", "print(1)", limits=Limits(timeout_ms=1000))
MOST = execution_cost(PRICES, Mode.EPHEMERAL, most_use_of(JOB)).total
OUTCOME = Outcome(
    Status.EXITED,
    0,
    0,
    250_000_000,
    Stream(b"1\n"),
    Stream(),
    sha256(b"root"),
    (OutputFile("a", b"x" * 500),),
)
PAYER = Address("0x" + "cd" * 20)
EVER = Period(0, 1e12)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_store(database, clock):
    """Opens the same database on any terms."""
    opened = []

    def open_(starting=CREDIT, charged=True, prices=PRICES) -> Store:
        terms = Terms(prices, charged, starting)
        store = Store(open_database(database), clock, terms)
        opened.append(store)
        return store

    yield open_
    for store in opened:
        store.close()


def execution(outcome=OUTCOME) -> Execution:
    return Execution(outcome, sha256(b"profile"), sha256(b"snapshot"), 12.5)


def finish(store, number, outcome=OUTCOME, status=ExecutionStatus.COMPLETED):
    receipt, signature = Signer(b"\x01" * 32).attest(
        profile_id=sha256(b"profile"), snapshot=sha256(b"snapshot"), job_digest=sha256(b"job"),
        outcome=outcome, call=CallReference(0, ZERO_ADDRESS, 0, number),
    )  # fmt: skip
    store.executions.finish(number, status, execution(outcome), receipt, signature)


def balances(store, account=ACCOUNT):
    store.ledger.check()
    return store.ledger.balance(available(account)), store.ledger.balance(held(account))


@pytest.mark.parametrize("mode", [Mode.EPHEMERAL, Mode.CACHED, Mode.CHECKPOINTED])
def test_a_run_is_held_settled_and_shown(open_store, mode):
    store = open_store()
    job = replace(JOB, keep=mode.keeps)
    number = store.executions.begin("exec_1", ACCOUNT, job, Placement(mode))
    most = execution_cost(PRICES, mode, most_use_of(job)).total
    assert balances(store) == (CREDIT - most, most)
    current = store.usage.current(ACCOUNT)
    assert (current.balance, current.held, current.active_executions) == (CREDIT, most, 1)

    finish(store, number)
    cost = execution_cost(PRICES, mode, use_of(job, OUTCOME.summary()))
    assert 0 < cost.total < most
    assert balances(store) == (CREDIT - cost.total, 0)
    assert store.ledger.balance(REVENUE) == cost.total
    assert store.executions.get("exec_1", ACCOUNT).cost == cost
    [line], total = store.usage.lines(ACCOUNT, EVER, 10, 0)
    assert (total, line.execution_id, line.billed_by, line.status) == (1, "exec_1", "ledger", "completed")
    assert (line.cost, line.charged) == (cost, cost.total)
    assert execution_cost(PRICES, line.mode, line.use) == cost
    assert line.ingress_bytes == len(encode_job(job))
    causes = [(entry.kind, entry.cause) for entry in store.ledger.statement(ACCOUNT, 10, 0)[0]]
    assert ("settlement", "acct_1/exec_1") in causes


def test_a_run_that_does_not_fit_is_refused_with_what_it_takes(open_store):
    store = open_store(starting=MOST + 7)
    store.executions.begin("exec_1", ACCOUNT, JOB)
    with pytest.raises(PaymentRequired) as refused:
        store.executions.begin("exec_2", ACCOUNT, JOB, key=IdempotencyKey("k", sha256(b"")))
    assert refused.value.details == {
        "required": MOST / 1e9, "available": 7 / 1e9, "missing": (MOST - 7) / 1e9,
        "required_nanocredits": MOST, "available_nanocredits": 7,
    }  # fmt: skip
    with pytest.raises(NotFound):
        store.executions.get("exec_2", ACCOUNT)
    assert store.executions.earlier(ACCOUNT, IdempotencyKey("k", sha256(b""))) is None
    assert balances(store) == (7, MOST)
    assert balances(store, "acct_2") == (0, 0)


def test_what_fails_for_our_reasons_is_given_back(open_store):
    store = open_store()
    number = store.executions.begin("exec_1", ACCOUNT, JOB)
    store.executions.end(number, ExecutionStatus.FAILED, "the machine died")
    store.executions.end(number, ExecutionStatus.CANCELLED, "too late", reached_ms=500)
    assert balances(store) == (CREDIT, 0)
    [line], _ = store.usage.lines(ACCOUNT, EVER, 10, 0)
    assert (line.status, line.charged, line.cost.total) == ("failed", 0, 0)


@pytest.mark.parametrize("charged", [True, False])
def test_what_a_dead_node_held_is_given_back_by_the_next(open_store, charged):
    store = open_store()
    store.executions.begin("exec_1", ACCOUNT, JOB)
    store.executions.begin("exec_2", ACCOUNT, JOB)
    assert balances(store) == (CREDIT - 2 * MOST, 2 * MOST)
    store.close()
    again = open_store(charged=charged)
    assert again.executions.end_interrupted() == 2
    assert again.executions.end_interrupted() == 0
    assert balances(again) == (CREDIT, 0)


def test_a_cancelled_run_is_paid_for_as_far_as_it_came(open_store):
    store = open_store()
    number = store.executions.begin("exec_1", ACCOUNT, JOB)
    store.executions.end(number, ExecutionStatus.CANCELLED, "cancelled", reached_ms=500)
    cost = 12_750  # half a second of a processor and half a GiB
    assert balances(store) == (CREDIT - cost, 0)
    number = store.executions.begin("exec_2", ACCOUNT, JOB)
    store.executions.end(number, ExecutionStatus.CANCELLED, "cancelled")
    assert balances(store) == (CREDIT - cost, 0)


def test_never_more_is_taken_than_was_held(open_store):
    """No machine runs so far beyond its limit; if one did, it would not be its caller's debt."""
    store = open_store()
    number = store.executions.begin("exec_1", ACCOUNT, JOB)
    finish(store, number, replace(OUTCOME, virtual_ns=10**13))
    assert balances(store) == (CREDIT - MOST, 0)


def test_a_restored_machine_costs_nothing(open_store):
    store = open_store()
    number = store.executions.begin(
        "exec_1", ACCOUNT, None, Placement(Mode.PERSISTENT), None, ExecutionStatus.RESTORED
    )
    store.executions.restored(number, 1.0)
    assert balances(store) == (0, 0)


def test_a_node_that_does_not_charge_keeps_the_same_records(open_store):
    store = open_store(charged=False)
    number = store.executions.begin("exec_1", ACCOUNT, JOB)
    finish(store, number)
    assert balances(store) == (0, 0)
    [line], _ = store.usage.lines(ACCOUNT, EVER, 10, 0)
    assert (line.billed_by, line.charged) == ("nobody", 0)
    assert line.cost == execution_cost(PRICES, Mode.EPHEMERAL, use_of(JOB, OUTCOME.summary()))
    summary = store.usage.summary(ACCOUNT, EVER)
    assert (summary.total, summary.compute_cost, summary.network_cost) == (1, 0, 0)


def test_a_run_that_began_uncharged_stays_so(open_store):
    number = open_store(charged=False).executions.begin("exec_1", ACCOUNT, JOB)
    store = open_store()
    finish(store, number)
    assert balances(store) == (0, 0)


def test_a_price_table_keeps_its_figures(open_store):
    open_store()
    dearer = replace(PRICES, vcpu_second=48_000)
    with pytest.raises(FatalError, match="another version"):
        open_store(prices=dearer)
    store = open_store(prices=replace(dearer, version=2))
    assert (store.usage.prices(1), store.usage.prices()) == (PRICES, replace(dearer, version=2))
    with pytest.raises(NotFound):
        store.usage.prices(3)


def finalise(store, call_id=0, inputs=None, block="0x7", outcome=OUTCOME):
    call = CallReference(31337, ZERO_ADDRESS, 1, call_id)
    inputs = encode_job(JOB) if inputs is None else inputs
    job = SubmittedJob(call, 0, PAYER, inputs, Block(7, block), "0xtx", None)
    [record] = store.record_blocks("d", [job], Block(9, "0x9"))
    for event in (Event.CONFIRM, Event.ACCEPT, Event.START):
        record = store.apply(record, event)
    record = store.apply(record, Event.FINISH, Change(execution=execution(outcome)))
    record = store.apply(record, Event.SIGN)
    record = store.apply(record, Event.INCLUDE, Change(posted=PostedResult("0xr", Block(8, "0x8"))))
    return store.apply(record, Event.FINALISE)


def bind(store):
    """The account proves that it holds the payer's address."""
    store.accounts.ensure([ACCOUNT], "test", "")
    store.accounts.bind(ACCOUNT, "ethereum", PAYER, "test")


def test_a_call_on_chain_is_in_its_payers_usage_and_not_charged(open_store):
    store = open_store()
    assert finalise(store).state is State.FINAL
    finalise(store, 1, b"no job", outcome=replace(OUTCOME, status=Status.FAILED, virtual_ns=0))
    assert store.usage.lines(ACCOUNT, EVER, 10, 0) == ([], 0)
    bind(store)
    (broken, line), _ = store.usage.lines(ACCOUNT, EVER, 10, 0)
    assert (line.call, line.execution_id, line.billed_by) == ((31337, 1, 0), None, "chain")
    assert line.cost == execution_cost(PRICES, Mode.EPHEMERAL, use_of(JOB, OUTCOME.summary()))
    assert (line.charged, broken.status, broken.cost.total) == (0, "failed", 0)
    summary = store.usage.summary(ACCOUNT, EVER)
    assert (summary.total, summary.successful, summary.on_chain) == (2, 1, 2)
    assert (summary.compute_cost, summary.on_chain_price) == (0, line.cost.total)
    assert balances(store) == (CREDIT, 0)


def test_a_call_that_is_final_twice_is_counted_once(open_store):
    """Its block was replaced after it was final, which takes a deeper reorganisation than was waited for."""
    store = open_store()
    bind(store)
    finalise(store)
    finalise(store, block="0x7b", outcome=replace(OUTCOME, virtual_ns=5))
    [line], total = store.usage.lines(ACCOUNT, EVER, 10, 0)
    assert (total, line.use.virtual_ns) == (1, 5)


def test_a_payer_is_bound_once(open_store):
    store = open_store()
    bind(store)
    bind(store)
    store.accounts.ensure(["acct_2"], "test", "")
    with pytest.raises(Conflict):
        store.accounts.bind("acct_2", "ethereum", PAYER, "test")
    assert store.accounts.of_address("ethereum", PAYER) == ACCOUNT


class Record:
    """What the catalog takes of a stored snapshot."""

    kind, measurement, stored_bytes = "checkpoint", sha256(b"kept"), 1

    def __init__(self, size: int) -> None:
        self.logical_bytes = size


def test_storage_is_swept_by_size_and_time_once(open_store, clock):
    store = open_store(starting=10**6)
    store.usage.current(ACCOUNT)
    size = 1 << 30
    first = store.snapshots.add(ACCOUNT, Record(size), SnapshotOrigin(Mode.CHECKPOINTED), {})
    assert store.storage_sweep.sweep() == 0  # notes the time
    clock.now += 1800
    store.snapshots.add(ACCOUNT, Record(size), SnapshotOrigin(Mode.CHECKPOINTED), {})
    store.snapshots.add("acct_2", Record(7), SnapshotOrigin(Mode.CHECKPOINTED), {})
    store.snapshots.add("acct_2", Record(9), SnapshotOrigin(Mode.CHECKPOINTED, hidden=True), {})
    clock.now += 1800
    assert store.storage_sweep.sweep(least_seconds=3601) == 0
    assert store.storage_sweep.sweep(least_seconds=3600) == 2
    assert store.storage_sweep.sweep() == 0
    cost = storage_cost(PRICES, size * 3600 + size * 1800)
    assert cost == 208_334  # 1.5 GiB-hours of 100 000 000 nanocredits for 720
    assert balances(store) == (10**6 - cost, 0)
    assert balances(store, "acct_2") == (-storage_cost(PRICES, 7 * 1800), 0)
    summary = store.usage.summary(ACCOUNT, EVER)
    assert (summary.storage_cost, summary.snapshots_created) == (cost, 2)
    assert summary.gb_months == pytest.approx(1.5 / 720)
    assert store.usage.current(ACCOUNT).storage_bytes == 2 * size

    store.snapshots.remove(ACCOUNT, first.id, cascade=True)
    clock.now += 3600
    store.storage_sweep.sweep()
    assert balances(store)[0] == 10**6 - cost - storage_cost(PRICES, size * 3600)


def two_accounts_with_a_snapshot_and_a_run(open_store, clock):
    """And the numbers of their runs; the storage of both was swept an hour ago."""
    store = open_store()
    store.storage_sweep.sweep()
    for account in ("acct_1", "acct_2"):
        store.snapshots.add(account, Record(1 << 30), SnapshotOrigin(Mode.CHECKPOINTED), {})
    clock.now += 3600
    return store, [store.executions.begin(f"exec_{n}", f"acct_{n}", JOB) for n in (2, 1)]


def test_a_run_ends_while_storage_is_swept(open_store, clock, monkeypatch):
    """Of an account whose turn is yet to come: they do not wait for each other."""
    store, [of_second, _] = two_accounts_with_a_snapshot_and_a_run(open_store, clock)
    ending = Meanwhile(lambda: store.executions.end(of_second, ExecutionStatus.CANCELLED, "", 9))
    sweep = store.storage_sweep
    charge = sweep._charge

    def charge_one_by_one(*arguments):
        charge(*arguments)
        ending.begins()

    monkeypatch.setattr(sweep, "_charge", charge_one_by_one)
    assert sweep.sweep() == 2
    ending.ends()
    assert balances(store, "acct_2")[1] == 0


def test_storage_is_swept_while_what_the_dead_have_left_is_ended(open_store, clock):
    store, _ = two_accounts_with_a_snapshot_and_a_run(open_store, clock)
    with store._engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM process")
    sweeping = Meanwhile(store.storage_sweep.sweep).after(store, "UPDATE execution")
    assert store.executions.end_interrupted() == 2
    assert sweeping.ends() == 2
    assert [balances(store, f"acct_{n}")[1] for n in (1, 2)] == [0, 0]


def test_with_a_debt_for_storage_nothing_runs(open_store, clock):
    store = open_store(starting=MOST)
    store.usage.current(ACCOUNT)
    store.storage_sweep.sweep()
    store.snapshots.add(ACCOUNT, Record(1 << 40), SnapshotOrigin(Mode.CHECKPOINTED), {})
    clock.now += 24 * 3600
    store.storage_sweep.sweep()
    there, _ = balances(store)
    assert there < 0
    with pytest.raises(PaymentRequired) as refused:
        store.executions.begin("exec_1", ACCOUNT, JOB)
    assert refused.value.details["missing"] == (MOST - there) / 1e9


def test_what_is_held_is_of_the_same_moment_as_the_balance(open_store):
    """A run ends as it is looked."""
    store = open_store()
    number = store.executions.begin("exec_1", ACCOUNT, JOB)
    ending = Meanwhile(lambda: finish(store, number)).after(store, "FROM ledger_balance")
    current = store.usage.current(ACCOUNT)
    assert (current.balance, current.held) == (CREDIT, MOST)
    ending.ends()
    assert store.usage.current(ACCOUNT).held == 0


def test_usage_of_a_period_adds_up(open_store, clock):
    store = open_store()
    costs = []
    for name, mode in (("a", Mode.EPHEMERAL), ("b", Mode.CACHED), ("c", Mode.BRANCHED)):
        job = replace(JOB, keep=mode.keeps)
        finish(store, store.executions.begin(name, ACCOUNT, job, Placement(mode)))
        costs.append(execution_cost(PRICES, mode, use_of(job, OUTCOME.summary())))
    timed_out = store.executions.begin("d", ACCOUNT, JOB)
    finish(store, timed_out, replace(OUTCOME, status=Status.TIMEOUT), ExecutionStatus.TIMEOUT)
    costs.append(execution_cost(PRICES, Mode.EPHEMERAL, use_of(JOB, OUTCOME.summary())))
    finish(store, store.executions.begin("x", "acct_2", JOB))
    clock.now += 10
    later = store.executions.begin("later", ACCOUNT, JOB)
    store.executions.end(later, ExecutionStatus.CANCELLED, "cancelled")

    summary = store.usage.summary(ACCOUNT, Period(clock.now - 10, clock.now))
    assert (summary.total, summary.successful) == (4, 3)
    assert summary.by_mode == {
        Mode.EPHEMERAL: 2, Mode.CACHED: 1, Mode.CHECKPOINTED: 0, Mode.BRANCHED: 1, Mode.PERSISTENT: 0
    }  # fmt: skip
    assert (summary.cpu_seconds, summary.memory_gb_seconds) == (1.0, 0.5)
    assert (summary.egress_bytes, summary.network_cost) == (4 * 502, sum(cost.network for cost in costs))
    assert summary.compute_cost == sum(cost.compute for cost in costs)
    assert summary.balance == CREDIT - sum(cost.total for cost in costs) == balances(store)[0]
    assert store.usage.summary(ACCOUNT, EVER).total == 5
    lines, total = store.usage.lines(ACCOUNT, Period(clock.now - 10, clock.now), 2, 1)
    assert ([line.execution_id for line in lines], total) == (["c", "b"], 4)
    assert json.loads(json.dumps(summary.by_mode))  # plain values


@pytest.fixture
def bookkeeping(open_store, clock, tmp_path):
    """Over a chain that never answers, which is a fault; `now` and then is the fixture's clock."""

    class SilentChain:
        chain_id = 1
        asked = 0

        async def head(self):
            self.asked += 1
            raise ChainUnavailable("no RPC answers")

    store, chain = open_store(), SilentChain()
    settings = Settings(home=tmp_path, poll_seconds=0.001, retry_seconds=0.001, retry_seconds_at_most=0.002)
    follower = DepositFollower(chain, store.credit_events, settings, Rates(), "t")
    books = Bookkeeping(store.ledger, store.storage_sweep, follower, None, settings, clock)
    return store, chain, books


async def test_the_books_are_kept_while_the_chain_is_silent(bookkeeping, clock):
    store, chain, books = bookkeeping
    store.snapshots.add(ACCOUNT, Record(1 << 30), SnapshotOrigin(Mode.CHECKPOINTED), {})
    keeping = asyncio.create_task(books.run())
    async with asyncio.timeout(60):
        while chain.asked < 3:
            await asyncio.sleep(0.001)
        clock.now += 3600
        while store.ledger.balance(REVENUE) == 0:
            await asyncio.sleep(0.001)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert balances(store)[0] == -storage_cost(PRICES, 3600 << 30)


async def test_books_that_do_not_add_up_stop_the_node(bookkeeping, clock):
    store, chain, books = bookkeeping
    keeping = asyncio.create_task(books.run())
    async with asyncio.timeout(60):
        while chain.asked == 0:  # it asks after it has added up
            await asyncio.sleep(0.001)
    with store._engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO ledger_balance VALUES ('available:acct_9', 5)")
    await asyncio.sleep(0.02)
    assert not keeping.done()  # until it looks again
    clock.now += 3600
    async with asyncio.timeout(60):
        with pytest.raises(LedgerBroken, match="acct_9"):
            await keeping


def test_terms_come_from_the_settings(tmp_path):
    path = tmp_path / "prices.json"
    settings = Settings(home=tmp_path, billing=True, starting_credits=3, price_table=path)
    with pytest.raises(MissingPrerequisite, match=r"prices\.json"):
        terms_of(settings)
    for text in ("[]", "{}", "{"):
        path.write_text(text)
        with pytest.raises(MissingPrerequisite, match="is no price table"):
            terms_of(settings)
    table = replace(PRICES, version=4, egress_gib=0)
    path.write_text(json.dumps(price_table_to_json(table)))
    assert terms_of(settings) == Terms(table, True, 3 * CREDIT)
    assert terms_of(Settings(home=tmp_path)) == Terms(PRICES, False, 0)
