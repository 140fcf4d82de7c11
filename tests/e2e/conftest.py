"""The command line as processes of their own, watched for what they leave behind; and a whole node."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from eth_account import Account

from faas_api.app import create_app
from faas_api.serve import listen, serve
from faas_blueprint.digests import sha256
from faas_blueprint.operation import Operation, kind_of
from faas_blueprint.operation_payload import encode_operation
from faas_blueprint.receipt import CallReference
from faas_blueprint.result import Result, decode_result
from faas_blueprint.tangle import protocol
from faas_cli.running import in_background, running_node
from faas_microvm.engine import Engine, EngineSettings
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionSender
from faas_operator.devnet.deployment import Deployment
from faas_operator.devnet.devnet import Devnet
from faas_operator.node import Node
from faas_operator.settings import Secrets
from faas_verifier.blobs import blob_source
from faas_verifier.chain import CallOnChain, read_call
from faas_verifier.rpc import Rpc as VerifierRpc
from faas_verifier.verdict import Verdict
from faas_verifier.verify import verify_posted

_PR_SET_CHILD_SUBREAPER = 36


class Command:
    """A running `faas`, in a process group of its own, as a shell would start it."""

    def __init__(
        self, *arguments: str, env: dict[str, str] | None = None, module: str = "faas_cli.main"
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.stdout = ""
        self.stderr = ""
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True) for name in ("stdout", "stderr")
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        with getattr(self.process, name) as stream:
            for line in stream:
                setattr(self, name, getattr(self, name) + line)

    def await_text(self, name: str, text: str, seconds: float = 240) -> None:
        """Wait until this is in `stdout` or `stderr`."""
        deadline = time.monotonic() + seconds
        while text not in getattr(self, name):
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.stderr}"
            assert time.monotonic() < deadline, f"no {text!r} in {name}: {getattr(self, name)}"
            time.sleep(0.01)

    def wait(self, seconds: float = 240) -> int:
        """The exit code; both streams are complete then."""
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(5)
        return code

    def interrupt(self, signal_number: int) -> None:
        """A signal to the whole group, as Ctrl-C sends it."""
        os.killpg(self.process.pid, signal_number)

    def end(self) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait(10)


def descendants() -> dict[int, str]:
    """Living processes below this one, by id, with their command lines."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(entry.name)] = int(parent)
    found: dict[int, str] = {}
    wave = {os.getpid()}
    while wave := {pid for pid, parent in parents.items() if parent in wave}:
        for pid in wave:
            with contextlib.suppress(OSError):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return found


@pytest.fixture
def start_faas() -> Iterator[type[Command]]:
    """Starts `faas …`; fails if anything that it started lives on after it, orphans included."""
    before = set(descendants())
    libc = ctypes.CDLL(None)
    assert libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0  # its orphans become our children
    started: list[Command] = []

    def start(*arguments: str, env: dict[str, str] | None = None, module: str = "faas_cli.main") -> Command:
        started.append(Command(*arguments, env=env, module=module))
        return started[-1]

    try:
        yield start
        for command in started:
            command.end()
        left = await_none_but(before)
    finally:
        for command in started:
            command.end()
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    assert left == {}


def await_none_but(before: set[int], seconds: float = 5) -> dict[int, str]:
    """What is still there of what was not there before, after a moment to end."""
    deadline = time.monotonic() + seconds
    while left := {pid: line for pid, line in descendants().items() if pid not in before}:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return left


@pytest.fixture(scope="session")
def own_home(faas_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the images and snapshots of the usual one and nothing else of it."""
    home: Path = tmp_path_factory.mktemp("home")
    for name in ("images", "snapshots", "tangle", "devnet"):
        (faas_home / name).mkdir(parents=True, exist_ok=True)
        (home / name).symlink_to(faas_home / name)
    if (faas_home / "base.json").exists():
        (home / "base.json").write_bytes((faas_home / "base.json").read_bytes())
    return home


API_KEY = "key-of-a-customer"


@dataclass
class Served:
    """What runs."""

    deployment: Deployment
    rpc: Rpc
    node: Node
    endpoint: str
    verifier: Engine

    async def submit(self, job_index: int, payload: bytes) -> CallReference:
        """A call by the customer, paid for."""
        deployment = self.deployment
        sender = TransactionSender(self.rpc, Account.from_key(deployment.customer_key), deployment.chain_id)
        data = protocol.submit_job(deployment.service_id, job_index, payload)
        receipt = await sender.send(deployment.tangle, data, deployment.event_rate_wei)
        job = next(
            protocol.decode_job_submitted(log) for log in receipt.logs if protocol.JOB_SUBMITTED.matches(log)
        )
        return CallReference(deployment.chain_id, deployment.tangle, job.service_id, job.call_id)

    async def read(self, call: CallReference, seconds: float = 60) -> CallOnChain:
        """The call with its result, once it is there."""
        async with asyncio.timeout(seconds), VerifierRpc(self.deployment.rpc_url) as rpc:
            while not (found := await read_call(rpc, call.tangle, call.service_id, call.call_id)).results:
                await asyncio.sleep(0.1)
        return found

    async def answer(self, job_index: int, payload: bytes) -> tuple[CallReference, Result]:
        """Submit, and wait for what is posted."""
        call = await self.submit(job_index, payload)
        found = await self.read(call)
        return call, decode_result(found.results[0].payload)

    async def perform(self, operation: Operation) -> tuple[CallReference, Result]:
        """The same for an operation."""
        return await self.answer(kind_of(operation), encode_operation(operation))

    async def verify(self, call: CallReference, *blobs: str) -> Verdict:
        """What a verifier with a store of its own makes of the call's result."""
        found = await self.read(call)

        @asynccontextmanager
        async def machine() -> AsyncIterator[Engine]:
            yield self.verifier

        return await verify_posted(found.results[0], machine, blobs=blob_source(blobs))

    async def upload(self, content: bytes) -> None:
        """Bring a blob to the node."""
        async with httpx.AsyncClient(timeout=60) as http:
            answer = await http.put(
                f"{self.endpoint}/api/v1/blobs/0x{sha256(content).hex()}",
                content=content,
                headers={
                    "Authorization": f"Bearer {API_KEY}",
                    "Content-Type": "application/octet-stream",
                },
            )
        assert answer.status_code == 200, answer.text


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(
    faas_home: Path, tmp_path_factory: pytest.TempPathFactory, lying_peer: str
) -> AsyncIterator[Served]:
    """A node with its chain and API, whose only peer lies, and a verifier."""
    home, folder = faas_home, tmp_path_factory.mktemp("place")
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        engine = await enter(await Engine.open(home, settings=EngineSettings(store=str(folder / "operator"))))
        verifier = await enter(
            await Engine.open(home, settings=EngineSettings(store=str(folder / "verifier")))
        )
        deployment = await enter(Devnet(home))
        rpc = await enter(Rpc(deployment.rpc_url))
        node = await enter(running_node(deployment, engine, blob_peers=(lying_peer,), blob_seconds=0.5))
        executions = await enter(node.executions())
        listener = stack.enter_context(listen("127.0.0.1", 0))
        app = create_app(executions, node.settings, Secrets.with_api_keys(API_KEY))
        await enter(in_background(node.operator().run()))
        await enter(in_background(serve(app, listener, node.settings.api_message_bytes)))
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Served(deployment, rpc, node, endpoint, verifier)


@pytest.fixture(scope="session")
def lying_peer() -> Iterator[str]:
    """Serves other bytes, of the same number, for every blob. For this fault only."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"false")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
