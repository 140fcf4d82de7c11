"""Operators that disagree, through the real protocol: nodes challenge, settle, and prove what can be proven.

The engine follows a script, one operator is a double that lies; contracts, chain, nodes and stores are real.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from fastapi import FastAPI
from typer import Typer
from typer.testing import CliRunner

from faas_api.app import create_app
from faas_api.serve import listen, serve
from faas_blueprint.agreement import agreement_digest
from faas_blueprint.bisection import Point
from faas_blueprint.bundle import make_bundle
from faas_blueprint.digests import ZERO_DIGEST, digest_from_hex, sha256, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.operation_payload import operation_of_call
from faas_blueprint.outcome import Stream
from faas_blueprint.receipt import CallReference
from faas_blueprint.tangle import evidence, protocol, service_manager
from faas_blueprint.tangle.service_manager import Assurance, ManagedCall, Standing
from faas_cli.lying_operator_double import LIE, LyingEngineDouble, two_faced_api_double
from faas_microvm.tracing import TO_THE_END
from faas_operator import court as court_module
from faas_operator import refuting
from faas_operator.chain.court import CourtChain
from faas_operator.chain.rpc import Rpc
from faas_operator.court import Court
from faas_operator.devnet.deployment import Deployment
from faas_operator.devnet.devnet import Devnet
from faas_operator.devnet.shared_service import register_operator, request_service
from faas_operator.legs import Retraced
from faas_operator.node import Node
from faas_operator.peers import Peers
from faas_operator.pipeline import State
from faas_operator.refuting import Refuter
from faas_operator.service import Operator
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store
from faas_sdk import AsyncTangleFaaSClient, FaaSError
from faas_verifier import command
from faas_verifier.audit import answered_calls, audit_calls, opened_once
from faas_verifier.bundle import save_bundle
from faas_verifier.command import Question
from faas_verifier.rpc import Rpc as VerifierRpc
from faas_verifier.verdict import Conclusion

pytestmark = pytest.mark.chain

QUORUM = Assurance(agreeing=2, answers=3)
WINDOW = Assurance(answers=1, window_seconds=600)
INPUTS = encode_job(make_job("python", "truth"))
SECONDS = 120


@pytest.fixture(scope="module")
def devnet(faas_home: Path) -> Iterator[Deployment]:
    """One devnet for this file, whose clock is set on."""
    running = Devnet(faas_home)
    yield asyncio.run(running.start())
    running.stop()


@pytest.fixture(scope="module")
def accounts(devnet) -> tuple[LocalAccount, ...]:
    """Three registered operators."""
    made = tuple(Account.create() for _ in range(3))

    async def register() -> None:
        async with Rpc(devnet.rpc_url) as rpc:
            for account in made:
                await register_operator(rpc, devnet, account)

    asyncio.run(register())
    return made


async def look(court: Court) -> None:
    """One round, and what it has begun to run again."""
    await court.once()
    if (running := court._refuter._run) is not None:
        await running


@dataclass
class Party:
    """One operator: its node, as far as it needs no machine."""

    node: Node
    engine: object
    database: str
    ran_again: list[int] = field(default_factory=list)
    """Up to which milestones."""

    @property
    def name(self) -> str:
        return self.node.signer.address

    async def answer(self, call: CallReference) -> State:
        """Run the node until it has nothing more to do for a call."""
        node = self.node
        operator = Operator(
            chain=node.chain, engine=self.engine, signer=node.signer, store=node.store,
            settings=node.settings, deployment=node.deployment,
        )  # fmt: skip
        task = asyncio.create_task(operator.run())
        over = (State.POSTED, State.FINAL, State.ABANDONED)
        try:
            async with asyncio.timeout(SECONDS):
                while (record := node.store.job_of_call(call)) is None or record.state not in over:
                    if task.done():
                        task.result()
                    await asyncio.sleep(0.02)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        return record.state

    async def judge(self) -> None:
        """One round of a court that knows what is stored only, as after a start, and what that begins."""
        await look(self.court())

    def court(self) -> Court:
        """The node's, which runs again what its script says."""
        node, chain = self.node, CourtChain(self.node.chain)
        peers = Peers(node.settings, node.chain)
        refuter = Refuter(chain, node.store, node.signer, self.run_again, node.settings, peers, time.time)
        docket = node.store.docket(node.deployment)
        return Court(chain, node.store, docket, refuter, node.settings, peers, time.time)

    async def run_again(self, operation, contents, trace, milestone) -> Retraced:
        """See `Retrace`."""
        self.ran_again.append(milestone)
        outcome = (await self.engine.perform(operation, contents)).outcome
        if milestone <= len(outcome.trace):
            return Retraced(outcome.trace[:milestone], Point(outcome.trace[milestone - 1]))
        return Retraced(outcome.trace, Point(outcome.state_root, outcome.digest()))

    def docket(self) -> list:
        return [contested.place for contested in self.node.store.docket(self.node.deployment).calls()]


@dataclass
class Bench:
    """A service of three operators, the last of which lies."""

    chain: object
    service_id: int
    parties: tuple[Party, ...]
    accounts: tuple[LocalAccount, ...]

    @property
    def honest(self) -> tuple[Party, Party]:
        return self.parties[0], self.parties[1]

    @property
    def liar(self) -> Party:
        return self.parties[2]

    async def submit(self) -> CallReference:
        deployment = self.chain.deployment
        data = protocol.submit_job(self.service_id, 0, INPUTS)
        receipt = await self.chain.send(data, deployment.event_rate_wei)
        job = next(
            protocol.decode_job_submitted(log) for log in receipt.logs if protocol.JOB_SUBMITTED.matches(log)
        )
        return CallReference(deployment.chain_id, deployment.tangle, job.service_id, job.call_id)

    async def managed(self, call: CallReference) -> ManagedCall:
        view = service_manager.call_of(call.service_id, call.call_id)
        return await self.chain.rpc.read(self.chain.deployment.manager, view)

    async def odd(self, call: CallReference) -> list[bool]:
        views = [service_manager.is_odd_one_out(call.service_id, call.call_id, p.name) for p in self.parties]
        return [await self.chain.rpc.read(self.chain.deployment.manager, view) for view in views]

    async def slashes(self, call: CallReference) -> list:
        """The proposals on the protocol's books for an operator's answer to this call."""
        rpc, deployment = self.chain.rpc, self.chain.deployment
        head = (await rpc.head()).block.number
        topics = (protocol.SLASH_PROPOSED.topic, None, call.service_id.to_bytes(32, "big"))
        entries = await rpc.logs(deployment.tangle, topics, 0, head)
        return [protocol.SLASH_PROPOSED.decode(entry.log)[2:5] for entry in entries]

    async def pass_time(self, seconds: int) -> None:
        await self.chain.rpc.request("evm_increaseTime", seconds)
        await self.chain.rpc.request("evm_mine")


@pytest.fixture
async def bench(chain, accounts, tmp_path: Path, scripted_engine) -> AsyncIterator[Callable]:
    """Makes the service with an assurance; `peers` of the honest are asked for receipts."""
    async with AsyncExitStack() as stack:

        async def make(
            assurance: Assurance, peers: tuple[str, ...] = (), registered_peers: bool = False
        ) -> Bench:
            service_id, block = await request_service(chain.rpc, chain.deployment, accounts, assurance)
            parties = []
            for number, account in enumerate(accounts):
                adapter = await stack.enter_async_context(await chain.adapter(account))
                database = f"sqlite:///{tmp_path / str(number)}.sqlite"
                store = Store.open(database)
                stack.callback(store.close)
                settings = Settings(
                    home=tmp_path, tangle=chain.deployment.tangle, chain_id=chain.deployment.chain_id,
                    blueprint_id=chain.deployment.blueprint_id, service_id=service_id, start_block=block,
                    poll_seconds=0.1, blob_peers=peers, registered_peers=registered_peers, private_peers=True,
                )  # fmt: skip
                node = Node(adapter, scripted_engine, Signer.from_account(account), store, settings)
                engine = scripted_engine if number < 2 else LyingEngineDouble(scripted_engine)
                parties.append(Party(node, engine, database))
            return Bench(chain, service_id, tuple(parties), accounts)

        yield make


@asynccontextmanager
async def two_faced(bench: Bench, listener) -> AsyncIterator[None]:
    """The liar's API while this lasts."""
    app = two_faced_api_double(bench.liar.node, bench.liar.engine)
    task = asyncio.create_task(serve(app, listener))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def outvote(bench: Bench) -> CallReference:
    """A call that the liar has answered first and the others after it."""
    call = await bench.submit()
    for party in (bench.liar, *bench.honest):
        await party.answer(call)
    return call


async def test_three_operators_agree_without_a_liar(bench) -> None:
    three = await bench(QUORUM)
    call = await three.submit()
    assert {await party.answer(call) for party in three.honest} <= {State.POSTED, State.FINAL}
    managed = await three.managed(call)
    assert (managed.standing, managed.votes) == (Standing.FINAL, 2)
    for party in three.honest:
        await party.judge()
        assert party.docket() == []


@pytest.mark.parametrize("registered", [False, True])
async def test_a_liar_is_marked_and_its_two_receipts_are_proven(bench, registered) -> None:
    """Its API is named by the others' settings, or found where it has registered it."""
    with listen("127.0.0.1", 0) as listener:
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        three = await bench(QUORUM, () if registered else (origin,), registered)
        if registered:
            adapter = three.liar.node.chain
            call = protocol.UPDATE_OPERATOR_PREFERENCES.encode(adapter.blueprint_id, b"", origin)
            await adapter.sender.send(adapter.tangle, call)
        call = await outvote(three)
        truth = three.honest[0].node.store.job_of_call(call).signed.receipt
        assert (await three.managed(call)).agreement == agreement_digest(truth)
        assert await three.odd(call) == [False, False, True]
        assert await three.slashes(call) == []
        async with two_faced(three, listener):
            await three.honest[0].judge()
            await three.honest[1].judge()
    manager = three.chain.deployment.manager
    assert await three.slashes(call) == [(three.liar.name, manager, 10_000)]
    assert [party.docket() for party in three.honest] == [[], []]


async def test_what_one_operator_says_is_not_enough_and_is_given_up_after_a_while(bench, monkeypatch) -> None:
    three = await bench(QUORUM)
    call = await outvote(three)
    judge = three.honest[0]
    monkeypatch.setattr(refuting, "WITHHELD_SECONDS", 0)
    await judge.judge()
    await judge.judge()
    assert len(judge.node.store.refutations.of_call(call)) == 1
    assert judge.docket() == [(call.service_id, call.call_id)]
    monkeypatch.setattr(court_module, "EVIDENCE_SECONDS", 0)
    await judge.judge()
    assert judge.docket() == []
    assert await three.slashes(call) == []


async def test_a_proposed_lie_is_challenged_and_overruled(bench) -> None:
    """Tangle has completed the call by then: the others run it all the same, and bring what came out."""
    three = await bench(WINDOW)
    call = await three.submit()
    await three.liar.answer(call)
    assert (await three.managed(call)).standing is Standing.PROPOSED
    first, second = three.honest
    await first.judge()
    assert (await three.managed(call)).standing is Standing.PROPOSED  # it has nothing to say yet
    assert await first.answer(call) is State.ABANDONED
    await first.judge()
    assert (await three.managed(call)).standing is Standing.DISPUTED
    await first.judge()
    await second.answer(call)
    await second.judge()
    managed = await three.managed(call)
    assert (managed.standing, managed.votes) == (Standing.FINAL, 2)
    assert await three.odd(call) == [False, False, True]


async def test_a_court_that_was_stopped_goes_on(bench) -> None:
    """The events are taken in, then the node dies before its transaction is sent."""
    three = await bench(WINDOW)
    call = await three.submit()
    await three.liar.answer(call)
    judge = three.honest[0]
    await judge.answer(call)
    court = judge.node.court()
    sender, judge.node.chain.sender = judge.node.chain.sender, None
    with pytest.raises(AttributeError):
        await court.once()
    judge.node.chain.sender = sender
    assert judge.docket() == [(call.service_id, call.call_id)]
    await judge.judge()
    await judge.judge()
    managed = await three.managed(call)
    assert (managed.standing, managed.answers) == (Standing.DISPUTED, 2)


async def test_after_the_window_operators_settle_in_turn(bench) -> None:
    three = await bench(WINDOW)
    call = await three.submit()
    await three.honest[0].answer(call)
    await three.honest[1].answer(call)
    turns = {
        await CourtChain(party.node.chain).turn((call.service_id, call.call_id)): party
        for party in three.parties
    }
    for party in three.parties:
        await party.judge()
    managed = await three.managed(call)
    assert managed.standing is Standing.PROPOSED
    await three.pass_time(managed.deadline - (await three.chain.rpc.head()).timestamp)
    await turns[1].judge()
    assert (await three.managed(call)).standing is Standing.PROPOSED  # the turn of another
    await three.pass_time(court_module.TURN_SECONDS)
    await turns[1].judge()
    managed = await three.managed(call)
    assert (managed.standing, managed.votes) == (Standing.FINAL, 1)
    await turns[0].judge()
    assert turns[0].docket() == []


async def test_what_stands_on_the_chain_alone_is_evidence(bench) -> None:
    """The truth was brought for it by hand, and then it posted a lie."""
    three = await bench(QUORUM)
    call = await three.submit()
    first, second = three.honest
    await first.answer(call)
    outcome = first.node.store.outcome(first.node.store.job_of_call(call))
    said = first.node.store.job_of_call(call).signed.receipt
    receipt, signature = three.liar.node.signer.attest(
        profile_id=said.profile_id, snapshot=said.snapshot, job_digest=said.job_digest, call=call,
        outcome=replace(outcome, stdout=Stream(LIE)),
    )  # fmt: skip
    await three.chain.send(
        service_manager.bring_receipt(receipt, signature), to=three.chain.deployment.manager
    )
    await three.liar.answer(call)  # another lie
    await second.answer(call)
    assert (await three.managed(call)).standing is Standing.FINAL
    await second.judge()
    assert [slash[0] for slash in await three.slashes(call)] == [three.liar.name]
    assert await three.chain.rpc.read(
        three.chain.deployment.manager, evidence.is_proposed(call.service_id, call.call_id, three.liar.name)
    )


async def test_a_failure_challenges_nothing(bench) -> None:
    three = await bench(WINDOW)
    call = await three.submit()
    await three.honest[0].answer(call)
    judge = three.honest[1]
    judge.engine.failures = [InvalidRequest("the double refuses")]
    await judge.answer(call)
    record = judge.node.store.job_of_call(call)
    assert record.signed.receipt.state_root == ZERO_DIGEST
    await judge.judge()
    assert (await three.managed(call)).standing is Standing.PROPOSED


WAIT_WITH_NODE = """
import { TangleFaaSClient } from "%s/dist/esm/index.js";
const client = new TangleFaaSClient({ rpcUrl: "%s", serviceId: %d, tangle: "%s", pollInterval: 50 });
const answer = await client.waitForResult(%d, { timeout: 2000 }).then(
  (result) => result.stdout + result.operator, (error) => error.constructor.name + error.message);
console.log(answer);
"""


async def wait_with_python(three: Bench, call: CallReference, _: Path) -> str:
    rpc_url = three.chain.rpc.url
    async with AsyncTangleFaaSClient(
        rpc_url, service_id=call.service_id, tangle=call.tangle, poll_interval=0.05
    ) as client:
        try:
            result = await client.wait_for_result(call.call_id, timeout=2)
        except FaaSError as error:
            return type(error).__name__ + error.message
        return str(result.stdout) + result.operator


async def wait_with_node(three: Bench, call: CallReference, sdk: Path) -> str:
    program = WAIT_WITH_NODE % (sdk, three.chain.rpc.url, call.service_id, call.tangle, call.call_id)
    command = ["node", "--input-type=module", "-e", program]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


@pytest.mark.parametrize("wait", [wait_with_python, wait_with_node])
async def test_a_client_is_given_the_result_that_stands(bench, wait, typescript_sdk, compiled) -> None:
    three = await bench(QUORUM)
    call = await three.submit()
    await three.liar.answer(call)
    said = await wait(three, call, typescript_sdk)
    assert said.startswith("ResultTimeoutno agreement on the result of call")
    for party in three.honest:
        await party.answer(call)
    said = await wait(three, call, typescript_sdk)
    assert said.startswith("truth0x")
    assert said.removeprefix("truth") in [party.name for party in three.honest]


async def test_a_client_is_told_that_nobody_has_won(bench, typescript_sdk, compiled) -> None:
    three = await bench(Assurance(agreeing=2, answers=2))
    call = await three.submit()
    await three.liar.answer(call)
    await three.honest[0].answer(call)
    for wait in (wait_with_python, wait_with_node):
        said = await wait(three, call, typescript_sdk)
        assert said.startswith("ResultUnreadablethe operators' answers")


async def test_an_audit_finds_the_lie_among_what_it_draws(bench, scripted_engine) -> None:
    three = await bench(QUORUM)
    lied, honest = await outvote(three), await three.submit()
    for party in three.honest:
        await party.answer(honest)

    class TruthfulMachine:
        profile_id, measurement = scripted_engine.profile_id, scripted_engine.measurement

        async def made_here(self, snapshot):
            return snapshot == self.measurement

        async def run(self, job, snapshot=None):
            return await scripted_engine.perform(operation_of_call(0, encode_job(job)), {})

    opened = []

    @asynccontextmanager
    async def machine() -> AsyncIterator[TruthfulMachine]:
        opened.append(TruthfulMachine())
        yield opened[-1]

    where = Question(None, three.chain.rpc.url, three.service_id, None, lied.tangle, None)
    async with VerifierRpc(three.chain.rpc.url) as rpc:
        calls = await answered_calls(rpc, lied.tangle, three.service_id, 0)
    assert calls == [lied.call_id, honest.call_id]
    async with opened_once(machine) as open_machine:

        async def judge(call_id: int):
            return await command.answer(replace(where, call_id=call_id), open_machine)

        both = await audit_calls(calls, 10, judge)
        one = await audit_calls([honest.call_id], 10, judge)
        none = await audit_calls([], 10, judge)
        drawn = {(await audit_calls(calls, 1, judge)).drawn[0].call_id for _ in range(40)}
    assert [audited.decisive.conclusion for audited in both.drawn] == [
        Conclusion.REFUTED,
        Conclusion.VERIFIED,
    ]
    assert (both.conclusion, both.finished) == (Conclusion.REFUTED, 2)
    assert [verdict.conclusion for verdict in both.drawn[0].verdicts].count(Conclusion.REFUTED) == 1
    assert one.conclusion is Conclusion.VERIFIED
    assert none.conclusion is Conclusion.UNCHECKED
    assert drawn == set(calls)
    assert len(opened) == 1


async def test_a_verifier_that_requires_a_quorum(bench, tmp_path: Path) -> None:
    three = await bench(QUORUM)
    call = await outvote(three)
    app = Typer()
    app.command()(command.verify)

    async def verify(*more: str) -> tuple[int, dict]:
        where = ("--rpc", three.chain.rpc.url, "--tangle", call.tangle, "--json")
        done = await asyncio.to_thread(CliRunner().invoke, app, [*where, *more])
        return done.exit_code, json.loads(done.stdout)

    place = ("--service", str(call.service_id), "--call", str(call.call_id))
    code, report = await verify(*place, "--require", "quorum:2")
    assert (code, report["verdict"], len(report["results"])) == (0, "verified", 3)
    assert report["call"]["operator"] in [party.name for party in three.honest]
    assert "2 operators agree" in report["reason"]
    assert "1 say otherwise" in report["reason"]
    code, report = await verify(*place, "--require", "quorum:3")
    assert (code, report["verdict"]) == (2, "unchecked")
    assert "2 of 3 results agree, 3 are required" in report["reason"]
    assert (await verify(*place, "--require", "signed"))[0] == 0

    for party, expected in ((three.honest[0], 0), (three.liar, 1)):
        record = party.node.store.job_of_call(call)
        said = record.signed.statement
        bundle = make_bundle(said.receipt, said.signature, INPUTS, party.node.store.outcome(record))
        save_bundle(bundle, tmp_path / "receipt.json")
        assert (await verify(str(tmp_path / "receipt.json"), "--require", "quorum:2"))[0] == expected


# -- refuting who tells everyone the same lie


TRACE = tuple(sha256(f"milestone {number}".encode()) for number in (1, 2, 3))


class TracedEngineDouble:
    """Hands on what an engine gives, with a trace, and perhaps other output."""

    def __init__(self, engine, trace=TRACE, stdout: Stream | None = None) -> None:
        self.profile_id, self.measurement = engine.profile_id, engine.measurement
        self.engine, self.trace, self.stdout = engine, trace, stdout

    async def perform(self, operation, contents, keeper=None):
        execution = await self.engine.perform(operation, contents, keeper)
        outcome = replace(execution.outcome, trace=self.trace)
        if self.stdout is not None:
            outcome = replace(outcome, stdout=self.stdout, state_root=sha256(self.stdout.content))
        return replace(execution, outcome=outcome)


WRONG_TRACE = (TRACE[0], *(sha256(b"wrong" + root) for root in TRACE[1:]))


def own_api(party: Party) -> FastAPI:
    """As its node serves it."""
    return create_app(party.node.executions(), party.node.settings, Secrets.with_api_keys())


@dataclass
class Refuting:
    """Three operators, a call that the last one has answered with the same lie for all, and their APIs."""

    bench: Bench
    call: CallReference
    ports: tuple[str, ...]

    def ask(self, party: Party, *others: int) -> None:
        """Which of the three an operator asks."""
        peers = tuple(self.ports[number] for number in others)
        party.node = replace(
            party.node, settings=party.node.settings.model_copy(update={"blob_peers": peers})
        )

    def refutations(self) -> list:
        return [party.node.store.refutations.of_call(self.call) for party in self.bench.parties]


@pytest.fixture
async def lied(bench) -> AsyncIterator[Callable]:
    """Makes it; `apps` stand in for APIs by number, None for one that does not answer."""
    async with AsyncExitStack() as stack:

        async def make(apps: dict[int, FastAPI | None]) -> Refuting:
            listeners = [stack.enter_context(listen("127.0.0.1", 0)) for _ in range(3)]
            ports = tuple(f"http://127.0.0.1:{item.getsockname()[1]}" for item in listeners)
            three = await bench(QUORUM)
            for party in three.honest:
                party.engine = TracedEngineDouble(party.engine)
            three.liar.engine = TracedEngineDouble(three.honest[0].engine, WRONG_TRACE, Stream(LIE))
            refuting_ = Refuting(three, await outvote(three), ports)
            for number, party in enumerate(three.parties):
                refuting_.ask(party, *({0, 1, 2} - {number}))
                app = apps[number] if number in apps else own_api(party)
                if app is None:
                    listeners[number].close()
                    continue
                task = asyncio.create_task(serve(app, listeners[number]))
                stack.push_async_callback(_ended, task)
            return refuting_

        yield make


async def _ended(task: asyncio.Task) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def slashes_of(case: Refuting) -> list:
    return await case.bench.slashes(case.call)


async def test_the_same_lie_is_refuted_where_it_begins(lied) -> None:
    case = await lied({})
    three = case.bench
    for _ in range(2):
        for party in three.honest:
            await party.judge()
    manager = three.chain.deployment.manager
    assert await slashes_of(case) == [(three.liar.name, manager, 2_500)]
    (first,), (second,), none = case.refutations()
    assert (first.report, first.report_digest) == (second.report, second.report_digest)
    assert none == []
    assert first.report["milestone"] == 1
    assert first.report["start"] == to_hex(TRACE[0])
    assert first.report["right"] == {"root": to_hex(TRACE[1]), "outcome_digest": None}
    assert first.report["wrong"] == {"root": to_hex(WRONG_TRACE[1]), "outcome_digest": None}
    assert [party.ran_again for party in three.honest] == [[2], [2]]
    for party in three.honest:
        await party.judge()
    assert [party.docket() for party in three.honest] == [[], []]
    assert len(await slashes_of(case)) == 1


async def test_a_withheld_trace_is_compared_as_a_whole_after_a_while(lied, monkeypatch) -> None:
    case = await lied({2: None})
    for party in case.bench.honest:
        await party.judge()
    assert case.refutations() == [[], [], []]
    monkeypatch.setattr(refuting, "WITHHELD_SECONDS", 0)
    for _ in range(2):
        for party in case.bench.honest:
            await party.judge()
    assert [slash[2] for slash in await slashes_of(case)] == [2_500]
    report = case.refutations()[0][0].report
    assert report["milestone"] == 0
    assert digest_from_hex(report["right"]["outcome_digest"])
    assert [party.ran_again for party in case.bench.honest] == [[TO_THE_END], [TO_THE_END]]


async def test_a_trace_that_is_shown_to_some_only_does_not_help(lied, monkeypatch) -> None:
    case = await lied({})
    first, second = case.bench.honest
    case.ask(second, 0)
    await first.judge()
    monkeypatch.setattr(refuting, "WITHHELD_SECONDS", 0)
    await second.judge()
    by_trace, whole, _ = case.refutations()
    assert (by_trace[0].report["milestone"], whole[0].report["milestone"]) == (1, 0)
    assert await slashes_of(case) == []
    for party in (first, second, first, second):
        await party.judge()
    assert [slash[2] for slash in await slashes_of(case)] == [2_500]
    assert sorted(first.ran_again) == [2, TO_THE_END]
    assert second.ran_again == [TO_THE_END]


async def test_who_was_outvoted_signs_nothing(lied, caplog) -> None:
    case = await lied({})
    for _ in range(2):
        await case.bench.liar.judge()
    assert case.refutations() == [[], [], []]
    assert case.bench.liar.ran_again == []
    assert "outvoted: check this host" in caplog.text


async def test_what_is_not_the_same_when_run_again_is_not_signed(lied, caplog) -> None:
    case = await lied({})
    judge = case.bench.honest[0]
    judge.engine = TracedEngineDouble(judge.engine.engine, (TRACE[0], sha256(b"another"), TRACE[2]))
    court = judge.court()
    for _ in range(2):
        court._next_look.clear()
        await look(court)
    assert case.refutations() == [[], [], []]
    assert judge.ran_again == [2]  # once
    assert "our own run is not what we have signed" in caplog.text


async def test_signatures_of_strangers_are_not_used(lied, monkeypatch) -> None:
    forged = FastAPI()
    signatures: list[str] = ["0x", "0xzz", "0x" + "11" * 65]

    @forged.get("/api/v1/calls/{service_id}/{call_id}/refutations")
    def refutations(service_id: int, call_id: int) -> dict[str, object]:
        return {"refutations": [{"signature": signature} for signature in signatures]}

    case = await lied({1: forged})
    three, judge = case.bench, case.bench.honest[0]
    await judge.judge()
    (own,) = case.refutations()[0]
    records = [party.node.store.job_of_call(case.call) for party in (judge, three.liar)]
    established, refuted = (record.signed.receipt for record in records)
    digest = evidence.refutation_digest(
        three.chain.deployment.manager, refuted, established, own.report_digest
    )
    for key in (Account.create(), three.accounts[2]):
        signatures[:] = [to_hex(bytes(key.unsafe_sign_hash(digest).signature)), to_hex(own.signature)]
        await judge.judge()
        assert await slashes_of(case) == []
    signatures[:] = [to_hex(bytes(three.accounts[1].unsafe_sign_hash(digest).signature))]
    monkeypatch.setattr(refuting, "TURN_SECONDS", 0)
    await judge.judge()
    assert [slash[2] for slash in await slashes_of(case)] == [2_500]


async def test_a_witness_that_is_killed_before_it_sends_goes_on(lied, monkeypatch) -> None:
    case = await lied({})
    monkeypatch.setattr(refuting, "TURN_SECONDS", 0)
    for party in case.bench.honest:
        await party.judge()
    judge, account = case.bench.honest[0], case.bench.accounts[0]
    settings = judge.node.settings
    arguments = (
        case.bench.chain.rpc.url, settings.tangle, str(settings.blueprint_id), str(settings.service_id),
        str(settings.chain_id), str(settings.start_block), account.key.hex(), judge.database,
        *settings.blob_peers,
    )  # fmt: skip
    program = Path(__file__).parent / "crashing_witness.py"
    command = [sys.executable, str(program), *arguments]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=SECONDS, env=dict(os.environ)
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert await slashes_of(case) == []
    await judge.judge()
    assert [slash[2] for slash in await slashes_of(case)] == [2_500]
    assert judge.ran_again == [2]
