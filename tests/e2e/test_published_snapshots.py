"""Machines that calls have left, had by hash: by an operator that lacks one, and by a verifier.

Two real nodes with stores of their own, on a real chain. Where one of them plays the attacker, what it
publishes and posts is made with its own keys and engine, as its operator could.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from eth_account import Account

from faas_api.app import create_app
from faas_api.serve import listen, serve
from faas_blueprint.digests import Digest
from faas_blueprint.job import Mode, make_job
from faas_blueprint.operation import (
    CreateBranch,
    ForkRecord,
    JobKind,
    Operation,
    Program,
    Run,
    kind_of,
)
from faas_blueprint.operation_payload import encode_operation
from faas_blueprint.outcome import Status
from faas_blueprint.receipt import CallReference
from faas_blueprint.result import Result, decode_result
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.service_manager import Assurance
from faas_cli.running import in_background, running_node
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.published_snapshots import publish
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionSender
from faas_operator.devnet.deployment import Deployment
from faas_operator.devnet.devnet import Devnet
from faas_operator.devnet.shared_service import share_service
from faas_operator.node import Node
from faas_operator.settings import Secrets
from faas_operator.snapshot_fetching import SnapshotFetcher
from faas_verifier.blobs import DataWithheld, Endpoints
from faas_verifier.chain import CallOnChain, read_call
from faas_verifier.command import Question, answer
from faas_verifier.published_machine import MachineSource, fetch_derived_machine
from faas_verifier.rerun import own_machine
from faas_verifier.rpc import Rpc as VerifierRpc
from faas_verifier.verdict import Conclusion, Verdict

pytestmark = [pytest.mark.machine, pytest.mark.chain, pytest.mark.asyncio(loop_scope="session")]

KEYS = ("key-of-one-account", "key-of-another")
SECONDS = 120


def create(script: str, start: Digest | None = None) -> Run:
    job = make_job("bash", script, keep=True)
    return Run(JobKind.CREATE_SNAPSHOT, Program(job), start, Mode.CHECKPOINTED)


def run(script: str, start: Digest | None) -> Run:
    return Run(JobKind.EXECUTE_WITH_OPTIONS, Program(make_job("bash", script)), start)


@dataclass
class Served:
    """One operator."""

    engine: Engine
    node: Node
    endpoint: str


@dataclass
class Pair:
    """Two operators of one service, the first of which has another service for itself."""

    rpc: Rpc
    alone: Deployment
    together: Deployment
    first: Served
    second: Served

    async def call(self, service: Deployment, operation: Operation, answers: int) -> tuple[int, Result]:
        """A call of the customer's, once it has so many answers; its id and the last of them."""
        sender = TransactionSender(self.rpc, Account.from_key(service.customer_key), service.chain_id)
        data = protocol.submit_job(service.service_id, kind_of(operation), encode_operation(operation))
        receipt = await sender.send(service.tangle, data, service.event_rate_wei)
        job = next(
            protocol.decode_job_submitted(log) for log in receipt.logs if protocol.JOB_SUBMITTED.matches(log)
        )
        found = await self.read(service, job.call_id, answers)
        results = [decode_result(posted.payload) for posted in found.results]
        assert len({result.state_root for result in results}) == 1
        return job.call_id, results[-1]

    async def read(self, service: Deployment, call_id: int, answers: int) -> CallOnChain:
        async with asyncio.timeout(SECONDS), VerifierRpc(service.rpc_url) as rpc:
            while True:
                found = await read_call(rpc, service.tangle, service.service_id, call_id)
                if len(found.results) >= answers:
                    return found
                await asyncio.sleep(0.1)

    async def verify(self, service: Deployment, call_id: int, home: Path, *blobs: str) -> Verdict:
        """What `faas verify` says of the call's first result, with this home."""
        question = Question(
            None, service.rpc_url, service.service_id, call_id, service.tangle, None, tuple(blobs)
        )
        source = MachineSource(home, Endpoints(blobs)) if blobs else None
        return (await answer(question, own_machine(home), source))[0]


def home_of(own_home: Path, folder: Path) -> Path:
    """A home with the base machine and nothing else."""
    folder.mkdir()
    for name in ("base.json", "images", "snapshots", "emulators"):
        if (own_home / name).exists():
            (folder / name).symlink_to(own_home / name)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair(own_home: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        alone = await enter(Devnet(own_home))
        rpc = await enter(Rpc(alone.rpc_url))
        together, of_second = await share_service(rpc, alone, 2, Assurance(agreeing=2, answers=2), folder)
        listeners = [stack.enter_context(listen("127.0.0.1", 0)) for _ in range(2)]
        endpoints = [f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
        served = []
        for number, deployment in enumerate((together, of_second)):
            home = home_of(own_home, folder / str(number))
            settings = EngineSettings(store=str(home / "store"), trace_bytes=1 << 30)
            engine = await enter(await Engine.open(home, settings=settings))
            more = {"home": home, "blob_peers": (endpoints[1 - number],), "start_block": alone.first_block}
            node = await enter(running_node(deployment, engine, **more))
            executions = await enter(node.executions())
            app = create_app(executions, node.settings, Secrets.with_api_keys(*KEYS))
            await enter(in_background(serve(app, listeners[number], node.settings.api_message_bytes)))
            await enter(in_background(node.operator().run()))
            served.append(Served(engine, node, endpoints[number]))
        yield Pair(rpc, alone, together, *served)


@pytest.fixture
def verifier_home(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A verifier with the base machine of its own, and an empty store."""
    monkeypatch.delenv("FAAS_STORE")
    return home_of(own_home, tmp_path / "verifier")


def snapshot_check(verdict: Verdict) -> str:
    return next(finding.detail for finding in verdict.findings if finding.name == "snapshot")


async def test_a_verifier_fetches_what_operators_agree_on(pair: Pair, verifier_home: Path) -> None:
    made, left = await pair.call(pair.together, create("echo kept > file"), 2)
    later, result = await pair.call(pair.together, run("cat file", left.state_root), 2)
    assert result.output.stdout == b"kept\n"

    verdict = await pair.verify(pair.together, later, verifier_home)
    assert verdict.conclusion is Conclusion.UNCHECKED, "it has nothing to run on"
    verdict = await pair.verify(pair.together, later, verifier_home, pair.second.endpoint)
    assert verdict.conclusion is Conclusion.VERIFIED, verdict.findings
    assert f"agreement of the service's operators about call {made}" in snapshot_check(verdict)

    verdict = await pair.verify(pair.together, later, verifier_home)
    assert verdict.conclusion is Conclusion.UNCHECKED, "what was fetched is not as if it were made here"
    assert (await pair.verify(pair.together, made, verifier_home)).conclusion is Conclusion.VERIFIED
    verdict = await pair.verify(pair.together, later, verifier_home)
    assert verdict.conclusion is Conclusion.VERIFIED, "now it was made here"
    assert "kept here" in snapshot_check(verdict)


async def test_an_operator_fetches_what_it_lacks(pair: Pair, verifier_home: Path) -> None:
    """From a call of a service that it does not serve."""
    _, left = await pair.call(pair.alone, create("echo far > file"), 1)
    assert not await pair.second.engine.has(left.state_root)
    later, result = await pair.call(pair.together, run("cat file", left.state_root), 2)
    assert result.output.stdout == b"far\n"
    assert await pair.second.engine.has(left.state_root)
    assert not await pair.second.engine.made_here(left.state_root)
    _, result = await pair.call(pair.together, create("cat file", left.state_root), 2)
    assert result.outcome.status is Status.EXITED
    assert not await pair.second.engine.made_here(result.state_root), "it stands on what was fetched"

    verdict = await pair.verify(pair.together, later, verifier_home, pair.first.endpoint)
    assert verdict.conclusion is Conclusion.UNCHECKED
    assert "no earlier call of the service has left it" in verdict.reason


async def test_one_operators_word_is_too_little(pair: Pair, verifier_home: Path) -> None:
    made, left = await pair.call(pair.alone, create("echo mine > file"), 1)
    later, _ = await pair.call(pair.alone, run("cat file", left.state_root), 1)
    verdict = await pair.verify(pair.alone, later, verifier_home, pair.first.endpoint)
    assert verdict.conclusion is Conclusion.UNCHECKED
    assert f"verify call {made} first" in verdict.reason
    assert (await pair.verify(pair.alone, made, verifier_home)).conclusion is Conclusion.VERIFIED
    verdict = await pair.verify(pair.alone, later, verifier_home, pair.first.endpoint)
    assert verdict.conclusion is Conclusion.VERIFIED


async def made_up(attacker: Served) -> Digest:
    """A machine that no job has left: the interpreter's memory says otherwise than the base's."""
    base = attacker.engine.library.base
    lie = base.with_bytes(0x3F000000 // 4096 * 4096, b"lies")
    await attacker.engine.library.keep(lie, base, "checkpoint")
    await publish(attacker.engine.library.store, lie.measurement)
    return lie.measurement


async def test_a_machine_that_was_made_up_is_never_verified(pair: Pair, verifier_home: Path) -> None:
    lie = await made_up(pair.first)
    for service, answers in ((pair.alone, 1), (pair.together, 2)):
        on_it, result = await pair.call(service, run("echo so it is", lie), answers)
        assert result.output.stdout == b"so it is\n", "the receipt tells the truth about that machine"
        verdict = await pair.verify(service, on_it, verifier_home, pair.first.endpoint)
        assert verdict.conclusion is Conclusion.UNCHECKED
        assert "its publisher may have made it up" in verdict.reason

        # laundering: honest operators agree on a call that starts there, and the next starts on what it left
        _, forked = await pair.call(service, CreateBranch(lie, ForkRecord(seed=answers)), answers)
        _, grown = await pair.call(service, create("true", forked.state_root), answers)
        last, _ = await pair.call(service, run("echo still", grown.state_root), answers)
        verdict = await pair.verify(service, last, verifier_home, pair.first.endpoint)
        assert verdict.conclusion is Conclusion.UNCHECKED
        assert ("made it up" if answers == 2 else "no two operators agree") in verdict.reason
    assert not (verifier_home / "store").exists() or not list((verifier_home / "store/snapshots").glob("*"))


async def test_private_machines_are_nobody_elses(pair: Pair) -> None:
    async with httpx.AsyncClient(base_url=pair.first.endpoint, timeout=SECONDS) as http:
        owner, stranger = ({"Authorization": f"Bearer {key}"} for key in KEYS)
        body = {"code": "secret = 'mine'", "language": "python", "mode": "checkpointed"}
        ran = await http.post("/api/v1/execute", json=body, headers=owner)
        assert ran.status_code == 200, ran.text
        receipt = ran.json()["receipt"]
        private = receipt["state_root"]
        for headers in ({}, stranger, owner):
            found = await http.get(f"/api/v1/machines/{private}", headers=headers)
            assert (found.status_code, found.json()["error"]["code"]) == (404, "NOT_FOUND")
    measurement = Digest(bytes.fromhex(private[2:]))
    assert await pair.first.engine.has(measurement)
    _, result = await pair.call(pair.alone, run("cat main.py", measurement), 1)
    assert result.outcome.status is Status.FAILED
    assert b"that calls may start on" in result.output.stderr


async def test_milestones_of_calls_are_had_by_hash(pair: Pair) -> None:
    script = "end=$((SECONDS + 3)); while [ $SECONDS -lt $end ]; do :; done; echo done"
    call_id, result = await pair.call(pair.alone, run(script, None), 1)
    call = CallReference(pair.alone.chain_id, pair.alone.tangle, pair.alone.service_id, call_id)
    record = pair.first.node.store.job_of_call(call)
    trace = pair.first.node.store.outcome(record).trace
    assert len(trace) >= 2
    base = pair.second.engine.library.base
    assert pair.first.engine.milestones is not None
    await pair.first.engine.milestones.settled()
    for root in trace:
        machine = await fetch_derived_machine(Endpoints([pair.first.endpoint]), root, base)
        assert machine.measurement == root
    with pytest.raises(DataWithheld, match="too large"):
        await fetch_derived_machine(Endpoints([pair.first.endpoint]), trace[0], base, most_bytes=4096)
    with pytest.raises(DataWithheld, match="does not have it"):
        await fetch_derived_machine(Endpoints([pair.second.endpoint]), trace[0], base)
    assert result.outcome.status is Status.EXITED


async def test_an_operator_fetches_within_bounds(pair: Pair) -> None:
    _, left = await pair.call(pair.alone, create("head -c 3000000 /dev/urandom > file"), 1)
    operation, engine = run("true", left.state_root), pair.second.engine

    async def bring(**bounds: float) -> bool:
        settings = pair.second.node.settings.model_copy(update=bounds)
        return await SnapshotFetcher(engine, settings).bring(operation)

    assert not await bring(snapshot_fetch_bytes=1 << 20)
    assert not await bring(snapshot_fetch_bytes=0)
    assert not await bring(snapshot_fetch_seconds=0.001)
    assert not await engine.has(left.state_root)
    assert await bring()
    assert await engine.has(left.state_root)
