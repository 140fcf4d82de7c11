"""Streams over real sockets: WebSocket on every path, server-sent events, slow readers, who may look."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, closing

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from faas_api.serve import listen, serve
from faas_blueprint.digests import to_hex
from faas_blueprint.job import decode_job, job_digest
from faas_blueprint.terminal import TerminalSize, decode_events
from faas_microvm.execution import Output, Progress
from faas_operator.feed import Dropped, Ended, Feed

KEY = {"Authorization": "Bearer alice"}
TICKING = (
    "import time, sys\nfor i in range(3):\n    print('tick', i, flush=True); time.sleep(.1)\nsys.exit(7)"
)


@asynccontextmanager
async def served(app):
    with closing(listen("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(serve(app, listener))
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}/api/v1"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def place(real_app):
    async with served(real_app) as at:
        yield at


@pytest.fixture
async def http(place):
    async with httpx.AsyncClient(base_url=f"http://{place}", headers=KEY, timeout=120) as made:
        yield made


async def begin(http, code, language="python", **fields):
    body = {"code": code, "language": language, "async": True, **fields}
    response = await http.post("/execute", json=body)
    assert response.status_code == 202, response.text
    return response.json()["id"]


async def everything(socket):
    async with asyncio.timeout(60):
        return [json.loads(message) async for message in socket]


async def until(socket, kind):
    async with asyncio.timeout(60):
        async for message in socket:
            if (parsed := json.loads(message))["type"] == kind:
                return parsed
    raise AssertionError(f"no {kind}")


def text_of(messages, stream="stdout"):
    return "".join(m["data"] for m in messages if m["type"] == "output" and m["stream"] == stream)


@pytest.mark.machine
@pytest.mark.parametrize("path", ["stream/{}", "execute/{}/stream"])
async def test_a_path_follows_its_run_and_closes(place, http, path):
    identity = await begin(http, TICKING)
    async with connect(f"ws://{place}/{path.format(identity)}", additional_headers=KEY) as socket:
        await socket.send(json.dumps({"type": "subscribe", "execution_id": identity}))  # is already
        messages = await everything(socket)
        assert socket.close_code == 1000
    assert text_of(messages) == "tick 0\ntick 1\ntick 2\n"
    ends = [message for message in messages if message["type"] in ("completed", "error")]
    assert ends == messages[-1:]
    assert (ends[0]["type"], ends[0]["exit_code"], ends[0]["execution_id"]) == ("completed", 7, identity)
    assert all(message["execution_id"] == identity for message in messages)
    async with connect(f"ws://{place}/stream/{identity}?api_key=alice") as socket:  # replayed
        again = await everything(socket)
    assert (text_of(again), again[-1]) == (text_of(messages), messages[-1])


@pytest.mark.machine
async def test_one_socket_follows_many_runs(place, http):
    async with connect(f"ws://{place}/execute/stream", additional_headers={"X-API-Key": "alice"}) as socket:
        first, second = (
            await begin(http, "print('one')"),
            await begin(http, "console.log('two')", "javascript"),
        )
        for identity in (first, second):
            await socket.send(json.dumps({"type": "subscribe", "execution_id": identity}))
        ends = {(await until(socket, "completed"))["execution_id"] for _ in "12"}
        assert ends == {first, second}
        await socket.send(json.dumps({"type": "subscribe", "execution_id": "exec_nowhere"}))
        assert (await until(socket, "error"))["code"] == "NOT_FOUND"


@pytest.mark.machine
async def test_a_socket_may_be_opened_before_its_run(place, http):
    async with connect(f"ws://{place}/stream/exec_early", additional_headers=KEY) as socket:
        await asyncio.sleep(0.3)
        await begin(http, "print('here')", execution_id="exec_early")
        assert text_of(await everything(socket)) == "here\n"


@pytest.mark.machine
async def test_what_a_client_may_not_say_is_answered_and_harmless(place, http):
    endless = await begin(http, "while True: pass", resources={"timeout_ms": 600_000})
    async with connect(f"ws://{place}/execute/stream", additional_headers=KEY) as socket:
        for said, told in (
            ({"type": "input", "execution_id": endless, "data": "x\n"}, "interactive"),
            ({"type": "input", "execution_id": endless, "data": 1}, "text"),
            ({"type": "input", "execution_id": endless, "data": "x", "end": 1}, "boolean"),
            ({"type": "input", "execution_id": "exec_nowhere", "data": "x"}, "exec_nowhere"),
            ({"type": "resize", "execution_id": endless, "cols": 1, "rows": 1}, "interactive"),
            ({"type": "resize", "execution_id": endless, "cols": 0, "rows": 1}, "wrong here: cols"),
            ({"type": "resize", "execution_id": "exec_nowhere", "cols": 1, "rows": 1}, "exec_nowhere"),
            ({"type": "dance", "execution_id": endless}, "dance"),
            ({"type": "subscribe"}, "execution_id"),
            (["no object"], "object"),
        ):
            await socket.send(json.dumps(said))
            answer = await until(socket, "error")
            assert told in answer["error"]
            assert (answer["code"], answer["fatal"]) == ("INVALID_REQUEST", False)
        await socket.send(b"\x00\xff")
        assert "text" in (await until(socket, "error"))["error"]
        await socket.send(json.dumps({"type": "subscribe", "execution_id": endless}))
        progress = await until(socket, "progress")
        assert 0 <= progress["progress"] <= 1
        assert "virtual" in progress["message"]
        await socket.send(json.dumps({"type": "unsubscribe", "execution_id": endless}))
        await http.post(f"/executions/{endless}/cancel")
        await socket.send(json.dumps({"type": "subscribe", "execution_id": endless}))
        end = await until(socket, "error")
        assert (end["status"], "fatal" in end) == ("cancelled", False)


@pytest.mark.machine
async def test_a_timeout_ends_a_stream_with_an_error(place, http):
    identity = await begin(http, "print('a', flush=True)\nwhile True: pass", resources={"timeout_ms": 300})
    async with connect(f"ws://{place}/stream/{identity}", additional_headers=KEY) as socket:
        messages = await everything(socket)
    assert text_of(messages) == "a\n"
    assert (messages[-1]["type"], messages[-1]["code"]) == ("error", "EXECUTION_TIMEOUT")


@pytest.mark.machine
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
async def test_an_upgrade_needs_a_key(place, headers):
    for path in ("stream/exec_1", "execute/stream", "execute/stream?token=wrong"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{place}/{path}", additional_headers=headers)
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["error"]["code"] == "UNAUTHORIZED"


@pytest.mark.machine
async def test_others_see_nothing(place, http):
    identity = await begin(http, "print('secret')")
    async with connect(f"ws://{place}/stream/{identity}?token=bob") as socket:
        messages = await everything(socket)
    assert [message["code"] for message in messages] == ["NOT_FOUND"]
    bob = {"Authorization": "Bearer bob"}
    assert (await http.get(f"/executions/{identity}/stream", headers=bob)).status_code == 404


@pytest.mark.machine
@pytest.mark.parametrize("path", ["/executions/{}/stream", "/stream/{}"])
async def test_the_same_as_server_sent_events(http, path):
    identity = await begin(http, TICKING)
    async with http.stream("GET", path.format(identity)) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        text = (await response.aread()).decode()
    events = [
        dict(line.split(": ", 1) for line in event.splitlines()) for event in text.strip().split("\n\n")
    ]
    messages = [json.loads(event["data"]) for event in events]
    assert [event["event"] for event in events] == [message["type"] for message in messages]
    assert text_of(messages) == "tick 0\ntick 1\ntick 2\n"
    assert (messages[-1]["type"], events[-1]["id"]) == ("completed", "end")
    back = await http.get(path.format(identity), headers={"Last-Event-ID": "end"})
    assert back.status_code == 204


@pytest.mark.machine
async def test_a_reader_that_does_not_read_holds_up_nothing(place, http):
    code = "import sys\nfor i in range(40): sys.stdout.write('y' * 100_000)\nprint()"
    socket = connect(f"ws://{place}/execute/stream", additional_headers=KEY, max_queue=1)
    async with socket as stuck:
        identity = await begin(http, code, execution_id="exec_flood")
        await stuck.send(json.dumps({"type": "subscribe", "execution_id": identity}))
        async with asyncio.timeout(60):
            while (await http.get(f"/executions/{identity}")).json()["status"] != "completed":
                await asyncio.sleep(0.1)


@pytest.mark.machine
async def test_characters_cut_in_two_are_whole_in_messages(place, http):
    code = "import os, time\nfor b in 'žluť€'.encode():\n    os.write(1, bytes([b])); time.sleep(.03)"
    identity = await begin(http, code)
    async with connect(f"ws://{place}/stream/{identity}", additional_headers=KEY) as socket:
        assert text_of(await everything(socket)) == "žluť€"


# -- the feed itself


async def test_a_slow_reader_is_told_what_it_missed():
    feed = Feed(capacity=10)
    feed.publish(Output("stdout", b"12345"))
    reader = feed.read()
    assert await anext(reader) == Output("stdout", b"12345")
    for piece in (b"abcde", b"fghij", b"klmno"):
        feed.publish(Output("stdout", piece))
    feed.publish(Progress(20))
    feed.end()
    assert await anext(reader) == Dropped(5)
    rest = [event async for event in reader]
    assert rest == [Output("stdout", b"fghij"), Output("stdout", b"klmno"), Progress(20), Ended()]
    late = [event async for event in feed.read()]
    assert late == [Dropped(10), *rest]


async def test_readers_wait_for_what_comes():
    feed = Feed()
    reading = asyncio.create_task(anext(feed.read()))
    await asyncio.sleep(0)
    assert not reading.done()
    feed.publish(Output("stderr", b"x"))
    assert await reading == Output("stderr", b"x")


ASKING = (
    "name = input('name? ')\nprint('hello', name)\nage = input('age? ')\nprint('next year', int(age) + 1)"
)


async def converse(place, identity, answers):
    """Sends one message each time that the run waits for input; all that it said."""
    said = []
    async with (
        connect(f"ws://{place}/stream/{identity}", additional_headers=KEY) as socket,
        asyncio.timeout(60),
    ):
        async for message in socket:
            said.append(json.loads(message))
            if said[-1].get("wants_input"):
                await socket.send(json.dumps({"execution_id": identity, **answers.pop(0)}))
    return said


@pytest.mark.machine
async def test_a_run_is_given_its_input_as_it_asks_for_it(place, http):
    identity = await begin(http, ASKING, interactive=True)
    said = await converse(place, identity, [{"type": "input", "data": line} for line in ("ada\n", "36\n")])
    assert text_of(said) == "name? hello ada\nage? next year 37\n"
    assert said[-1]["type"] == "completed"
    file = (await http.get(f"/executions/{identity}/receipt")).json()
    job = decode_job(bytes.fromhex(file["job"].removeprefix("0x")))
    assert (job.interactive, job.stdin) == (True, b"ada\n36\n")
    assert file["receipt"]["job_digest"] == to_hex(job_digest(job))
    assert file["receipt"]["outcome_digest"]


ON_A_TERMINAL = """import os, sys
assert all(os.isatty(descriptor) for descriptor in range(3))
print(os.get_terminal_size(), flush=True)
print('hello', input('name? '), os.get_terminal_size(), file=sys.stderr)
print(repr(sys.stdin.read()))
"""
SHOWN = (
    "os.terminal_size(columns=100, lines=30)\r\n"
    "name? ada\r\nhello ada os.terminal_size(columns=120, lines=40)\r\n"
    "rest\r\n'rest\\n'\r\n"
)


@pytest.mark.machine
async def test_a_run_on_a_terminal_is_resized_and_typed_at(place, http):
    identity = await begin(http, ON_A_TERMINAL, terminal={"cols": 100, "rows": 30})
    typed = [
        {"type": "resize", "cols": 120, "rows": 40},
        {"type": "input", "data": "adam\x7f\r"},  # the terminal's own line editing
        {"type": "input", "data": "rest\r", "end": True},
    ]
    said = await converse(place, identity, typed)
    assert typed == []
    assert said[-1]["type"] == "completed"
    assert text_of(said, "stderr") == ""
    assert text_of(said).replace("adam\b \b", "ada") == SHOWN
    stored = (await http.get(f"/executions/{identity}")).json()
    assert (stored["job"]["interactive"], stored["job"]["terminal"]) == (True, {"cols": 100, "rows": 30})
    assert stored["stdout"] == text_of(said)
    file = (await http.get(f"/executions/{identity}/receipt")).json()
    job = decode_job(bytes.fromhex(file["job"].removeprefix("0x")))
    assert decode_events(job.stdin) == [TerminalSize(120, 40), b"adam\x7f\r", b"rest\r"]
    assert file["receipt"]["job_digest"] == to_hex(job_digest(job))


async def test_sizes_over_a_socket(app, faulty_engine):
    key = {"X-API-Key": "key-of-alice"}
    async with served(app) as at, httpx.AsyncClient(base_url=f"http://{at}", headers=key) as http:
        identity = await begin(http, "input()", terminal={})
        async with asyncio.timeout(60):
            await faulty_engine.started.wait()
        events = faulty_engine.typed
        plain = await begin(http, "input()", interactive=True)
        async with connect(f"ws://{at}/execute/stream", additional_headers=key) as socket:
            for run, size, told in (
                (plain, {"cols": 120, "rows": 40}, "no terminal"),
                (identity, {"cols": 0, "rows": 1001}, "wrong here: cols and rows"),
                (identity, {"cols": 120}, "wrong here: rows"),
                (identity, {"cols": "120", "rows": 40}, "wrong here: cols"),
                (identity, {"cols": True, "rows": 40.0}, "wrong here: cols and rows"),
            ):
                await socket.send(json.dumps({"type": "resize", "execution_id": run, **size}))
                answer = await until(socket, "error")
                assert told in answer["error"]
                assert (answer["code"], answer["fatal"], answer["execution_id"]) == (
                    *("INVALID_REQUEST", False), run,
                )  # fmt: skip
            for typed in ({"type": "resize", "cols": 120, "rows": 40}, {"type": "input", "data": "x\x03"}):
                await socket.send(json.dumps({"execution_id": identity, **typed}))
            async with asyncio.timeout(60):
                assert [await events.next(), await events.next()] == [TerminalSize(120, 40), b"x\x03"]


@pytest.mark.machine
async def test_input_by_post_and_its_end(place, http):
    identity = await begin(http, "import sys\nprint(sys.stdin.read())", interactive=True, stdin="known\n")
    where = f"/executions/{identity}/input"
    assert (await http.post(where, json={"data": "ty"})).status_code == 204
    assert (await http.post(where, json={"data": "ped", "end": True})).status_code == 204
    refused = await http.post(where, json={"data": "late"})
    assert refused.status_code == 400, refused.text
    async with connect(f"ws://{place}/stream/{identity}", additional_headers=KEY) as socket:
        assert text_of(await everything(socket)) == "known\ntyped\n"
    over = await http.post(where, json={"data": "late"})
    assert (over.status_code, "is over" in over.text) == (400, True)
    assert (await http.post("/executions/exec_nowhere/input", json={"data": "x"})).status_code == 404


@pytest.mark.machine
async def test_a_run_that_waits_for_input_can_be_cancelled(http):
    identity = await begin(http, "input()", interactive=True)
    await asyncio.sleep(0.5)
    ended = await http.post(f"/executions/{identity}/cancel")
    assert ended.json()["status"] == "cancelled"


async def test_an_interactive_run_is_ephemeral_and_on_the_base(http):
    for fields in ({"mode": "cached"}, {"mode": "checkpointed"}, {"snapshot_id": "snap_1"}, {"session": "s"}):
        asked = {"code": "input()", "language": "python", "interactive": True, **fields}
        response = await http.post("/execute", json=asked)
        assert response.status_code == 400, response.text
        assert response.json()["error"]["details"]["field"] == "interactive"
