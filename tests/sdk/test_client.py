"""FaaSClient against a server that misbehaves to order."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import httpx
import pytest

import faas_sdk
from faas_sdk import AsyncFaaSClient, FaaSClient, Stream, retry
from faas_sdk.effects import run
from faas_sdk.rest import RestApi

DONE = {
    "execution_id": "exec_1",
    "status": "completed",
    "exit_code": 0,
    "stdout": "Hello World\n",
    "stderr": "",
    "duration_ms": 145,
    "mode": "ephemeral",
    "cached": False,
    "cost": {"compute": 0.00012, "total": 0.00012},
}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.001)
    monkeypatch.delenv("FAAS_API_KEY", raising=False)
    monkeypatch.delenv("FAAS_ENDPOINT", raising=False)


@pytest.fixture
def client(flaky_server):
    with FaaSClient("key", flaky_server.url, timeout=5) as made:
        yield made


def error(code, message="no", **details):
    return {"error": {"code": code, "message": message, "details": details}}


def test_execute(client, flaky_server):
    flaky_server.will_answer(200, DONE)
    result = client.execute(code="print('Hello World')", language="python")
    assert (result.id, result.execution_id, result.status) == ("exec_1", "exec_1", "completed")
    assert (result.stdout, result.stderr, result.exit_code) == ("Hello World\n", "", 0)
    assert (result.duration_ms, result.mode, result.cached) == (145, "ephemeral", False)
    assert result.cost == {"compute": 0.00012, "total": 0.00012}
    assert result.receipt is None
    assert result.signature is None
    request = flaky_server.requests[0]
    assert (request["method"], request["path"]) == ("POST", "/api/v1/execute")
    assert request["headers"]["authorization"] == "Bearer key"
    body = json.loads(request["body"])
    assert body == {"code": "print('Hello World')", "language": "python", "mode": "ephemeral"}


def test_everything_that_can_be_said(client, flaky_server):
    flaky_server.will_answer(200, DONE | {"receipt": {"virtual_ns": 7}, "signature": "0x01"})
    result = client.execute(
        "1",
        "python",
        resources={"memory_mb": 64},
        env_vars={"A": "1"},
        files={"a.bin": b"\xff\x00", "t.txt": "ž"},
        stdin="in",
        arguments=["x"],
        seed=1,
        epoch=2,
    )
    assert (result.virtual_ns, result.signature) == (7, "0x01")
    body = json.loads(flaky_server.requests[0]["body"])
    assert base64.b64decode(body["files"]["a.bin"]) == b"\xff\x00"
    assert base64.b64decode(body["files"]["t.txt"]).decode() == "ž"
    assert (body["stdin"], body["arguments"], body["seed"], body["epoch"]) == ("in", ["x"], 1, 2)
    assert (body["resources"], body["env_vars"]) == ({"memory_mb": 64}, {"A": "1"})


def test_what_an_interactive_run_is_asked_and_told(client, flaky_server):
    flaky_server.will_answer(202, DONE | {"status": "queued"})
    flaky_server.will_answer(204, b"")
    flaky_server.will_answer(204, b"")
    client.start("1", "python", interactive=True)
    client.send_input("exec_1", "ž\n")
    client.send_input("exec_1", end=True)
    bodies = [json.loads(request["body"]) for request in flaky_server.requests]
    assert (bodies[0]["interactive"], bodies[0]["async"]) == (True, True)
    assert bodies[1:] == [{"data": "ž\n", "end": False}, {"data": "", "end": True}]
    assert flaky_server.requests[1]["path"] == "/api/v1/executions/exec_1/input"


def test_what_a_run_on_a_terminal_is_asked_and_told(client, flaky_server):
    flaky_server.will_answer(200, DONE)
    flaky_server.will_answer(202, DONE | {"status": "queued"})
    flaky_server.will_answer(204, b"")
    client.execute("1", "python", terminal=faas_sdk.TerminalSize())
    client.start("1", "python", terminal=faas_sdk.TerminalSize(120, rows=40))
    client.resize("exec_1", 100, 30)
    bodies = [json.loads(request["body"]) for request in flaky_server.requests]
    assert [body.get("terminal") for body in bodies[:2]] == [
        {"cols": 80, "rows": 24},
        {"cols": 120, "rows": 40},
    ]
    assert bodies[2] == {"cols": 100, "rows": 30}
    assert flaky_server.requests[2]["path"] == "/api/v1/executions/exec_1/resize"


def test_input_that_may_have_arrived_is_not_sent_twice(client, flaky_server):
    flaky_server.will_break()
    with pytest.raises(faas_sdk.ConnectionFailed):
        client.send_input("exec_1", "a\n")
    assert len(flaky_server.requests) == 1


def test_lists_and_runs_that_have_begun_say_nothing_of_what_they_do_not_know(client, flaky_server):
    known = {
        "execution_id": "exec_1",
        "id": "exec_1",
        "status": "completed",
        "mode": "cached",
        "cached": True,
    }
    times = {"created_at": "2024-01-15T11:00:00Z", "updated_at": "2024-01-15T11:00:01Z"}
    line = {**known, **times, "language": "bash", "exit_code": 3, "duration_ms": 5, "snapshot_id": "snap_1"}
    flaky_server.will_answer(200, {"executions": [line], "total": 1, "limit": 20, "offset": 0})
    unknown = {"stdout": None, "stderr": None, "files": None, "cost": None, "receipt": None}
    flaky_server.will_answer(202, {**known, "status": "queued", **unknown})
    [listed] = client.executions()
    assert (listed.id, listed.status, listed.mode, listed.cached) == ("exec_1", "completed", "cached", True)
    assert (listed.language, listed.exit_code, listed.duration_ms) == ("bash", 3, 5)
    assert (listed.snapshot_id, listed.created_at, listed.updated_at) == ("snap_1", *times.values())
    begun = client.start("1", "python")
    assert (begun.id, begun.status, begun.mode) == ("exec_1", "queued", "cached")
    for name in ("stdout", "stderr", "files", "files_truncated", "cost", "receipt"):
        assert not hasattr(listed, name)
        assert not hasattr(begun, name)


LINE = {"path": "plots/a b?.svg", "size": 3, "sha256": "0x" + 64 * "1"}


def test_output_files_are_listed_and_fetched(client, flaky_server):
    flaky_server.will_answer(200, DONE | {"files": [LINE], "files_truncated": True})
    flaky_server.will_answer(200, b"\xff\x00x")
    result = client.execute("1", "python")
    assert result.files == (faas_sdk.OutputFile(**LINE),)
    assert result.files_truncated
    assert client.output_file(result.id, result.files[0].path) == b"\xff\x00x"
    request = flaky_server.requests[1]
    assert request["path"] == "/api/v1/executions/exec_1/files/plots/a%20b%3F.svg"
    assert request["headers"]["authorization"] == "Bearer key"


def test_a_service_that_names_no_files_left_none(client, flaky_server):
    flaky_server.will_answer(200, DONE)
    result = client.execute("1", "python")
    assert (result.files, result.files_truncated) == ((), False)


def test_no_such_output_file(client, flaky_server):
    flaky_server.will_answer(404, error("NOT_FOUND"))
    with pytest.raises(faas_sdk.NotFound):
        client.output_file("exec_1", "a")


@pytest.mark.parametrize(
    "path",
    ["../receipt", "../../../keys", "..", ".", "", "/a", "a//b", "a/../b", "a/.", "a\0", None, 5],
)
def test_a_path_that_leads_elsewhere_is_refused_before_it_is_asked_for(client, flaky_server, path):
    with pytest.raises(ValueError, match="is not a path"):
        client.output_file("exec_1", path)
    assert flaky_server.requests == []


@pytest.mark.parametrize("identity", ["..", ".", "", "exec_1/receipt", "../keys", None, 5])
def test_an_id_that_leads_elsewhere_is_refused_before_it_is_asked_for(client, flaky_server, identity):
    for asked in (
        client.execution,
        client.cancel,
        client.send_input,
        client.logs,
        client.receipt_file,
        client.stream,
        client.get_snapshot,
        client.restore_snapshot,
        client.delete_snapshot,
        client.diff_snapshot,
        client.get_branch,
        client.delete_branch,
        client.end_session,
        client.revoke_key,
        lambda identity: client.resize(identity, 1, 1),
        lambda identity: client.output_file(identity, "a"),
        lambda identity: client.prove_snapshot(identity, "a"),
    ):
        with pytest.raises(ValueError, match="is not an id"):
            asked(identity)
    assert flaky_server.requests == []


@pytest.mark.parametrize(
    "line", [5, {}, LINE | {"size": "3"}, *(LINE | {"path": path} for path in ("/a", "../a", "a//b", "a\0"))]
)
def test_files_that_cannot_be_read_or_written_safely(client, flaky_server, line):
    flaky_server.will_answer(200, DONE | {"files": [line]})
    with pytest.raises(faas_sdk.ConnectionFailed, match="files"):
        client.execute("1", "python")


@pytest.mark.parametrize("suffix", ["", "/", "/api/v1", "/api/v1/"])
def test_the_endpoint_with_and_without_its_prefix(flaky_server, suffix):
    flaky_server.will_answer(200, DONE)
    flaky_server.will_answer(200, {"status": "ok"})
    with FaaSClient(endpoint=flaky_server.url + suffix) as client:
        client.execute("1", "python")
        assert client.health().status == "ok"
    assert [request["path"] for request in flaky_server.requests] == ["/api/v1/execute", "/health"]
    assert "authorization" not in flaky_server.requests[0]["headers"]


def test_key_and_endpoint_from_the_environment(flaky_server, monkeypatch):
    monkeypatch.setenv("FAAS_API_KEY", "from env")
    monkeypatch.setenv("FAAS_ENDPOINT", flaky_server.url)
    flaky_server.will_answer(200, DONE)
    with FaaSClient() as client:
        client.execute("1", "python")
    assert flaky_server.requests[0]["headers"]["authorization"] == "Bearer from env"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "INVALID_REQUEST", faas_sdk.InvalidRequest),
        (401, "UNAUTHORIZED", faas_sdk.Unauthorized),
        (402, "PAYMENT_REQUIRED", faas_sdk.PaymentRequired),
        (403, "FORBIDDEN", faas_sdk.Forbidden),
        (404, "NOT_FOUND", faas_sdk.NotFound),
        (408, "EXECUTION_TIMEOUT", faas_sdk.ExecutionTimeout),
        (429, "RATE_LIMIT_EXCEEDED", faas_sdk.RateLimitError),
        (500, "INTERNAL_ERROR", faas_sdk.ServerError),
    ],
)
def test_errors_by_code_are_raised_at_once(client, flaky_server, status, code, kind):
    flaky_server.will_answer(status, error(code, "why", field="code"))
    with pytest.raises(kind, match="why") as caught:
        client.execute("1", "python")
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.details == {"field": "code"}
    assert len(flaky_server.requests) == 1


@pytest.mark.parametrize(("status", "kind"), [(401, faas_sdk.Unauthorized), (418, faas_sdk.ServerError)])
def test_an_error_that_is_not_ours(client, flaky_server, status, kind):
    flaky_server.will_answer(status, b"<html>proxy</html>")
    with pytest.raises(kind, match=str(status)):
        client.execute("1", "python")


@pytest.mark.parametrize("value", ["2024-01-15T11:00:00Z", 1_705_316_400])
def test_when_a_rate_limit_is_lifted(client, flaky_server, value):
    flaky_server.will_answer(429, error("RATE_LIMIT_EXCEEDED", reset_at=value))
    with pytest.raises(faas_sdk.RateLimitError) as caught:
        client.execute("1", "python")
    assert caught.value.reset_at == datetime(2024, 1, 15, 11, tzinfo=UTC)


def test_a_rate_limit_that_says_nothing(client, flaky_server):
    flaky_server.will_answer(429, error("RATE_LIMIT_EXCEEDED", reset_at="soon"))
    with pytest.raises(faas_sdk.RateLimitError) as caught:
        client.execute("1", "python")
    assert caught.value.reset_at is None


@pytest.mark.parametrize("status", [503, 507])
def test_what_was_not_begun_is_tried_again(client, flaky_server, status):
    flaky_server.will_answer(status, error("INSUFFICIENT_RESOURCES"), Retry_After="0")
    flaky_server.will_answer(status, error("INSUFFICIENT_RESOURCES"))
    flaky_server.will_answer(200, DONE)
    assert client.execute("1", "python").id == "exec_1"
    assert len(flaky_server.requests) == 3


def test_retries_end(client, flaky_server):
    for _ in range(4):
        flaky_server.will_answer(507, error("INSUFFICIENT_RESOURCES"))
    with pytest.raises(faas_sdk.InsufficientResources):
        client.execute("1", "python")
    assert len(flaky_server.requests) == 4


def test_a_long_retry_after_is_not_waited_for(client, flaky_server):
    flaky_server.will_answer(503, error("INTERNAL_ERROR"), Retry_After="3600")
    with pytest.raises(faas_sdk.ServerError):
        client.execute("1", "python")


def test_a_run_that_may_have_begun_is_not_run_twice(client, flaky_server):
    flaky_server.will_break()
    with pytest.raises(faas_sdk.ConnectionFailed):
        client.execute("1", "python")
    assert len(flaky_server.requests) == 1


def test_a_question_may_be_asked_twice(client, flaky_server):
    flaky_server.will_break()
    flaky_server.will_answer(502, b"")
    flaky_server.will_answer(200, {"status": "ok"})
    assert client.health().status == "ok"


@pytest.mark.parametrize("key", [None, "mine"])
def test_an_answer_that_does_not_come_in_time_is_not_asked_for_again(flaky_server, key):
    with FaaSClient("key", flaky_server.url, timeout=0.1) as client:
        flaky_server.will_hang()
        with pytest.raises(faas_sdk.RequestTimeout, match="does not answer in time"):
            client.execute("1", "python", idempotency_key=key)
        flaky_server.will_hang()
        with pytest.raises(faas_sdk.RequestTimeout):
            client.health()
    assert len(flaky_server.requests) == 2


async def test_a_time_limit_of_one_call(flaky_server):
    flaky_server.will_hang()
    with FaaSClient("key", flaky_server.url) as client, pytest.raises(faas_sdk.RequestTimeout):
        client.execute("1", "python", timeout=0.1)
    flaky_server.will_hang()
    async with AsyncFaaSClient("key", flaky_server.url, timeout=20) as twin:
        with pytest.raises(faas_sdk.RequestTimeout):
            await twin.execute("1", "python", timeout=0.1)


@pytest.mark.parametrize(
    ("options", "resources", "seconds"),
    [
        ({}, None, 330),
        ({}, {"memory_mb": 64}, 330),
        ({}, {"timeout_ms": 1000}, 40),
        ({}, {"timeout_ms": 600_000}, 6030),
        ({}, {"timeout_ms": 10**12}, 36_030),
        ({}, {"timeout_ms": "much"}, 330),
        ({"timeout": 120}, {"timeout_ms": 600_000}, 120),
    ],
)
def test_a_run_is_waited_for_as_long_as_it_may_take(flaky_server, monkeypatch, options, resources, seconds):
    waits = []
    send = httpx.Client.send

    def sent(self, request):
        waits.append((request.extensions["timeout"]["read"], request.extensions["timeout"]["connect"]))
        return send(self, request)

    monkeypatch.setattr(httpx.Client, "send", sent)
    for _ in "123":
        flaky_server.will_answer(200, DONE)
    with FaaSClient("key", flaky_server.url, **options) as client:
        client.execute("1", "python", resources=resources)
        client.execute("1", "python", resources=resources, timeout=7)
        client.start("1", "python", resources=resources)
    usual = options.get("timeout", 30)
    assert waits == [(seconds, min(seconds, usual)), (7, 7), (usual, usual)]


def test_nobody_there():
    client = FaaSClient(endpoint="http://127.0.0.1:9", max_retries=1)
    with client, pytest.raises(faas_sdk.ConnectionFailed, match="does not answer"):
        client.execute("1", "python")


@pytest.mark.parametrize("body", [b"hello", [], {"id": 1}, {"execution_id": "x"}])
def test_something_else_is_there(client, flaky_server, body):
    flaky_server.will_answer(200, body)
    with pytest.raises(faas_sdk.ConnectionFailed):
        client.execute("1", "python")


def test_arguments_that_make_no_client():
    with pytest.raises(ValueError, match="http"):
        FaaSClient(endpoint="api.faas.platform")
    with pytest.raises(ValueError, match="max_retries"):
        FaaSClient(max_retries=-1)


def test_stdin_that_is_not_text(client):
    with pytest.raises(ValueError, match="utf-8"):
        client.execute("1", "python", stdin=b"\xff")


@pytest.mark.parametrize("content", [5, None, [97], 1.5])
def test_a_file_that_is_neither_text_nor_bytes(client, flaky_server, content):
    with pytest.raises(ValueError, match=r"files\.x must be"):
        client.execute("1", "python", files={"x": content})
    assert flaky_server.requests == []


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_have(client, flaky_server, number):
    with pytest.raises(ValueError, match="JSON"):
        client.execute("1", "python", seed=number)
    assert flaky_server.requests == []


def test_the_key_is_not_printed():
    with FaaSClient("secret-key") as client:
        assert "secret-key" not in repr(vars(client))


def test_a_key_without_what_surrounds_it_in_a_file(flaky_server):
    flaky_server.will_answer(200, DONE)
    with FaaSClient(" secret-key\r\n", flaky_server.url) as client:
        client.execute("1", "python", idempotency_key="mine\n")
    headers = flaky_server.requests[0]["headers"]
    assert (headers["authorization"], headers["idempotency-key"]) == ("Bearer secret-key", "mine")


@pytest.mark.parametrize("key", ["secret\nkey", "secret\r\nX: y", "secrét", "secret\0", "\n", 5])
def test_a_key_that_no_header_carries_is_refused_at_once_and_not_shown(client, flaky_server, key):
    for made in (FaaSClient, AsyncFaaSClient):
        with pytest.raises(ValueError, match="api_key must be printable") as refused:
            made(key, flaky_server.url)
        assert "secr" not in str(refused.getrepr(style="value"))
    with pytest.raises(ValueError, match="idempotency_key must be printable"):
        client.execute("1", "python", idempotency_key=key)
    assert flaky_server.requests == []


def test_what_a_request_cannot_carry_is_not_shown(flaky_server):
    api = RestApi(flaky_server.url, "secret-key\n", 0)
    with httpx.Client() as http, pytest.raises(faas_sdk.ConnectionFailed) as failed:
        run(api.account(), http)
    with pytest.raises(faas_sdk.ConnectionFailed) as broken:
        list(Stream(api.stream_request("exec_1"), 5))
    assert "secret-key" not in failed.value.message + broken.value.message


async def test_a_client_that_is_closed(flaky_server):
    with FaaSClient("key", flaky_server.url) as client:
        pass
    with pytest.raises(faas_sdk.ConnectionFailed, match="closed"):
        client.health()
    async with AsyncFaaSClient("key", flaky_server.url) as twin:
        pass
    with pytest.raises(faas_sdk.ConnectionFailed, match="closed"):
        await twin.health()


async def test_the_async_twin_has_a_terminal_too(flaky_server):
    flaky_server.will_answer(200, DONE)
    flaky_server.will_answer(202, DONE | {"status": "queued"})
    flaky_server.will_answer(204, b"")
    async with AsyncFaaSClient("key", flaky_server.url) as client:
        await client.execute("1", "python", terminal=faas_sdk.TerminalSize(1, 2))
        await client.start("1", "python", terminal=faas_sdk.TerminalSize())
        await client.resize("exec_1", 100, 30)
    sizes = [json.loads(request["body"]) for request in flaky_server.requests]
    assert [body["terminal"] for body in sizes[:2]] == [{"cols": 1, "rows": 2}, {"cols": 80, "rows": 24}]
    assert sizes[2] == {"cols": 100, "rows": 30}


async def test_the_async_twin(flaky_server):
    flaky_server.will_answer(503, error("INTERNAL_ERROR"))
    flaky_server.will_answer(200, DONE)
    flaky_server.will_answer(200, {"status": "ok"})
    flaky_server.will_answer(401, error("UNAUTHORIZED"))
    async with AsyncFaaSClient("key", flaky_server.url) as client:
        assert (await client.execute("1", "python")).stdout == "Hello World\n"
        assert (await client.health()).status == "ok"
        with pytest.raises(faas_sdk.Unauthorized):
            await client.execute("1", "python")
