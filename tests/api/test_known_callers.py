"""Callers are known for a second without asking the database: never past what was done to their key here."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing

import httpx
import pytest

from faas_api import known_callers
from faas_api.app import create_app
from faas_api.known_callers import KNOWN_SECONDS, KnownCallers
from faas_operator.account_record import AccountLimits, Scope
from faas_operator.key_changes import KeyChanges
from faas_operator.settings import Secrets, Settings
from faas_operator.store import Store


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


# -- what is remembered


@pytest.fixture
def changes():
    return KeyChanges()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def monotonic():
    return Clock()


@pytest.fixture
def known(changes, clock, monotonic):
    return KnownCallers(changes, clock, monotonic)


def test_a_caller_is_known_for_a_second(known, monotonic):
    known.add("digest", "alice", None, known.mark)
    monotonic.now += KNOWN_SECONDS - 0.01
    assert known.get("digest") == "alice"
    assert known.get("another") is None
    monotonic.now += 0.01
    assert known.get("digest") is None


def test_a_key_that_expires_is_known_no_longer(known, clock):
    known.add("digest", "alice", clock.now + 0.5, known.mark)
    clock.now += 0.49
    assert known.get("digest") == "alice"
    clock.now += 0.01
    assert known.get("digest") is None


def test_nobody_is_known_after_a_change(known, changes):
    known.add("digest", "alice", None, known.mark)
    with changes.noted():
        pass
    assert known.get("digest") is None


def test_nor_after_one_that_may_have_failed(known, changes):
    known.add("digest", "alice", None, known.mark)
    with pytest.raises(OSError, match="away"), changes.noted():
        raise OSError("away")
    assert known.get("digest") is None


def test_what_was_read_before_a_change_is_not_remembered_after_it(known, changes):
    mark = known.mark
    with changes.noted():
        pass
    known.add("digest", "alice", None, mark)
    assert known.get("digest") is None


def test_only_so_many_are_remembered(known, monkeypatch):
    monkeypatch.setattr(known_callers, "MOST", 3)
    for number in range(4):
        known.add(str(number), number, None, known.mark)
    assert [known.get(str(number)) for number in range(4)] == [None, None, None, 3]


# -- through HTTP


@pytest.fixture
def long_known(monkeypatch):
    """So long that nothing in a test is forgotten by time."""
    monkeypatch.setattr(known_callers, "KNOWN_SECONDS", 3600.0)


@pytest.fixture
def key(store):
    account = store.accounts.create("test")
    return store.keys.create(account.id, "test", list(Scope))


async def status(client, key):
    return (await client.get("/api/v1/executions", headers={"X-API-Key": key.secret})).status_code


async def test_a_key_is_looked_up_once(client, store, key, long_known, monkeypatch):
    looked = []
    recognise = type(store.keys).recognise
    monkeypatch.setattr(
        type(store.keys), "recognise", lambda keys, presented: looked.append(1) or recognise(keys, presented)
    )
    assert [await status(client, key) for _ in range(3)] == [200, 200, 200]
    assert looked == [1]


async def test_a_revoked_key_is_refused_at_once(client, store, key, long_known):
    assert await status(client, key) == 200
    store.keys.revoke(None, key.key.id, "test")
    assert await status(client, key) == 401


async def test_so_are_the_keys_of_a_closed_account_until_it_is_opened(client, store, key, long_known):
    assert await status(client, key) == 200
    store.accounts.change(key.key.account, "test", closed=True)
    assert await status(client, key) == 401
    store.accounts.change(key.key.account, "test", closed=False)
    assert await status(client, key) == 200


async def test_another_limit_counts_at_once(client, store, key, long_known):
    assert await status(client, key) == 200
    store.accounts.change(key.key.account, "test", limits=AccountLimits(requests_per_minute=1))
    assert [await status(client, key) for _ in range(2)] == [200, 429]


async def test_a_key_is_valid_until_it_expires(app_service, store, tmp_path, long_known):
    now = Clock()
    now.now = time.time()
    store._clock = store.clock = now
    app = create_app(app_service, Settings(home=tmp_path), Secrets())
    account = store.accounts.create("test")
    key = store.keys.create(account.id, "test", [Scope.READ], lifetime_seconds=10)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        now.now += 9.99
        assert await status(client, key) == 200
        now.now += 0.01
        assert await status(client, key) == 401


async def test_a_key_that_is_revoked_while_it_is_looked_up_is_not_remembered(
    client, store, key, long_known, monkeypatch
):
    recognise = type(store.keys).recognise

    def overtaken(keys, presented):
        read = recognise(keys, presented)
        store.keys.revoke(None, key.key.id, "test")
        return read

    with monkeypatch.context() as patched:
        patched.setattr(type(store.keys), "recognise", overtaken)
        assert await status(client, key) == 200  # it was valid when it was read
    assert await status(client, key) == 401


async def test_what_another_process_revokes_is_refused_a_moment_later(client, store, key, monkeypatch):
    monkeypatch.setattr(known_callers, "KNOWN_SECONDS", 0.2)
    assert await status(client, key) == 200
    with closing(Store.open(str(store._engine.url))) as other:  # as `faas keys revoke` does
        other.keys.revoke(None, key.key.id, "test")
    await asyncio.sleep(0.25)
    assert await status(client, key) == 401


async def test_a_key_that_is_not_valid_is_not_remembered_as_such(client, store, key, long_known):
    wrong = {"X-API-Key": key.secret[:-1] + ("A" if key.secret[-1] != "A" else "B")}
    assert (await client.get("/api/v1/executions", headers=wrong)).status_code == 401
    assert await status(client, key) == 200
    assert (await client.get("/api/v1/executions", headers=wrong)).status_code == 401
