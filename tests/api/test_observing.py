"""/ready and /metrics, healthy and not. With a real engine and chain: tests/e2e/test_operator_run.py."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from faas_api.app import create_app
from faas_blueprint.errors import ChainUnavailable
from faas_operator.settings import Secrets, Settings

KEY = "key-of-alice"


class UnreachableChain:
    """A follower whose chain fails as it is told to. For faults only."""

    def __init__(self) -> None:
        self.follows = True
        self.stopping = False
        self.stands_by = False
        self.asked = 0

    def seconds_since_look(self):
        return 1.5 if self.follows else None

    def block(self):
        return 17

    async def balance(self):
        self.asked += 1
        raise ChainUnavailable("no RPC answers")


@pytest.fixture
def follower():
    return UnreachableChain()


@pytest.fixture
def watched(app_service, faulty_engine, follower, tmp_path):
    """An application whose engine says that it is warm."""

    async def usage():
        return SimpleNamespace(used_bytes=4096)

    faulty_engine.warm = True
    faulty_engine.pool = SimpleNamespace(waiting=1, machines=("one", "two"))
    faulty_engine.library = SimpleNamespace(store=SimpleNamespace(usage=usage))
    app = create_app(app_service, Settings(home=tmp_path), Secrets.with_api_keys(KEY), follower)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def ready(client):
    response = await client.get("/ready")
    assert response.status_code == (503 if response.json()["reasons"] else 200)
    assert response.json()["ready"] == (response.status_code == 200)
    return response.json()["reasons"]


async def test_a_node_that_can_work_is_ready(watched):
    assert await ready(watched) == []


async def test_what_stands_against_it_is_said(watched, follower, faulty_engine, app_service):
    follower.follows = False
    assert ["chain" in reason for reason in await ready(watched)] == [True]
    faulty_engine.warm = False
    assert len(await ready(watched)) == 2
    app_service.stopping = True
    assert (await ready(watched))[0] == "the node is stopping"
    assert (await watched.get("/health")).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/api/v1/health", "/ready", "/metrics"])
async def test_a_head_asks_for_the_status_alone(watched, follower, path):
    assert (await watched.head(path)).status_code == 200
    follower.follows = False
    assert (await watched.head(path)).status_code == (503 if path == "/ready" else 200)


async def test_a_database_that_does_not_answer(watched, app_service, monkeypatch):
    def fail():
        raise OperationalError("select", {}, Exception("password=hunter2"))

    monkeypatch.setattr(app_service.store, "count_by_state", fail)
    assert await ready(watched) == ["the database does not answer"]
    assert (await watched.get("/metrics")).status_code == 200


async def test_a_database_that_hangs(watched, app_service, monkeypatch):
    import time

    monkeypatch.setattr("faas_operator.readiness.PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(app_service.store, "count_by_state", lambda: time.sleep(0.3))
    assert await ready(watched) == ["the database does not answer"]


async def metrics(client) -> dict[tuple[str, ...], float]:
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def test_metrics_parse_and_what_cannot_be_had_is_left_out(watched, follower):
    found = await metrics(watched)
    assert found["faas_machines", "waiting"] == 1
    assert found["faas_machines", "taken"] == 1
    assert found["faas_snapshot_store_bytes",] == 4096
    assert found["faas_jobs", "seen"] == 0
    assert found["faas_chain_block",] == 17
    assert found["faas_chain_look_age_seconds",] == 1.5
    assert found["faas_ready",] == 1
    assert ("faas_operator_balance_wei",) not in found
    await metrics(watched)
    assert follower.asked == 1, "it is remembered for a while that it cannot be had"


async def test_no_account_shows_in_metrics(watched, faulty_engine):
    headers = {"X-API-Key": KEY}
    body = {"language": "python", "code": "print('of-alice')", "async": True}
    asked = await watched.post("/api/v1/execute", json=body, headers=headers)
    assert asked.status_code in (200, 202), asked.text
    await faulty_engine.started.wait()
    text = (await watched.get("/metrics")).text
    assert 'faas_executions{status="queued"} 1.0' in text
    assert "alice" not in text
    assert asked.json()["execution_id"] not in text


async def test_a_stopping_node_takes_no_runs_and_waits_for_those_under_way(
    watched, faulty_engine, app_service
):
    headers = {"X-API-Key": KEY}
    body = {"language": "python", "code": "1"}
    first = asyncio.create_task(watched.post("/api/v1/execute", json=body, headers=headers))
    await faulty_engine.started.wait()
    draining = asyncio.create_task(app_service.drain(0.3))
    await asyncio.sleep(0.05)
    refused = await watched.post("/api/v1/execute", json=body, headers=headers)
    assert refused.status_code == 507
    assert refused.json()["error"]["code"] == "INSUFFICIENT_RESOURCES"
    assert not draining.done()
    await draining
    await app_service.close()
    assert "interrupted" in (await first).text or (await first).status_code >= 400
