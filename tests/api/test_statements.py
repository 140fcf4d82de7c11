"""What one run over HTTP asks of the database: a count, which no load of the host changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from sqlalchemy import event

from faas_api import known_callers
from faas_api.app import create_app
from faas_operator.charging import Terms
from faas_operator.executions import ExecutionService
from faas_operator.kept_connections import KEPT
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store
from faas_operator.transactions import BEGIN, Kind, kind_of

pytestmark = pytest.mark.machine

CREDIT = 10**9
STATEMENTS_AT_MOST = 21
"""Of a run that is paid for, each row that is added counted: 8 begin it, 13 end it. On PostgreSQL a lock
more, but rows go together."""


@dataclass
class Asked:
    """Of a database, in order."""

    statements: list[str] = field(default_factory=list)
    transactions: list[Kind] = field(default_factory=list)


@contextmanager
def listening(store) -> Iterator[Asked]:
    asked = Asked()
    if store._engine.dialect.name == "sqlite":
        listen = listening_to_sqlite(store, asked)
    else:
        listen = listening_to_postgresql(store._engine, asked)
    with listen:
        yield asked


@contextmanager
def listening_to_sqlite(store, asked: Asked) -> Iterator[None]:
    """By the driver's own trace, whoever executes it."""
    engine = store._engine
    connections = [*engine.get_execution_options()[KEPT]._waiting, store.promptly._driver]
    how: list[str] = []

    def note(statement):
        if statement.startswith(("PRAGMA", "BEGIN")):
            how.append(statement)
        elif statement == "COMMIT":
            asked.transactions.append(next(kind for kind, begin in BEGIN.items() if begin == tuple(how)))
            how.clear()
        else:
            asked.statements.append(statement)

    def taken(driver, *_rest):
        driver.set_trace_callback(note)

    def given_back(driver, *_rest):
        driver.set_trace_callback(None)

    event.listen(engine, "checkout", taken)
    event.listen(engine, "checkin", given_back)
    for driver in connections:
        taken(driver)
    yield
    event.remove(engine, "checkout", taken)
    event.remove(engine, "checkin", given_back)
    for driver in connections:
        given_back(driver)


@contextmanager
def listening_to_postgresql(engine, asked: Asked) -> Iterator[None]:
    def executed(_connection, _cursor, statement, *_rest):
        asked.statements.append(statement)

    def committed(connection):
        asked.transactions.append(kind_of(connection))

    event.listen(engine, "before_cursor_execute", executed)
    event.listen(engine, "commit", committed)
    yield
    event.remove(engine, "before_cursor_execute", executed)
    event.remove(engine, "commit", committed)


@pytest.fixture
async def node(engine, database, tmp_path, monkeypatch):
    """A client of a node that charges, whose key is known once it was used, and its store."""
    monkeypatch.setattr(known_callers, "KNOWN_SECONDS", 3600.0)
    with closing(Store.open(database, Terms(charged=True, starting_credit=CREDIT))) as store:
        executions = ExecutionService(engine, Signer(b"\x01" * 32), store)  # keeps up with no other process
        account = store.accounts.create("test")
        key = store.keys.create(account.id, "test", ["execute", "read"]).secret
        app = create_app(executions, Settings(home=tmp_path), Secrets())
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://test/api/v1",
            headers={"X-API-Key": key}, timeout=120,
        ) as client:  # fmt: skip
            yield client, store
        await executions.close()


async def hello(client, headers=None, **fields):
    asked = {"code": "print(1)", "language": "python", **fields}
    answer = await client.post("/execute", json=asked, headers=headers)
    assert answer.status_code == (202 if "async" in fields else 200), answer.text
    return answer.json()


async def test_a_run_asks_little_and_waits_for_the_disk_once(node):
    client, store = node
    await hello(client)  # the key's last use is noted once a minute, the process is noted every few seconds
    for mode in ("ephemeral", "cached", "cached"):
        with listening(store) as asked:
            body = await hello(client, mode=mode)
        assert body["stdout"] == "1\n"
        assert body["cost"]["total"] > 0
        assert 0 < len(asked.statements) <= STATEMENTS_AT_MOST, "\n".join(asked.statements)
        assert asked.transactions == [Kind.LATER, Kind.LASTING]
        assert (await client.get(f"/executions/{body['id']}")).json() == body
    store.ledger.check()


async def test_who_is_told_of_a_run_before_its_end_is_told_what_lasts(node):
    client, store = node
    await hello(client)
    with listening(store) as asked:
        body = await hello(client, **{"async": True})
    assert asked.transactions[0] == Kind.LASTING
    assert (await client.get(f"/executions/{body['id']}")).status_code == 200


async def test_nor_is_a_run_lost_that_others_find_by_its_key(node):
    client, store = node
    await hello(client)
    with listening(store) as asked:
        await hello(client, headers={"Idempotency-Key": "once"})
    assert asked.transactions == [Kind.READING, Kind.LASTING, Kind.LASTING]
