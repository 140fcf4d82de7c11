"""What clients may do to a WebSocket, at random: each message is answered as documented, nothing is left.

Beside real runs, on both kinds of path. `FAAS_TEST_SOCKET_EXAMPLES` is how many clients come (default 40).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from contextlib import suppress

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from faas_api.platform import stream_socket
from faas_api.platform.stream_socket import MESSAGES_PER_MINUTE, NAME_CHARACTERS, SUBSCRIPTIONS

pytestmark = [pytest.mark.machine, pytest.mark.slow]

EXAMPLES = int(os.environ.get("FAAS_TEST_SOCKET_EXAMPLES", "40"))
KEY = {"X-API-Key": "alice"}
DOCUMENTED = {"output", "progress", "dropped", "completed", "error"}
CODES = {"INVALID_REQUEST", "NOT_FOUND"}
CLOSES = {1000, 1007, 1008, 1009}
LARGEST = 64 << 10

RUNS = ("exec_done", "exec_endless", "exec_bobs", "exec_nowhere")
"""What clients know by name: ended, running, another account's, none at all."""

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
strange = st.text(st.characters(), max_size=40) | st.sampled_from(["", "\ud800", "\0", "x" * 60_000])
identities = st.sampled_from(RUNS) | strange | values
kinds = st.sampled_from(["subscribe", "unsubscribe", "input", "resize"]) | values
cells = st.integers(0, 1001) | values
messages = st.fixed_dictionaries(
    {}, optional={"type": kinds, "execution_id": identities, "data": values, "cols": cells, "rows": cells}
)
texts = st.builds(json.dumps, messages | values) | st.text(max_size=50) | st.just("[" * 50_000)
following = st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), st.sampled_from(RUNS)).map(
    lambda pair: json.dumps({"type": pair[0], "execution_id": pair[1]})
)
crowds = st.integers(1, SUBSCRIPTIONS * 2).map(
    lambda count: [json.dumps({"type": "subscribe", "execution_id": f"exec_{n}"}) for n in range(count)]
)
storms = st.lists(following, min_size=1, max_size=4).flatmap(
    lambda some: st.integers(1, 200).map(lambda times: (some * times)[:MESSAGES_PER_MINUTE])
)
steps = st.lists(
    st.one_of(
        st.lists(texts, min_size=1, max_size=5),
        st.lists(following, min_size=1, max_size=5),
        st.lists(st.binary(max_size=100), min_size=1, max_size=3),
        crowds,
        storms,
        st.just(["x" * (LARGEST + 1)]),
        st.just(["wait"]).map(tuple),
        st.just([json.dumps({"type": "dance", "execution_id": "e"})] * (MESSAGES_PER_MINUTE + 1)),
    ),
    max_size=6,
)
ways = st.sampled_from(["closes", "breaks off", "stops reading"])
paths = st.sampled_from(["execute/stream", *(f"stream/{run}" for run in RUNS), "execute/exec_endless/stream"])


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Ahead of the application."""
    monkeypatch.setenv("FAAS_REQUESTS_PER_MINUTE", "100000")
    monkeypatch.setenv("FAAS_REQUESTS_PER_HOUR", "100000")


@pytest.fixture
async def place(patient, served_app, monkeypatch):
    monkeypatch.setattr(stream_socket, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(stream_socket, "SEND_SECONDS", 2.0)
    async with httpx.AsyncClient(base_url=f"http://{served_app}", headers=KEY, timeout=60) as http:
        run = {"code": "print('here')", "language": "python"}
        endless = {"code": "while True: print('x' * 50)", "resources": {"timeout_ms": 600_000}}
        await http.post("/execute", json={**run, "execution_id": "exec_done"})
        await http.post("/execute", json={**run, "execution_id": "exec_bobs"}, headers={"X-API-Key": "bob"})
        begun = {**run, **endless, "execution_id": "exec_endless", "async": True}
        assert (await http.post("/execute", json=begun)).status_code == 202
        yield served_app
        assert (await http.get("/usage/current")).json()["active_executions"] == 1
        ended = await http.post("/executions/exec_endless/cancel")
        assert ended.json()["status"] == "cancelled"


@pytest.mark.timeout(EXAMPLES * 6 + 120)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(path=paths, script=steps, way=ways, unknown=strange)
async def test_whatever_a_client_says(place, caplog, path, script, way, unknown):
    caplog.set_level(logging.WARNING)
    before = tasks()
    client = connect(f"ws://{place}/{path}", additional_headers=KEY, max_queue=None, ping_interval=None)
    async with asyncio.timeout(60), client as socket:
        heard: list[dict] = []
        listening = asyncio.create_task(listen(socket, heard))
        expected = await play(socket, script)
        if way == "closes":
            if await all_heard(socket, listening, heard, unknown):
                check_refusals(heard, expected, not is_name(unknown))
            await socket.close()
            await listening
            assert socket.close_code in CLOSES, socket.close_reason
        elif way == "breaks off":
            socket.transport.abort()
        else:
            socket.transport.pause_reading()
            await asyncio.sleep(0.05)
            socket.transport.abort()
        await asyncio.gather(listening, return_exceptions=True)
    await none_but(before)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info] == []


async def play(socket, script) -> int:
    """Sends it all; answers how many messages must have been refused, if it was all taken."""
    expected = 0
    with suppress(ConnectionClosed):
        for step in script:
            if step == ("wait",):
                await asyncio.sleep(0.4)
                continue
            for message in step:
                await socket.send(message)
                expected += not is_understood(message)
    return expected


def is_understood(message: str | bytes) -> bool:
    """Whether it is a message that may be sent, whatever comes of it."""
    try:
        parsed = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        return False
    if not isinstance(parsed, dict) or not isinstance(parsed.get("execution_id"), str):
        return False
    return parsed.get("type") in ("subscribe", "unsubscribe") and is_name(parsed["execution_id"])


def is_name(text: str) -> bool:
    return len(text) <= NAME_CHARACTERS and text.encode(errors="replace") == text.encode(errors="ignore")


async def listen(socket, heard) -> None:
    with suppress(ConnectionClosed):
        async for message in socket:
            heard.append(json.loads(message))


async def all_heard(socket, listening, heard, unknown) -> bool:
    """Whether all that was said has been answered, as it is once this is. Else the node closed the socket."""
    said = [{"type": "unsubscribe", "execution_id": f"exec_{n}"} for n in range(SUBSCRIPTIONS * 2)]
    said += [{"type": "last", "execution_id": "last"}, {"type": "subscribe", "execution_id": unknown}]
    with suppress(ConnectionClosed):
        for message in said:
            await socket.send(json.dumps(message))
    wanted = {"last", unknown if is_name(unknown) else None}
    while not listening.done():
        if wanted <= {message.get("execution_id") for message in heard if message["type"] == "error"}:
            return True
        await asyncio.sleep(0.01)
    return False


def check_refusals(heard, expected, misnamed) -> None:
    for message in heard:
        assert message["type"] in DOCUMENTED, message
        if message["type"] == "error":
            assert message["code"] in CODES, message
            assert message["error"]
    refused = [m for m in heard if m.get("fatal") is False and m["execution_id"] != "last"]
    assert sum("subscriptions" not in message["error"] for message in refused) == expected + misnamed


def tasks() -> set[asyncio.Task[object]]:
    return {task for task in asyncio.all_tasks() if "Stream" in repr(task) or "messages" in repr(task)}


async def none_but(before: set[asyncio.Task[object]]) -> None:
    """Every task of a socket is over a moment after it."""
    async with asyncio.timeout(60):
        while left := tasks() - before:
            await asyncio.wait(left, timeout=0.1)
