"""Group `api`: what serving over HTTP costs beside the engine's call, through a socket of this host.

The node charges, and its database is a file. The client is in the same process, so its share is counted too.
The engine's own call and the request take turns, so both sides of a difference are of the same moment.
Machines are forked where `faas machine build` has been run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from websockets.asyncio.client import connect

from benchmarks.figures import Figure, single, spread
from benchmarks.setting import HELLO, Setting, hello_job, milliseconds
from faas_api.app import create_app
from faas_api.serve import listen, serve
from faas_blueprint.job import DEFAULT_EPOCH, Job
from faas_microvm.engine import Engine
from faas_operator.charging import Terms
from faas_operator.executions import ExecutionService
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store

CLIENTS = 16
SECONDS = 2.0
KEY = {"X-API-Key": "bench"}
ASKED = {"code": HELLO["python"], "language": "python", "seed": 0, "epoch": DEFAULT_EPOCH}
"""The same job as `hello_job`'s."""
CACHED = {**ASKED, "mode": "cached"}
WARM_UP = 3
PAUSE_SECONDS = 0.005
"""Before each call of a pair: what the one before has left to be done is not this one's."""


async def api(setting: Setting) -> list[Figure]:
    """In turns with the engine's own call; then many clients; then sockets."""
    async with setting.on(setting.waiting[""]) as chosen, _served(chosen.engine) as port:
        engine = chosen.engine
        async with _connection(port) as connection:
            known = await _in_turns(setting.runs, engine.run_cached, connection, CACHED)
            hello = await _in_turns(setting.runs, engine.run, connection, ASKED)
        rates = [await _rate(port) for _ in range(setting.few)]
        replayed = [await _replayed_ms(port) for _ in range(setting.runs)]
        live = [await _live_ms(port) for _ in range(setting.runs)]
    return [
        spread("api_hello_engine_ms", "a hello world: the engine's own call", hello.engine),
        spread("api_hello_ms", "the same over HTTP: stored, charged, run, signed", hello.served),
        spread("api_overhead_ms", "of the second over the first, pair by pair", hello.overhead),
        Figure(
            "api_processor_ms",
            "processor time of the second over the first, the client's included",
            hello.processor_ms,
        ),
        spread("api_cached_ms", "over HTTP, an outcome that is known already", known.served),
        spread("api_cached_overhead_ms", "of that over the engine's own call, pair by pair", known.overhead),
        single("api_cached_per_second", f"the same from {CLIENTS} clients at once", rates),
        spread(
            "websocket_first_byte_ms", "from connecting to the first output of a run that is over", replayed
        ),
        spread("websocket_live_first_byte_ms", "from asking for a new run to its first output", live),
    ]


@dataclass(frozen=True, slots=True)
class _Turns:
    """Milliseconds of calls that took turns, and the processor time of what went over HTTP but for the
    engine's share."""

    engine: list[float]
    served: list[float]
    processor_ms: float

    @property
    def overhead(self) -> list[float]:
        return [served - engine for engine, served in zip(self.engine, self.served, strict=True)]


async def _in_turns(
    runs: int,
    run: Callable[[Job], Awaitable[object]],
    connection: _Connection,
    asked: Mapping[str, object],
) -> _Turns:
    job = hello_job("python")
    times: dict[bool, list[float]] = {False: [], True: []}
    processor: dict[bool, list[float]] = {False: [], True: []}
    for number in range(runs + WARM_UP):
        for over_http in (False, True):
            await asyncio.sleep(PAUSE_SECONDS)
            begun = time.process_time()
            elapsed = await milliseconds(connection.execute(asked) if over_http else run(job))
            if number >= WARM_UP:
                times[over_http].append(elapsed)
                processor[over_http].append((time.process_time() - begun) * 1000)
    more = statistics.median(processor[True]) - statistics.median(processor[False])
    return _Turns(times[False], times[True], more)


@asynccontextmanager
async def _served(engine: Engine) -> AsyncIterator[int]:
    many = 1_000_000_000
    with tempfile.TemporaryDirectory() as name:
        terms = Terms(charged=True, starting_credit=10**15)
        settings = Settings(home=Path(name), requests_per_minute=many, requests_per_hour=many)
        with (
            closing(Store.open(f"sqlite:///{name}/store.sqlite", terms)) as store,
            closing(listen("127.0.0.1", 0)) as listener,
        ):
            async with ExecutionService(engine, Signer(b"\x01" * 32), store) as executions:
                app = create_app(executions, settings, Secrets.with_api_keys("bench"))
                serving = asyncio.create_task(serve(app, listener))
                try:
                    yield listener.getsockname()[1]
                finally:
                    serving.cancel()
                    await asyncio.gather(serving, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Connection:
    """HTTP/1.1 as simple as can be, so that little of what is measured is the client's."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def execute(self, asked: Mapping[str, object]) -> dict[str, object]:
        """The answer; what is wrong must not be measured."""
        body = json.dumps(asked).encode()
        head = (
            f"POST /api/v1/execute HTTP/1.1\r\nHost: here\r\nX-API-Key: bench\r\nContent-Length: {len(body)}"
        )
        self.writer.write(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + body)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(answer.partition("content-length: ")[2].partition("\r\n")[0])
        content = await self.reader.readexactly(length)
        parsed: dict[str, object] = json.loads(content)
        if "async" not in asked and parsed.get("stdout") != "Hello World\n":
            raise AssertionError(f"not what was asked for: {content!r}")
        return parsed


@asynccontextmanager
async def _connection(port: int) -> AsyncIterator[_Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield _Connection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _rate(port: int) -> float:
    until = time.perf_counter() + SECONDS

    async def ask() -> int:
        count = 0
        async with _connection(port) as connection:
            while time.perf_counter() < until:
                await connection.execute(CACHED)
                count += 1
        return count

    return sum(await asyncio.gather(*(ask() for _ in range(CLIENTS)))) / SECONDS


async def _replayed_ms(port: int) -> float:
    async with _connection(port) as connection:
        execution_id = (await connection.execute(CACHED))["id"]
    started = time.perf_counter()
    async with connect(
        f"ws://127.0.0.1:{port}/api/v1/stream/{execution_id}", additional_headers=KEY
    ) as socket:
        _require_output(await socket.recv())
        return (time.perf_counter() - started) * 1000


async def _live_ms(port: int) -> float:
    url = f"ws://127.0.0.1:{port}/api/v1/execute/stream"
    async with _connection(port) as connection, connect(url, additional_headers=KEY) as socket:
        started = time.perf_counter()
        begun = await connection.execute({**ASKED, "async": True})
        await socket.send(json.dumps({"type": "subscribe", "execution_id": begun["id"]}))
        while json.loads(message := await socket.recv())["type"] == "progress":
            pass
        _require_output(message)
        return (time.perf_counter() - started) * 1000


def _require_output(message: str | bytes) -> None:
    if json.loads(message).get("data") != "Hello World\n":
        raise AssertionError(f"no output: {message!r}")
