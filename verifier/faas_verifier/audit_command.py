"""`faas audit`: the command, its arguments, its exit codes, which are those of `faas verify`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from faas_blueprint.errors import ChainUnavailable, FaaSError, FatalError, NotFound
from faas_microvm.home import default_home
from faas_verifier.audit import Audit, audit_calls, opened_once
from faas_verifier.blobs import Endpoints
from faas_verifier.chain import first_endpoint, tangle_address
from faas_verifier.command import Question, answer
from faas_verifier.interval_audit import IntervalAudit, IntervalAuditor
from faas_verifier.posted import finished_calls
from faas_verifier.published_machine import MachineSource
from faas_verifier.report import plain
from faas_verifier.rerun import own_machine
from faas_verifier.rpc import Rpc
from faas_verifier.traced_runs import OpenEngine
from faas_verifier.verdict import Conclusion, Verdict, verdict_to_json, worst

_MARKS = {Conclusion.VERIFIED: "[green]✓[/]", Conclusion.REFUTED: "[red]✗[/]"}


def audit(
    rpc: Annotated[
        str, typer.Option("--rpc", metavar="URL", envvar="FAAS_RPC_URL", help="The chain's endpoint.")
    ],
    service: Annotated[int, typer.Option("--service", min=0, help="Service id.")],
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="So many finished jobs, drawn at random.")] = 10,
    intervals: Annotated[
        int,
        typer.Option(
            "--intervals",
            min=0,
            help="Besides, so many legs between milestones, drawn from all finished jobs.",
        ),
    ] = 0,
    tangle: Annotated[
        str | None,
        typer.Option(
            "--tangle",
            metavar="ADDRESS|FILE",
            help="Tangle's address, or a deployment's JSON file; default: the devnet's. Not on Substrate.",
        ),
    ] = None,
    first_block: Annotated[int, typer.Option("--from-block", min=0, help="Leave older results alone.")] = 0,
    home: Annotated[
        Path | None, typer.Option("--home", help="Where image and snapshot are; default: FAAS_HOME.")
    ] = None,
    blobs: Annotated[
        list[str] | None,
        typer.Option("--blobs", metavar="URL", help="An operator's API to fetch by hash what is not here."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Run a random sample of a service's finished jobs again, and check every result of each.

    With --intervals also single legs of runs, from one state root of a result's trace to the next.

    Exit codes as of `faas verify`, by the worst of what was drawn; 2 also when there is nothing to draw from.
    """
    try:
        place = None if tangle is None else tangle_address(tangle)
        where = Question(None, first_endpoint(rpc), service, None, place, None, tuple(blobs or ()))
    except FaaSError as error:
        raise typer.BadParameter(error.message) from error
    console = Console(stderr=as_json, highlight=False)
    try:
        with console.status("checking") as status:
            found, legs = asyncio.run(_audit(where, jobs, intervals, first_block, home, status.update))
    except (ChainUnavailable, FatalError, NotFound) as error:
        console.print(f"[red]error:[/red] {plain(error.message)}")
        raise typer.Exit(Conclusion.UNCHECKED.exit_code) from error
    conclusion = _conclusion(found, legs)
    if as_json:
        print(json.dumps(_report(found, legs, service)))
    else:
        _print(found, legs, service, console)
    raise typer.Exit(conclusion.exit_code)


async def _audit(
    where: Question,
    jobs: int,
    intervals: int,
    first_block: int,
    home: Path | None,
    progress: Callable[[str], None],
) -> tuple[Audit, IntervalAudit]:
    assert where.rpc_url is not None
    assert where.service_id is not None
    async with Rpc(where.rpc_url) as rpc:
        calls = await finished_calls(rpc, where.tangle, where.service_id, first_block)
    source = MachineSource(home or default_home(), Endpoints(where.blobs), progress) if where.blobs else None
    async with opened_once(own_machine(home, progress)) as open_machine:

        async def judge(call_id: int) -> list[Verdict]:
            progress(f"checking call {call_id}")
            return await answer(replace(where, call_id=call_id), open_machine, source)

        found = await audit_calls(calls, jobs, judge)
        if not intervals:
            return found, IntervalAudit(0, ())
        auditor = IntervalAuditor(
            where.rpc_url,
            where.tangle,
            where.service_id,
            Endpoints(where.blobs),
            home,
            cast(OpenEngine, open_machine),
            progress,
        )
        return found, await auditor.audit(calls, intervals)


def _conclusion(found: Audit, legs: IntervalAudit) -> Conclusion:
    """The worst of all that was drawn; unchecked when nothing was."""
    drawn = [audited.decisive.conclusion for audited in found.drawn]
    return worst([*drawn, *(audited.conclusion for audited in legs.drawn)])


def _report(found: Audit, legs: IntervalAudit, service_id: int) -> dict[str, object]:
    conclusion = _conclusion(found, legs)
    return {
        "service_id": service_id,
        "verdict": str(conclusion),
        "verified": conclusion is Conclusion.VERIFIED,
        "finished": found.finished,
        "drawn": [
            {
                "call_id": audited.call_id,
                **verdict_to_json(audited.decisive),
                "results": [verdict_to_json(verdict) for verdict in audited.verdicts],
            }
            for audited in found.drawn
        ],
        "legs": legs.legs,
        "intervals": [audited.to_json() for audited in legs.drawn],
    }


def _print(found: Audit, legs: IntervalAudit, service_id: int, console: Console) -> None:
    for audited in found.drawn:
        decisive = audited.decisive
        mark = _MARKS.get(decisive.conclusion, "[yellow]?[/]")
        line = f"{mark} call {audited.call_id}: {decisive.conclusion}: {plain(decisive.reason)}"
        console.print(line, soft_wrap=True)
    for leg in legs.drawn:
        mark, called = _MARKS.get(leg.conclusion, "[yellow]?[/]"), leg.leg.posted.call.call_id
        console.print(
            f"{mark} call {called}, {leg.leg.posted.operator}, leg after milestone {leg.leg.milestone}: "
            f"{leg.conclusion}: {plain(leg.reason)}",
            soft_wrap=True,
        )
    besides = f", and {len(legs.drawn)} of their {legs.legs} legs" if legs.legs else ""
    console.print(
        f"{str(_conclusion(found, legs)).upper()}: {len(found.drawn)} of {found.finished} finished jobs of "
        f"service {service_id} were drawn and run again{besides}",
        soft_wrap=True,
    )
