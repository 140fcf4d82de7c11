"""A PostgreSQL server that goes away under a node, and comes back."""

from __future__ import annotations

import asyncio
from contextlib import closing

import httpx
import pytest

from faas_api.app import create_app
from faas_blueprint.errors import MachineFailure
from faas_operator.executions import ExecutionService
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store

pytestmark = pytest.mark.postgresql


async def test_callers_are_told_and_what_a_run_came_to_is_stored_later(
    own_postgresql, make_faulty_engine, tmp_path
):
    engine = make_faulty_engine()
    end = asyncio.Event()

    async def stream(_job, _snapshot, **_):
        engine.started.set()
        await end.wait()
        raise MachineFailure("died")
        yield

    engine.stream = stream
    with closing(Store.open(own_postgresql.new_database())) as store:
        async with ExecutionService(engine, Signer(b"\x01" * 32), store) as service:
            app = create_app(service, Settings(home=tmp_path), Secrets.with_api_keys("alice"))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://test/api/v1", headers={"X-API-Key": "alice"}
            ) as client:
                asked = {"code": "1", "language": "python", "async": True}
                run = (await client.post("/execute", json=asked)).json()["id"]
                await engine.started.wait()
                await asyncio.to_thread(own_postgresql.stop)
                end.set()
                for answer in (
                    await client.get(f"/executions/{run}"),
                    await client.post("/execute", json=asked),
                ):
                    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
                    assert answer.json()["error"]["message"].startswith(
                        "the service's database does not answer"
                    )
                await asyncio.to_thread(own_postgresql.start)
                async with asyncio.timeout(60):
                    while (await client.get(f"/executions/{run}")).json()["status"] != "failed":
                        await asyncio.sleep(0.1)
                assert (await client.get("/executions")).json()["total"] == 1
