"""What the Credits pallet grants reaches the ledger once, whatever the chain or the node does."""

from __future__ import annotations

from contextlib import asynccontextmanager, closing

import pytest
from answering import burn, claim
from extrinsics import hash_of
from people import CUSTOMER, OTHER_CUSTOMER
from sqlmodel import Session

from faas_blueprint.digests import digest_from_hex
from faas_blueprint.errors import ChainUnavailable
from faas_blueprint.tangle.credit_events import CreditEventKind
from faas_blueprint.tangle.genesis import place_of
from faas_operator.chain.substrate.credits import SubstrateCredits
from faas_operator.chain.substrate.rpc import SubstrateRpc
from faas_operator.chain.substrate.runtime import SubstrateRuntime
from faas_operator.credit_events import Rates
from faas_operator.deposits import DepositFollower
from faas_operator.ledger import available
from faas_operator.settings import Settings
from faas_operator.store import Store

pytestmark = pytest.mark.slow

TNT = 10**18
CREDIT = 10**9
BOTH = (CreditEventKind.BURNED, CreditEventKind.CLAIMED)
PAYER = "0x" + CUSTOMER.account.hex()
RATES = Rates(claimed=7, burned=TNT // 100)


@pytest.fixture
def database(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/store.sqlite"


@pytest.fixture
def store(database):
    with closing(Store.open(database)) as made:
        yield made


@asynccontextmanager
async def following(double, store, tmp_path, *, kinds=BOTH, confirmations=1):
    settings = Settings(home=tmp_path, confirmations=confirmations, rewind_blocks=4, scan_blocks=2)
    async with SubstrateRpc(double.http_url, attempts=1) as rpc:
        runtime = await SubstrateRuntime.connect(rpc)
        source = SubstrateCredits(runtime, *place_of(digest_from_hex(double.tree.genesis.hash)), kinds)
        yield DepositFollower(source, store.credit_events, settings, RATES, "test")


async def test_a_burn_counts_once_its_block_is_final(double, store, tmp_path):
    burn(double, 3 * TNT)
    double.make_block(finalise=False)
    async with following(double, store, tmp_path) as follower:
        await follower.look()
        assert store.ledger.balance(available(PAYER)) == 0
        double.finalise()
        for _ in range(3):
            await follower.look()
            assert store.ledger.balance(available(PAYER)) == 300 * CREDIT
    [line], total = store.ledger.statement(PAYER, 10, 0)
    transaction = double.tree.best.extrinsics[1]
    chain_id, contract = place_of(digest_from_hex(double.tree.genesis.hash))
    assert (line.kind, total) == ("burned", 1)
    assert line.cause.startswith(f"{chain_id}/{hash_of(transaction)}/")
    assert line.cause.endswith(f" in {double.tree.best.hash}")
    assert store.ledger.balance(f"burns:{chain_id}:{contract}") == -300 * CREDIT
    store.ledger.check()


async def test_burns_are_the_account_s_that_the_payer_is_bound_to(double, store, tmp_path):
    account = store.accounts.create("test").id
    burn(double, TNT)
    double.make_block()
    async with following(double, store, tmp_path) as follower:
        await follower.look()
        store.accounts.bind(account, "substrate", PAYER, "test")
        assert store.ledger.balance(available(account)) == 100 * CREDIT
        burn(double, 2 * TNT)
        double.make_block()
        await follower.look()
    assert store.ledger.balance(available(account)) == 300 * CREDIT
    assert store.ledger.balance(available(PAYER)) == 0
    store.ledger.check()


async def test_claims_name_their_account_or_are_the_payer_s(double, store, tmp_path):
    account = store.accounts.create("test").id
    claim(double, 5, account.encode())
    claim(double, 6, b"x" * 33)
    claim(double, 7, b"", OTHER_CUSTOMER)
    double.make_block()
    async with following(double, store, tmp_path) as follower:
        await follower.look()
    assert store.ledger.balance(available(account)) == 35
    assert store.ledger.balance(available(PAYER)) == 42
    assert store.ledger.balance(available("0x" + OTHER_CUSTOMER.account.hex())) == 49


async def test_only_what_is_worth_something_is_looked_at(double, store, tmp_path):
    burn(double, TNT)
    claim(double, 5, b"", OTHER_CUSTOMER)
    double.make_block()
    async with following(double, store, tmp_path, kinds=(CreditEventKind.CLAIMED,)) as follower:
        await follower.look()
    assert store.ledger.balance(available(PAYER)) == 0
    assert store.ledger.balance(available("0x" + OTHER_CUSTOMER.account.hex())) == 35


async def test_a_fork_moves_a_burn_and_it_counts_once(double, store, tmp_path):
    async with following(double, store, tmp_path) as follower:
        burn(double, TNT)
        double.make_block(finalise=False)
        await follower.look()
        double.reorganise()  # the burn waits again
        await follower.look()
        double.make_block()
        burn(double, TNT)
        double.make_block(finalise=False)
        double.reorganise(lose=True)  # this one is gone
        double.finalise()
        await follower.look()
        await follower.look()
    assert store.ledger.balance(available(PAYER)) == 100 * CREDIT
    store.ledger.check()


async def test_a_node_without_answers_changes_nothing(double, store, tmp_path):
    burn(double, TNT)
    double.make_block()
    async with following(double, store, tmp_path) as follower:
        for method in ("chain_getFinalizedHead", "chain_getBlockHash", "state_getStorage", "chain_getBlock"):
            double.refuse = {method}
            with pytest.raises(ChainUnavailable):
                await follower.look()
            assert store.ledger.balance(available(PAYER)) == 0
        double.refuse = set()
        await follower.look()
    assert store.ledger.balance(available(PAYER)) == 100 * CREDIT


class Killed(BaseException):
    """The process ends here; what was not committed is gone."""


async def test_a_kill_between_any_two_commits_loses_and_doubles_nothing(
    double, database, tmp_path, monkeypatch
):
    """Before and after each commit, until one look gets through; blocks and burns come in between."""
    commit = Session.commit
    burn(double, TNT)
    double.make_block()
    kills, expected = 0, 100
    while True:
        strike, done = kills + 1, 0

        def deadly(session: Session) -> None:
            nonlocal done
            done += 1
            if strike == 2 * done - 1:  # noqa: B023 - of this round
                raise Killed
            commit(session)
            if strike == 2 * done:  # noqa: B023
                raise Killed

        with closing(Store.open(database)) as store:
            monkeypatch.setattr(Session, "commit", deadly)
            try:
                async with following(double, store, tmp_path) as follower:
                    await follower.look()
                break
            except Killed:
                kills += 1
            finally:
                monkeypatch.setattr(Session, "commit", commit)
        assert kills < 100
        if kills % 3 == 0:
            burn(double, TNT)
            double.make_block()
            expected += 100
    with closing(Store.open(database)) as store:
        assert store.ledger.balance(available(PAYER)) == expected * CREDIT
        store.ledger.check()
    assert kills >= 4
