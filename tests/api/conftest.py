"""Applications: over an engine that must not be reached or fails on demand, and over the real one."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from faas_api import limits
from faas_api.app import create_app
from faas_api.serve import listen, serve
from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import NotFound
from faas_blueprint.job import Job
from faas_microvm.base import open_base_snapshot
from faas_microvm.engine import Engine
from faas_microvm.execution import Execution
from faas_microvm.interactive import Input
from faas_microvm.snapshot import Snapshot
from faas_operator.executions import ExecutionService
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store

KEY = "key-of-alice"
OTHER_KEY = "key-of-bob"


class NoSessions:
    """No machine is up."""

    names = ()


class NoSnapshots:
    """A library and store without any."""

    async def get_branch(self, name: str) -> Digest:
        raise NotFound(f"there is no branch {name}")

    @property
    def store(self) -> NoSnapshots:
        return self


class FaultyEngine:
    """Never answers: it raises what it was told to, or hangs. For faults and validation only."""

    profile_id = sha256(b"no machine")
    measurement = sha256(b"no snapshot")

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.jobs: list[Job] = []
        self.typed: Input | None = None
        """What the last job was given for its input while it runs."""
        self.sessions = NoSessions()
        self.library = NoSnapshots()
        self.milestones = None

    async def stream(
        self, job: Job, _snapshot: object, typed: Input | None = None, **_: object
    ) -> AsyncIterator[Execution]:
        self.jobs.append(job)
        self.typed = typed
        self.started.set()
        if self.error is not None:
            raise self.error
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")
    yield made
    made.close()


@pytest.fixture(scope="session")
def make_faulty_engine() -> type[FaultyEngine]:
    return FaultyEngine


@pytest.fixture
def faulty_engine() -> FaultyEngine:
    return FaultyEngine()


@pytest.fixture
def app_service(faulty_engine, store):
    return ExecutionService(faulty_engine, Signer(b"\x01" * 32), store)


@pytest.fixture
def app(app_service, tmp_path):
    settings = Settings(home=tmp_path, api_body_bytes=1 << 20)
    return create_app(app_service, settings, Secrets.with_api_keys(KEY, OTHER_KEY))


@pytest.fixture
async def client(app) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"X-API-Key": KEY}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as made:
        yield made


@pytest.fixture
def faulty_client(app) -> httpx.AsyncClient:
    """The same, where a module's `client` is another."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers={"X-API-Key": KEY})


SIGNER = Signer(b"\x01" * 32)


@pytest.fixture(scope="module")
def real_store(tmp_path_factory) -> Iterator[Store]:
    """One for all tests of a module that run real machines."""
    made = Store.open(f"sqlite:///{tmp_path_factory.mktemp('api') / 'store.sqlite'}")
    yield made
    made.close()


@pytest.fixture(scope="session")
def base_snapshot() -> Iterator[Snapshot]:
    """The base, read and checked once, which takes half a second; tests/microvm look at that."""
    with asyncio.run(open_base_snapshot(None, lambda _: None)) as snapshot:
        yield snapshot


@pytest.fixture
async def engine(base_snapshot, monkeypatch) -> AsyncIterator[Engine]:
    """A real one, on a snapshot of its own in the memory that the session's has."""
    shared = base_snapshot

    async def opened_already(_home, _note) -> Snapshot:
        return Snapshot(shared.profile, os.dup(shared.ram_fd), shared.devices, shared.tree)

    monkeypatch.setattr("faas_microvm.engine.open_base_snapshot", opened_already)
    async with await Engine.open() as opened:
        yield opened


@pytest.fixture
async def real_app(engine, real_store, tmp_path):
    """For the keys `alice` and `bob`."""
    async with ExecutionService(engine, SIGNER, real_store) as executions:
        yield create_app(executions, Settings(home=tmp_path), Secrets.with_api_keys("alice", "bob"))


@pytest.fixture
async def real_client(real_app) -> AsyncIterator[httpx.AsyncClient]:
    """Alice's."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(real_app), base_url="http://test/api/v1", timeout=120,
        headers={"Authorization": "Bearer alice"},
    ) as made:  # fmt: skip
        yield made


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def redis_server(tmp_path, monkeypatch) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A real Redis of the test's own, on loopback, in memory only; a busy host may keep it from answering."""
    monkeypatch.setattr(limits, "REDIS_SECONDS", 60.0)
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("shared limits are not tested without Redis: run scripts/setup-test-programs")
    port = free_port()
    server = subprocess.Popen(
        [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield server, f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait(10)


@pytest.fixture
async def served_app(real_app) -> AsyncIterator[str]:
    """The real application behind a socket of its own: host, port and `/api/v1`."""
    with closing(listen("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(serve(real_app, listener))
        yield f"127.0.0.1:{listener.getsockname()[1]}/api/v1"
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@dataclass(frozen=True)
class ServedNode:
    """`served_node.py`, a process of its own."""

    process: subprocess.Popen[str]
    url: str
    """Of the API, with `/api/v1`."""
    log: Path

    def await_idle(self, client: httpx.Client, seconds: float = 60) -> None:
        """Until no run of the client's account is under way."""
        until = time.monotonic() + seconds
        while client.get("/usage/current").json()["active_executions"]:
            assert time.monotonic() < until
            time.sleep(0.1)

    def complaints(self) -> str:
        """What it said of things that must not happen."""
        said = self.log.read_text()
        return said if "Traceback" in said or "ERROR" in said else ""


@pytest.fixture
def start_node(tmp_path):
    """Starts nodes on a database of their own; settings as environment variables. They end with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(**environment: str) -> ServedNode:
        log = tmp_path / f"node{len(started)}.log"
        command = [sys.executable, Path(__file__).with_name("served_node.py"), f"sqlite:///{log}.sqlite"]
        with log.open("w") as stderr:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, text=True, env={**os.environ, **environment}
            )
        started.append(process)
        assert process.stdout is not None
        port = process.stdout.readline()
        assert port, log.read_text()
        return ServedNode(process, f"http://127.0.0.1:{int(port)}/api/v1", log)

    yield start
    for process in started:
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
