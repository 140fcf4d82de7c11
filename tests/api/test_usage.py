"""`/usage`, `/usage/current`, their breakdowns and `/pricing`: from real runs, and 402 under load."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing

import httpx
import pytest

from faas_api.app import create_app
from faas_api.authentication import configured_account
from faas_blueprint.bundle import bundle_from_json
from faas_blueprint.digests import sha256
from faas_blueprint.job import Limits, Mode, decode_job, make_job
from faas_blueprint.prices import PRICES, execution_cost, most_use_of, price_table_from_json, use_of
from faas_operator.charging import Terms
from faas_operator.execution_record import UNFINISHED, IdempotencyKey
from faas_operator.execution_run import RunRequest
from faas_operator.executions import ExecutionService
from faas_operator.ledger import available, held
from faas_operator.settings import Secrets, Settings, hash_api_key
from faas_operator.signer import Signer
from faas_operator.store import Store

CREDIT = 10**9
SIGNER = Signer(b"\x01" * 32)
BODY = {"code": "print(1)", "language": "python"}


def account_of(key: str) -> str:
    return configured_account(hash_api_key(key.encode()))


def client_of(app, key="alice") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(transport=transport, base_url="http://test/api/v1", headers=headers, timeout=120)


@pytest.fixture
def open_app(database, tmp_path):
    """An application over an engine, on terms."""
    opened = []

    def open_(engine, starting=CREDIT, charged=True):
        store = Store.open(database, Terms(PRICES, charged, starting))
        opened.append(store)
        service = ExecutionService(engine, SIGNER, store)
        settings = Settings(
            home=tmp_path, requests_per_minute=10**6, requests_per_hour=10**6, concurrent_executions=10**6
        )
        app = create_app(service, settings, Secrets.with_api_keys("alice", "bob"))
        return app, service, store

    yield open_
    for store in opened:
        store.close()


async def test_prices_are_open_to_everyone(open_app, faulty_engine):
    app, *_ = open_app(faulty_engine)
    async with client_of(app) as client:
        answer = await client.get("/pricing", headers={"Authorization": ""})
        assert answer.status_code == 200
        body = answer.json()
        assert price_table_from_json(body["table"]) == PRICES
        assert (body["nanocredits_per_credit"], body["charged"]) == (CREDIT, True)
        assert (await client.get("/pricing?version=1")).json() == body
        assert (await client.get("/pricing?version=2")).status_code == 404
        assert (await client.get("/usage", headers={"Authorization": ""})).status_code == 401


async def test_two_hundred_requests_at_once_never_overspend(open_app, faulty_engine):
    """Each holds what it can cost; the engine never ends one, so all that fit are held together."""
    job = make_job("python", "print(1)", limits=Limits(timeout_ms=1000))
    most = execution_cost(PRICES, Mode.EPHEMERAL, most_use_of(job)).total
    app, service, store = open_app(faulty_engine, starting=7 * most + 3)
    body = {**BODY, "resources": {"timeout_ms": 1000}, "async": True}
    async with service, client_of(app) as client:
        answers = await asyncio.gather(*(client.post("/execute", json=body) for _ in range(200)))
        codes = [answer.status_code for answer in answers]
        assert (codes.count(202), codes.count(402)) == (7, 193)
        error = next(answer for answer in answers if answer.status_code == 402).json()["error"]
        assert error["code"] == "PAYMENT_REQUIRED"
        assert error["details"]["required_nanocredits"] == most
        assert error["details"]["required"] == most / 1e9
        current = (await client.get("/usage/current")).json()
        assert current == {
            "current_balance": (7 * most + 3) / 1e9,
            "pending_charges": 7 * most / 1e9,
            "rate_limit_remaining": 1_000_000 - 201,
            "storage_used_bytes": 0,
            "active_executions": 7,
            "balance_nanocredits": 7 * most + 3,
            "pending_nanocredits": 7 * most,
        }
        own = account_of("alice")
        assert store.ledger.balance(available(own)) == 3
        assert store.ledger.balance(available(account_of("bob"))) == 0
    assert store.ledger.balance(held(own)) == 0  # the service was closed: our doing, so all is given back
    assert store.ledger.balance(available(own)) == 7 * most + 3
    store.ledger.check()


async def test_a_run_that_is_refused_leaves_nothing(open_app, faulty_engine):
    app, service, _ = open_app(faulty_engine, starting=5)
    async with service, client_of(app) as client:
        refused = await client.post("/execute", json=BODY, headers={"Idempotency-Key": "k"})
        assert refused.status_code == 402
        assert refused.json()["error"]["details"]["available_nanocredits"] == 5
        assert (await client.get("/executions")).json()["total"] == 0
        assert faulty_engine.jobs == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("start_date=yesterday", "start_date"),
        ("end_date=2026-13-01", "end_date"),
        ("start_date=0001-01-01T00:00:00%2B14:00", "start_date"),
        ("end_date=9999-12-31T23:59:59-14:00", "end_date"),
        ("end_date=9999-12-31T23:59:59.999999", "end_date"),
        ("start_date=2026-02-02&end_date=2026-02-01", "start_date"),
    ],
)
async def test_bad_periods_are_refused_by_name(open_app, faulty_engine, query, field):
    app, *_ = open_app(faulty_engine)
    async with client_of(app) as client:
        for path in ("/usage", "/usage/executions"):
            answer = await client.get(f"{path}?{query}")
            assert answer.status_code == 400
            assert answer.json()["error"]["details"]["field"] == field


async def test_periods_are_utc_and_begin_with_the_month(open_app, faulty_engine):
    app, *_ = open_app(faulty_engine)
    async with client_of(app) as client:
        asked = (await client.get("/usage?start_date=2024-01-01&end_date=2024-01-31T23:59:59+01:00")).json()
        assert (asked["period_start"], asked["period_end"]) == (
            "2024-01-01T00:00:00.000Z", "2024-01-31T22:59:59.000Z"
        )  # fmt: skip
        month = (await client.get("/usage")).json()
        assert month["period_start"].endswith("-01T00:00:00.000Z")


@pytest.mark.machine
async def test_usage_from_real_runs_is_what_their_receipts_say(open_app, engine):
    app, service, store = open_app(engine)
    async with service, client_of(app) as client, client_of(app, "bob") as other:
        runs = []
        for mode, code in (
            ("ephemeral", "print('x' * 1000)"),
            ("cached", "print(2)"),
            ("cached", "print(2)"),
        ):
            runs.append((await client.post("/execute", json={**BODY, "code": code, "mode": mode})).json())
        failed = await client.post("/execute", json={**BODY, "code": "raise SystemExit(3)"})
        runs.append(failed.json())
        kept = (await client.post("/execute", json={**BODY, "mode": "checkpointed"})).json()
        runs.append(kept)
        assert runs[2]["cached"] is True

        lines = (await client.get("/usage/executions")).json()["executions"]
        assert [line["execution_id"] for line in lines] == [run["id"] for run in reversed(runs)]
        total = 0
        for line, run in zip(lines, reversed(runs), strict=True):
            receipt = (await client.get(f"/executions/{line['execution_id']}/receipt")).json()
            bundle = bundle_from_json(receipt)
            cost = execution_cost(PRICES, Mode(line["mode"]), use_of(decode_job(bundle.job), bundle.outcome))
            assert line["charged_nanocredits"] == line["total_nanocredits"] == cost.total
            assert line["price_version"] == PRICES.version
            assert run["cost"]["total"] == cost.total / 1e9
            total += cost.total
        usage = (await client.get("/usage")).json()
        assert usage["executions"] == {
            "total_count": 5, "successful_count": 5, "failed_count": 0,
            "cpu_seconds": sum(run["virtual_ns"] for run in runs) / 1e9,
            "memory_gb_seconds": pytest.approx(sum(run["virtual_ns"] for run in runs) / 2e9),
            "by_mode": {"ephemeral": 2, "cached": 2, "checkpointed": 1, "branched": 0, "persistent": 0},
            "on_chain_count": 0,
        }  # fmt: skip
        assert usage["storage"] == {"snapshots_created": 1, "total_gb_stored": 0}
        assert usage["network"]["egress_gb"] == sum(line["egress_bytes"] for line in lines) / 2**30
        costs = usage["costs"]
        assert costs["total_nanocredits"] == total
        assert costs["credits_remaining"] == (CREDIT - total) / 1e9
        assert costs["compute_cost"] + costs["network_cost"] == pytest.approx(costs["total_cost"])
        snapshot = (await client.get(f"/snapshots/{kept['snapshot_id']}")).json()
        current = (await client.get("/usage/current")).json()
        assert current["storage_used_bytes"] == snapshot["size_bytes"] > 0
        assert (current["pending_charges"], current["active_executions"]) == (0, 0)

        entries = (await client.get("/usage/ledger?limit=100")).json()
        assert sum(entry["nanocredits"] for entry in entries["entries"]) == current["balance_nanocredits"]
        assert entries["total"] == len(entries["entries"]) == 1 + 4 * 5
        assert (await other.get("/usage")).json()["executions"]["total_count"] == 0
        assert (await other.get("/usage/ledger")).json()["total"] == 1
    store.ledger.check()


@pytest.mark.machine
async def test_a_cancelled_run_and_one_out_of_time(open_app, engine):
    app, service, store = open_app(engine)
    busy = {"code": "while True: pass", "language": "python"}
    async with service, client_of(app) as client:
        late = await client.post("/execute", json={**busy, "resources": {"timeout_ms": 50}})
        assert late.status_code == 408
        begun = (await client.post("/execute", json={**busy, "async": True})).json()
        async with asyncio.timeout(60):
            while service.under_way(begun["id"], account_of("alice")) is None:
                await asyncio.sleep(0.01)
        await client.post(f"/executions/{begun['id']}/cancel")
        cancelled, timed_out = (await client.get("/usage/executions")).json()["executions"]
        assert (timed_out["status"], cancelled["status"]) == ("timeout", "cancelled")
        assert timed_out["virtual_ns"] >= 50_000_000
        assert timed_out["charged_nanocredits"] > 50 * 25_500 / 1000 * 0.9
        assert cancelled["charged_nanocredits"] == cancelled["total_nanocredits"]
        usage = (await client.get("/usage")).json()["executions"]
        assert (usage["successful_count"], usage["failed_count"]) == (0, 2)
    store.ledger.check()


@pytest.mark.machine
async def test_on_a_node_that_does_not_charge_there_is_no_balance(open_app, engine):
    app, service, _ = open_app(engine, charged=False)
    async with service, client_of(app) as client:
        run = (await client.post("/execute", json=BODY)).json()
        assert run["cost"]["total"] > 0
        usage = (await client.get("/usage")).json()
        assert (usage["executions"]["total_count"], usage["costs"]["total_cost"]) == (1, 0)
        assert usage["costs"]["credits_remaining"] is None
        assert (await client.get("/usage/current")).json()["current_balance"] is None
        assert (await client.get("/pricing")).json()["charged"] is False


async def test_the_starting_credit_is_given_once(open_app, faulty_engine, database):
    """Also when the node starts again, with another one."""
    app, *_ = open_app(faulty_engine)
    async with client_of(app) as client:
        await client.get("/usage/current")
    with closing(Store.open(database, Terms(PRICES, True, 5 * CREDIT))) as again:
        assert again.usage.current(account_of("alice")).balance == CREDIT


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_caller_who_leaves_while_a_run_is_being_stored(open_app, faulty_engine, key):
    """What was held is given back, or belongs to a run that goes on under its key."""
    _, service, store = open_app(faulty_engine)
    entered, go_on = asyncio.Event(), threading.Event()
    begin, loop = service._executions.begin, asyncio.get_running_loop()

    def slow(*arguments, **named):
        number = begin(*arguments, **named)
        loop.call_soon_threadsafe(entered.set)
        go_on.wait(10)
        return number

    service._executions.begin = slow
    name = None if key is None else IdempotencyKey(key, sha256(b""))
    async with service:
        asking = asyncio.create_task(
            service.execute(RunRequest(make_job("python", "1"), key=name), "acct_1", str)
        )
        await entered.wait()
        asking.cancel()
        await asyncio.sleep(0.05)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await asking
        [line], _ = await service.page("acct_1", 10, 0)
        assert (line.status in UNFINISHED) == (key is not None)
        assert (store.ledger.balance(held("acct_1")) > 0) == (key is not None)
    assert store.ledger.balance(held("acct_1")) == 0
    store.ledger.check()
