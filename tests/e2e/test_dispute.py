"""`faas dispute` and `faas audit --intervals` against a chain and APIs of operators, one of which is wrong.

`TamperedEngineDouble` is for this fault only: its machine's memory is changed amid a run, and it runs on.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from faas_api.app import create_app
from faas_api.serve import listen
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.merkle import PAGE_SIZE
from faas_blueprint.receipt import CallReference
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.service_manager import Assurance
from faas_cli.operators_of_demo import OperatorOfDemo
from faas_cli.running import in_background, running_node
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.published_snapshots import publish
from faas_microvm.tracing import run_on, run_to_milestone
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionSender
from faas_operator.devnet.devnet import Devnet
from faas_operator.devnet.shared_service import share_service
from faas_operator.settings import Secrets
from faas_verifier.chain import read_call
from faas_verifier.rpc import Rpc as VerifierRpc

pytestmark = [pytest.mark.machine, pytest.mark.chain, pytest.mark.asyncio(loop_scope="module")]

SECONDS = 300
WRITTEN = b"all is as it was\n"
CODE = """
import time
open("note.txt", "w").write("all is as it was\\n" * 100)
time.sleep(1.5)
time.sleep(1)
print(open("note.txt").read()[:40])
"""


class TamperedEngineDouble:
    """Runs jobs on a real engine whose memory somebody changes at the second milestone."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.profile_id, self.measurement = engine.profile_id, engine.measurement
        self.page = 0

    async def missing(self, operation):
        return await self._engine.missing(operation)

    async def adopt(self, manifest, read):
        await self._engine.adopt(manifest, read)

    async def perform(self, operation, contents, keeper=None):
        engine, job = self._engine, operation.program.whole(contents)
        true = await engine.perform(operation, contents, keeper)
        reached = await run_to_milestone(engine, job, None, 2)
        self.page = next(i for i, page in reached.end.overlay.items() if page.startswith(WRITTEN))
        changed = reached.end.with_bytes(self.page * PAGE_SIZE + 4, b"was")
        await engine.library.keep(changed, engine.library.base, "checkpoint")
        await publish(engine.library.store, changed.measurement)
        trace = (*reached.trace[:1], changed.measurement)
        lied = await run_on(engine, changed, engine.library.base, trace, job)
        return replace(true, outcome=lied.outcome)


@dataclass
class Contested:
    """A call that two operators answered truthfully, and one otherwise."""

    call: CallReference
    rpc_url: str
    first_block: int
    operators: list[OperatorOfDemo]
    apis: list[str]
    page: int
    customer_key: str

    @property
    def liar(self) -> str:
        return self.operators[-1].address

    async def faas(self, *arguments: str, home: Path | None = None) -> tuple[int, dict]:
        """A command in a process of its own, with a store of its own."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "faas_cli.main", *arguments, "--json"),
            env={**os.environ, "FAAS_RPC_URL": self.rpc_url, "FAAS_STORE": str(home)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(SECONDS):
            output, errors = await process.communicate()
        assert output, errors.decode()
        return process.returncode or 0, json.loads(output)

    async def dispute(self, home: Path, *more: str, apis: list[str] | None = None) -> tuple[int, dict]:
        call = self.call
        return await self.faas(
            *("dispute", str(call.service_id), str(call.call_id), "--tangle", call.tangle, *more),
            *(part for api in (self.apis if apis is None else apis) for part in ("--blobs", api)),
            home=home,
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def contested(faas_home: Path, tmp_path_factory) -> AsyncIterator[Contested]:
    folder = tmp_path_factory.mktemp("operators")
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        # not below pytest's own folder, which is its user's alone: machines run as nobody
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faas-home-")))
        home.chmod(0o755)
        for path in faas_home.iterdir():
            if path.name not in ("milestones", "published", "store"):
                (home / path.name).symlink_to(path)
        settings = EngineSettings(store=str(folder / "store"), trace_bytes=1 << 30)
        engine = await enter(await Engine.open(home, settings=settings))
        deployment = await enter(Devnet(faas_home))
        rpc = await enter(Rpc(deployment.rpc_url))
        shares = await share_service(rpc, deployment, 3, Assurance(agreeing=2, answers=3), folder)
        double = TamperedEngineDouble(engine)
        operators: list[OperatorOfDemo] = []
        listeners = [stack.enter_context(listen("127.0.0.1", 0)) for _ in shares]
        apis = [f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
        for number, share in enumerate(shares):
            # the honest ask the liar, and not each other: so neither has witnesses enough to go to the chain
            own = {"service_id": share.service_id, "billing": False, "x402_token": None, "home": home}
            node = await enter(running_node(share, engine, **own, blob_peers=(apis[2],)))
            executions = await enter(node.executions())
            app = create_app(executions, node.settings, Secrets.with_api_keys())
            operators.append(OperatorOfDemo(node, double if number == 2 else engine, app, listeners[number]))
            await enter(in_background(operators[-1].show()))
        customer = Chain(rpc, deployment, shares[0].service_id)
        call = await customer.submit(encode_job(make_job("python", CODE)))
        await enter(in_background(operators[2].answer()))
        await customer.answers(call, 1)
        for operator in operators[:2]:
            await enter(in_background(operator.answer()))
            await enter(in_background(operator.judge()))
        await customer.answers(call, 3)
        yield Contested(
            call,
            deployment.rpc_url,
            deployment.first_block,
            operators,
            apis,
            double.page,
            deployment.customer_key,
        )


@dataclass
class Chain:
    """The customer's part."""

    rpc: Rpc
    deployment: object
    service_id: int

    async def submit(self, inputs: bytes) -> CallReference:
        from eth_account import Account

        deployment = self.deployment
        sender = TransactionSender(self.rpc, Account.from_key(deployment.customer_key), deployment.chain_id)
        data = protocol.submit_job(self.service_id, 0, inputs)
        receipt = await sender.send(deployment.tangle, data, deployment.event_rate_wei)
        job = next(
            protocol.decode_job_submitted(log) for log in receipt.logs if protocol.JOB_SUBMITTED.matches(log)
        )
        return CallReference(deployment.chain_id, deployment.tangle, job.service_id, job.call_id)

    async def answers(self, call: CallReference, count: int) -> None:
        async with asyncio.timeout(SECONDS), VerifierRpc(self.deployment.rpc_url) as rpc:
            while len((await read_call(rpc, call.tangle, call.service_id, call.call_id)).results) < count:
                await asyncio.sleep(0.1)


async def test_the_operator_whose_run_left_the_others_is_refuted(contested, tmp_path: Path) -> None:
    path = tmp_path / "evidence.zip"
    code, report = await contested.dispute(tmp_path / "store", "--output", str(path))
    assert (code, report["verdict"]) == (1, "refuted")
    right, wrong = sorted(report["sides"], key=lambda side: side["standing"] == "refuted")
    honest = {operator.address for operator in contested.operators[:2]}
    assert (set(right["operators"]), right["standing"]) == (honest, "right")
    assert (wrong["operators"], wrong["standing"]) == ([contested.liar], "refuted")
    assert report["final"] == right["agreement"]
    (refutation,) = report["refutations"]
    assert (refutation["operator"], refutation["milestone"]) == (contested.liar, 1)
    assert refutation["report"]["established"] == report["final"]
    assert 1_000_000_000 <= refutation["virtual_ns"] < 1_100_000_000
    assert refutation["start_from"] == "fetched by its hash and measured"
    difference = refutation["difference"]
    assert (difference["registers"], difference["pages"]) == ({}, [contested.page])
    assert difference["files"] == ["note.txt"]
    first = {"page": contested.page, "offset": 4, "own": ord("i"), "claimed": ord("w"), "file": "note.txt"}
    assert difference["first"] == [first]

    code, checked = await contested.faas("dispute", "--check", str(path), home=tmp_path / "another")
    assert (code, checked["verdict"]) == (0, "holds"), checked["reason"]


async def test_a_slash_is_proposed_once_enough_operators_have_signed(contested, tmp_path: Path) -> None:
    call, honest = contested.call, contested.operators[:2]
    propose = ("--output", str(tmp_path / "evidence.zip"), "--propose", "--key", contested.customer_key)
    code, report = await contested.dispute(tmp_path / "store", *propose, apis=[])
    (proposal,) = report["proposals"]
    assert (code, proposal["proposed"], proposal["transaction"]) == (1, False, None)
    assert "0 of 2 witnesses" in proposal["reason"]

    async with asyncio.timeout(SECONDS):
        while not all(operator.node.store.refutations.of_call(call) for operator in honest):
            await asyncio.sleep(0.1)
    code, report = await contested.dispute(tmp_path / "store", *propose, apis=contested.apis[1:])
    (proposal,) = report["proposals"]
    assert (proposal["proposed"], proposal["witnesses"]) == (False, [honest[1].address])
    assert "1 of 2 witnesses" in proposal["reason"]

    code, report = await contested.dispute(tmp_path / "store", *propose)
    (proposal,) = report["proposals"]
    assert (code, proposal["proposed"]) == (1, True), proposal
    assert proposal["witnesses"] == sorted(operator.address for operator in honest)
    assert proposal["transaction"] in proposal["reason"]
    code, report = await contested.dispute(tmp_path / "store", *propose)
    (proposal,) = report["proposals"]
    assert (code, proposal["proposed"], proposal["transaction"]) == (1, True, None)
    assert "already" in proposal["reason"]


async def test_a_dispute_with_nobody_asked_runs_the_whole_job(contested, tmp_path: Path) -> None:
    path = tmp_path / "evidence.zip"
    code, report = await contested.dispute(tmp_path / "store", "--output", str(path), apis=[])
    assert (code, report["verdict"]) == (1, "refuted")
    (refutation,) = report["refutations"]
    assert (refutation["operator"], refutation["milestone"]) == (contested.liar, 0)
    assert refutation["trace_withheld"] is True
    code, checked = await contested.faas("dispute", "--check", str(path), home=tmp_path / "another")
    assert (code, checked["verdict"]) == (0, "holds"), checked["reason"]


async def test_an_audit_of_legs_finds_it(contested, tmp_path: Path) -> None:
    call = contested.call
    code, report = await contested.faas(
        *("audit", "--rpc", contested.rpc_url, "--tangle", call.tangle, "--service", str(call.service_id)),
        *("--jobs", "0", "--intervals", "9", "--from-block", str(contested.first_block)),
        *(part for api in contested.apis for part in ("--blobs", api)),
        home=tmp_path / "store",
    )
    assert (code, report["verdict"], report["legs"], report["drawn"]) == (1, "refuted", 9, [])
    verdicts = {(leg["operator"], leg["milestone"]): leg["verdict"] for leg in report["intervals"]}
    assert len(verdicts) == 9
    assert [verdicts[contested.liar, milestone] for milestone in range(2)] == ["verified", "refuted"]
    honest = [verdict for (operator, _), verdict in verdicts.items() if operator != contested.liar]
    assert honest == ["verified"] * 6
    refuted = next(leg for leg in report["intervals"] if leg["verdict"] == "refuted")
    assert refuted["claimed"]["root"] != refuted["found"]["root"]


async def test_traces_that_nobody_shows_are_withheld_from_an_audit(contested, tmp_path: Path) -> None:
    call = contested.call
    arguments = (
        *("audit", "--rpc", contested.rpc_url, "--tangle", call.tangle, "--service", str(call.service_id)),
        *("--jobs", "0", "--intervals", "1", "--from-block", str(contested.first_block)),
    )
    code, report = await contested.faas(*arguments, "--blobs", "http://127.0.0.1:1", home=tmp_path / "store")
    assert (code, report["verdict"]) == (3, "withheld")
    code, report = await contested.faas(*arguments, home=tmp_path / "store")
    assert (code, report["verdict"]) == (2, "unchecked")
    assert "--blobs" in report["intervals"][0]["reason"]


async def test_a_call_that_is_not_there_cannot_be_judged(contested, tmp_path: Path) -> None:
    arguments = ("dispute", str(contested.call.service_id), "12345", "--tangle", contested.call.tangle)
    code, report = await contested.faas(*arguments, home=tmp_path / "store")
    assert (code, report["verdict"]) == (2, "unchecked")
    assert "no call 12345" in report["reason"]
