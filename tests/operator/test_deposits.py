"""Deposits reach the ledger once, over a chain that misbehaves on demand."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace

import pytest

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import ChainUnavailable, InvalidRequest
from faas_blueprint.receipt import ZERO_ADDRESS, Address
from faas_blueprint.tangle.credit_events import CreditEvent, CreditEventKind, account_id_of, account_named
from faas_operator.chain.interface import Block
from faas_operator.credit_events import ChainEvent, Rates
from faas_operator.deposits import DepositFollower
from faas_operator.ledger import PROCEEDS, REVENUE, Cause, Posting, available
from faas_operator.settings import Settings
from faas_operator.store import Store

ETHER = 10**18
CREDIT = 10**9
ACCOUNT = "acct_0123456789abcdef01234567"
ACCOUNT_ID = account_id_of(ACCOUNT)
OWN = available(ACCOUNT)
PAYER = Address("0x" + "cd" * 20)
CONTRACT = Address("0x" + "ee" * 20)
RATES = Rates({ZERO_ADDRESS: 10**15}, claimed=5)


def event(
    kind=CreditEventKind.DEPOSITED, amount=ETHER, account_id=ACCOUNT_ID, payer=PAYER, token=ZERO_ADDRESS
):
    return CreditEvent(kind, account_id, payer, token, amount)


class FaultyChain:
    """A chain in memory that reorganises and fails on demand. For faults only."""

    chain_id = 31337

    def __init__(self) -> None:
        self._forks = 0
        self._blocks: list[tuple[Block, list[CreditEvent]]] = []
        self.unavailable_after = 1 << 30
        """So many answers, and then none."""
        self.mine()

    def mine(self, *events: CreditEvent) -> None:
        number = len(self._blocks)
        self._blocks.append((Block(number, f"{number}@{self._forks}"), list(events)))

    def reorganise(self, *replaced: tuple[CreditEvent, ...], longer: int = 1) -> None:
        """Other blocks in place of the last ones, and more."""
        del self._blocks[-len(replaced) :]
        self._forks += 1
        for events in replaced:
            self.mine(*events)
        for _ in range(longer):
            self.mine()

    def save(self):
        return list(self._blocks)

    def restore(self, blocks) -> None:
        self._forks += 1
        self._blocks = list(blocks)

    def _answer(self) -> None:
        self.unavailable_after -= 1
        if self.unavailable_after < 0:
            raise ChainUnavailable("no RPC answers")

    async def head(self) -> Block:
        self._answer()
        return self._blocks[-1][0]

    async def block_hash(self, number: int) -> str | None:
        self._answer()
        return self._blocks[number][0].block_hash if 0 <= number < len(self._blocks) else None

    async def events(self, first_block: int, last_block: int) -> list[ChainEvent]:
        self._answer()
        return [
            ChainEvent(event, self.chain_id, CONTRACT, block, f"tx of {event.amount}", index)
            for block, events in self._blocks[first_block : last_block + 1]
            for index, event in enumerate(events)
        ]


@pytest.fixture
def chain() -> FaultyChain:
    return FaultyChain()


@pytest.fixture
def store(database):
    with closing(Store.open(database)) as made:
        yield made


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path, confirmations=2, rewind_blocks=4, scan_blocks=3)


@pytest.fixture
def follower(chain, store, settings) -> DepositFollower:
    return DepositFollower(chain, store.credit_events, settings, RATES, "test")


def use_up(store, amount, name="used"):
    """Revenue, as if a run had been settled."""
    store.ledger.post(Cause("settlement", name), Posting(OWN, -amount), Posting(REVENUE, amount))


def test_an_account_is_named_in_32_bytes():
    assert account_named(ACCOUNT_ID) == ACCOUNT
    assert account_named(sha256(b"another form")) is None
    assert account_named(Digest(bytes(32))) is None
    for name in ("x" * 33, "", "a b", "ä"):
        with pytest.raises(InvalidRequest):
            account_id_of(name)


async def test_a_deposit_counts_when_it_has_its_confirmations_and_once(chain, store, follower):
    chain.mine(event(), event(amount=2 * ETHER))
    await follower.look()
    assert store.ledger.balance(OWN) == 0
    chain.mine()
    for _ in range(3):
        await follower.look()
        assert store.ledger.balance(OWN) == 3000 * CREDIT
    [second, first], total = store.ledger.statement(ACCOUNT, 10, 0)
    assert total == 2
    assert (first.kind, first.cause) == ("deposited", f"31337/tx of {ETHER}/0 in 1@0")
    assert second.cause == f"31337/tx of {2 * ETHER}/1 in 1@0"
    store.ledger.check()


async def test_many_blocks_are_read_in_pieces(chain, store, follower):
    for _ in range(10):
        chain.mine(event())
    chain.mine()
    await follower.look()
    assert store.ledger.balance(OWN) == 10_000 * CREDIT


async def test_a_deposit_that_vanishes_before_it_counts(chain, store, follower):
    chain.mine(event())
    await follower.look()
    chain.reorganise((), longer=3)
    await follower.look()
    assert store.ledger.statement(ACCOUNT, 10, 0) == ([], 0)


async def test_a_deposit_that_vanishes_after_it_counted_is_taken_back(chain, store, follower):
    chain.mine(event())
    chain.mine()
    await follower.look()
    use_up(store, 400 * CREDIT)
    chain.reorganise((), (), longer=1)
    await follower.look()
    assert store.ledger.balance(OWN) == -400 * CREDIT
    store.ledger.check()


async def test_a_deposit_that_moves_counts_once_in_its_new_place(chain, store, follower):
    chain.mine(event())
    chain.mine()
    await follower.look()
    chain.reorganise((), (event(amount=1), event()))
    await follower.look()
    assert store.ledger.balance(OWN) == 1000 * CREDIT
    kinds = [line.kind for line in store.ledger.statement(ACCOUNT, 10, 0)[0]]
    assert kinds == ["deposited", "reorganisation", "deposited"]


async def test_a_block_that_comes_back_counts_again_but_once(chain, store, follower):
    chain.mine(event())
    chain.mine()
    before = chain.save()
    await follower.look()
    for depth in (2, 4):
        chain.reorganise(*[()] * depth)
        await follower.look()
        assert store.ledger.balance(OWN) == 0
        chain.restore(before)
        chain.mine()
        chain.mine()
        await follower.look()
        assert store.ledger.balance(OWN) == 1000 * CREDIT
    store.ledger.check()


async def test_a_chain_that_fails_between_any_two_answers(new_database, settings):
    """And the whole again from what is stored, with a deposit, a reorganisation and a deposit that moved."""
    for answers in range(40):
        with closing(Store.open(new_database(str(answers)))) as store:
            chain = FaultyChain()
            follower = DepositFollower(chain, store.credit_events, settings, RATES, "test")
            steps = [
                lambda chain: chain.mine(event()),
                lambda chain: chain.mine(),
                lambda chain: chain.reorganise((), (event(),)),
                lambda chain: chain.mine(event(amount=2 * ETHER)),
                lambda chain: chain.mine(),
            ]
            for step in steps:
                step(chain)
                chain.unavailable_after = answers
                with suppress(ChainUnavailable):
                    await follower.look()
            chain.unavailable_after = 1 << 30
            await follower.look()
            assert store.ledger.balance(OWN) == 3000 * CREDIT, answers
            store.ledger.check()


@pytest.mark.parametrize(
    "odd",
    [
        event(token=Address("0x" + "aa" * 20)),
        event(amount=10**5),
        event(amount=2**255),
        event(CreditEventKind.CLAIMED, amount=2**255),
    ],
)
async def test_what_buys_no_credits_is_noted_and_passed_over(chain, store, follower, odd):
    chain.mine(odd, event())
    chain.mine()
    await follower.look()
    assert store.ledger.balance(OWN) == 1000 * CREDIT
    chain.reorganise((), ())
    await follower.look()
    assert store.ledger.balance(OWN) == 0
    store.ledger.check()


async def test_credits_that_the_protocol_grants(chain, store, follower):
    chain.mine(event(CreditEventKind.CLAIMED, amount=7))
    chain.mine()
    await follower.look()
    assert store.ledger.balance(OWN) == 35


def bind(store):
    """The account proves that it holds the payer's address."""
    store.accounts.ensure([ACCOUNT], "test", "")
    store.accounts.bind(ACCOUNT, "ethereum", PAYER, "test")


async def test_a_payer_who_names_no_account_is_credited_once_it_is_bound(chain, store, follower):
    chain.mine(event(account_id=sha256(b"?")))
    chain.mine()
    await follower.look()
    assert (store.ledger.balance(OWN), store.ledger.balance(available(PAYER))) == (0, 1000 * CREDIT)
    bind(store)
    bind(store)
    chain.mine(event(account_id=sha256(b"?")))
    chain.mine()
    await follower.look()
    assert (store.ledger.balance(OWN), store.ledger.balance(available(PAYER))) == (2000 * CREDIT, 0)
    store.ledger.check()


async def test_an_announced_refund_sets_unused_credits_aside(chain, store, follower):
    chain.mine(event())
    chain.mine(event(CreditEventKind.REFUND_ANNOUNCED, 0))
    chain.mine()
    await follower.look()
    assert store.ledger.balance(OWN) == 0
    chain.mine(event(CreditEventKind.REFUND_CANCELLED, 0))
    chain.mine()
    await follower.look()
    assert store.ledger.balance(OWN) == 1000 * CREDIT


async def test_what_is_refunded_cannot_be_spent_and_what_was_spent_is_a_debt(chain, store, follower):
    chain.mine(event())
    chain.mine()
    await follower.look()
    use_up(store, 300 * CREDIT)
    chain.mine(event(CreditEventKind.REFUND_ANNOUNCED, 0))
    chain.mine(event(CreditEventKind.SETTLED, ETHER // 5))
    chain.mine()
    await follower.look()
    assert (store.ledger.balance(OWN), store.ledger.balance(PROCEEDS)) == (0, -200 * CREDIT)
    chain.mine(event(CreditEventKind.REFUNDED, ETHER - ETHER // 5))
    chain.mine()
    await follower.look()
    assert store.ledger.balance(OWN) == -100 * CREDIT  # used, and not settled in time
    chain.mine(event())
    chain.mine()
    await follower.look()
    assert store.ledger.balance(OWN) == 900 * CREDIT
    store.ledger.check()


async def test_a_refund_of_what_was_settled_in_full_leaves_nothing_owed(chain, store, follower):
    chain.mine(event(), event(amount=3 * ETHER))
    chain.mine()
    await follower.look()
    use_up(store, 1000 * CREDIT)
    chain.mine(event(CreditEventKind.SETTLED, ETHER), event(CreditEventKind.REFUND_ANNOUNCED, 0))
    chain.mine(event(CreditEventKind.REFUNDED, 3 * ETHER))
    chain.mine()
    await follower.look()
    assert store.ledger.balance(OWN) == 0
    store.ledger.check()


async def test_other_rates_do_not_change_what_a_purse_is_worth(chain, store, settings):
    chain.mine(event())
    chain.mine()
    await DepositFollower(chain, store.credit_events, settings, RATES, "test").look()
    dearer = replace(RATES, units={ZERO_ADDRESS: 10**16})
    chain.mine(event(CreditEventKind.SETTLED, ETHER // 4))
    chain.mine(event(CreditEventKind.REFUNDED, ETHER - ETHER // 4))
    chain.mine()
    use_up(store, 250 * CREDIT)
    await DepositFollower(chain, store.credit_events, settings, dearer, "test").look()
    assert (store.ledger.balance(OWN), store.ledger.balance(PROCEEDS)) == (0, -250 * CREDIT)
    store.ledger.check()


async def test_a_reorganisation_while_the_node_was_away(chain, store, follower):
    """Long enough for the replaced blocks to be deeper than it would read again."""
    chain.mine(event())
    chain.mine()
    await follower.look()
    chain.reorganise((), (), longer=20)
    await follower.look()
    assert store.ledger.balance(OWN) == 0
    store.ledger.check()


async def test_what_is_deep_enough_is_final(chain, store, follower):
    chain.mine(event())
    for _ in range(4):
        chain.mine()
    await follower.look()
    assert len(store.credit_events.applied(chain.chain_id)) == 1
    await follower.look()
    assert store.credit_events.applied(chain.chain_id) == []
    chain.mine(event(CreditEventKind.REFUNDED, ETHER))
    chain.mine()
    await follower.look()
    assert store.ledger.balance(OWN) == 0
