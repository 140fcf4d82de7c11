"""A verifier with an empty home: the machine comes by hash from operators, and only if the chain knows it.

The node, its chain and API are real. `WithholdingPeer` and `LyingPeer` are doubles for faults.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
import pytest_asyncio
from eth_account import Account

from faas_blueprint.digests import to_hex
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.operation import JobKind
from faas_blueprint.receipt import CallReference
from faas_blueprint.statement import Statement
from faas_blueprint.tangle import service_manager
from faas_operator.chain.sender import TransactionSender
from faas_operator.devnet.provision import BaseSnapshot
from faas_operator.devnet.shared_service import register_snapshot
from faas_verifier.bundle import load_bundle

pytestmark = [pytest.mark.machine, pytest.mark.chain, pytest.mark.asyncio(loop_scope="session")]

SECONDS = 400


class WithholdingPeer(BaseHTTPRequestHandler):
    """Has nothing for anyone."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class LyingPeer(BaseHTTPRequestHandler):
    """Shows the true manifest, which it has from a node, and serves other bytes for every piece."""

    manifest = b""

    def do_GET(self) -> None:
        lie = b"x" * 4096
        body = self.manifest if "/machines/" in self.path else lie
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def peer(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def call(place) -> AsyncIterator[CallReference]:
    """A call that was answered."""
    called, _ = await place.answer(JobKind.EXECUTE, encode_job(make_job("python", "print(6 * 7)")))
    yield called


async def verify(place, call: CallReference, home: Path, *blobs: str) -> tuple[int, dict[str, object]]:
    """`faas verify` in a process of its own, with this home."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "faas_cli.main", "verify", "--json", "--home", str(home)),
        *("--rpc", place.deployment.rpc_url, "--tangle", call.tangle),
        *("--service", str(call.service_id), "--call", str(call.call_id)),
        *(part for address in blobs for part in ("--blobs", address)),
        env={**os.environ, "FAAS_HOME": str(home), "FAAS_STORE": str(home / "store")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS):
        output, errors = await process.communicate()
    assert output, errors.decode()
    return process.returncode or 0, json.loads(output)


async def test_an_audit_runs_finished_jobs_again(place, call) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "faas_cli.main", "audit", "--json", "--jobs", "1"),
        *("--rpc", place.deployment.rpc_url, "--tangle", call.tangle, "--service", str(call.service_id)),
        *("--from-block", str(place.deployment.first_block)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    report = json.loads(output)
    assert (report["verdict"], report["finished"]) == ("verified", 1)
    assert [audited["call_id"] for audited in report["drawn"]] == [call.call_id]


async def test_what_the_chain_does_not_know_is_not_fetched(place, call, tmp_path: Path) -> None:
    code, report = await verify(place, call, tmp_path, place.endpoint)
    assert (code, report["verdict"]) == (2, "unchecked")
    assert "not registered" in report["reason"]
    assert not (tmp_path / "fetched").exists()


async def test_peers_that_withhold_or_lie(place, call, tmp_path: Path) -> None:
    measured = BaseSnapshot(place.node.engine.profile_id, place.node.engine.measurement)
    await register_snapshot(place.rpc, place.deployment, measured)
    async with httpx.AsyncClient(timeout=SECONDS) as http:
        answer = await http.get(f"{place.endpoint}/api/v1/machines/{to_hex(measured.measurement)}")
    assert answer.status_code == 200
    LyingPeer.manifest = answer.content
    with peer(WithholdingPeer) as withholding, peer(LyingPeer) as lying:
        code, report = await verify(place, call, tmp_path, withholding)
        assert (code, report["verdict"]) == (3, "withheld")
        assert f"{withholding} does not have it" in report["reason"]
        code, report = await verify(place, call, tmp_path, withholding, lying)
        assert (code, report["verdict"]) == (4, "falsified")
        assert f"{lying} serves other bytes" in report["reason"]
        assert list((tmp_path / "fetched").iterdir()) == []

        code, report = await verify(place, call, tmp_path, withholding, lying, place.endpoint)
        assert (code, report["verdict"]) == (0, "verified"), report["reason"]
    snapshot = next(check for check in report["checks"] if check["name"] == "snapshot")
    assert "fetched, measured, and registered on-chain" in snapshot["detail"]
    assert sorted(path.name for path in (tmp_path / "fetched").iterdir() if path.is_dir()) == [
        measured.measurement.hex()
    ]
    assert not (tmp_path / "images").exists()

    code, report = await verify(place, call, tmp_path, "http://127.0.0.1:1")  # it is here now
    assert (code, report["verdict"]) == (0, "verified"), report["reason"]


async def test_the_receipt_of_a_call_is_shown_to_everyone(place, call, tmp_path: Path) -> None:
    async with httpx.AsyncClient(timeout=60) as http:
        calls = f"{place.endpoint}/api/v1/calls/{call.service_id}"
        answer = await http.get(f"{calls}/{call.call_id}/receipt")
        unknown = await http.get(f"{calls}/{2**62}/receipt")
    assert answer.status_code == 200
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "NOT_FOUND")
    (tmp_path / "receipt.json").write_bytes(answer.content)
    bundle = load_bundle(tmp_path / "receipt.json")
    assert bundle.call == call
    assert Statement(bundle.receipt, bundle.signature).is_genuine(call)
    assert bundle.output.stdout == b"42\n"


async def test_a_toolchain_is_fetched_like_the_machine(place, own_home: Path, tmp_path: Path) -> None:
    """To a host with the base snapshot and nothing else; nothing is built there."""
    program = "const answer: number = 6 * 7; console.log(answer);"
    call, result = await place.answer(JobKind.EXECUTE, encode_job(make_job("typescript", program)))
    register = service_manager.register_toolchain(result.toolchain, place.node.engine.profile_id)
    owner = Account.from_key(place.deployment.owner_key)
    await TransactionSender(place.rpc, owner, place.deployment.chain_id).send(
        place.deployment.manager, register
    )
    for path in own_home.iterdir():
        (tmp_path / path.name).symlink_to(path)
    code, report = await verify(place, call, tmp_path, place.endpoint)
    assert (code, report["verdict"]) == (0, "verified"), report["reason"]
    fetched = [path.name for path in (tmp_path / "fetched").iterdir() if path.is_dir()]
    assert fetched == [result.toolchain.hex()]
    assert not (tmp_path / "toolchains").exists()
