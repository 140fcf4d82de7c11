"""`faas demo`: one job's whole way, from the chain through a machine and back, then verified."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faas_blueprint.digests import to_hex
from faas_blueprint.errors import FatalError
from faas_blueprint.job import make_job
from faas_cli.console import EngineOption, Steps, console, note, print_json, run_async
from faas_cli.run import read_language, read_text
from faas_microvm.emulator import EmulatorChoice

if TYPE_CHECKING:
    from faas_microvm.engine import Engine
    from faas_operator.devnet.deployment import Deployment
    from faas_sdk import TangleResult

PROGRAM = """\
import hashlib, random, sys, time

print("Hello from a machine that anyone can run again, on Python", sys.version.split()[0])
print("the time is", time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()))
print("a random number:", random.randrange(10**9))
print("sha256 of 0..99999:", hashlib.sha256(bytes(i % 256 for i in range(100_000))).hexdigest()[:16])
"""
LONG_PROGRAM = PROGRAM + "sys.stdout.flush()\ntime.sleep(2.2)\nprint('slept until', time.time())\n"
"""Has milestones on its way."""

RESULT_SECONDS = 1800.0


def demo(
    code: Annotated[
        Path | None, typer.Option("--code", help="Run this program, not the built-in one.")
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", help="Of --code; default: by its extension.")
    ] = None,
    tangle_fixture: Annotated[
        Path | None, typer.Option(help="A recorded deployment of Tangle to replay, not the pinned one.")
    ] = None,
    operators: Annotated[
        int, typer.Option(min=1, max=7, help="So many serve the job; more than half must agree.")
    ] = 1,
    liar: Annotated[
        bool,
        typer.Option(
            "--liar",
            help="One of at least three operators is a double that posts a lie, and shows the truth to who "
            "asks it over HTTP.",
        ),
    ] = False,
    same_lie: Annotated[
        bool,
        typer.Option(
            "--same-lie",
            help="The liar shows everyone the same lie, a run with one bit of its memory flipped: the others "
            "refute it by bisection.",
        ),
    ] = False,
    emulator: EngineOption = EmulatorChoice.AUTOMATIC,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Submit a job on a local Tangle chain, run it, post the result and verify it.

    Everything is real: the protocol's contracts, the transactions, the microVM. Exit code 0 only
    when the verifier has run the job again and found the same. With `--operators 3 --liar` one of three
    lies: it is outvoted and marked, and a slash is proposed on its two contradicting receipts. With
    `--same-lie` it has signed one only: the others bisect its run and theirs, run the part again that
    differs, and sign what they have found.
    """
    source = read_text(code) if code else LONG_PROGRAM if same_lie else PROGRAM
    chosen = language or (read_language(code) if code else "python")
    make_job(chosen, source)  # what cannot be a job is refused before anything starts
    if (liar and operators < 3) or (same_lie and not liar):
        raise typer.BadParameter("--liar takes --operators 3 or more, and --same-lie takes --liar")
    if operators == 1:
        report = run_async(_demo(source, chosen, tangle_fixture, emulator))
    else:
        from faas_cli.demo_of_several import Plan, demo_of_several

        plan = Plan(source, chosen, operators, liar, same_lie)
        report = run_async(demo_of_several(plan, tangle_fixture, emulator))
    if as_json:
        print_json(report)
    raise typer.Exit(0 if report["verified"] else 1)


async def _demo(
    source: str, language: str, fixture: Path | None, emulator: EmulatorChoice
) -> dict[str, object]:
    from faas_cli.running import in_background, running_devnet, running_node, unless_ended

    steps = Steps()
    async with await open_engine(steps, emulator) as engine:
        chain = running_devnet(note, fixture=fixture, advertised=False, engine=engine)
        with steps.step("chain", "starting the chain") as done:
            deployment = await chain.__aenter__()
            done(f"a local chain with the real Tangle contracts runs at {deployment.rpc_url}")
        try:
            with steps.step("operator", "starting the operator") as done:
                node_context = running_node(deployment, engine)
                node = await node_context.__aenter__()
                done(f"operator {short(deployment.operator)} serves service {deployment.service_id}")
            try:
                async with in_background(node.operator().run()) as operator:
                    work = _journey(steps, deployment, source, language)
                    result, verdict = await unless_ended(work, operator)
            finally:
                await node_context.__aexit__(None, None, None)
        finally:
            with steps.step("stop", "stopping") as done:
                await chain.__aexit__(None, None, None)
                done("operator and chain are stopped")
    return report_of(steps, language, result, verdict)


async def open_engine(steps: Steps, emulator: EmulatorChoice) -> Engine:
    """The first step; to be closed."""
    from faas_microvm.engine import Engine, EngineSettings

    with steps.step("machine", "preparing the machine") as done:
        engine = await Engine.open(progress=note, settings=EngineSettings(emulator=emulator))
        done(f"base snapshot [bold]{short(to_hex(engine.measurement))}[/bold] is ready to run jobs")
    return engine


async def _journey(
    steps: Steps, deployment: Deployment, source: str, language: str
) -> tuple[TangleResult, dict[str, object]]:
    from faas_sdk import AsyncTangleFaaSClient

    async with AsyncTangleFaaSClient(
        deployment.rpc_url,
        blueprint_id=deployment.blueprint_id,
        private_key=deployment.customer_key,
        tangle=deployment.tangle,
    ) as client:
        with steps.step("submit", "submitting a job") as done:
            job = await client.submit_job(code=source, language=language)
            done(f"submitted a {language} job as call {job.call_id} of service {job.service_id}")
        with steps.step("result", "waiting for the result") as done:
            result = await client.wait_for_result(job, timeout=RESULT_SECONDS)
            seconds = result.virtual_ns / 1e9
            done(f"it ended with exit code {result.exit_code} after {seconds:.3f} virtual seconds")
    show_result(result)
    with steps.step("verify", "running it again, independently") as done:
        verdict = await verify_result(deployment, result)
        word = "[green]verified[/green]" if verdict["verified"] else f"[red]{verdict['verdict']}[/red]"
        done(f"{word}: {verdict['reason']}")
    return result, verdict


def show_result(result: TangleResult) -> None:
    """Its output, and where it was posted."""
    for line in ((result.stdout or "") + (result.stderr or "")).splitlines()[:20]:
        console.print(f"   │ {line}", markup=False)
    console.print(f"   └ posted in transaction {result.transaction_hash}", style="dim")


async def verify_result(deployment: Deployment, result: TangleResult) -> dict[str, object]:
    """The verdict of `faas verify`, run as a process of its own: it knows the chain and its snapshot only."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "faas_cli.main", "verify", "--json"),
        *("--rpc", deployment.rpc_url, "--tangle", deployment.tangle),
        *("--service", str(result.service_id), "--call", str(result.call_id)),
        *("--operator", result.operator),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    try:
        verdict: dict[str, object] = json.loads(output)
    except ValueError as error:
        raise FatalError(f"the verifier ended with {process.returncode} and said nothing") from error
    return verdict


def report_of(
    steps: Steps, language: str, result: TangleResult, verdict: dict[str, object]
) -> dict[str, object]:
    """What `--json` prints."""
    return {
        "service_id": result.service_id,
        "call_id": result.call_id,
        "language": language,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "exit_code": result.exit_code,
        "status": result.status,
        "receipt": {**result.receipt, "signature": result.signature},
        "result_tx": result.transaction_hash,
        "verified": verdict["verified"] is True,
        "verdict": verdict["verdict"],
        "timings": steps.timings,
    }


def short(text: str) -> str:
    """The ends of a long hash."""
    return f"{text[:10]}…{text[-4:]}"
