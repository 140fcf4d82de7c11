"""The ledger adds up, whatever happens to it, and gives out no more than there is."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from contextlib import closing

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy.exc import DatabaseError
from sqlmodel import Session

from faas_operator.ledger import (
    GRANTS,
    LARGEST,
    REVENUE,
    Cause,
    Insufficient,
    LedgerBroken,
    Posting,
    available,
    held,
    reverse,
)
from faas_operator.store import Store

OWN = available("acct_1")


@pytest.fixture
def url(database) -> str:
    return database


@pytest.fixture
def store(url):
    with closing(Store.open(url)) as made:
        yield made


def grant(ledger, account, amount, name="1"):
    return ledger.post(Cause("grant", name), Posting(GRANTS, -amount), Posting(available(account), amount))


def spend(ledger, account, amount, name):
    return ledger.post(
        Cause("hold", name),
        Posting(available(account), -amount, floor=0),
        Posting(held(account), amount),
    )


def test_one_entry_for_a_cause(store):
    ledger = store.ledger
    assert grant(ledger, "acct_1", 100) is True
    assert grant(ledger, "acct_1", 100) is False
    assert (ledger.balance(OWN), ledger.balance(GRANTS)) == (100, -100)
    ledger.check()


def test_what_is_not_there_cannot_be_spent(store):
    ledger = store.ledger
    grant(ledger, "acct_1", 100)
    with pytest.raises(Insufficient):
        spend(ledger, "acct_1", 101, "a")
    with pytest.raises(Insufficient):
        spend(ledger, "acct_2", 1, "a")
    assert spend(ledger, "acct_1", 100, "a")
    with pytest.raises(Insufficient):
        spend(ledger, "acct_1", 1, "b")
    assert (ledger.balance(OWN), ledger.balance(held("acct_1"))) == (0, 100)
    ledger.check()


def test_entries_that_do_not_add_up_are_refused(store):
    for postings in (
        (Posting("a", 1),),
        (Posting("a", 1), Posting("a", -1)),
        (Posting("a", LARGEST + 1), Posting("b", -LARGEST - 1)),
    ):
        with pytest.raises(ValueError, match="posting"):
            store.ledger.post(Cause("x", "x"), *postings)
    assert store.ledger.balance("a") == 0


def test_balances_have_an_end_before_the_database_does(store):
    for number in range(4):
        grant(store.ledger, "acct_1", LARGEST, str(number))
    with pytest.raises(Insufficient):
        grant(store.ledger, "acct_1", LARGEST, "over")
    assert store.ledger.balance(OWN) == 4 * LARGEST
    store.ledger.check()


def test_an_entry_is_taken_back_by_its_opposite_even_into_debt(store):
    ledger = store.ledger
    grant(ledger, "acct_1", 100)
    spend(ledger, "acct_1", 60, "a")
    with Session(store._engine) as session:
        assert reverse(session, 0.0, Cause("grant", "1"), Cause("reorganisation", "1"))
        assert not reverse(session, 0.0, Cause("grant", "1"), Cause("reorganisation", "1"))
        session.commit()
    assert (ledger.balance(OWN), ledger.balance(GRANTS)) == (-60, 0)
    ledger.check()
    grant(ledger, "acct_1", 61, "2")
    with pytest.raises(Insufficient):
        spend(ledger, "acct_1", 2, "b")
    assert spend(ledger, "acct_1", 1, "b")


def test_the_statement_adds_up_to_the_balance(store):
    ledger = store.ledger
    grant(ledger, "acct_1", 100)
    spend(ledger, "acct_1", 30, "acct_1/exec_1")
    lines, total = ledger.statement("acct_1", 10, 0)
    assert total == 3
    assert {(line.kind, line.account, line.amount) for line in lines} == {
        ("hold", "available", -30), ("hold", "held", 30), ("grant", "available", 100)
    }  # fmt: skip
    assert ledger.statement("acct_1", 1, 2)[0][0].kind == "grant"
    assert ledger.statement("acct_2", 10, 0) == ([], 0)


@pytest.mark.parametrize("table", ["ledger_entry", "ledger_posting"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET id = id + 1"])
def test_the_database_refuses_to_change_the_past(store, table, change):
    grant(store.ledger, "acct_1", 100)
    with pytest.raises(DatabaseError, match="append-only"), store._engine.begin() as connection:
        connection.exec_driver_sql(change.format(table))
    store.ledger.check()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE ledger_balance SET amount = amount + 1 WHERE account = 'available:acct_1'", "has 71"),
        ("INSERT INTO ledger_posting (entry_id, account, amount) VALUES (1, 'grants', -1)", "entry 1 add up"),
        ("DELETE FROM ledger_balance WHERE account LIKE 'held:%%'", "has 0, its postings say 30"),
    ],
)
def test_books_that_do_not_add_up_are_noticed(store, change, said):
    grant(store.ledger, "acct_1", 100)
    spend(store.ledger, "acct_1", 30, "a")
    store.ledger.check()
    with store._engine.begin() as behind_its_back:
        behind_its_back.exec_driver_sql(change)
    with pytest.raises(LedgerBroken, match=said):
        store.ledger.check()


async def test_two_hundred_at_once_never_overspend(store):
    """Threads, each with a transaction of its own."""
    ledger = store.ledger
    grant(ledger, "acct_1", 1000)

    def one(number: int) -> bool:
        try:
            return spend(ledger, "acct_1", 13, str(number))
        except Insufficient:
            return False

    taken = await asyncio.gather(*(asyncio.to_thread(one, number) for number in range(200)))
    assert sum(taken) == 1000 // 13
    assert (ledger.balance(OWN), ledger.balance(held("acct_1"))) == (1000 % 13, 1000 // 13 * 13)
    ledger.check()


_SPENDER = """
import sys
from faas_operator.ledger import Cause, Insufficient, Posting, available, held
from faas_operator.store import Store
url, name = sys.argv[1:]
store, done = Store.open(url), 0
for number in range(50):
    try:
        moves = Posting(available("acct_1"), -13, floor=0), Posting(held("acct_1"), 13)
        done += store.ledger.post(Cause("hold", f"{name}/{number}"), *moves)
    except Insufficient:
        pass
print(done)
"""


def test_several_processes_never_overspend(store, url):
    grant(store.ledger, "acct_1", 1000)
    spenders = [
        subprocess.Popen([sys.executable, "-c", _SPENDER, url, str(n)], stdout=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    taken = [int(spender.communicate(timeout=120)[0]) for spender in spenders]
    assert sum(taken) == 1000 // 13
    assert store.ledger.balance(OWN) == 1000 % 13
    store.ledger.check()


class LedgerMachine(RuleBasedStateMachine):
    """Grants, holds, settlements, releases and reversals in any order, against plain dictionaries."""

    causes = Bundle("causes")

    @initialize()
    def open(self) -> None:
        self.store = Store.open("sqlite://")
        self.ledger = self.store.ledger
        self.balances = dict.fromkeys((0, 1), 0)
        self.held: dict[str, tuple[int, int]] = {}
        self.grants: dict[str, tuple[int, int]] = {}
        self.ended: set[str] = set()
        self.revenue = 0
        self.random = random.Random(0)

    @rule(target=causes, who=st.integers(0, 1), amount=st.integers(1, 1000))
    def grant(self, who: int, amount: int) -> str:
        name = f"grant {self.random.random()}"
        assert grant(self.ledger, str(who), amount, name)
        assert not grant(self.ledger, str(who), amount + 1, name)
        self.balances[who] += amount
        self.grants[name] = who, amount
        return name

    @rule(target=causes, who=st.integers(0, 1), amount=st.integers(1, 1000))
    def hold(self, who: int, amount: int) -> str:
        name = f"run {self.random.random()}"
        try:
            assert spend(self.ledger, str(who), amount, name)
        except Insufficient:
            assert amount > self.balances[who]
            return name
        assert amount <= self.balances[who]
        self.balances[who] -= amount
        self.held[name] = who, amount
        return name

    @rule(name=causes, used=st.integers(0, 1000))
    def settle(self, name: str, used: int) -> None:
        if name not in self.held:
            return
        who, amount = self.held[name]
        used = min(used, amount)
        posted = self.ledger.post(
            Cause("settlement", name),
            Posting(held(str(who)), -amount),
            Posting(REVENUE, used),
            Posting(available(str(who)), amount - used),
        )
        assert posted == (name not in self.ended)
        if posted:
            self.ended.add(name)
            self.revenue += used
            self.balances[who] += amount - used

    @rule(name=causes)
    def take_back(self, name: str) -> None:
        if name not in self.grants:
            return
        who, amount = self.grants[name]
        with Session(self.store._engine) as session:
            posted = reverse(session, 0.0, Cause("grant", name), Cause("reorganisation", name))
            session.commit()
        if posted:
            self.balances[who] -= amount
        assert posted == (name not in self.ended)
        self.ended.add(name)

    @invariant()
    def adds_up(self) -> None:
        self.ledger.check()
        for who, amount in self.balances.items():
            assert self.ledger.balance(available(str(who))) == amount
            open_ = sum(part for name, (whose, part) in self.held.items()
                        if whose == who and name not in self.ended)  # fmt: skip
            assert self.ledger.balance(held(str(who))) == open_
        assert self.ledger.balance(REVENUE) == self.revenue

    def teardown(self) -> None:
        self.store.close()


LedgerMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLedgerMachine = LedgerMachine.TestCase


def test_a_ledger_survives(url):
    with closing(Store.open(url)) as store:
        grant(store.ledger, "acct_1", 5)
    with closing(Store.open(url)) as store:
        assert store.ledger.balance(OWN) == 5
        assert grant(store.ledger, "acct_1", 5) is False
        store.ledger.check()
