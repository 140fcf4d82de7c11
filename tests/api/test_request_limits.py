"""What is too large, too slow or no HTTP at all, over real sockets: refused in the one shape, and let go."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager, closing

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from faas_api import request_limits
from faas_api.app import create_app
from faas_api.http_protocol import HEAD_BYTES, HttpProtocol
from faas_api.platform import stream_socket
from faas_api.request_limits import HEADER_BYTES, STRANGERS_BYTES, RequestLimits
from faas_api.serve import listen, serve
from faas_operator.settings import Secrets, Settings

KEY = {"X-API-Key": "key-of-alice"}


@asynccontextmanager
async def served(app, **settings):
    with closing(listen("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(serve(app, listener, **settings))
        try:
            yield listener.getsockname()[1]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def port(app):
    async with served(app) as port:
        yield port


async def answer(port, sent):
    """Status and body of the answer to these bytes; the connection stays open until it is there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(60):
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            body = await reader.readexactly(length)
    finally:
        writer.close()
    return int(head.split()[1]), json.loads(body)


def request(*headers, path="/api/v1/executions", method="GET"):
    lines = [f"{method} {path} HTTP/1.1", "Host: here", "X-API-Key: key-of-alice", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def error_of(body, code="INVALID_REQUEST"):
    assert set(body) == {"error"}
    assert body["error"]["code"] == code
    return body["error"]


# -- headers


async def test_headers_have_a_size(port):
    status, _ = await answer(port, request("X-Filler: " + "x" * (HEADER_BYTES - 500)))
    assert status == 200
    status, body = await answer(port, request("X-Filler: " + "x" * HEADER_BYTES))
    assert status == 431
    assert error_of(body)["details"] == {"limit": HEADER_BYTES}
    status, body = await answer(port, request(*(f"X-{n}: {'x' * 100}" for n in range(200))))
    assert status == 431


async def test_a_head_without_an_end_is_not_gathered(port):
    status, body = await answer(port, request("X-Filler: " + "x" * (2 * HEAD_BYTES))[:-4])
    assert status == 400
    error_of(body)


CHUNKED = request("Transfer-Encoding: chunked", path="/api/v1/execute", method="POST")


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (b"", b"\r\n" * 512),
        (CHUNKED + b"1;", b"x" * 1024),
        (CHUNKED + b"1\r\n{\r\n0\r\n", b"X-1: " + b"x" * 1024 + b"\r\n"),
    ],
    ids=["lines", "chunk", "trailers"],
)
async def test_nor_is_what_is_no_part_of_a_body(port, begun, more):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begun)
    async with asyncio.timeout(60):
        for _ in range(HEAD_BYTES // len(more) + 2):  # the first may come together with the head
            assert not reader.at_eof()
            writer.write(more)
            await asyncio.sleep(0.001)
        assert (await reader.readuntil(b"\r\n")).split()[1] == b"400"
        assert await reader.read()
    writer.close()


async def test_trailers_are_no_headers(port):
    body = b'{"code": "1", "language": "nonsense"}'
    sent = request(
        "Content-Type: application/json", "Transfer-Encoding: chunked", path="/api/v1/execute", method="POST"
    )
    sent += b"%x\r\n%b\r\n0\r\nX-API-Key: another\r\n\r\n" % (len(body), body)
    status, answered = await answer(port, sent)
    assert status == 400
    assert error_of(answered)["details"]["field"] == "language"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Filler": "x" * 9000},
        {f"X-{number}": "x" * 6000 for number in range(3)},
        {f"X-{number}": "x" for number in range(130)},
    ],
    ids=["long", "large", "many"],
)
async def test_an_upgrade_has_limits_too(port, headers):
    with pytest.raises(InvalidStatus) as raised:
        await connect(f"ws://127.0.0.1:{port}/api/v1/execute/stream", additional_headers=KEY | headers)
    assert raised.value.response.status_code == 431
    error_of(json.loads(raised.value.response.body))


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/api/v1/execute/stream", {}, 401, "UNAUTHORIZED"),
        ("/api/v1/stream/exec_1", {"X-API-Key": "wrong"}, 401, "UNAUTHORIZED"),
        (
            "/api/v1/execute/stream",
            KEY | {f"X-{number}": "x" * 6000 for number in range(3)},
            431,
            "INVALID_REQUEST",
        ),
        ("/api/v1/nothing", KEY, 404, "NOT_FOUND"),
        ("/api/v1/execute", KEY, 404, "NOT_FOUND"),
        ("/console/", {}, 404, "NOT_FOUND"),
        ("/console", {}, 404, "NOT_FOUND"),
    ],
)
async def test_an_upgrade_that_is_refused_has_the_shape_and_is_no_error_of_ours(
    port, caplog, path, headers, status, code
):
    with pytest.raises(InvalidStatus) as raised:
        await connect(f"ws://127.0.0.1:{port}{path}", additional_headers=headers)
    response = raised.value.response
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/json")
    assert json.loads(response.body)["error"]["code"] == code
    await asyncio.sleep(0.1)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        CHUNKED + b"x\r\n",
    ],
)
async def test_what_is_no_http_is_told_so(port, sent):
    status, body = await answer(port, sent)
    assert status == 400
    error_of(body)


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost: he"])
async def test_a_head_that_does_not_arrive_is_not_waited_for(port, monkeypatch, sent):
    monkeypatch.setattr(HttpProtocol, "head_seconds", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()


async def test_nor_the_second_one_of_a_connection_that_drips(port, monkeypatch):
    monkeypatch.setattr(HttpProtocol, "head_seconds", 0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(60):
        for _ in range(2):
            writer.write(b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"200 OK" in head
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
        writer.write(b"GET /health HTTP/1.1\r\n")
        for _ in range(100):
            await asyncio.sleep(0.05)
            if reader.at_eof():
                break
            writer.write(b"x")
        assert reader.at_eof()
    writer.close()


async def test_requests_at_once_are_answered_in_turn(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    paths = ["/health", "/nothing", "/health", "/api/v1/executions"]
    upgrade = request("Connection: upgrade", "Upgrade: h2c", path="/health")  # is passed over
    writer.write(b"".join(request(path=path) for path in paths) + upgrade)
    async with asyncio.timeout(60):
        statuses = []
        for _ in range(5):
            head = await reader.readuntil(b"\r\n\r\n")
            statuses.append(int(head.split()[1]))
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
    assert statuses == [200, 404, 200, 200, 200]
    writer.close()


async def test_who_asks_twice_at_once_and_leaves_is_gone_for_the_first(port, faulty_engine):
    body = json.dumps({"code": "1", "language": "python"}).encode()
    sent = request(
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        path="/api/v1/execute",
        method="POST",
    )
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent + body + request())
    async with asyncio.timeout(60):
        await faulty_engine.started.wait()
        writer.close()
        await faulty_engine.cancelled.wait()


async def test_a_long_answer_is_not_cut_short(port, monkeypatch, faulty_engine):
    """Only the head has to come in time."""
    monkeypatch.setattr(HttpProtocol, "head_seconds", 0.2)
    body = json.dumps({"code": "1", "language": "python"})
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        request(
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            path="/api/v1/execute",
            method="POST",
        )
        + body.encode()
    )
    async with asyncio.timeout(60):
        await faulty_engine.started.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.6)
    assert not faulty_engine.cancelled.is_set()
    writer.close()
    async with asyncio.timeout(60):
        await faulty_engine.cancelled.wait()


# -- bodies


async def test_a_body_that_does_not_arrive_is_not_waited_for(app, monkeypatch, faulty_engine):
    body_limit = next(known for known in app.user_middleware if known.cls is RequestLimits)
    body_limit.kwargs["body_seconds"] = 0.3
    async with served(app) as port:
        sent = request(
            "Content-Type: application/json", "Content-Length: 100", path="/api/v1/execute", method="POST"
        )
        status, body = await answer(port, sent + b'{"code": ')
    assert status == 408
    assert "0.3 seconds" in error_of(body)["message"]
    assert faulty_engine.jobs == []


def test_the_time_for_a_body_is_bounded():
    assert request_limits.BODY_SECONDS <= 60


# -- WebSocket messages


async def test_a_message_has_a_size(app):
    async with (
        served(app, message_bytes=1000) as port,
        connect(f"ws://127.0.0.1:{port}/api/v1/execute/stream", additional_headers=KEY) as socket,
    ):
        await socket.send("x" * 1000)
        assert json.loads(await socket.recv())["fatal"] is False
        await socket.send("x" * 1001)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1009


async def test_a_client_that_says_too_much_is_let_go(port, monkeypatch):
    monkeypatch.setattr(stream_socket, "MESSAGES_PER_MINUTE", 3)
    async with connect(f"ws://127.0.0.1:{port}/api/v1/execute/stream", additional_headers=KEY) as socket:
        for _ in range(4):
            await socket.send("?")
        answers = [json.loads(message) for _ in range(3) async for message in _one(socket)]
        assert {message["fatal"] for message in answers} == {False}
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == stream_socket.POLICY_VIOLATION


async def _one(socket):
    yield await socket.recv()


async def test_a_client_that_follows_nothing_is_let_go(port, monkeypatch):
    monkeypatch.setattr(stream_socket, "IDLE_SECONDS", 0.2)
    async with connect(f"ws://127.0.0.1:{port}/api/v1/execute/stream", additional_headers=KEY) as socket:
        async with asyncio.timeout(60):
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        assert socket.close_code == 1000


async def test_but_not_one_that_waits_for_a_run(port, monkeypatch, faulty_engine):
    monkeypatch.setattr(stream_socket, "IDLE_SECONDS", 0.2)
    body = json.dumps({"code": "1", "language": "python", "async": True, "execution_id": "exec_long"})
    sent = request(
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        path="/api/v1/execute",
        method="POST",
    )
    assert (await answer(port, sent + body.encode()))[0] == 202
    async with connect(f"ws://127.0.0.1:{port}/api/v1/stream/exec_long", additional_headers=KEY) as socket:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.8)
        await answer(port, request(path="/api/v1/executions/exec_long", method="DELETE"))
        async with asyncio.timeout(60):
            assert json.loads(await socket.recv())["status"] == "cancelled"


@pytest.mark.parametrize("key", ["", "X-API-Key: wrong\r\n"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_body_is_not_read_of_who_has_no_key(port, key, chunked):
    length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 1000000"
    head = f"POST /api/v1/execute HTTP/1.1\r\nHost: here\r\n{key}Content-Type: application/json\r\n"
    piece = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    sent = piece * (STRANGERS_BYTES // 0x8000 + 1) if chunked else b""
    status, body = await answer(port, f"{head}{length}\r\n\r\n".encode() + sent)  # the rest never comes
    assert status == 401
    error_of(body, "UNAUTHORIZED")


async def test_a_stranger_that_sends_large_bodies_is_counted(app_service, tmp_path):
    settings = Settings(home=tmp_path, requests_per_minute=1)
    head = b"POST /api/v1/execute HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n\r\n"
    async with served(create_app(app_service, settings, Secrets.with_api_keys("key-of-alice"))) as port:
        assert (await answer(port, head))[0] == 401
        status, body = await answer(port, head)
    assert status == 429
    error_of(body, "RATE_LIMIT_EXCEEDED")
