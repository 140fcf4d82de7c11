"""`faas operator run` as a process: what it tells, how it stops, and that it keeps its secrets."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from faas_api.serve import listen
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.tangle import protocol, service_request
from faas_blueprint.tangle.abi import address_word, word
from faas_blueprint.tangle.status_registry import HEARTBEAT_RECEIVED
from faas_operator.chain.interface import CallStanding

pytestmark = [pytest.mark.machine, pytest.mark.chain]

RPC_KEY = "rpc-key-3f9a1c77d2"
API_KEY = "api-key-81b2e0c4aa"
SLOW = "import time\nbegun = time.time()\nwhile time.time() - begun < 1: pass\nprint('slow')"
ENDLESS = "while True: pass"


@pytest.fixture
async def variables(chain, own_home, tmp_path, monkeypatch):
    """A node of the devnet's operator, with a store and a port of its own and secrets to look for."""
    for name in ("FAAS_API_KEY", "FAAS_PRIVATE_KEY", "FAAS_SETTINGS"):
        monkeypatch.delenv(name, raising=False)
    deployment = chain.deployment
    return {
        "FAAS_HOME": str(own_home),
        "FAAS_TANGLE": deployment.tangle,
        "FAAS_BLUEPRINT_ID": str(deployment.blueprint_id),
        "FAAS_RPC_URL": f"{deployment.rpc_url}/?apikey={RPC_KEY}",
        "FAAS_KEYSTORE": deployment.operator_keystore,
        "FAAS_KEYSTORE_PASSWORD": deployment.operator_password,
        "FAAS_DATABASE_URL": f"sqlite:///{tmp_path}/operator.sqlite",
        "FAAS_START_BLOCK": str((await chain.rpc.head()).block.number + 1),
        "FAAS_API_KEYS": API_KEY,
        "FAAS_API_PORT": str(free_port()),
        "FAAS_POLL_SECONDS": "0.1",
        "FAAS_DRAIN_SECONDS": "120",
    }


def free_port() -> int:
    with closing(listen("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def secrets_of(variables) -> list[str]:
    key = json.loads(Path(variables["FAAS_KEYSTORE"]).read_text())["crypto"]["ciphertext"]
    return [RPC_KEY, API_KEY, variables["FAAS_KEYSTORE_PASSWORD"], key]


async def until(condition, seconds=120):
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.1)


async def answered(chain, call) -> bool:
    adapter = await chain.adapter()
    try:
        return await adapter.standing(call) is CallStanding.ANSWERED
    finally:
        await adapter.close()


def sample(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, f"no {name} in {text}"
    return float(found[1])


async def test_what_a_node_tells_and_how_it_stops(chain, start_faas, variables):
    node = start_faas("operator", "run", env=variables | {"FAAS_LOG_FORMAT": "json"})
    await asyncio.to_thread(node.await_text, "stderr", "Ctrl-C stops it")
    base = f"http://127.0.0.1:{variables['FAAS_API_PORT']}"
    async with httpx.AsyncClient(base_url=base, timeout=30) as client:

        async def is_ready() -> bool:
            return (await client.get("/ready")).status_code == 200

        await until(is_ready)
        call = await chain.submit(encode_job(make_job("python", "print(6 * 7)")))

        async def is_final() -> bool:
            return sample((await client.get("/metrics")).text, 'faas_jobs{state="final"}') == 1

        await until(is_final)
        assert await answered(chain, call)
        headers = {"X-API-Key": API_KEY}
        body = {"language": "python", "code": "print(1)"}
        assert (await client.post("/api/v1/execute", json=body, headers=headers)).status_code == 200

        async def next_machine_waits() -> bool:
            return sample((await client.get("/metrics")).text, 'faas_machines{kind="waiting"}') >= 1

        await until(next_machine_waits)
        metrics = (await client.get("/metrics")).text
        assert sample(metrics, "faas_jobs_queued") == 0
        assert sample(metrics, "faas_ready") == 1
        assert sample(metrics, "faas_job_answer_seconds_count") == 1
        assert sample(metrics, 'faas_job_stage_seconds_count{state="running"}') == 1
        assert sample(metrics, 'faas_executions{status="completed"}') == 1
        assert sample(metrics, "faas_operator_balance_wei") > 0
        assert sample(metrics, "faas_snapshot_store_bytes") >= 0
        assert sample(metrics, "faas_chain_block") >= int(variables["FAAS_START_BLOCK"])
        assert sample(metrics, 'faas_slash_proposals{standing="pending"}') == 0
        assert sample(metrics, 'faas_heartbeats_total{outcome="received"}') >= 1
        assert sample(metrics, 'faas_service_exits{standing="scheduled"}') == 0

        asked = protocol.request_service(chain.deployment.blueprint_id, (chain.deployment.operator,), ())
        request_id = protocol.SERVICE_REQUESTED.find((await chain.send(asked)).logs)[0]

        async def is_approved() -> bool:
            read = service_request.service_request(request_id)
            return (await chain.rpc.read(chain.deployment.tangle, read)).approval_count == 1

        await until(is_approved)

        async def approval_is_counted() -> bool:
            counted = 'faas_service_request_answers_total{answer="approved"}'
            return f"{counted} " in (await client.get("/metrics")).text

        await until(approval_is_counted)
        health = (await client.get("/health")).text
        topics = (
            HEARTBEAT_RECEIVED.topic,
            word(call.service_id),
            None,
            address_word(chain.deployment.operator),
        )
        first, last = int(variables["FAAS_START_BLOCK"]), (await chain.rpc.head()).block.number
        assert await chain.rpc.logs(chain.deployment.status_registry, topics, first, last)

        slow = await chain.submit(encode_job(make_job("python", SLOW)))
        await asyncio.to_thread(node.await_text, "stderr", f'"call": {slow.call_id}, "because"')
        await until(lambda: is_running(client))
        node.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(node.await_text, "stderr", "stopping: what runs has 120 s")
        late = await chain.submit(encode_job(make_job("python", "print('late')")))
        assert (await client.get("/ready")).json() == {"ready": False, "reasons": ["the node is stopping"]}
        refused = await client.post("/api/v1/execute", json=body, headers=headers)
        assert refused.json()["error"]["code"] == "INSUFFICIENT_RESOURCES"
    assert await asyncio.to_thread(node.wait, 120) == 0, node.stderr
    assert await answered(chain, slow)
    assert not await answered(chain, late)
    lines = [json.loads(line) for line in node.stderr.splitlines() if line.startswith("{")]
    of_call = [line["message"] for line in lines if line.get("call") == call.call_id]
    assert of_call[0] == "job seen"
    assert of_call[-1] == "job final"
    assert all(line["service"] == call.service_id for line in lines if "call" in line)
    for secret in secrets_of(variables):
        assert secret not in node.stderr + node.stdout + metrics + health


async def is_running(client) -> bool:
    return sample((await client.get("/metrics")).text, 'faas_jobs{state="running"}') == 1


async def test_a_second_sigterm_stops_at_once(chain, start_faas, variables):
    node = start_faas("operator", "run", env=variables)
    await asyncio.to_thread(node.await_text, "stderr", "Ctrl-C stops it")
    call = await chain.submit(encode_job(make_job("python", ENDLESS)))
    await asyncio.to_thread(node.await_text, "stderr", "job running")
    node.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(node.await_text, "stderr", "stopping:")
    await asyncio.sleep(1)
    assert node.process.poll() is None
    node.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(node.wait, 15) == 130, node.stderr
    assert not await answered(chain, call)
    assert "Traceback" not in node.stderr


@pytest.mark.parametrize("manager", [False, True], ids=["faas operator run", "faas-blueprint run"])
async def test_a_dry_run_needs_no_key_and_posts_nothing(chain, start_faas, variables, tmp_path, manager):
    kept = {name: variables[name] for name in ("FAAS_HOME", "FAAS_API_PORT", "FAAS_POLL_SECONDS")}
    kept["FAAS_KEYSTORE"] = str(tmp_path / "none.json")
    if manager:
        deployment = chain.deployment
        told = {
            "HTTP_RPC_URL": variables["FAAS_RPC_URL"],
            "WS_RPC_URL": "ws" + variables["FAAS_RPC_URL"].removeprefix("http"),
            "KEYSTORE_URI": str(tmp_path / "keystore"),
            "DATA_DIR": str(tmp_path / "data"),
            "BLUEPRINT_ID": str(deployment.blueprint_id),
            "SERVICE_ID": str(deployment.service_id),
            "PROTOCOL": "tangle",
            "CHAIN": "local_testnet",
            "BOOTNODES": "",
            "TANGLE_CONTRACT": deployment.tangle,
            "RESTAKING_CONTRACT": deployment.staking,
        }
        arguments = ("run", "--test-mode", "--pretty", "-vvv", "--dry-run")
        node = start_faas(*arguments, env=kept | told, module="faas_cli.blueprint")
    else:
        told = {name: variables[name] for name in ("FAAS_TANGLE", "FAAS_BLUEPRINT_ID", "FAAS_RPC_URL")}
        node = start_faas("operator", "run", "--dry", env=kept | told)
    await asyncio.to_thread(node.await_text, "stderr", "DRY RUN")
    call = await chain.submit(encode_job(make_job("python", "print(6 * 7)")))
    await asyncio.to_thread(node.await_text, "stderr", "dry run: the result is not posted")
    assert "job executed" in node.stderr
    assert not await answered(chain, call)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{kept['FAAS_API_PORT']}") as client:
        body = {"language": "python", "code": "1"}
        assert (await client.post("/api/v1/execute", json=body)).status_code == 401
    node.interrupt(signal.SIGINT)
    assert await asyncio.to_thread(node.wait, 15) == 130
    assert RPC_KEY not in node.stderr
    assert not (tmp_path / "operator.sqlite").exists()
