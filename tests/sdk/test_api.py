"""FaaSClient against the real API, served by uvicorn over the real engine."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn

import faas_sdk
from faas_api.app import create_app
from faas_blueprint.bundle import bundle_from_json
from faas_blueprint.receipt import recover_signer
from faas_microvm.engine import Engine
from faas_operator.executions import ExecutionService
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store
from faas_sdk import AsyncFaaSClient, FaaSClient
from faas_sdk.results import TangleResult
from faas_verifier.rerun import own_machine
from faas_verifier.verdict import Conclusion
from faas_verifier.verify import verify_bundle

pytestmark = pytest.mark.machine

KEY = "key-of-the-sdk"


@pytest.fixture
async def endpoint(faas_home, tmp_path) -> AsyncIterator[str]:
    store = Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")
    async with await Engine.open(faas_home) as engine:
        service = ExecutionService(engine, Signer(b"\x01" * 32), store)
        app = create_app(service, Settings(home=tmp_path), Secrets.with_api_keys(KEY))
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve([listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await serving
        listening.close()
    store.close()


async def test_execute_and_verify_what_came_back(endpoint, faas_home):
    async with AsyncFaaSClient(KEY, endpoint + "/api/v1", timeout=120) as client:
        result = await client.execute(
            "import sys; print(open('d/in.txt').read(), input(), sys.argv[1:]); sys.exit(3)",
            "python",
            files={"d/in.txt": "žluť"},
            stdin="line\n",
            arguments=["a"],
            env_vars={"A": "1"},
            resources={"memory_mb": 256, "timeout_ms": 10_000},
            seed=1,
            epoch=1_700_000_000,
        )
        file = await client.receipt_file(result.id)
    assert (result.status, result.exit_code, result.stdout) == ("completed", 3, "žluť line ['a']\n")
    assert result.virtual_ns is not None
    assert result.cost["total"] > 0
    bundle = bundle_from_json(json.loads(json.dumps(file)))
    assert result.signature is not None
    assert recover_signer(bundle.receipt, bytes.fromhex(result.signature[2:])) == bundle.receipt.operator
    verdict = await verify_bundle(bundle, own_machine(faas_home))
    assert verdict.conclusion is Conclusion.VERIFIED, verdict.findings


async def test_errors_of_the_real_api(endpoint):
    async with AsyncFaaSClient(KEY, endpoint) as client:
        assert (await client.health()).status == "ok"
        with pytest.raises(faas_sdk.InvalidRequest, match="cobol"):
            await client.execute("1", "cobol")
        with pytest.raises(faas_sdk.NotFound):
            await client.receipt_file("exec_none")
        with pytest.raises(faas_sdk.ExecutionTimeout):
            await client.execute("while True: pass", "python", resources={"timeout_ms": 100})
    async with AsyncFaaSClient("wrong", endpoint) as client:
        with pytest.raises(faas_sdk.Unauthorized):
            await client.execute("1", "python")


async def test_the_blocking_client(endpoint):
    with FaaSClient(KEY, endpoint, timeout=120) as client:
        result = await asyncio.to_thread(client.execute, "print('Hello World')", "python")
    assert result.stdout == "Hello World\n"


def test_both_kinds_of_result_are_exported():
    assert faas_sdk.TangleResult is TangleResult
