"""Payments by request on a real chain: what is sent and counted, and what is not."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import time
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlmodel import Session, select

from faas_blueprint.digests import sha256
from faas_blueprint.errors import (
    ChainUnavailable,
    Forbidden,
    MachineFailure,
    MissingPrerequisite,
    PaymentRequired,
    RateLimitExceeded,
)
from faas_blueprint.job import Limits, make_job
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_blueprint.receipt import ZERO_ADDRESS, address
from faas_blueprint.tangle.abi import Function
from faas_microvm.execution import Execution
from faas_operator import payments as payments_module
from faas_operator.chain.authorization import Authorization, transfer_call
from faas_operator.chain.payment_token import PaymentToken
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionSender
from faas_operator.charging import Terms
from faas_operator.execution_record import Conflict, ExecutionStatus
from faas_operator.execution_run import RunRequest
from faas_operator.executions import ExecutionService
from faas_operator.ledger import PROCEEDS, REVENUE, available
from faas_operator.payment_record import PaymentState, nobodys
from faas_operator.payment_tables import PaymentRow
from faas_operator.payments import PaymentPending, PayPerRequest
from faas_operator.settings import Settings
from faas_operator.signer import Signer
from faas_operator.store import Store
from faas_operator.tables import ExecutionRow
from faas_operator.usage import Period

pytestmark = pytest.mark.chain

PAY_TO = address("0x" + "7e" * 20)
REQUEST = RunRequest(make_job("python", "print(1)", limits=Limits(timeout_ms=1000)))
DIGEST = sha256(b"asked")


class GatedEngine:
    """Runs wait for a gate, then print their code, or fail as told. For faults and races only."""

    profile_id = sha256(b"gated machine")
    measurement = sha256(b"gated snapshot")

    def __init__(self) -> None:
        self.runs = 0
        self.error: Exception | None = None
        self.started = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def stream(self, job, _snapshot, **_):
        self.runs += 1
        self.started.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        outcome = Outcome(
            Status.EXITED, 0, 0, 500_000_000, Stream(job.code.encode()), Stream(), sha256(b"root")
        )
        yield Execution(outcome, self.profile_id, self.measurement, 1.0)


@dataclass
class Shop:
    """A node that takes payments, and a payer."""

    chain: object
    store: Store
    engine: GatedEngine
    executions: ExecutionService
    payments: PayPerRequest
    token: PaymentToken
    on_duty: bool

    def signed(self, request=REQUEST, **changed) -> Authorization:
        """A transfer of the customer's for a run, with what is `changed` signed as well."""
        return signed(self.chain, self.token.domain, self.price(request).units, **changed)

    def price(self, request=REQUEST):
        return self.payments.price(request.job, request.placement.mode)

    async def pay(self, authorization, request=REQUEST, digest=DIGEST):
        async with asyncio.timeout(30):
            return await self.payments.pay(authorization, request, digest)

    async def received(self) -> int:
        return await self.token.balance(PAY_TO)

    def row(self, authorization):
        return self.store.payments.find(self.token.domain, authorization)

    def count(self, row) -> int:
        with Session(self.store.payments._engine) as session:
            return len(session.exec(select(row)).all())

    async def until(self, authorization, state):
        async with asyncio.timeout(30):
            while (row := self.row(authorization)) is None or row.state is not state:
                await asyncio.sleep(0.01)
        return row

    def account(self) -> str | None:
        return self.store.accounts.of_address("ethereum", address(self.chain.account().address))


def signed(chain, domain, units, **changed) -> Authorization:
    account = changed.pop("by", chain.account())
    fields = {
        "payer": address(chain.account().address), "to": PAY_TO, "value": units,
        "valid_after": 0, "valid_before": int(time.time()) + 900, "nonce": secrets.token_bytes(32),
    } | changed  # fmt: skip
    names = ("from", "to", "value", "validAfter", "validBefore", "nonce")
    kinds = ("address", "address", "uint256", "uint256", "uint256", "bytes32")
    signature = account.sign_typed_data(
        {
            "name": domain.name, "version": domain.version, "chainId": domain.chain_id,
            "verifyingContract": domain.token,
        },
        {"TransferWithAuthorization": [
            {"name": name, "type": kind} for name, kind in zip(names, kinds, strict=True)
        ]},
        dict(zip(names, fields.values(), strict=True)),
    ).signature  # fmt: skip
    return Authorization(**fields, signature=bytes(signature))


@asynccontextmanager
async def open_shop(chain, database, folder, on_duty=True, patience=20.0, **changed):
    deployment = chain.deployment
    settings = Settings(
        home=folder, billing=True, poll_seconds=0.02, retry_seconds=0.01, retry_seconds_at_most=0.1,
        credit_rates={ZERO_ADDRESS: 10**15, deployment.payment_token: 10**6},
        **changed,
    )  # fmt: skip
    gas = TransactionSender(
        chain.rpc, chain.account(deployment.gas_key), deployment.chain_id, patience=patience
    )
    engine = GatedEngine()
    with closing(Store.open(database, Terms(charged=True))) as store:
        async with ExecutionService(
            engine, Signer(b"\x01" * 32), store, settings.concurrent_executions
        ) as executions:
            token = await PaymentToken.connect(chain.rpc, gas, deployment.chain_id, deployment.payment_token)
            payments = PayPerRequest(
                token, store.payments, executions, settings, PAY_TO, lambda: opened.on_duty
            )
            opened = Shop(chain, store, engine, executions, payments, token, on_duty)
            settling = asyncio.create_task(payments.settling.run())
            try:
                yield opened
                if settling.done():
                    settling.result()
                store.ledger.check()
            finally:
                settling.cancel()
                with suppress(asyncio.CancelledError):
                    await settling


@pytest.fixture
async def shop(chain, tmp_path):
    async with open_shop(chain, f"sqlite:///{tmp_path / 'store'}", tmp_path) as opened:
        yield opened


@pytest.fixture
async def any_shop(chain, database, tmp_path):
    """The same on SQLite and on PostgreSQL."""
    async with open_shop(chain, database, tmp_path) as opened:
        yield opened


# -- what is taken


async def test_what_a_run_did_not_use_stays_as_credits_of_the_payers_account(any_shop):
    shop = any_shop
    before = await shop.received()
    payment, record = await shop.pay(shop.signed())
    price = shop.price()
    assert await shop.received() == before + price.units
    assert record.attested.outcome.stdout.content == b"print(1)"
    assert record.account == payment.account == shop.account()
    assert 0 < record.cost.total < price.nanocredits
    ledger = shop.store.ledger
    assert ledger.balance(available(payment.account)) == price.nanocredits - record.cost.total
    assert (ledger.balance(REVENUE), ledger.balance(PROCEEDS)) == (record.cost.total, -price.nanocredits)
    lines, _ = ledger.statement(payment.account, 10, 0)
    assert [line.kind for line in lines] == ["settlement", "x402"]
    nonce = payment.authorization.nonce.hex()
    chain_id = shop.token.domain.chain_id
    assert lines[1].cause == f"{chain_id}/{payment.transaction_hash}/{payment.authorization.payer} {nonce}"
    period = Period(0, time.time() + 1)
    (used,), _ = shop.store.usage.lines(payment.account, period, 10, 0)
    assert (used.charged, used.billed_by) == (record.cost.total, "ledger")
    # and again: to the same account
    again, _ = await shop.pay(shop.signed())
    assert again.account == payment.account
    assert ledger.balance(available(payment.account)) == 2 * (price.nanocredits - record.cost.total)


async def test_a_run_is_nobodys_until_it_is_paid_for(shop):
    shop.engine.gate.clear()
    authorization = shop.signed()
    paying = asyncio.create_task(shop.pay(authorization))
    await shop.engine.started.wait()
    row = shop.row(authorization)
    assert (row.state, row.account) == (PaymentState.RESERVED, nobodys(authorization.payer))
    assert shop.account() is None
    assert not await shop.token.is_used(authorization)
    shop.engine.gate.set()
    payment, _ = await paying
    assert shop.store.executions.page(nobodys(authorization.payer), 10, 0)[1] == 0
    assert shop.store.executions.page(payment.account, 10, 0)[1] == 1


async def test_one_payment_is_one_run(any_shop):
    shop = any_shop
    before = await shop.received()
    authorization = shop.signed()
    answers = await asyncio.gather(*(shop.pay(authorization) for _ in range(50)))
    assert shop.engine.runs == shop.count(ExecutionRow) == shop.count(PaymentRow) == 1
    assert len({(payment.transaction_hash, record.id) for payment, record in answers}) == 1
    assert await shop.received() == before + shop.price().units
    with pytest.raises(Conflict):
        await shop.pay(authorization, digest=sha256(b"something else"))


async def test_many_payments_at_once(shop):
    before = await shop.received()
    answers = await asyncio.gather(*(shop.pay(shop.signed()) for _ in range(10)))
    assert len({payment.transaction_hash for payment, _ in answers}) == 10
    assert await shop.received() == before + 10 * shop.price().units


async def test_credits_go_to_the_account_that_the_payer_is_bound_to(shop):
    mine = shop.store.accounts.create("test").id
    shop.store.accounts.bind(mine, "ethereum", address(shop.chain.account().address), "test")
    payment, _ = await shop.pay(shop.signed())
    assert payment.account == mine
    shop.store.accounts.change(mine, "test", closed=True)
    with pytest.raises(Forbidden):
        await shop.pay(shop.signed())
    assert shop.count(PaymentRow) == 1


async def test_a_caller_who_went_away_asks_again(shop):
    shop.engine.gate.clear()
    authorization = shop.signed()
    paying = asyncio.create_task(shop.pay(authorization))
    await shop.engine.started.wait()
    paying.cancel()
    with suppress(asyncio.CancelledError):
        await paying
    shop.engine.gate.set()
    await shop.until(authorization, PaymentState.SETTLED)
    _, record = await shop.pay(authorization)
    assert record.status is ExecutionStatus.COMPLETED
    assert shop.engine.runs == 1


async def test_a_process_that_is_not_on_duty_waits_for_the_one_that_is(chain, database, tmp_path):
    async with (
        open_shop(chain, database, tmp_path, on_duty=False) as asked,
        open_shop(chain, database, tmp_path) as other,
    ):
        payment, _ = await asked.pay(asked.signed())
        assert payment.state is PaymentState.SETTLED
        assert (asked.engine.runs, other.engine.runs) == (1, 0)


# -- what is not


def refusals(shop):
    stranger = shop.chain.account(shop.chain.deployment.owner_key)
    poor = shop.chain.account("0x" + "05" * 32)
    cut = shop.signed()
    return {
        "invalid_signature": [
            shop.signed(by=stranger), replace(cut, value=cut.value + 1), replace(cut, signature=bytes(65)),
            replace(cut, signature=b"\xff" * 65), replace(cut, payer=address(stranger.address)),
        ],
        "wrong_recipient": [shop.signed(to=address("0x" + "11" * 20))],
        "wrong_amount": [shop.signed(value=shop.price().units + more) for more in (-1, 1)],
        "expired": [shop.signed(valid_before=int(time.time()) + 10), shop.signed(valid_before=0)],
        "not_yet_valid": [shop.signed(valid_after=int(time.time()) + 1000)],
        "insufficient_funds": [shop.signed(by=poor, payer=address(poor.address))],
    }  # fmt: skip


async def test_what_cannot_be_paid_with_leaves_nothing_behind(shop):
    before = await shop.received()
    for reason, bad in refusals(shop).items():
        for authorization in bad:
            with pytest.raises(PaymentRequired) as refused:
                await shop.pay(authorization)
            assert refused.value.details == {"reason": reason}, reason
    used = shop.signed()
    await shop.token.send(used)
    with pytest.raises(PaymentRequired) as refused:
        await shop.pay(used)
    assert refused.value.details["reason"] == "used"
    elsewhere = signed(shop.chain, replace(shop.token.domain, chain_id=1), shop.price().units)
    with pytest.raises(PaymentRequired):
        await shop.pay(elsewhere)
    assert await shop.received() == before + used.value  # which this test has sent
    assert shop.engine.runs == shop.count(PaymentRow) == shop.count(ExecutionRow) == 0
    assert shop.store.accounts.page(10, 0)[1] == 0


async def test_a_run_that_fails_for_our_reasons_gives_the_payment_up(any_shop):
    shop = any_shop
    shop.engine.error = MachineFailure("the machine died")
    authorization, before = shop.signed(), await shop.received()
    with pytest.raises(MachineFailure):
        await shop.pay(authorization)
    await shop.until(authorization, PaymentState.GIVEN_UP)
    shop.engine.error = None
    with pytest.raises(PaymentRequired) as refused:
        await shop.pay(authorization)
    assert refused.value.details["reason"] == "given_up"
    assert not await shop.token.is_used(authorization)
    assert await shop.received() == before
    assert shop.engine.runs == 1
    assert shop.account() is None


async def test_a_run_that_cannot_begin_leaves_its_payment_free(chain, tmp_path):
    async with open_shop(chain, f"sqlite:///{tmp_path / 'store'}", tmp_path, concurrent_executions=1) as shop:
        shop.engine.gate.clear()
        first = asyncio.create_task(shop.pay(shop.signed()))
        await shop.engine.started.wait()
        authorization = shop.signed()
        with pytest.raises(RateLimitExceeded):
            await shop.pay(authorization)
        assert shop.row(authorization) is None
        shop.engine.gate.set()
        await first
        await shop.pay(authorization)


async def test_money_that_is_gone_when_the_run_ends_gives_no_answer(shop):
    """And what the payer has already is left alone."""
    shop.engine.gate.clear()
    authorization = shop.signed()
    paying = asyncio.create_task(shop.pay(authorization))
    await shop.engine.started.wait()
    away = shop.chain.account(shop.chain.deployment.owner_key).address
    transfer = Function("transfer", ("address", "uint256"))
    token = shop.chain.deployment.payment_token
    all_of_it = await shop.token.balance(authorization.payer)
    await shop.chain.send(transfer.encode(away, all_of_it), to=token)
    try:
        shop.engine.gate.set()
        with pytest.raises(PaymentRequired, match="ERC20InsufficientBalance"):
            await paying
    finally:
        owner = shop.chain.account(shop.chain.deployment.owner_key)
        await shop.chain.send(transfer.encode(authorization.payer, all_of_it), account=owner, to=token)
    assert shop.row(authorization).state is PaymentState.GIVEN_UP
    assert shop.account() is None
    with pytest.raises(PaymentRequired):
        await shop.pay(authorization)


async def test_a_nonce_that_was_used_for_another_transfer_is_no_payment(shop):
    """The payer signs two transfers with one nonce, and sends the one that does not pay."""
    shop.engine.gate.clear()
    authorization = shop.signed()
    paying = asyncio.create_task(shop.pay(authorization))
    await shop.engine.started.wait()
    await shop.token.send(shop.signed(nonce=authorization.nonce, to=authorization.payer))
    shop.engine.gate.set()
    with pytest.raises(PaymentRequired, match="used for something else"):
        await paying
    assert shop.account() is None


async def test_who_sends_the_transfer_does_not_matter(shop):
    shop.engine.gate.clear()
    authorization = shop.signed()
    paying = asyncio.create_task(shop.pay(authorization))
    await shop.engine.started.wait()
    before = await shop.received()
    await shop.token.send(authorization)
    shop.engine.gate.set()
    await paying
    assert await shop.received() == before + authorization.value


async def test_a_contract_may_send_it_too(shop):
    """Which is seen by the log of the money."""
    token = shop.token.domain.token
    runtime = f"365f5f375f5f365f5f73{token[2:]}5af100"  # calls the token with what it is called with
    forwarder = bytes.fromhex("60218060095f395ff3" + runtime)
    contract = (await shop.chain.sender().send(None, forwarder)).contract
    shop.engine.gate.clear()
    authorization = shop.signed()
    paying = asyncio.create_task(shop.pay(authorization))
    await shop.engine.started.wait()
    sent = await shop.chain.send(transfer_call(authorization), to=contract)
    shop.engine.gate.set()
    payment, _ = await paying
    assert payment.transaction_hash == sent.transaction_hash


async def test_a_contract_that_is_no_such_token(shop):
    deployment = shop.chain.deployment
    sender = shop.chain.sender()
    for other in (deployment.customer, deployment.credits, deployment.bond_token):
        with pytest.raises(MissingPrerequisite, match="FAAS_X402_TOKEN"):
            await PaymentToken.connect(shop.chain.rpc, sender, deployment.chain_id, other)
    async with Rpc("http://127.0.0.1:9", attempts=1) as away:
        with pytest.raises(ChainUnavailable):
            await PaymentToken.connect(away, sender, deployment.chain_id, deployment.payment_token)


async def test_what_is_paid_for_a_run_that_failed_is_credited(shop):
    """The payer has sent it himself: it is his, and he can spend it."""
    shop.engine.gate.clear()
    authorization = shop.signed()
    paying = asyncio.create_task(shop.pay(authorization))
    await shop.engine.started.wait()
    await shop.token.send(authorization)
    shop.engine.error = MachineFailure("the machine died")
    shop.engine.gate.set()
    with pytest.raises(MachineFailure):
        await paying
    row = await shop.until(authorization, PaymentState.SETTLED)
    assert shop.store.ledger.balance(available(row.account)) == row.nanocredits
    _, record = await shop.pay(authorization)
    assert record.status is ExecutionStatus.FAILED


async def test_a_caller_is_told_when_the_chain_takes_too_long(chain, tmp_path, monkeypatch):
    monkeypatch.setattr(payments_module, "ANSWER_SECONDS", 0.3)
    async with open_shop(chain, f"sqlite:///{tmp_path / 'store'}", tmp_path, on_duty=False) as shop:
        authorization = shop.signed()
        with pytest.raises(PaymentPending):
            await shop.pay(authorization)
        assert shop.row(authorization).state is PaymentState.RESERVED
        assert shop.engine.runs == 1


# -- blocks that are replaced


async def test_it_counts_with_confirmations_and_not_before(fresh_chain, tmp_path):
    async with open_shop(fresh_chain, f"sqlite:///{tmp_path / 'store'}", tmp_path, confirmations=3) as shop:
        authorization = shop.signed()
        paying = asyncio.create_task(shop.pay(authorization))
        for _ in range(2):
            await until(lambda: shop.token.is_used(authorization))
            await asyncio.sleep(0.1)
            assert shop.row(authorization).state is PaymentState.RESERVED
            assert shop.account() is None
            await fresh_chain.rpc.request("evm_mine")
        await paying


async def test_a_reorganisation_before_it_counts(fresh_chain, tmp_path):
    """The transfer is dropped, and sent again."""
    database = f"sqlite:///{tmp_path / 'store'}"
    async with open_shop(fresh_chain, database, tmp_path, patience=0.5, confirmations=2) as shop:
        shop.engine.gate.clear()
        authorization = shop.signed()
        paying = asyncio.create_task(shop.pay(authorization))
        await shop.engine.started.wait()
        fork = await fresh_chain.rpc.request("evm_snapshot")
        shop.engine.gate.set()
        await until(lambda: shop.token.is_used(authorization))
        await fresh_chain.rpc.request("evm_revert", fork)
        await fresh_chain.rpc.request("evm_mine")
        await until(lambda: shop.token.is_used(authorization))
        await fresh_chain.rpc.request("evm_mine")
        payment, _ = await paying
        assert await shop.received() == authorization.value
        assert shop.store.ledger.balance(PROCEEDS) == -payment.nanocredits


@pytest.mark.parametrize("again", ["sent", "cancelled"])
async def test_a_reorganisation_after_it_counted(fresh_chain, tmp_path, again):
    """It is sent again; where it cannot be, its credits are taken back."""
    async with open_shop(fresh_chain, f"sqlite:///{tmp_path / 'store'}", tmp_path) as shop:
        authorization = shop.signed()
        fork = await fresh_chain.rpc.request("evm_snapshot")
        payment, record = await shop.pay(authorization)

        async def is_where_it_is_said_to_be() -> bool:
            said = shop.row(authorization).block
            there = await fresh_chain.rpc.header(said.number)
            used = await shop.token.is_used(authorization)
            return used and there is not None and there.block == said

        shop.on_duty = False
        await asyncio.sleep(0.2)  # a look that is under way
        await fresh_chain.rpc.request("evm_revert", fork)
        if again == "cancelled":
            await shop.token.send(shop.signed(nonce=authorization.nonce, to=authorization.payer))
        await fresh_chain.rpc.request("evm_mine")
        shop.on_duty = True
        own = available(payment.account)
        if again == "cancelled":
            await shop.until(authorization, PaymentState.GIVEN_UP)
            assert shop.store.ledger.balance(own) == -record.cost.total
        else:
            await until(is_where_it_is_said_to_be)
            assert await shop.received() == authorization.value
            assert shop.store.ledger.balance(own) == payment.nanocredits - record.cost.total


async def test_it_is_final_when_it_is_deep(fresh_chain, tmp_path):
    async with open_shop(fresh_chain, f"sqlite:///{tmp_path / 'store'}", tmp_path, rewind_blocks=3) as shop:
        authorization = shop.signed()
        await shop.pay(authorization)
        for _ in range(2):
            assert shop.row(authorization).state is PaymentState.SETTLED
            await fresh_chain.rpc.request("evm_mine")
        await shop.until(authorization, PaymentState.FINAL)


async def test_it_is_given_up_when_it_has_expired(fresh_chain, tmp_path):
    async with open_shop(fresh_chain, f"sqlite:///{tmp_path / 'store'}", tmp_path) as shop:
        shop.engine.gate.clear()
        authorization = shop.signed()
        paying = asyncio.create_task(shop.pay(authorization))
        await shop.engine.started.wait()
        await fresh_chain.rpc.request("evm_increaseTime", 1000)
        await fresh_chain.rpc.request("evm_mine")
        shop.engine.gate.set()
        with pytest.raises(PaymentRequired, match="expired"):
            await paying


async def until(question) -> None:
    async with asyncio.timeout(30):
        while not await question():
            await asyncio.sleep(0.01)


# -- a node that is killed

CRASHING = Path(__file__).with_name("crashing_payer.py")


@pytest.mark.slow
def test_a_node_that_is_killed_at_any_step(devnet, database, tmp_path):
    """Before and after each commit, and before and after each transaction is sent; then again while it makes
    up for that. Whatever is left: money and answer, or neither."""
    arguments = (devnet.rpc_url, devnet.payment_token, devnet.customer_key, devnet.gas_key)
    command = [sys.executable, str(CRASHING), *arguments, str(tmp_path), database]
    done = subprocess.run(command, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[-1]["killed"] is False  # past the last step
    # reserve, begin, finish, send, settle: before and after
    assert told[-1]["strike"] > 10
    totals = dict.fromkeys(("runs", "payments", "credits", "revenue"), 0)
    for life in told:
        more = {name: life[name] - before for name, before in totals.items()}
        totals = {name: life[name] for name in totals}
        paid = life["received"] > 0
        assert more["runs"] == more["payments"] <= 1, life
        assert life["received"] in (0, life["amount"]), life
        assert life["answer"] == ("print(1)" if paid else None), life
        assert more["credits"] + more["revenue"] == (life["nanocredits"] if paid else 0), life
        assert (more["revenue"] > 0) == paid, life
    assert {life["received"] > 0 for life in told} == {True, False}
