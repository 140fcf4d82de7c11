"""An answer is made while a run's end is on its way to the disk; it is told when it is there."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing

import httpx
import pytest

from faas_api.app import create_app
from faas_blueprint.errors import DatabaseUnavailable
from faas_operator.executions import ExecutionService
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store

pytestmark = pytest.mark.machine

HELLO = {"code": "print(1)", "language": "python", "execution_id": "exec_one"}


@pytest.fixture
async def node(engine, database, tmp_path):
    """A client, and the service that it asks."""
    with closing(Store.open(database)) as store:
        async with ExecutionService(engine, Signer(b"\x01" * 32), store) as service:
            app = create_app(service, Settings(home=tmp_path), Secrets.with_api_keys("alice"))
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://test/api/v1",
                headers={"X-API-Key": "alice"}, timeout=60,
            ) as client:  # fmt: skip
                service.store.promptly.close()  # what is stored at once is not foretold
                yield client, service


def before_commit(service, faulty_disk) -> None:
    """A disk that does something when all is known and nothing is committed. For faults only."""
    finish = service._executions.finish

    def with_fault(*arguments, within):
        *rest, known = arguments

        def told(record):
            known(record)
            faulty_disk()

        return finish(*rest, told, within=within)

    service._executions.finish = with_fault


async def test_nothing_is_told_before_it_is_stored(node):
    client, service = node
    loop, entered, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def slow():
        loop.call_soon_threadsafe(entered.set)
        assert go_on.wait(20)

    before_commit(service, slow)
    asking = asyncio.create_task(client.post("/execute", json=HELLO))
    await asyncio.wait_for(entered.wait(), 30)
    await asyncio.sleep(0.1)
    assert not asking.done()
    read = (await client.get("/executions/exec_one")).json()
    assert (read["status"], read["receipt"]) in (("queued", None), ("running", None))
    go_on.set()
    answer = await asking
    assert answer.status_code == 200
    assert (await client.get("/executions/exec_one")).json() == answer.json()


@pytest.mark.parametrize("ends", [True, False])
async def test_what_is_stored_at_the_second_try_is_what_is_told(node, ends):
    client, service = node
    tries = []

    def broken():
        tries.append(None)
        if len(tries) == 1:
            raise DatabaseUnavailable("gone for a moment")

    before_commit(service, broken)
    asked = HELLO if ends else {**HELLO, "code": "while True: pass", "resources": {"timeout_ms": 5}}
    answer = await client.post("/execute", json=asked)
    assert len(tries) == 2
    read = (await client.get("/executions/exec_one")).json()
    if ends:
        assert (answer.status_code, answer.json()) == (200, read)
    else:
        assert (answer.status_code, read["status"]) == (408, "timeout")
        assert answer.json()["error"]["details"]["signature"] == read["signature"]
