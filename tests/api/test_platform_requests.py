"""What the platform API refuses, and how it says so; none of this reaches a machine."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from sqlalchemy.exc import OperationalError

from faas_blueprint.errors import InsufficientResources, InvalidRequest, MachineFailure, MissingPrerequisite
from faas_blueprint.job import MIN_EPOCH
from faas_blueprint.terminal import TerminalSize
from faas_operator.execution_store import ExecutionStatus

HELLO = {"code": "print('hello')", "language": "python"}


def error_of(response, status, code):
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "details"}
    assert body["error"]["code"] == code
    assert isinstance(body["error"]["details"], dict)
    return body["error"]


# -- who is asking


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic key-of-alice"},
        {"Authorization": "Bearer "},
        {"X-API-Key": ""},
        {"X-API-Key": "wrong"},
        {"X-API-Key": "ключ".encode()},
        {"Authorization": "Bearer wrong", "X-API-Key": "key-of-alice"},
    ],
)
async def test_without_a_valid_key_nothing_is_done(client, faulty_engine, headers):
    client.headers.pop("X-API-Key")
    response = await client.post("/api/v1/execute", json=HELLO, headers=headers)
    error_of(response, 401, "UNAUTHORIZED")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert faulty_engine.jobs == []


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer key-of-bob"}, {"Authorization": "bearer key-of-bob"}, {}]
)
async def test_both_headers_are_accepted(client, headers):
    response = await client.get("/api/v1/executions/exec_0", headers=headers)
    error_of(response, 404, "NOT_FOUND")


async def test_health_and_blobs_need_no_key(client, faulty_engine):
    client.headers.pop("X-API-Key")
    for path in ("/health", "/api/v1/health"):
        body = (await client.get(path)).json()
        assert body["status"] == "ok"
        assert body["timestamp"].endswith("Z")
        assert body["version"]
        assert body["engine"] == {
            "profile_id": "0x" + faulty_engine.profile_id.hex(),
            "measurement": "0x" + faulty_engine.measurement.hex(),
        }
    error_of(await client.get("/api/v1/blobs/" + "0" * 64), 404, "NOT_FOUND")
    error_of(await client.get("/api/v1/blobs/zz"), 400, "INVALID_REQUEST")


# -- what is asked for


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"code": None}, "code"),
        ({"code": 5}, "code"),
        ({"code": "\ud800"}, "code"),
        ({"stdin": "\udfff"}, "stdin"),
        ({"language": "cobol"}, "language"),
        ({"language": 1}, "language"),
        ({"mode": "imagined"}, "mode"),
        ({"mode": "branched"}, "snapshot_id"),
        ({"mode": "ephemeral", "session": "s"}, "session"),
        ({"session": "no/name"}, "session"),
        ({"mode": "persistent", "branch_id": "branch_1"}, "branch_id"),
        ({"snapshot_id": "base", "branch_id": "branch_1"}, "branch_id"),
        ({"execution_id": "mine"}, "execution_id"),
        ({"async": 1}, "async"),
        ({"resources": {"cpu_cores": 2}}, "resources.cpu_cores"),
        ({"resources": {"cpu_cores": 0.001}}, "resources.cpu_cores"),
        ({"resources": {"disk_mb": 1_000}}, "resources.disk_mb"),
        ({"resources": {"gpu_count": 1}}, "resources.gpu_count"),
        ({"resources": {"memory_mb": 4096}}, "resources.memory_mb"),
        ({"resources": {"memory_mb": "512"}}, "resources.memory_mb"),
        ({"resources": {"timeout_ms": 0}}, "resources.timeout_ms"),
        ({"resources": {"disk_gb": 1}}, "resources.disk_gb"),
        ({"env_vars": {"A": 1}}, "env_vars.A"),
        ({"env_vars": [["A", "1"]]}, "env_vars"),
        ({"env_vars": {"A=B": "1"}}, "env_vars"),
        ({"env_vars": {"A": "x\0"}}, "env_vars"),
        ({"arguments": ["a", "x\0"]}, "arguments"),
        ({"mode": ""}, "mode"),
        ({"mode": "", "session": "s"}, "mode"),
        ({"files": {"data.csv": 5}}, "files.data.csv"),
        ({"files": {"code-form": 5}}, "files.code-form"),
        ({"code": None, "language": None, "command": 5}, "command"),
        ({"code": None, "language": None, "command": "a", "env_vars": 5}, "env_vars"),
        ({"code": None, "language": None, "command": "a", "env_vars": [["A", 5]]}, "env_vars.0.1"),
        ({"parent_snapshot": 5}, "parent_snapshot"),
        ({"files": {"a.txt": "a"}}, "files.a.txt"),
        ({"files": {"a.txt": "YQ==\n"}}, "files.a.txt"),
        ({"files": {"a.txt": "YQ"}}, "files.a.txt"),
        ({"files": {"a.txt": "_-=="}}, "files.a.txt"),
        ({"files": {"main.py": "YQ=="}}, "files"),
        ({"files": {"output": "YQ=="}}, "files"),
        ({"stdin": 1}, "stdin"),
        ({"arguments": "a b"}, "arguments"),
        ({"seed": -1}, "seed"),
        ({"seed": 1 << 64}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"epoch": "now"}, "epoch"),
        ({"interactive": 1}, "interactive"),
        ({"terminal": True}, "terminal"),
        ({"terminal": {"cols": 0}}, "terminal.cols"),
        ({"terminal": {"cols": 1001}}, "terminal.cols"),
        ({"terminal": {"cols": 80, "rows": "24"}}, "terminal.rows"),
        ({"terminal": {"rows": 24.0}}, "terminal.rows"),
        ({"terminal": {"rows": True}}, "terminal.rows"),
        ({"terminal": {"columns": 80}}, "terminal.columns"),
        ({"terminal": {}, "mode": "cached"}, "terminal"),
        ({"terminal": {}, "interactive": True, "session": "s"}, "terminal"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_what_cannot_be_served_is_refused_by_field(client, faulty_engine, change, field):
    body = {key: value for key, value in {**HELLO, **change}.items() if value is not None}
    response = await client.post(
        "/api/v1/execute", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    error = error_of(response, 400, "INVALID_REQUEST")
    assert error["details"]["field"] == field
    assert faulty_engine.jobs == []


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("snapshots", {"execution_id": "exec_1", "metadata": {"tags": 5}},
         "metadata.tags: Input should be a valid list"),
        ("snapshots", {"metadata": {"tags": ["a"]}}, "execution_id: Field required"),
        ("execute", {**HELLO, "stdin": "\ud800"}, "stdin: must be valid Unicode (no lone surrogates)"),
        ("keys", {"name": "n" * 101}, "name: String should have at most 100 characters"),
    ],
)  # fmt: skip
async def test_a_field_and_its_problem_are_told_as_the_caller_knows_them(client, path, body, message):
    response = await client.post(
        f"/api/v1/{path}", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    error = error_of(response, 400, "INVALID_REQUEST")
    assert error["message"] == message
    fields = {problem["field"] for problem in error["details"]["problems"]}
    assert fields == {error["details"]["field"]} == {message.partition(":")[0]}


@pytest.mark.parametrize(
    "change", [{"files": {"\ud800": "YQ=="}}, {"\ud800": 1}, {"env_vars": {"\udc00": ""}}]
)
async def test_names_that_are_no_text_are_refused(client, change):
    content = json.dumps({**HELLO, **change})
    response = await client.post(
        "/api/v1/execute", content=content, headers={"Content-Type": "application/json"}
    )
    error_of(response, 400, "INVALID_REQUEST")


@pytest.mark.parametrize("path", ["../up", "/etc/passwd", "a//b", "a/./b", ""])
async def test_files_stay_in_their_folder(client, path):
    response = await client.post("/api/v1/execute", json={**HELLO, "files": {path: "YQ=="}})
    error_of(response, 400, "INVALID_REQUEST")


async def test_a_branch_is_run_in_as_the_path_and_the_body_say(client, faulty_engine):
    for wrong, field in (({"branch_id": "branch_2"}, "branch_id"), ({"branch_id": ""}, "branch_id"),
                         ({"mode": ""}, "mode")):  # fmt: skip
        refused = await client.post("/api/v1/branches/branch_1/execute", json={**HELLO, **wrong})
        assert error_of(refused, 400, "INVALID_REQUEST")["details"]["field"] == field
    same = await client.post("/api/v1/branches/branch_1/execute", json={**HELLO, "branch_id": "branch_1"})
    error_of(same, 404, "NOT_FOUND")
    assert faulty_engine.jobs == []


async def test_a_mode_that_does_not_exist_says_which_do(client):
    response = await client.post("/api/v1/execute", json={**HELLO, "mode": "imagined"})
    error = error_of(response, 400, "INVALID_REQUEST")
    assert error["details"]["served"] == ["ephemeral", "cached", "checkpointed", "branched", "persistent"]
    assert "branched" in error["message"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"\xff", b"1" * 5000, b"[" * 100_000])
async def test_what_is_no_json_object_is_refused(client, content):
    response = await client.post(
        "/api/v1/execute", content=content, headers={"Content-Type": "application/json"}
    )
    error_of(response, 400, "INVALID_REQUEST")


async def test_what_is_no_json_is_said_with_its_place_and_its_type(client):
    broken = await client.post(
        "/api/v1/execute", content=b'{"code":', headers={"Content-Type": "application/json"}
    )
    error = error_of(broken, 400, "INVALID_REQUEST")
    assert error["message"] == "body: is not JSON: Expecting value at character 8"
    assert error["details"]["field"] == "body"
    content = json.dumps(HELLO).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # as curl says of `-d` by itself
    for headers, kind in ((form, form["Content-Type"]), ({}, "none")):
        error = error_of(
            await client.post("/api/v1/execute", content=content, headers=headers), 400, "INVALID_REQUEST"
        )
        assert error["message"] == (
            f"body: must be JSON, sent with 'Content-Type: application/json'; this one has {kind!r}"
        )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"code": "print(\xff)"}', "is not JSON in UTF-8: see byte 16"),
        (b'{"seed": ' + b"1" * 5000 + b"}", "has a number with too many digits"),
        (b"[" * 100_000, "is JSON that is nested too deeply"),
        (b'{"code": "print(1)", "code": "print(2)"}', "has the key 'code' twice in one object"),
        (b'{"env_vars": {"A": "1", "B": "", "A": "1"}}', "has the key 'A' twice in one object"),
        (b'{"\\udc00": 1, "\\uDC00": 2}', "has the key '\\udc00' twice in one object"),
    ],
)
async def test_why_a_body_cannot_be_read_is_said(client, faulty_engine, content, problem):
    json_type = {"Content-Type": "application/json"}
    for path in ("execute", "branches/branch_1/execute", "executions/exec_1/input"):
        response = await client.post(f"/api/v1/{path}", content=content, headers=json_type)
        error = error_of(response, 400, "INVALID_REQUEST")
        assert (error["message"], error["details"]) == (f"body: {problem}", {"field": "body"})
    assert faulty_engine.jobs == []


async def test_no_route_takes_a_key_twice(app, client):
    found = [
        (method, path)
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
        if "application/json" in operation.get("requestBody", {}).get("content", ())
    ]
    assert len(found) > 10
    for method, path in found:
        response = await client.request(
            method, path, content=b'{"a": 1, "a": 1}', headers={"Content-Type": "application/json"}
        )
        assert "'a' twice" in error_of(response, 400, "INVALID_REQUEST")["message"], (method, path)


async def test_unknown_paths_and_methods_have_the_shape_too(client):
    error_of(await client.get("/api/v1/nothing"), 404, "NOT_FOUND")
    response = await client.get("/api/v1/execute")
    error_of(response, 405, "INVALID_REQUEST")
    assert response.headers["Allow"] == "POST"
    for path, allowed in (("keys/x", "DELETE"), ("executions/x", "DELETE, GET"), ("branches/merge", "POST")):
        assert (await client.put(f"/api/v1/{path}")).headers["Allow"] == allowed


async def test_a_body_that_is_too_large_is_refused_whether_declared_or_not(client, faulty_engine):
    body = json.dumps({**HELLO, "files": {"a": base64.b64encode(bytes(1 << 20)).decode()}}).encode()
    json_type = {"Content-Type": "application/json"}
    declared = await client.post("/api/v1/execute", content=body, headers=json_type)
    error_of(declared, 413, "INVALID_REQUEST")

    async def pieces():
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    error_of(
        await client.post("/api/v1/execute", content=pieces(), headers=json_type), 413, "INVALID_REQUEST"
    )
    assert faulty_engine.jobs == []


# -- what goes wrong on our side


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InsufficientResources("no room in /secret"), 507, "INSUFFICIENT_RESOURCES"),
        (MachineFailure("/secret/log"), 500, "INTERNAL_ERROR"),
        (MissingPrerequisite("/secret/image"), 500, "INTERNAL_ERROR"),
        (RuntimeError("/secret/bug"), 500, "INTERNAL_ERROR"),
        (OperationalError("select /secret", None, Exception("/secret")), 503, "INTERNAL_ERROR"),
        (InvalidRequest("no such thing", {"field": "code"}), 400, "INVALID_REQUEST"),
    ],
)
async def test_failures_keep_their_insides_to_themselves(client, faulty_engine, error, status, code):
    faulty_engine.error = error
    response = await client.post("/api/v1/execute", json=HELLO)
    error_of(response, status, code)
    assert "secret" not in response.text


async def test_a_caller_who_goes_away_cancels_the_run(app, faulty_engine, store):
    body = json.dumps(HELLO).encode()
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/api/v1/execute", "raw_path": b"/api/v1/execute", "query_string": b"", "root_path": "",
        "headers": [(b"x-api-key", b"key-of-alice"), (b"content-type", b"application/json")],
        "client": ("test", 1), "server": ("test", 80),
    }  # fmt: skip
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        if messages:
            return messages.pop(0)
        await faulty_engine.started.wait()
        return {"type": "http.disconnect"}

    async def send(_message):
        pass

    async with asyncio.timeout(60):
        await app(scope, receive, send)
        await faulty_engine.cancelled.wait()
    with store._engine.connect() as connection:
        statuses = connection.exec_driver_sql("SELECT status FROM execution").scalars().all()
    assert statuses == [ExecutionStatus.CANCELLED]


@pytest.mark.parametrize(
    ("asked", "size", "stdin"),
    [
        ({"terminal": {}}, TerminalSize(80, 24), b""),
        ({"terminal": {"cols": 1, "rows": 1000}, "interactive": False}, TerminalSize(1, 1000), b""),
        ({"terminal": {"rows": 40}, "stdin": "ls\r\x03"}, TerminalSize(80, 40), b'["i", "ls\\r\\u0003"]\n'),
        ({"terminal": None, "interactive": True, "stdin": "ls\n"}, None, b"ls\n"),
    ],
)
async def test_a_terminal_makes_a_run_interactive(client, faulty_engine, asked, size, stdin):
    faulty_engine.error = MachineFailure("enough")
    await client.post("/api/v1/execute", json={**HELLO, **asked, "execution_id": "exec_t"})
    (job,) = faulty_engine.jobs
    assert (job.interactive, job.terminal, job.stdin) == (True, size, stdin)
    told = (await client.get("/api/v1/executions/exec_t")).json()["job"]
    cells = None if size is None else {"cols": size.columns, "rows": size.rows}
    assert (told["interactive"], told["terminal"]) == (True, cells)


async def test_what_is_typed_on_a_terminal_and_its_size_come_in_order(client, faulty_engine):
    body = {**HELLO, "terminal": {}, "stdin": "first", "async": True, "execution_id": "exec_t"}
    await client.post("/api/v1/execute", json=body)
    async with asyncio.timeout(60):
        await faulty_engine.started.wait()
    place = "/api/v1/executions/exec_t"
    for path, typed in (
        ("input", {"data": ", second\x03"}),
        ("resize", {"cols": 120, "rows": 40}),
        ("resize", {"cols": 100, "rows": 30}),
        ("input", {"data": "last", "end": True}),
    ):
        response = await client.post(f"{place}/{path}", json=typed)
        assert (response.status_code, response.content) == (204, b"")
    late = error_of(await client.post(f"{place}/resize", json={"cols": 1, "rows": 1}), 400, "INVALID_REQUEST")
    assert late["message"] == "the run's input has ended"
    events = [await faulty_engine.typed.next() for _ in range(4)]
    assert events == [b"first, second\x03", TerminalSize(100, 30), b"last", b""]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cols": 80}, "rows"),
        ({"rows": 24}, "cols"),
        ({"cols": 0, "rows": 24}, "cols"),
        ({"cols": 80, "rows": 1001}, "rows"),
        ({"cols": "80", "rows": 24}, "cols"),
        ({"cols": 80, "rows": 24, "data": "x"}, "data"),
    ],
)
async def test_a_size_that_is_none(client, body, field):
    error = error_of(await client.post("/api/v1/executions/exec_t/resize", json=body), 400, "INVALID_REQUEST")
    assert error["details"]["field"] == field


async def test_a_run_without_a_terminal_has_no_size(client, faulty_engine):
    for fields, told in (({"interactive": True}, "no terminal"), ({}, "takes no input")):
        begun = await client.post("/api/v1/execute", json={**HELLO, **fields, "async": True})
        place = f"/api/v1/executions/{begun.json()['id']}/resize"
        refused = error_of(await client.post(place, json={"cols": 80, "rows": 24}), 400, "INVALID_REQUEST")
        assert told in refused["message"]


async def test_seed_and_epoch_are_chosen_where_they_are_left_open(client, faulty_engine):
    faulty_engine.error = MachineFailure("enough")
    for _ in range(2):
        await client.post("/api/v1/execute", json=HELLO)
    await client.post("/api/v1/execute", json={**HELLO, "seed": (1 << 64) - 1, "epoch": MIN_EPOCH})
    first, second, third = faulty_engine.jobs
    assert first.seed != second.seed
    assert max(first.seed, second.seed) < 1 << 53
    assert first.epoch > 1_700_000_000
    assert (third.seed, third.epoch) == ((1 << 64) - 1, MIN_EPOCH)
