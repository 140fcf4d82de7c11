"""Callers without an account pay for single runs, with the client of x402's own package, on a real chain."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from contextlib import asynccontextmanager, closing, suppress

import httpx
import pytest
from x402 import x402Client
from x402.http.clients.httpx import x402_httpx_transport
from x402.http.utils import decode_payment_required_header, decode_payment_response_header
from x402.mechanisms.evm.exact.register import register_exact_evm_client

from faas_api.app import create_app
from faas_blueprint.errors import ChainUnavailable, MachineFailure
from faas_blueprint.receipt import ZERO_ADDRESS, address
from faas_operator.chain.payment_token import PaymentToken
from faas_operator.chain.sender import TransactionSender
from faas_operator.charging import Terms
from faas_operator.executions import ExecutionService
from faas_operator.ledger import REVENUE
from faas_operator.payments import PayPerRequest
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store

pytestmark = pytest.mark.chain

PAY_TO = address("0x" + "7e" * 20)
HELLO = {"code": "print(6 * 7)", "language": "python"}
PAYMENT = "PAYMENT-SIGNATURE"


class Shop:
    """An application that takes payments, and its parts."""

    def __init__(self, chain, store, payments, token, app):
        self.chain, self.store, self.payments, self.token = chain, store, payments, token
        self._app = app
        self.payer = address(chain.account().address)

    def client(self, transport=None):
        """Without a key."""
        transport = transport or httpx.ASGITransport(self._app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://test/api/v1", timeout=60)

    def paying_client(self):
        """x402's own, which the customer has told that it may spend a hundredth of a token on a run."""
        allowed = {"network": f"eip155:{self.chain.deployment.chain_id}", "asset": self.token.domain.token}
        client = register_exact_evm_client(x402Client(), self.chain.account())
        client.set_spend_controls({"allowed_assets": [{**allowed, "max_amount_per_payment": "10000"}]})
        return client

    def paying(self):
        """A client that pays what it is asked for."""
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        return self.client(x402_httpx_transport(self.paying_client(), transport))

    async def payment(self, http, body=HELLO) -> str:
        """What the client sends to pay for a request."""
        asked = await http.post("/execute", json=body)
        assert asked.status_code == 402, asked.text
        required = decode_payment_required_header(asked.headers["PAYMENT-REQUIRED"])
        payload = await self.paying_client().create_payment_payload(required)
        return base64.b64encode(payload.model_dump_json(by_alias=True, exclude_none=True).encode()).decode()

    def is_untouched(self) -> bool:
        """Whether nothing was stored of anybody but the settings' key."""
        runs = sum(self.store.executions.count_by_status().values())
        accounts = self.store.accounts.page(10, 0)[1]
        return (runs, accounts, len(self.store.payments.reserved(self.token.domain))) == (0, 1, 0)


@asynccontextmanager
async def serving(chain, engine, folder, database=None):
    deployment = chain.deployment
    token_address = deployment.payment_token
    settings = Settings(
        home=folder, billing=True, poll_seconds=0.02, retry_seconds=0.01, retry_seconds_at_most=0.1,
        credit_rates={ZERO_ADDRESS: 10**15, token_address: 10**6},
        requests_per_minute=10**6, requests_per_hour=10**6,
    )  # fmt: skip
    gas = TransactionSender(chain.rpc, chain.account(deployment.gas_key), deployment.chain_id)
    url = database or f"sqlite:///{folder / 'store.sqlite'}"
    with closing(Store.open(url, Terms(charged=True))) as store:
        async with ExecutionService(engine, Signer(b"\x01" * 32), store, 60) as executions:
            token = await PaymentToken.connect(chain.rpc, gas, deployment.chain_id, token_address)
            payments = PayPerRequest(token, store.payments, executions, settings, PAY_TO)
            app = create_app(executions, settings, Secrets.with_api_keys("alice"), payments=payments)
            settling = asyncio.create_task(payments.settling.run())
            try:
                yield Shop(chain, store, payments, token, app)
                store.ledger.check()
            finally:
                settling.cancel()
                with suppress(asyncio.CancelledError):
                    await settling


@pytest.fixture
async def shop(chain, faulty_engine, tmp_path):
    """Over an engine that must not be reached, or fails on demand."""
    async with serving(chain, faulty_engine, tmp_path) as opened:
        yield opened


@pytest.mark.machine
async def test_a_stranger_pays_and_gets_the_result(chain, engine, database, tmp_path):
    async with serving(chain, engine, tmp_path, database) as shop, shop.paying() as http:
        before = await shop.token.balance(PAY_TO)
        answer = await http.post("/execute", json=HELLO)
        assert answer.status_code == 200, answer.text
        assert answer.json()["stdout"] == "42\n"
        assert answer.json()["receipt"]
        paid = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
        assert (paid.success, paid.payer) == (True, shop.payer)
        sent = await chain.rpc.request("eth_getTransactionByHash", paid.transaction)
        assert (sent["to"], sent["from"]) == (
            shop.token.domain.token, address(chain.account(chain.deployment.gas_key).address),
        )  # fmt: skip
        assert await shop.token.balance(PAY_TO) == before + int(paid.amount)
        account = shop.store.accounts.of_address("ethereum", shop.payer)
        key = shop.store.keys.create(account, "test", {"read"}).secret
        async with shop.client() as own:
            own.headers["X-API-Key"] = key
            mine = await own.get(f"/executions/{answer.json()['id']}")
            assert mine.json() == answer.json()
            usage = (await own.get("/usage/current")).json()
        cost = round(answer.json()["cost"]["total"] * 1e9)
        assert usage["balance_nanocredits"] == int(paid.amount) * 1000 - cost
        assert shop.store.ledger.balance(REVENUE) == cost


@pytest.mark.machine
async def test_fifty_requests_with_one_payment_are_one_run(chain, engine, tmp_path):
    async with serving(chain, engine, tmp_path) as shop, shop.client() as http:
        before = await shop.token.balance(PAY_TO)
        http.headers[PAYMENT] = await shop_payment(shop)
        answers = await asyncio.gather(*(http.post("/execute", json=HELLO) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.text for answer in answers}) == 1
        assert sum(shop.store.executions.count_by_status().values()) == 1
        paid = decode_payment_response_header(answers[0].headers["PAYMENT-RESPONSE"])
        assert await shop.token.balance(PAY_TO) == before + int(paid.amount)
        other = await http.post("/execute", json={**HELLO, "code": "print(7)"})
        assert other.status_code == 409


async def shop_payment(shop, body=HELLO):
    async with shop.client() as http:
        return await shop.payment(http, body)


@pytest.mark.machine
async def test_modes_forms_and_a_run_that_uses_up_its_time(chain, engine, tmp_path):
    async with serving(chain, engine, tmp_path) as shop, shop.paying() as http:
        new = {"code": f"print({secrets.randbits(64)})", "language": "python", "mode": "cached"}
        cached = [(await http.post("/execute", json=new)).json()["cached"] for _ in range(2)]
        assert cached == [False, True]
        command = await http.post("/execute", json={"command": "echo hi", "image": "python:3.11"})
        assert (command.status_code, command.json()["stdout"]) == (200, "hi\n")
        parts = {"request": (None, json.dumps({"language": "bash", "code": "cat a"}))}
        form = await http.post("/execute", files={**parts, "files": ("a", b"in a file")})
        assert form.json()["stdout"] == "in a file"
        endless = {"code": "while True: pass", "language": "python", "resources": {"timeout_ms": 100}}
        late = await http.post("/execute", json=endless)
        assert late.status_code == 408
        assert decode_payment_response_header(late.headers["PAYMENT-RESPONSE"]).success
        assert late.json()["error"]["details"]["receipt"]


async def test_what_a_run_takes(shop):
    async with shop.client() as http:
        asked = await http.post("/execute", json=HELLO)
        cheaper = await http.post("/execute", json={**HELLO, "resources": {"timeout_ms": 10}})
        assert (await http.post("/execute", json={"code": "x"})).status_code == 400
    assert asked.status_code == 402
    error = asked.json()["error"]
    assert (error["code"], error["details"]["reason"]) == ("PAYMENT_REQUIRED", "payment_required")
    required = decode_payment_required_header(asked.headers["PAYMENT-REQUIRED"])
    assert required.x402_version == 2
    assert required.resource.url == "http://test/api/v1/execute"
    (accepted,) = required.accepts
    assert [accepted.model_dump(by_alias=True, mode="json")] == error["details"]["accepts"]
    assert (accepted.scheme, accepted.network) == ("exact", f"eip155:{shop.chain.deployment.chain_id}")
    assert (accepted.asset, accepted.pay_to) == (shop.token.domain.token, PAY_TO)
    assert accepted.extra == {"name": "Devnet Dollar", "version": "1"}
    assert int(accepted.amount) * 1000 == error["details"]["required_nanocredits"]
    (less,) = decode_payment_required_header(cheaper.headers["PAYMENT-REQUIRED"]).accepts
    assert 0 < int(less.amount) < int(accepted.amount)
    assert shop.is_untouched()


TAKES_AN_ACCOUNT = {
    "mode": {"mode": "checkpointed"},
    "snapshot_id": {"snapshot_id": "snap_1"},
    "branch_id": {"branch_id": "branch_1"},
    "session": {"session": "kitchen", "mode": "ephemeral"},
    "execution_id": {"execution_id": "exec_mine"},
    "async": {"async": True},
    "interactive": {"interactive": True},
    "terminal": {"terminal": {}},
}


@pytest.mark.parametrize("field", TAKES_AN_ACCOUNT)
async def test_what_takes_an_account(shop, field):
    async with shop.client() as http:
        refused = await http.post("/execute", json={**HELLO, **TAKES_AN_ACCOUNT[field]})
    assert refused.status_code == 400
    assert refused.json()["error"]["details"]["field"] == field


def changed(header, change):
    payload = json.loads(base64.b64decode(header))
    change(payload)
    return base64.b64encode(json.dumps(payload).encode()).decode()


def setting(*path):
    """Sets the value at the end of a path, of a payment's JSON."""

    def change(payload):
        *way, name, value = path
        for step in way:
            payload = payload[step]
        payload[name] = value

    return change


AUTHORIZATION = ("payload", "authorization")

UNPAYABLE = {
    "wrong_scheme": setting("accepted", "scheme", "upto"),
    "wrong_network": setting("accepted", "network", "eip155:1"),
    "wrong_token": setting("accepted", "asset", "0x" + "22" * 20),
    "invalid_signature": setting(*AUTHORIZATION, "value", "1"),
}

MALFORMED = {
    "another version": setting("x402Version", 1),
    "no version that there is": setting("x402Version", 3),
    "no payload": setting("payload", {}),
    "a payload that is no object": setting("payload", "transfer"),
    "permit2": setting("payload", {"permit2Authorization": {}, "signature": "0x"}),
    "a short signature": setting("payload", "signature", "0x1234"),
    "no signature": setting("payload", "signature", None),
    "a number": setting(*AUTHORIZATION, "value", 1),
    "a negative number": setting(*AUTHORIZATION, "value", "-1"),
    "a number over 256 bits": setting(*AUTHORIZATION, "validBefore", str(1 << 256)),
    "digits of another script": setting(*AUTHORIZATION, "value", "\u0663"),
    "no address": setting(*AUTHORIZATION, "from", "0x12"),
    "a short nonce": setting(*AUTHORIZATION, "nonce", "0x12"),
}

NONSENSE = ["", "no base64", "e30", "e30=", "bnVsbA==", "W10=", "InRleHQi", "NQ==", "/////w==",
            base64.b64encode(b"[" * 6000).decode()]  # fmt: skip


async def test_what_is_no_payment_leaves_nothing_behind(shop, faulty_engine):
    async with shop.client() as http:
        good = await shop.payment(http)
        for reason, change in UNPAYABLE.items():
            refused = await http.post("/execute", json=HELLO, headers={PAYMENT: changed(good, change)})
            assert refused.status_code == 402, refused.text
            assert refused.json()["error"]["details"]["reason"] == reason
            assert decode_payment_required_header(refused.headers["PAYMENT-REQUIRED"]).error
        other = await http.post("/execute", json={**HELLO, "resources": {"timeout_ms": 10}},
                                headers={PAYMENT: good})  # fmt: skip
        assert other.json()["error"]["details"]["reason"] == "wrong_amount"
        headers = [changed(good, change) for change in MALFORMED.values()] + NONSENSE
        for header in headers:
            refused = await http.post("/execute", json=HELLO, headers={PAYMENT: header})
            assert refused.status_code == 400, (header, refused.text)
            assert refused.json()["error"]["code"] == "INVALID_REQUEST"
            assert refused.json()["error"]["details"] == {"field": PAYMENT}
    assert faulty_engine.jobs == []
    assert shop.is_untouched()


async def test_keys_are_as_ever(shop):
    async with shop.client() as http:
        wrong = await http.post("/execute", json=HELLO, headers={"X-API-Key": "wrong"})
        assert (wrong.status_code, "PAYMENT-REQUIRED" in wrong.headers) == (401, False)
        both = await http.post("/execute", json=HELLO, headers={"X-API-Key": "alice", PAYMENT: "e30="})
        assert (both.status_code, both.json()["error"]["details"]) == (400, {"field": PAYMENT})
        poor = await http.post("/execute", json=HELLO, headers={"X-API-Key": "alice"})
        assert (poor.status_code, "PAYMENT-REQUIRED" in poor.headers) == (402, False)
        for method, path in (("GET", "/executions"), ("POST", "/snapshots"), ("GET", "/usage")):
            assert (await http.request(method, path)).status_code == 401


async def test_a_run_that_fails_is_not_paid_for(shop, faulty_engine):
    faulty_engine.error = MachineFailure("the machine died")
    before = await shop.token.balance(shop.payer)
    async with shop.client() as http:
        http.headers[PAYMENT] = await shop_payment(shop)
        failed = await http.post("/execute", json=HELLO)
        assert (failed.status_code, "PAYMENT-RESPONSE" in failed.headers) == (500, False)
        async with asyncio.timeout(20):
            while shop.store.payments.reserved(shop.token.domain):
                await asyncio.sleep(0.01)
        again = await http.post("/execute", json=HELLO)
    assert (again.status_code, again.json()["error"]["details"]["reason"]) == (402, "given_up")
    assert await shop.token.balance(shop.payer) == before
    assert len(faulty_engine.jobs) == 1


async def test_a_caller_who_goes_away_stops_nothing(shop, faulty_engine):
    async with shop.client() as http:
        http.headers[PAYMENT] = await shop_payment(shop)
        with suppress(asyncio.CancelledError):
            asking = asyncio.create_task(http.post("/execute", json=HELLO))
            await faulty_engine.started.wait()
            asking.cancel()
            await asking
    assert not faulty_engine.cancelled.is_set()
    assert len(shop.store.payments.reserved(shop.token.domain)) == 1


async def test_a_chain_that_does_not_answer(shop, monkeypatch):
    async def away():
        raise ChainUnavailable("eth_getBlockByNumber: http://127.0.0.1:1/a-secret")

    async with shop.client() as http:
        header = await shop.payment(http)
        monkeypatch.setattr(shop.token, "head", away)
        refused = await http.post("/execute", json=HELLO, headers={PAYMENT: header})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "INTERNAL_ERROR")
    assert "secret" not in refused.text
    assert "Retry-After" in refused.headers
    assert shop.is_untouched()
