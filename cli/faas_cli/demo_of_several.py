"""`faas demo --operators 3 --liar`: several operators answer one job, and one of them lies.

All run on this machine and share its engine; each has its own key, node, store and API, and makes its own
run. The liar is a double, see `lying_operator_double`. It answers first: it is outvoted, and not just late.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faas_blueprint.digests import ZERO_DIGEST, to_hex
from faas_blueprint.receipt import Address, CallReference
from faas_blueprint.tangle import evidence, protocol, service_manager
from faas_blueprint.tangle.abi import word
from faas_blueprint.tangle.service_manager import Assurance
from faas_cli.console import Steps, console, note
from faas_cli.demo import RESULT_SECONDS, open_engine, report_of, short, show_result, verify_result
from faas_cli.running import in_background, running_devnet, unless_ended
from faas_microvm.emulator import EmulatorChoice

if TYPE_CHECKING:
    from faas_cli.operators_of_demo import OperatorOfDemo
    from faas_microvm.engine import Engine
    from faas_operator.chain.rpc import Rpc
    from faas_operator.devnet.deployment import Deployment
    from faas_sdk import TangleResult

SLASH_SECONDS = 120.0
"""How long to wait for the operators to prove what they can see."""

NO_LIAR = "nobody has lied"
CONTRADICTED = "two receipts of one operator for one call contradict each other"
REFUTED = "the operators that agree have bisected its run and theirs, and refute its receipt"


def show_report(report: dict[str, object]) -> None:
    """Where the runs part."""
    milestone = report["milestone"]
    console.print(f"   the runs are the same up to milestone {milestone}; then, run again by each witness:")
    for name in ("right", "wrong"):
        point = report[name]
        assert isinstance(point, dict)
        where = "the end" if point["outcome_digest"] else "the next milestone"
        console.print(f"   {name}: {where} has root {point['root']}")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be shown."""

    source: str
    language: str
    operators: int
    liar: bool
    same_lie: bool
    """Whether the liar tells whoever asks it what it has posted."""

    @property
    def assurance(self) -> Assurance:
        """More than half must agree."""
        return Assurance(agreeing=self.operators // 2 + 1, answers=self.operators)


async def demo_of_several(plan: Plan, fixture: Path | None, emulator: EmulatorChoice) -> dict[str, object]:
    """Everything from the machine to the slash; what `--json` prints."""
    logging.getLogger().addHandler(logging.NullHandler())  # the steps say what happens
    steps = Steps()
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(await open_engine(steps, emulator))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faas-")))
        with steps.step("chain", "starting the chain") as done:
            chain = running_devnet(note, fixture=fixture, advertised=False, engine=engine)
            deployment = await stack.enter_async_context(chain)
            done(f"a local chain with the real Tangle contracts runs at {deployment.rpc_url}")
        report = await _with_operators(plan, steps, deployment, engine, folder)
    return report


async def _with_operators(
    plan: Plan, steps: Steps, deployment: Deployment, engine: Engine, folder: Path
) -> dict[str, object]:
    from faas_cli.operators_of_demo import operators_of_demo
    from faas_operator.chain.rpc import Rpc
    from faas_operator.devnet.shared_service import share_service

    async with Rpc(deployment.rpc_url) as rpc, AsyncExitStack() as stack:
        with steps.step("operators", "registering the operators") as done:
            shares = await share_service(rpc, deployment, plan.operators, plan.assurance, folder)
            everyone = await stack.enter_async_context(
                operators_of_demo(shares, engine, liar=plan.liar, same_lie=plan.same_lie)
            )
            done(
                f"{plan.operators} operators serve service {shares[0].service_id}: "
                f"{plan.assurance.agreeing} equal answers are final"
            )
        return await _Journey(plan, steps, rpc, shares[0], everyone, stack).travel()


class _Journey:
    """One job, from the customer to whatever the court makes of the answers."""

    def __init__(
        self,
        plan: Plan,
        steps: Steps,
        rpc: Rpc,
        deployment: Deployment,
        everyone: Sequence[OperatorOfDemo],
        stack: AsyncExitStack,
    ) -> None:
        self._plan = plan
        self._steps = steps
        self._rpc = rpc
        self._deployment = deployment
        self._everyone = everyone
        self._stack = stack
        self._background: list[asyncio.Task[None]] = []

    async def travel(self) -> dict[str, object]:
        """The report, once everything is over."""
        from faas_sdk import AsyncTangleFaaSClient

        deployment = self._deployment
        async with AsyncTangleFaaSClient(
            deployment.rpc_url,
            service_id=deployment.service_id,
            private_key=deployment.customer_key,
            tangle=deployment.tangle,
        ) as client:
            await self._serve(*(operator.show() for operator in self._everyone))
            with self._steps.step("submit", "submitting a job") as done:
                plan = self._plan
                job = await client.submit_job(code=plan.source, language=plan.language)
                done(f"submitted a {plan.language} job as call {job.call_id}")
            call = CallReference(deployment.chain_id, deployment.tangle, job.service_id, job.call_id)
            await self._let_the_liar_answer(call)
            with self._steps.step("result", "waiting until enough operators agree") as done:
                honest = [operator for operator in self._everyone if not operator.lies]
                await self._serve(
                    *(work for operator in honest for work in (operator.answer(), operator.judge()))
                )
                waiting = client.wait_for_result(job, timeout=RESULT_SECONDS)
                result = await unless_ended(waiting, *self._background)
                agreed, marked = await self._count(call, result)
                done(f"{len(agreed)} operators agree; {short(result.operator)} was the first of them")
        show_result(result)
        for operator in marked:
            console.print(f"   {short(operator)} answered otherwise and is [red]marked[/red]")
        with self._steps.step("verify", "running it again, independently") as done:
            verdict = await verify_result(deployment, result)
            done(f"{verdict['verdict']}: {verdict['reason']}")
        slash = await self._slash(call)
        return {
            **report_of(self._steps, self._plan.language, result, verdict),
            "operators": [operator.address for operator in self._everyone],
            "agreed": agreed,
            "marked": marked,
            **slash,
        }

    async def _serve(self, *works: Coroutine[Any, Any, None]) -> None:
        for work in works:
            self._background.append(await self._stack.enter_async_context(in_background(work)))

    async def _let_the_liar_answer(self, call: CallReference) -> None:
        liars = [operator for operator in self._everyone if operator.lies]
        if not liars:
            return
        with self._steps.step("lie", "waiting for the liar's answer") as done:
            await self._serve(*(operator.answer() for operator in liars))
            await unless_ended(self._answered(call, liars[0].address), *self._background)
            done(f"{short(liars[0].address)}, a double that lies, has posted its answer")

    async def _answered(self, call: CallReference, operator: Address) -> None:
        view = service_manager.agreement_of(call.service_id, call.call_id, operator)
        while True:
            if await self._rpc.read(self._deployment.manager, view) != ZERO_DIGEST:
                return
            await asyncio.sleep(0.1)

    async def _count(self, call: CallReference, result: TangleResult) -> tuple[list[str], list[str]]:
        """Who gave the final answer, and who another one."""
        manager, place = self._deployment.manager, (call.service_id, call.call_id)
        answerers = await self._rpc.read(manager, service_manager.answerers_of(*place))
        odd = {
            operator: await self._rpc.read(manager, service_manager.is_odd_one_out(*place, operator))
            for operator in answerers
        }
        return [name for name in answerers if not odd[name]], [name for name in answerers if odd[name]]

    async def _slash(self, call: CallReference) -> dict[str, object]:
        """What the operators' courts have made of it."""
        if not self._plan.liar:
            console.print(f"   no slash is proposed: {NO_LIAR}")
            return {"slash_proposed": False, "slash_reason": NO_LIAR}
        with self._steps.step("court", "waiting for the court") as done:
            proving = asyncio.wait_for(self._proven(call), SLASH_SECONDS)
            slash = await unless_ended(proving, *self._background)
            refuted = slash["kind"] == "refuted"
            reason = REFUTED if refuted else CONTRADICTED
            told: dict[str, object] = {"slash_proposed": True, "slash_reason": reason, "slash": slash}
            share = int(str(slash["share_bps"])) / 100
            done(f"{reason}: a slash of {share:.0f} % is [red]proposed[/red] to Tangle")
        if refuted:
            report = await self._report(call, str(slash["report"]))
            told["refutation"] = report
            show_report(report)
        return told

    async def _report(self, call: CallReference, digest: str) -> dict[str, object]:
        """The report that the witnesses have signed, as one of them shows it."""
        honest = next(operator for operator in self._everyone if not operator.lies)
        signed = await asyncio.to_thread(honest.node.store.refutations.of_call, call)
        return next(item.report for item in signed if to_hex(item.report_digest) == digest)

    async def _proven(self, call: CallReference) -> dict[str, object]:
        """The slash that Tangle has on its books for the call, and by what evidence."""
        deployment = self._deployment
        topics = (
            (evidence.EQUIVOCATION_PROVEN.topic, evidence.REFUTATION_PROVEN.topic),
            word(call.service_id),
            word(call.call_id),
        )
        while True:
            head = (await self._rpc.head()).block.number
            proven = await self._rpc.logs(deployment.manager, topics, deployment.first_block, head)
            if proven:
                block = proven[0].block.number
                topic = (protocol.SLASH_PROPOSED.topic,)
                (entry,) = await self._rpc.logs(deployment.tangle, topic, block, block)
                slash_id, _, operator, proposer, share, _, digest, _ = protocol.SLASH_PROPOSED.decode(
                    entry.log
                )
                refuted = evidence.REFUTATION_PROVEN.matches(proven[0].log)
                report = evidence.REFUTATION_PROVEN.decode(proven[0].log)[4] if refuted else None
                return {
                    "kind": "refuted" if refuted else "equivocation",
                    **({"report": to_hex(report)} if isinstance(report, bytes) else {}),
                    "slash_id": slash_id,
                    "operator": operator,
                    "proposer": proposer,
                    "share_bps": share,
                    "evidence": "0x" + bytes(digest).hex(),  # type: ignore[arg-type]
                    "transaction": entry.transaction_hash,
                }
            await asyncio.sleep(0.2)
