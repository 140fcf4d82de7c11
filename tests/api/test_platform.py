"""Seed-shaped answers from real machines, over the real application."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from faas_blueprint.bundle import bundle_from_json
from faas_blueprint.digests import sha256, to_hex
from faas_blueprint.job import Mode, decode_job, make_job
from faas_blueprint.outcome import outcome_digest
from faas_blueprint.prices import PRICES, Use, execution_cost
from faas_blueprint.receipt import ZERO_ADDRESS, CallReference, receipt_from_json, recover_signer
from faas_operator.signer import Signer

pytestmark = pytest.mark.machine


@pytest.fixture
def client(real_client):
    return real_client


async def execute(client, code, language="python", **fields):
    return await client.post("/execute", json={"code": code, "language": language, **fields})


@pytest.mark.parametrize(
    ("language", "code"), [("python", "print('Hello World')"), ("javascript", "console.log('Hello World')")]
)
async def test_the_answer_has_the_documented_fields(client, engine, language, code):
    response = await execute(client, code, language)
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["execution_id"].startswith("exec_")
    assert body["id"] == body["execution_id"]
    assert (body["status"], body["exit_code"], body["mode"], body["cached"]) == (
        "completed",
        0,
        "ephemeral",
        False,
    )
    assert (body["stdout"], body["stderr"]) == ("Hello World\n", "")
    assert isinstance(body["duration_ms"], int)
    assert body["duration_ms"] > 0
    cost = execution_cost(PRICES, Mode.EPHEMERAL, Use(body["virtual_ns"], 512, 1000, len("Hello World\n")))
    assert body["cost"] == {
        "compute": cost.compute / 1e9, "network": cost.network / 1e9, "total": cost.total / 1e9
    }  # fmt: skip
    assert body["receipt"]["snapshot"] == to_hex(engine.measurement)
    assert body["receipt"]["profile_id"] == to_hex(engine.profile_id)


async def test_the_receipt_is_signed_and_says_what_was_run(client):
    body = (await execute(client, "print(1)", seed=5, epoch=1_800_000_000)).json()
    receipt = receipt_from_json(body["receipt"])
    assert recover_signer(receipt, bytes.fromhex(body["signature"][2:])) == Signer(b"\x01" * 32).address
    assert (receipt.chain_id, receipt.tangle, receipt.service_id) == (0, ZERO_ADDRESS, 0)
    assert (body["job"]["seed"], body["job"]["epoch"]) == (5, 1_800_000_000)

    file = bundle_from_json((await client.get(f"/executions/{body['id']}/receipt")).json())
    assert file.receipt == receipt
    assert file.call == CallReference(0, ZERO_ADDRESS, 0, receipt.call_id)
    assert file.receipt.outcome_digest == outcome_digest(file.outcome)
    assert file.output.stdout == b"1\n"
    assert decode_job(file.job) == make_job("python", "print(1)", seed=5, epoch=1_800_000_000)


async def test_everything_in_the_request_reaches_the_program(client):
    code = (
        "import os, sys, json\n"
        "content = open('data/in.bin', 'rb').read().hex()\n"
        "print(json.dumps([sys.argv[1:], sys.stdin.read(), os.environ['NAME'], content]))"
    )
    response = await execute(
        client,
        code,
        stdin="in\n",
        arguments=["a b", "ü"],
        env_vars={"NAME": "wert"},
        files={"data/in.bin": base64.b64encode(b"\0\xff").decode()},
    )
    assert json.loads(response.json()["stdout"]) == [["a b", "ü"], "in\n", "wert", "00ff"]


async def test_an_answer_can_be_had_again_with_its_job_block(client):
    code = "import time, random, os; print(time.time(), random.random(), os.urandom(8).hex())"
    first = (await execute(client, code)).json()
    job = first["job"]
    again = (await execute(client, code, seed=job["seed"], epoch=job["epoch"])).json()
    assert again["stdout"] == first["stdout"]
    assert again["job"] == job
    for field in ("outcome_digest", "state_root", "job_digest", "virtual_ns"):
        assert again["receipt"][field] == first["receipt"][field]
    assert again["id"] != first["id"]


async def test_a_non_zero_exit_is_an_answer(client):
    body = (await execute(client, "import sys; print('x', file=sys.stderr); sys.exit(3)")).json()
    assert (body["status"], body["exit_code"], body["stderr"], body["reason"]) == (
        "completed",
        3,
        "x\n",
        "exited",
    )


async def test_a_timeout_is_an_error_with_what_was_written(client):
    response = await execute(
        client, "print('so far', flush=True)\nwhile True: pass", resources={"timeout_ms": 300}
    )
    assert response.status_code == 408
    error = response.json()["error"]
    assert error["code"] == "EXECUTION_TIMEOUT"
    details = error["details"]
    assert (details["stdout"], details["stderr"], details["timeout_ms"]) == ("so far\n", "", 300)
    record = (await client.get(f"/executions/{details['execution_id']}")).json()
    assert (record["status"], record["exit_code"], record["reason"]) == ("timeout", 124, "timeout")
    signature = bytes.fromhex(details["signature"][2:])
    assert recover_signer(receipt_from_json(details["receipt"]), signature) == Signer(b"\x01" * 32).address


async def test_running_out_of_memory_is_an_answer(client):
    response = await execute(
        client, "x = bytearray(300 << 20)", resources={"memory_mb": 64, "cpu_cores": 1, "timeout_ms": 30_000}
    )
    body = response.json()
    assert response.status_code == 200
    assert (body["status"], body["exit_code"], body["reason"]) == ("completed", 137, "out_of_memory")


async def test_what_a_run_may_use_is_the_callers_choice(client):
    code = "import time; t = time.process_time()\nwhile time.process_time() - t < 0.05: pass\nprint('x' * 99)"
    whole = (await execute(client, code, resources={"output_bytes": 10})).json()
    quarter = (await execute(client, code, resources={"cpu_cores": 0.25})).json()
    assert (len(whole["stdout"]), whole["truncated"]) == (10, True)
    assert (len(quarter["stdout"]), quarter["truncated"]) == (100, False)
    assert quarter["virtual_ns"] > 2 * whole["virtual_ns"]
    code = "import os\nfor n in range(40):\n    if os.fork() == 0: __import__('time').sleep(9)"
    body = (await execute(client, code, resources={"processes": 8})).json()
    assert body["exit_code"] == 1
    assert "BlockingIOError" in body["stderr"]
    code = "open('large', 'wb').write(bytes(2 << 20))"
    body = (await execute(client, code, resources={"disk_mb": 1})).json()
    assert "No space left" in body["stderr"]


async def test_executions_belong_to_their_account_and_blobs_to_everyone(client):
    body = (await execute(client, "print('x' * 5000)")).json()
    path = f"/executions/{body['id']}"
    assert (await client.get(path)).json() == body
    for place in (path, path + "/receipt"):
        response = await client.get(place, headers={"Authorization": "Bearer bob"})
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "NOT_FOUND"
    content = b"x" * 5000 + b"\n"
    client.headers.pop("Authorization")
    for name in (sha256(content).hex(), to_hex(sha256(content))):
        response = await client.get(f"/blobs/{name}")
        assert response.content == content
        assert response.headers["content-type"] == "application/octet-stream"


async def test_requests_at_once_do_not_mix(client):
    codes = [f"print({n})" for n in range(6)]
    responses = await asyncio.gather(*(execute(client, code) for code in codes))
    assert [response.json()["stdout"] for response in responses] == [f"{n}\n" for n in range(6)]
