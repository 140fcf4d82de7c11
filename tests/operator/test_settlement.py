"""What was used is fetched from the real contract, within what the payer signed, once."""

from __future__ import annotations

import asyncio
from contextlib import closing

import httpx
import pytest
from eth_keys.datatypes import PrivateKey

from faas_api.app import create_app
from faas_api.authentication import configured_account
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import ZERO_ADDRESS
from faas_blueprint.tangle import credits
from faas_blueprint.tangle.credit_events import account_id_of
from faas_blueprint.tangle.credits import Purse, SpendingLimit
from faas_operator.bookkeeping import Bookkeeping
from faas_operator.chain.credits import CreditsChain
from faas_operator.credit_events import Rates
from faas_operator.deposits import DepositFollower
from faas_operator.executions import ExecutionService
from faas_operator.ledger import GRANTS, PROCEEDS, REVENUE, Cause, Posting, available, balance, held
from faas_operator.settings import Secrets, Settings, hash_api_key
from faas_operator.settlement import Settlement
from faas_operator.signer import Signer
from faas_operator.spending_limits import SpendingLimits
from faas_operator.store import Store

pytestmark = pytest.mark.chain

ETHER = 10**18
CREDIT = 10**9
ACCOUNT = configured_account(hash_api_key(b"alice"))
OWN = available(ACCOUNT)
FAR = 2**40


class Books:
    """One node's books over a devnet."""

    def __init__(self, chain, store, folder) -> None:
        self.chain, self.store = chain, store
        self.contract = chain.deployment.credits
        self.purse = Purse(account_id_of(ACCOUNT), chain.deployment.customer)
        self.settings = Settings(
            home=folder, credits=self.contract, chain_id=chain.deployment.chain_id, settle_seconds=1e-9,
            start_block=chain.deployment.first_block,
        )  # fmt: skip
        source = CreditsChain(chain.rpc, chain.deployment.chain_id, [self.contract])
        self.follower = DepositFollower(source, store.credit_events, self.settings, Rates(), "t")
        self.limits: SpendingLimits = store.spending_limits(chain.deployment.chain_id, self.contract)
        self.settlement = Settlement(chain.rpc, chain.sender(chain.operator()), self.contract, self.limits)
        self._used = 0

    async def deposit(self, amount=ETHER) -> None:
        await self.chain.send(credits.deposit(self.purse.account_id), amount, to=self.contract)
        await self.follower.look()

    def use(self, nanocredits: int) -> None:
        """As if runs had been settled."""
        self._used += 1
        own = Posting(OWN, -nanocredits, floor=0)
        self.store.ledger.post(Cause("settlement", f"{self._used}"), own, Posting(REVENUE, nanocredits))

    def sign(self, total: int, series=0, expiry=FAR, key=None) -> tuple[SpendingLimit, bytes]:
        limit = SpendingLimit(self.purse, series, total, expiry)
        digest = credits.limit_digest(limit, self.chain.deployment.chain_id, self.contract)
        signed = PrivateKey(bytes(self.chain.account(key).key)).sign_msg_hash(digest).to_bytes()
        return limit, signed[:64] + bytes([27 + signed[64]])

    async def on_chain(self):
        found = await self.chain.rpc.read(self.contract, credits.account_of(self.purse))
        return found.balance, found.settled


@pytest.fixture
def books(fresh_chain, database, tmp_path):
    with closing(Store.open(database)) as store:
        yield Books(fresh_chain, store, tmp_path)


async def test_what_was_used_is_settled_once_and_up_to_the_limit(books):
    await books.deposit()
    books.limits.add(*books.sign(ETHER // 2))
    assert await books.settlement.settle() == 0  # nothing is used
    books.use(200 * CREDIT)
    assert await books.settlement.settle() == 1
    assert await books.on_chain() == (ETHER - ETHER // 5, ETHER // 5)
    assert await books.settlement.settle() == 0  # the ledger has not seen it yet
    await books.follower.look()
    assert await books.settlement.settle() == 0
    assert books.store.ledger.balance(PROCEEDS) == -200 * CREDIT
    books.use(600 * CREDIT)
    assert await books.settlement.settle() == 1
    assert await books.on_chain() == (ETHER // 2, ETHER // 2)
    await books.follower.look()
    assert await books.settlement.settle() == 0  # the limit is reached
    books.limits.add(*books.sign(ETHER))
    books.limits.add(*books.sign(ETHER // 2))  # a lower one changes nothing
    assert await books.settlement.settle() == 1
    assert (await books.on_chain())[1] == ETHER * 4 // 5
    await books.follower.look()
    assert books.store.ledger.balance(OWN) == 200 * CREDIT
    books.store.ledger.check()


async def test_a_node_that_forgot_what_it_sent_takes_nothing_twice(books):
    await books.deposit()
    books.limits.add(*books.sign(ETHER))
    books.use(300 * CREDIT)
    [due] = books.limits.due()
    await books.settlement.settle()
    assert books.limits.due() == [due]  # by the ledger alone it is due still
    await asyncio.gather(books.settlement.settle(), books.settlement.settle())
    assert (await books.on_chain())[1] == due.amount == ETHER * 3 // 10


async def test_dust_does_not_keep_the_operator_from_settling(books):
    await books.deposit()
    await books.deposit(1)  # less than a nanocredit
    books.limits.add(*books.sign(ETHER))
    books.use(1000 * CREDIT)
    assert await books.settlement.settle() == 1
    assert (await books.on_chain())[1] == ETHER


async def test_credits_without_money_behind_them_are_used_first(books):
    grant = Posting(GRANTS, -100 * CREDIT), Posting(OWN, 100 * CREDIT)
    books.store.ledger.post(Cause("grant", ACCOUNT), *grant)
    await books.deposit()
    books.limits.add(*books.sign(ETHER))
    books.use(100 * CREDIT)
    assert await books.settlement.settle() == 0
    books.use(50 * CREDIT)
    assert await books.settlement.settle() == 1
    assert (await books.on_chain())[1] == ETHER // 20


async def test_what_is_free_again_while_it_is_looked_what_is_due_was_not_used(books, monkeypatch):
    """A run that fails just then gives back what was held for it."""
    await books.deposit()
    books.limits.add(*books.sign(ETHER))
    ledger, most = books.store.ledger, 300 * CREDIT
    ledger.post(Cause("hold", "1"), Posting(OWN, -most), Posting(held(ACCOUNT), most))

    def balance_then_release(session, account):
        found = balance(session, account)
        if account == OWN:
            ledger.post(Cause("release", "1"), Posting(OWN, most), Posting(held(ACCOUNT), -most))
        return found

    monkeypatch.setattr("faas_operator.spending_limits.balance", balance_then_release)
    assert books.limits.due() == []
    assert ledger.balance(OWN) == 1000 * CREDIT


async def test_a_notice_leaves_time_to_settle_and_the_refund_is_the_rest(books):
    await books.deposit()
    books.limits.add(*books.sign(ETHER))
    books.use(300 * CREDIT)
    await books.chain.send(credits.announce_refund(books.purse), to=books.contract)
    await books.follower.look()
    assert await books.settlement.settle() == 1
    notice = await books.chain.rpc.read(books.contract, credits.notice_seconds())
    await books.chain.rpc.request("evm_increaseTime", notice)
    await books.chain.send(credits.refund(books.purse), to=books.contract)
    await books.follower.look()
    assert books.store.ledger.balance(OWN) == 0
    assert await books.chain.rpc.read(books.contract, credits.owed(books.purse.payer)) == ETHER * 7 // 10
    await books.deposit()
    books.use(10 * CREDIT)
    assert await books.settlement.settle() == 0  # what was signed ended with its series
    books.limits.add(*books.sign(ETHER, series=1))
    assert await books.settlement.settle() == 1
    books.store.ledger.check()


async def test_limits_that_nobody_signed_are_refused(books):
    good, signature = books.sign(5)
    _, strangers = books.sign(5, key=books.chain.deployment.owner_key)
    for limit, signed in (
        (good, strangers), (good, b""), (good, bytes(65)), (good, signature[:64] + b"\x00"),
        books.sign(5, expiry=1), books.sign(0),
    ):  # fmt: skip
        with pytest.raises(InvalidRequest):
            books.limits.add(limit, signed)


async def test_over_http_and_by_the_bookkeeping(books, tmp_path):
    service = ExecutionService(None, Signer(b"\x01" * 32), books.store)
    app = create_app(service, books.settings, Secrets.with_api_keys("alice", "bob"))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as client:
        client.headers["X-API-Key"] = "alice"
        assert (await client.get("/credits")).json() == {
            "chain_id": books.chain.deployment.chain_id, "contract": books.contract,
            "account_id": "0x" + books.purse.account_id.hex(),
            "units_per_credit": {ZERO_ADDRESS: str(10**15)},
        }  # fmt: skip
        await books.deposit()
        books.use(100 * CREDIT)
        limit, signature = books.sign(ETHER)
        body = {
            "payer": limit.purse.payer.upper().replace("0X", "0x"), "series": 0, "total": str(limit.total),
            "expiry": FAR, "signature": "0x" + signature.hex(),
        }  # fmt: skip
        kept = await client.post("/credits/limits", json=body)
        assert (kept.status_code, kept.json()["total"]) == (201, str(ETHER))
        for change in ({"total": "1"}, {"signature": "0x"}, {"payer": "0x12"}, {"series": -1}, {"more": 1}):
            refused = await client.post("/credits/limits", json={**body, **change})
            assert refused.status_code == 400, change
        client.headers["X-API-Key"] = "bob"  # a limit is for one account
        assert (await client.post("/credits/limits", json=body)).status_code == 400

    now = iter(range(1000, 2000, 100))
    settled = Bookkeeping(
        books.store.ledger, books.store.storage_sweep, books.follower, books.settlement, books.settings,
        lambda: next(now),
    )  # fmt: skip
    await settled.once()
    assert (await books.on_chain())[1] == ETHER // 10

    bare = create_app(service, Settings(home=tmp_path), Secrets.with_api_keys("alice"))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(bare), base_url="http://test/api/v1"
    ) as client:
        answer = await client.get("/credits", headers={"X-API-Key": "alice"})
        assert answer.status_code == 404
