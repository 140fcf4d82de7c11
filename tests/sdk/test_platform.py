"""FaaSClient's modes, streams, snapshots and branches against the real API over the real engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

import faas_sdk
from faas_api.app import create_app
from faas_api.serve import listen, serve
from faas_blueprint.digests import to_hex
from faas_blueprint.job import decode_job, job_digest
from faas_microvm.engine import Engine
from faas_operator.executions import ExecutionService
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store
from faas_sdk import AsyncFaaSClient, FaaSClient
from faas_sdk.receipt import recover_signer

pytestmark = pytest.mark.machine

KEY = "key-of-the-sdk"
TICKING = "import time\nfor i in range(3):\n    print(i, flush=True); time.sleep(.1)\nraise SystemExit(5)"


@pytest.fixture
async def endpoint(faas_home, tmp_path) -> AsyncIterator[str]:
    with closing(Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")) as store:
        async with (
            await Engine.open(faas_home) as engine,
            ExecutionService(engine, Signer(b"\x01" * 32), store) as executions,
        ):
            app = create_app(executions, Settings(home=tmp_path), Secrets.with_api_keys(KEY))
            with closing(listen("127.0.0.1", 0)) as listener:
                serving = asyncio.create_task(serve(app, listener))
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)


@pytest.fixture
async def client(endpoint) -> AsyncIterator[AsyncFaaSClient]:
    async with AsyncFaaSClient(KEY, endpoint, timeout=120) as made:
        yield made


async def test_a_run_is_streamed_while_it_goes_on(client):
    begun = await client.start(TICKING, "python")
    assert begun.status in ("queued", "running")
    events = [event async for event in client.stream(begun.id)]
    assert "".join(event.data for event in events) == "0\n1\n2\n"
    assert (events[-1].type, events[-1].exit_code) == ("completed", 5)
    assert (await client.execution(begun.id)).stdout == "0\n1\n2\n"
    with pytest.raises(faas_sdk.NotFound):
        [event async for event in client.stream("exec_none")]


async def test_the_blocking_client_streams_both_ways(endpoint):
    def blocking():
        with FaaSClient(KEY, endpoint, timeout=120) as client:
            result = client.execute(TICKING, "python", mode="cached")
            return client, result, "".join(event.data for event in client.stream(result.execution_id))

    client, result, text = await asyncio.to_thread(blocking)
    assert text == result.stdout == "0\n1\n2\n"
    assert "".join([event.data async for event in client.stream(result.execution_id)]) == text


async def test_snapshots_and_branches(client):
    first = await client.execute("open('f', 'w').write('root'); x = 1", "python", mode="checkpointed")
    assert first.snapshot_id is not None
    again = await client.create_snapshot(first.id, {"name": "root", "tags": ["v1"]})
    assert again.checksum == (await client.get_snapshot(first.snapshot_id)).checksum
    listed = await client.list_snapshots(mode="checkpointed", limit=1)
    assert ([snapshot.id for snapshot in listed], listed.total) == ([again.id], 2)

    sides = []
    for name in ("left", "right"):
        branch = await client.create_branch(again.id, metadata={"name": name})
        code = f"open('{name}', 'w').write('{name}')"
        moved = await client.execute(code, "python", mode="branched", branch_id=branch.id)
        assert (await client.get_branch(branch.id)).head == moved.snapshot_id
        sides.append(branch.id)
    assert [branch.id for branch in await client.list_branches(snapshot_id=again.id)] == sides[::-1]
    merged = await client.merge_branches(sides)
    shown = await client.execute("import os; print(sorted(os.listdir()))", "python", snapshot_id=merged.id)
    assert shown.stdout == "['f', 'left', 'main.py', 'output', 'right']\n"
    diff = await client.diff_snapshot(merged.id)
    assert [entry["path"] for entry in diff["files"]["added"]] == ["right"]
    proof = await client.prove_snapshot(merged.id, "right", content=True)
    assert proof["content"] == "0x" + b"right".hex()

    restored = await client.restore_snapshot(again.id)
    assert (restored.status, restored.duration_ms > 0) == ("restored", True)
    on = await client.execute("x += 1; print(x)", "python", session=restored.session_id)
    assert (on.stdout, on.session_id, on.mode) == ("2\n", restored.session_id, "persistent")
    await client.end_session(restored.session_id)

    with pytest.raises(faas_sdk.ApiError) as refused:
        await client.delete_snapshot(again.id)
    assert refused.value.status == 409
    await client.delete_branch(sides[0])
    await client.delete_snapshot(again.id, cascade=True)
    with pytest.raises(faas_sdk.NotFound):
        await client.get_snapshot(again.id)


async def test_runs_are_listed_cancelled_and_asked_for_once(client):
    endless = await client.start("while True: pass", "python", resources={"timeout_ms": 600_000})
    cancelled = await client.cancel(endless.id)
    assert (cancelled.status, cancelled.error) == ("cancelled", "the run was cancelled")
    twice = [await client.execute("print(1)", "python", idempotency_key="k") for _ in "12"]
    assert twice[0].id == twice[1].id
    page = await client.executions(status="completed")
    assert [entry.id for entry in page] == [twice[0].id]
    assert (await client.logs(twice[0].id))["stdout"] == "1\n"


async def test_usage_and_prices(client):
    before = await client.usage.get_current()
    assert (before.current_balance, before.rate_limit_remaining, before.active_executions) == (None, 99, 0)
    result = await client.execute("print(1)", "python")
    usage = await client.usage.get_metrics(datetime(2024, 1, 1, tzinfo=UTC), "2100-01-01")
    assert (usage.period_start, usage.executions["total_count"]) == ("2024-01-01T00:00:00.000Z", 1)
    [line] = await client.usage.executions(limit=5)
    assert (line["execution_id"], line["billed_by"]) == (result.id, "nobody")
    assert result.cost["total"] == line["total_nanocredits"] / 1e9
    assert (await client.usage.ledger()).total == 0
    assert (await client.usage.pricing())["table"]["version"] == 1
    with pytest.raises(faas_sdk.NotFound):
        await client.usage.pricing(version=9)
    with pytest.raises(faas_sdk.InvalidRequest):
        await client.usage.get_metrics("yesterday")


async def test_usage_for_blocking_programs(endpoint):
    def blocking():
        with FaaSClient(KEY, endpoint, timeout=120) as client:
            client.execute("print(1)", "python")
            month = client.usage.get_metrics()
            return month, client.usage.get_current(), client.usage.executions(), client.usage.ledger()

    month, current, lines, ledger = await asyncio.to_thread(blocking)
    assert month.executions["by_mode"]["ephemeral"] == lines.total == 1
    assert (current.storage_used_bytes, ledger.total) == (0, 0)


QUESTIONS = """import sys
name = input("name? ")
age = int(input("age? "))
print(f"{name} is {age}", sys.stdin.read() or "and that is all")
"""


async def test_an_interactive_run_is_answered_line_by_line(client):
    asked = {"language": "python", "seed": 5, "epoch": 1_700_000_000, "interactive": True}
    begun = await client.start(QUESTIONS, **asked)
    said, waits = "", []
    async for event in client.stream(begun.id):
        said += event.data
        if event.wants_input:
            waits.append((event.type, said))
        if event.wants_input and len(waits) == 1:
            await client.send_input(begun.id, b"Ada\n")
        elif event.wants_input and len(waits) == 2:
            await client.send_input(begun.id, "4")  # the rest of its line is to come
            await client.send_input(begun.id, "2\n")
        elif event.wants_input and len(waits) == 3:
            await client.send_input(begun.id, "kept", end=True)
    questions = ["name? ", "name? age? ", "name? age? "]
    assert waits[:3] == [("progress", text) for text in questions]
    assert said == "name? age? Ada is 42 kept\n"
    assert (event.type, event.exit_code) == ("completed", 0)
    with pytest.raises(faas_sdk.InvalidRequest, match="over"):
        await client.send_input(begun.id, "late\n")

    file = await client.receipt_file(begun.id)
    job = decode_job(bytes.fromhex(str(file["job"]).removeprefix("0x")))
    assert (job.stdin, job.interactive) == (b"Ada\n42\nkept", True)
    answered = await client.execution(begun.id)
    assert answered.receipt is not None
    assert answered.receipt["job_digest"] == to_hex(job_digest(job))
    assert recover_signer(answered.receipt, bytes.fromhex(str(answered.signature)[2:])) is not None

    again = await client.start(QUESTIONS, stdin="Ada\n42\nkept", **asked)
    await client.send_input(again.id, end=True)
    assert [event.type async for event in client.stream(again.id)][-1] == "completed"
    once_more = (await client.execution(again.id)).receipt
    assert once_more is not None
    for name in ("job_digest", "outcome_digest", "state_root", "virtual_ns"):
        assert once_more[name] == answered.receipt[name]


async def test_input_that_nobody_asked_for(client):
    begun = await client.start("print(input())", "python", stdin="given\n")
    with pytest.raises(faas_sdk.InvalidRequest, match="interactive"):
        await client.send_input(begun.id, "more\n")
    with pytest.raises(faas_sdk.NotFound):
        await client.send_input("exec_none", "more\n")
    with pytest.raises(faas_sdk.InvalidRequest, match="ephemeral"):
        await client.start("1", "python", mode="checkpointed", interactive=True)


async def test_the_blocking_client_answers_too(endpoint):
    def blocking():
        with FaaSClient(KEY, endpoint, timeout=120) as client:
            begun = client.start(QUESTIONS, "python", interactive=True)
            answers = iter([("Ada\n", False), ("42\n", False), ("", True)])
            said = ""
            for event in client.stream(begun.id):
                said += event.data
                if event.wants_input:
                    data, end = next(answers)
                    client.send_input(begun.id, data, end=end)
            return said

    assert await asyncio.to_thread(blocking) == "name? age? Ada is 42 and that is all\n"
