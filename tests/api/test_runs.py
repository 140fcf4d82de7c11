"""Runs that are asked for once, not waited for, called off, listed, and interrupted."""

from __future__ import annotations

import asyncio
import base64

import pytest

from faas_api.app import create_app
from faas_api.authentication import configured_account
from faas_blueprint.errors import DatabaseUnavailable
from faas_blueprint.job import make_job
from faas_operator.execution_record import IdempotencyKey
from faas_operator.execution_store import ExecutionStore
from faas_operator.executions import ExecutionService
from faas_operator.feed import FEED_BYTES
from faas_operator.settings import Secrets, Settings, hash_api_key
from faas_operator.signer import Signer
from faas_operator.snapshot_catalog import SnapshotCatalog

ENDLESS = "while True: pass"
LONG = {"resources": {"timeout_ms": 600_000}}


@pytest.fixture
def client(real_client):
    return real_client


async def ask(client, code, language="python", headers=None, **fields):
    body = {"code": code, "language": language, **fields}
    return await client.post("/execute", json=body, headers=headers)


async def ended(client, execution_id):
    async with asyncio.timeout(60):
        while (body := (await client.get(f"/executions/{execution_id}")).json())["status"] in (
            "queued",
            "running",
        ):
            await asyncio.sleep(0.02)
    return body


def code_of(response, status):
    assert response.status_code == status, response.text
    return response.json()["error"]["code"]


@pytest.mark.machine
@pytest.mark.parametrize(
    ("fields", "headers"), [({"async": True}, {}), ({}, {"Prefer": "wait=1, respond-async"})]
)
async def test_who_does_not_wait_is_told_where_to_look(client, fields, headers):
    response = await ask(client, "print('later')", headers=headers, **fields)
    assert response.status_code == 202, response.text
    body = response.json()
    assert body["status"] in ("queued", "running")
    assert response.headers["Location"] == f"/api/v1/executions/{body['id']}"
    assert ("Preference-Applied" in response.headers) == bool(headers)
    after = await ended(client, body["id"])
    assert (after["status"], after["stdout"], after["exit_code"]) == ("completed", "later\n", 0)
    assert after["receipt"]["call_id"] > 0


@pytest.mark.machine
async def test_a_run_is_cancelled_with_its_machine(client, engine):
    body = (await ask(client, "print('so far', flush=True)\n" + ENDLESS, **{"async": True}, **LONG)).json()
    path = f"/executions/{body['id']}"
    async with asyncio.timeout(30):
        while "so far" not in (logs := (await client.get(path + "/logs")).json())["stdout"]:
            await asyncio.sleep(0.05)
    assert (logs["complete"], logs["status"]) == (False, "running")
    cancelled = (await client.post(path + "/cancel")).json()
    assert (cancelled["status"], cancelled["receipt"]) == ("cancelled", None)
    assert "cancelled" in cancelled["error"]
    assert (cancelled["stdout"], cancelled["stderr"], cancelled["truncated"]) == ("so far\n", "", False)
    assert (await client.delete(path)).json() == cancelled  # nothing more to stop
    kept = {"status": "cancelled", "stdout": "so far\n", "complete": True, "truncated": False}
    assert (await client.get(path + "/logs")).json().items() >= kept.items()
    assert "so far" in (await client.get(path + "/stream")).text
    assert code_of(await client.post("/executions/exec_none/cancel"), 404) == "NOT_FOUND"
    assert code_of(await client.post("/snapshots", json={"execution_id": body["id"]}), 409)
    done = (await ask(client, "print(1)")).json()
    assert (await client.post(f"/executions/{done['id']}/cancel")).json() == done


def with_faulty_database(monkeypatch, store, name: str, failures: int) -> list[str]:
    """The next calls get no answer; the list says what is left of them. For faults only."""
    work, left = getattr(store, name), [name] * failures

    def faulty(*arguments):
        if left:
            raise DatabaseUnavailable(f"gone for a moment at {left.pop()}")
        return work(*arguments)

    monkeypatch.setattr(store, name, faulty)
    return left


@pytest.mark.machine
async def test_a_run_goes_to_its_end_while_the_database_is_away(client, monkeypatch):
    root = (await ask(client, "x = 1", mode="checkpointed")).json()["snapshot_id"]
    branch = (await client.post("/branches", json={"snapshot_id": root})).json()["id"]
    left = [
        with_faulty_database(monkeypatch, ExecutionStore, "started", 1),
        with_faulty_database(monkeypatch, SnapshotCatalog, "add", 2),
        with_faulty_database(monkeypatch, SnapshotCatalog, "advance", 1),
    ]
    code = "for _ in range(2_000_000): x += 1\nprint(x)"
    body = (await ask(client, code, mode="checkpointed", branch_id=branch, **LONG)).json()
    assert (body["status"], body["stdout"]) == ("completed", "2000001\n")
    assert left == [[], [], []]
    assert (await client.get(f"/branches/{branch}")).json()["head"] == body["snapshot_id"]


@pytest.mark.machine
async def test_of_much_output_of_a_cancelled_run_the_end_is_kept(client):
    write = "import os, sys\nfor fd in (1, 2):\n for n in range(9): os.write(fd, b'%d' % n * 100_000)\n"
    body = (await ask(client, write + ENDLESS, **{"async": True}, **LONG)).json()
    path = f"/executions/{body['id']}"
    async with asyncio.timeout(30):
        while not (await client.get(path + "/logs")).json()["stderr"].endswith("8"):
            await asyncio.sleep(0.5)
    cancelled = (await client.post(path + "/cancel")).json()
    assert cancelled["truncated"] is True
    assert cancelled["stderr"] == "".join(str(n) * 100_000 for n in range(9))
    assert FEED_BYTES // 2 < len(cancelled["stdout"] + cancelled["stderr"]) <= FEED_BYTES


@pytest.mark.machine
async def test_a_running_execution_has_a_snapshot_too(client):
    code = "import time\nfor i in range(100_000):\n    print(i, flush=True)\n    time.sleep(0.05)"
    body = (await ask(client, code, **{"async": True}, **LONG)).json()
    async with asyncio.timeout(30):
        while not (await client.get(f"/executions/{body['id']}/logs")).json()["stdout"].count("\n") > 2:
            await asyncio.sleep(0.05)
    response = await client.post("/snapshots", json={"execution_id": body["id"], "virtual_ms": 120})
    assert response.status_code == 200, response.text
    assert response.json()["paused"] is True
    now = (await client.post("/snapshots", json={"execution_id": body["id"]})).json()
    assert now["paused"] is True
    assert now["checksum"] != response.json()["checksum"]
    await client.post(f"/executions/{body['id']}/cancel")


@pytest.mark.machine
async def test_the_same_key_runs_once(client):
    headers = {"Idempotency-Key": "order-1"}
    both = await asyncio.gather(
        *(ask(client, "import os; print(os.urandom(4))", headers=headers) for _ in "12")
    )
    both.append(await ask(client, "import os; print(os.urandom(4))", headers=headers))
    answers = [response.json() for response in both]
    assert all(answer == answers[0] for answer in answers)
    refused = await ask(client, "print('another')", headers=headers)
    assert code_of(refused, 409) == "INVALID_REQUEST"
    assert refused.json()["error"]["details"]["execution_id"] == answers[0]["id"]
    others = await ask(client, "print('bob')", headers={**headers, "Authorization": "Bearer bob"})
    assert others.json()["stdout"] == "bob\n"
    assert code_of(await ask(client, "1", headers={"Idempotency-Key": "ü".encode()}), 400)


@pytest.mark.machine
async def test_an_id_of_the_callers_own(client):
    body = (await ask(client, "print(1)", execution_id="exec_mine-1")).json()
    assert body["id"] == "exec_mine-1"
    assert code_of(await ask(client, "print(1)", execution_id="exec_mine-1"), 409) == "INVALID_REQUEST"
    bob = {"Authorization": "Bearer bob"}
    assert (await ask(client, "print(2)", execution_id="exec_mine-1", headers=bob)).status_code == 200
    assert (await client.get("/executions/exec_mine-1")).json()["stdout"] == "1\n"


@pytest.mark.machine
async def test_lists_are_paged_and_filtered(client):
    alone = {"Authorization": "Bearer bob"}
    before = (await client.get("/executions", headers=alone)).json()["total"]
    for number in range(3):
        await ask(client, f"print({number}); raise SystemExit({number})", headers=alone)
    await ask(client, "console.log(1)", "javascript", headers=alone, mode="cached")
    page = (await client.get("/executions", params={"limit": 2}, headers=alone)).json()
    assert (page["total"], page["limit"], page["offset"]) == (before + 4, 2, 0)
    assert [entry["language"] for entry in page["executions"]] == ["javascript", "python"]
    rest = (await client.get("/executions", params={"offset": 1, "limit": 2}, headers=alone)).json()
    assert [entry["exit_code"] for entry in rest["executions"]] == [2, 1]
    cached = (await client.get("/executions", params={"mode": "cached"}, headers=alone)).json()
    assert {entry["mode"] for entry in cached["executions"]} == {"cached"}
    found = (await client.get("/executions", params={"status": "running"}, headers=alone)).json()
    assert (found["executions"], found["total"]) == ([], 0)


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"offset": -1}, {"status": "odd"}, {"mode": "odd"}],
)
async def test_what_cannot_be_listed_is_said_by_field(faulty_client, query):
    for path in (
        ("executions", "snapshots", "branches") if {"limit", "offset"} & set(query) else ["executions"]
    ):
        response = await faulty_client.get(f"/api/v1/{path}", params=query)
        assert code_of(response, 400) == "INVALID_REQUEST"
        assert response.json()["error"]["details"]["field"] in query


@pytest.mark.machine
async def test_files_are_given_as_text_or_base64_and_nested(client):
    files = {
        "a/b/one.txt": {"text": "žluť"},
        "a/two.bin": base64.b64encode(b"\xff").decode(),
        "three": {"base64": "YQ=="},
    }
    code = "import os; os.makedirs('output/x', exist_ok=True)\n" + "\n".join(
        f"open('output/x/{at}', 'wb').write(open({path!r}, 'rb').read())" for at, path in enumerate(files)
    )
    body = (await ask(client, code, files=files)).json()
    assert body["exit_code"] == 0, body["stderr"]
    for listing in ("files", "artifacts"):
        listed = (await client.get(f"/executions/{body['id']}/{listing}")).json()
        assert [entry["path"] for entry in listed["files"]] == ["x/0", "x/1", "x/2"]
        contents = [(await client.get("http://test" + entry["url"])).content for entry in listed["files"]]
        assert contents == ["žluť".encode(), b"\xff", b"a"]
    assert (await client.get(f"/executions/{body['id']}/artifacts/x/2")).content == b"a"


@pytest.mark.machine
async def test_logs_have_a_tail(client):
    body = (await ask(client, "import sys\nfor i in range(5): print(i)\nprint('e', file=sys.stderr)")).json()
    path = f"/executions/{body['id']}/logs"
    logs = (await client.get(path)).json()
    assert (logs["stdout"], logs["stderr"], logs["complete"]) == ("0\n1\n2\n3\n4\n", "e\n", True)
    cut = (await client.get(path, params={"tail": 2, "stream": "stdout"})).json()
    assert (cut["stdout"], cut["stderr"]) == ("3\n4\n", "")


# -- the older form


@pytest.mark.machine
async def test_a_command_in_an_image(client):
    body = {
        "command": "cat && echo $NAME && pwd && python3 -c 'print(6 * 7)' && echo oops >&2 && exit 3",
        "image": "docker.io/library/python:3.11-slim",
        "runtime": "docker",
        "mode": "ephemeral",
        "timeout_ms": 20_000,
        "env_vars": [["NAME", "wert"]],
        "working_dir": "deep/er",
        "payload": list(b"typed\n"),
        "cache_key": "k",
    }
    answer = (await client.post("/execute", json=body)).json()
    assert answer["stdout"] == "typed\nwert\n/work/deep/er\n42\n"
    assert (answer["exit_code"], answer["request_id"]) == (3, answer["execution_id"])
    assert answer["output"] == answer["stdout"] + "oops\n"
    assert (answer["response"], answer["logs"], answer["error"]) == (answer["stdout"], "oops\n", None)
    words = await client.post("/execute", json={"command": ["printf", "%s|", "a b", "c"], "image": "alpine"})
    assert words.json()["stdout"] == "a b|c|"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"image": "rust:1.80"}, "image"),
        ({"image": ""}, "image"),
        ({"working_dir": "/etc"}, "working_dir"),
        ({"working_dir": "a/../.."}, "working_dir"),
        ({"payload": [256]}, "payload"),
        ({"payload": [10**30]}, "payload"),
        ({"timeout_ms": 0}, "timeout_ms"),
        ({"runtime": "wasm"}, "runtime"),
        ({"command": 5}, "command"),
        ({"language": "python"}, "language"),
    ],
)
async def test_what_a_command_cannot_be(faulty_client, change, field):
    body = {"command": "true", "image": "alpine", **change}
    response = await faulty_client.post("/api/v1/execute", json=body)
    assert code_of(response, 400) == "INVALID_REQUEST"
    assert response.json()["error"]["details"]["field"].split(".")[0] == field


# -- a node that dies


ALICE = configured_account(hash_api_key(b"alice"))


async def test_what_a_dead_node_left_is_found_and_may_be_asked_for_again(store, faulty_engine, tmp_path):
    key = IdempotencyKey("k", b"\x01" * 32)
    number = store.executions.begin("exec_lost", ALICE, make_job("python", "1"), None, key)
    store.executions.started(number)
    store.processes.leave()
    service = ExecutionService(faulty_engine, Signer(b"\x01" * 32), store)
    create_app(service, Settings(home=tmp_path), Secrets.with_api_keys("alice"))
    record = await service.record("exec_lost", ALICE)
    assert record.status == "failed"
    assert "interrupted" in record.error
    assert store.executions.earlier(ALICE, key) is None
    store.executions.begin("exec_again", ALICE, make_job("python", "1"), None, key)


async def test_a_node_that_stops_marks_what_it_ran(faulty_client, app_service, faulty_engine):
    response = await faulty_client.post(
        "/api/v1/execute", json={"code": "1", "language": "python", "async": True}
    )
    async with asyncio.timeout(60):
        await faulty_engine.started.wait()
        await app_service.close()
        await faulty_engine.cancelled.wait()
    body = (await faulty_client.get(f"/api/v1/executions/{response.json()['id']}")).json()
    assert body["status"] == "failed"
    assert "interrupted" in body["error"]


async def test_a_run_that_is_being_stopped_is_not_cancelled_again(faulty_client, faulty_engine):
    ending, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def stream(_job, _snapshot, **_):
        faulty_engine.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await go_on.wait()
            ended.set()
        yield

    faulty_engine.stream = stream
    async with asyncio.timeout(60):
        asked = {"code": "1", "language": "python", "async": True}
        run = (await faulty_client.post("/api/v1/execute", json=asked)).json()["id"]
        await faulty_engine.started.wait()
        cancel = f"/api/v1/executions/{run}/cancel"
        cancels = [asyncio.create_task(faulty_client.post(cancel)) for _ in range(2)]
        await ending.wait()
        cancels.append(asyncio.create_task(faulty_client.post(cancel)))
        await asyncio.wait(cancels, timeout=0.3)
        go_on.set()
        answers = await asyncio.gather(*cancels)
    assert ended.is_set()
    assert [answer.json()["status"] for answer in answers] == ["cancelled"] * 3


async def test_a_keyed_run_outlives_its_caller(faulty_client, app_service, faulty_engine):
    request = {"code": "1", "language": "python", "execution_id": "exec_keyed"}
    headers = {"Idempotency-Key": "stay"}
    waiting = asyncio.create_task(faulty_client.post("/api/v1/execute", json=request, headers=headers))
    async with asyncio.timeout(60):
        await faulty_engine.started.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    body = (await faulty_client.get("/api/v1/executions/exec_keyed")).json()
    assert body["status"] == "queued"
    assert not faulty_engine.cancelled.is_set()
    await app_service.close()
