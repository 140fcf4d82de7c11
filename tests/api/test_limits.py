"""How many requests and executions an account may ask for: in one process, in several with a real Redis."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import datetime

import httpx
import pytest
from pydantic import SecretStr

from faas_api import limits
from faas_api.app import create_app
from faas_api.limits import RequestCounts
from faas_blueprint.errors import FatalError
from faas_operator.account_record import CUSTOMER_SCOPES, AccountLimits
from faas_operator.executions import ExecutionService
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer

HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


def client_of(app, key="alice"):
    headers = {} if key is None else {"X-API-Key": key}
    transport = httpx.ASGITransport(app, client=("127.0.0.9", 1))
    return httpx.AsyncClient(transport=transport, base_url="http://test/api/v1", headers=headers)


@pytest.fixture
def limited(faulty_engine, store, tmp_path):
    """An application with these limits."""

    def make(minute=3, hour=1000, redis_url=None):
        service = ExecutionService(faulty_engine, Signer(b"\x01" * 32), store, at_once=2)
        settings = Settings(home=tmp_path, requests_per_minute=minute, requests_per_hour=hour)
        secrets = Secrets(
            api_keys=frozenset({"alice", "bob"}),
            redis_url=None if redis_url is None else SecretStr(redis_url),
        )
        return create_app(service, settings, secrets)

    return make


# -- requests


async def test_every_answer_says_how_many_are_left_and_the_last_is_refused(limited):
    async with client_of(limited()) as http:
        answers = [await http.get("/executions") for _ in range(4)]
        other = await client_of(http._transport.app, "bob").get("/executions")
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"3"}
    reset = int(answers[0].headers["X-RateLimit-Reset"])
    assert 0 <= reset - time.time() <= 61
    refused = answers[3]
    error = refused.json()["error"]
    assert error["code"] == "RATE_LIMIT_EXCEEDED"
    wait = int(refused.headers["Retry-After"])
    assert 1 <= wait <= 60
    assert error["message"] == f"Rate limit exceeded. Please retry after {wait} seconds."
    assert (error["details"]["limit"], error["details"]["remaining"]) == (3, 0)
    assert datetime.fromisoformat(error["details"]["reset_at"]).timestamp() == reset
    assert other.status_code == 200


async def test_the_hour_has_a_limit_too_and_the_tighter_window_is_told(limited):
    async with client_of(limited(minute=5, hour=2)) as http:
        answers = [await http.get("/executions") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["X-RateLimit-Limit"] == "2"
    assert 60 < int(answers[2].headers["Retry-After"]) <= 3600


async def test_refusals_and_errors_count_and_say_so_as_well(limited):
    async with client_of(limited()) as http:
        answers = [await http.get("/executions/none"), await http.post("/execute", json={})]
    assert [answer.status_code for answer in answers] == [404, 400]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1"]


async def test_a_minute_that_is_full_does_not_use_up_the_hour():
    counts = RequestCounts(per_minute=1, per_hour=2)
    assert (await counts.count("a")).allowed
    refused = [await counts.count("a") for _ in range(5)]
    assert {(standing.allowed, standing.limit) for standing in refused} == {(False, 1)}
    assert (await counts.count("a", AccountLimits(requests_per_minute=50))).allowed


async def test_a_window_ends(monkeypatch):
    counts = RequestCounts(per_minute=1, per_hour=1000)
    assert (await counts.count("a")).allowed
    assert not (await counts.count("a")).allowed
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert (await counts.count("a")).allowed


async def test_an_account_may_have_limits_of_its_own(limited, store):
    account = store.accounts.create("test", limits=AccountLimits(requests_per_minute=1)).id
    key = store.keys.create(account, "test", CUSTOMER_SCOPES).secret
    second = store.keys.create(account, "test", CUSTOMER_SCOPES).secret
    app = limited(minute=50)
    async with client_of(app, key) as http, client_of(app, second) as same:
        shown = (await http.get("/account")).json()["limits"]
        assert shown["requests_per_minute"] == 1
        assert shown["requests_per_hour"] == 1000
        assert (await same.get("/account")).status_code == 429
        store.accounts.change(account, "test", limits=AccountLimits())
        assert (await same.get("/account")).status_code == 200


@pytest.mark.parametrize("path", ["/executions", "/blobs/" + "0" * 64, "/sign-in/challenges"])
async def test_whoever_has_no_key_is_counted_by_address(limited, path):
    app = limited()
    async with client_of(app, None) as http, client_of(app, "wrong") as guessing:
        method = "POST" if path.startswith("/sign-in") else "GET"
        statuses = [(await http.request(method, path, json={})).status_code for _ in range(3)]
        assert 429 not in statuses
        assert (await http.request(method, path, json={})).status_code == 429
        assert (await guessing.get("/executions")).status_code == 429
    async with client_of(app) as http:
        assert (await http.get("/executions")).status_code == 200


async def test_health_is_not_counted(limited):
    async with client_of(limited(), None) as http:
        answers = [await http.get("/health") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    assert not set(HEADERS) & set(answers[0].headers)


# -- executions at once


async def test_so_many_executions_at_once_and_no_more(limited, faulty_engine):
    run = {"code": "1", "language": "python", "async": True}
    async with client_of(limited(minute=50)) as http:
        first, second, third = [await http.post("/execute", json=run) for _ in range(3)]
        assert [first.status_code, second.status_code, third.status_code] == [202, 202, 429]
        assert third.json()["error"]["code"] == "RATE_LIMIT_EXCEEDED"
        assert third.json()["error"]["details"]["limit"] == 2
        assert third.headers["Retry-After"] == "1"
        bob = client_of(http._transport.app, "bob")
        other = await bob.post("/execute", json=run)
        assert other.status_code == 202
        assert (await http.get("/executions")).json()["total"] == 2
        await http.delete(f"/executions/{first.json()['id']}")
        again = await http.post("/execute", json=run)
        assert again.status_code == 202
        for client, answer in ((http, second), (http, again), (bob, other)):
            await client.delete(f"/executions/{answer.json()['id']}")


# -- several processes


async def test_processes_that_share_a_redis_count_together(redis_server):
    _, url = redis_server
    processes = [RequestCounts(7, 1000, url) for _ in range(2)]
    answers = await asyncio.gather(*(processes[number % 2].count("alice") for number in range(20)))
    assert sum(standing.allowed for standing in answers) == 7
    assert not (await processes[0].count("alice")).allowed
    assert (await processes[1].count("bob")).remaining == 6
    apart = RequestCounts(7, 1000)
    assert (await apart.count("alice")).remaining == 6
    for counts in processes:
        await counts.close()


async def test_an_application_counts_in_redis(redis_server, limited):
    _, url = redis_server
    first, second = limited(redis_url=url), limited(redis_url=url)
    async with (
        first.router.lifespan_context(first),
        second.router.lifespan_context(second),
        client_of(first) as one,
        client_of(second) as two,
    ):
        answers = [await http.get("/executions") for http in (one, two, one, two)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60


async def test_a_redis_that_is_gone_leaves_each_process_to_count_for_itself(redis_server, caplog):
    server, url = redis_server
    counts = RequestCounts(2, 1000, url)
    assert (await counts.count("alice")).remaining == 1
    server.kill()
    server.wait(10)
    assert [(await counts.count("alice")).allowed for _ in range(3)] == [True, True, False]
    assert "Redis does not answer" in caplog.text
    await counts.close()


def test_a_url_that_is_none_of_redis_is_refused_without_being_told():
    with pytest.raises(FatalError) as raised:
        RequestCounts(2, 1000, "mysql://user:secret@host")
    assert "FAAS_REDIS_URL" in raised.value.message
    assert "secret" not in raised.value.message


async def test_a_redis_that_hangs_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr(limits, "REDIS_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        counts = RequestCounts(2, 1000, f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        async with asyncio.timeout(60):
            assert (await counts.count("alice")).allowed
        await counts.close()
