"""`faas operator doctor`: looks the environment over and says what to mend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from faas_blueprint.errors import ChainUnavailable, MissingPrerequisite
from faas_blueprint.receipt import address
from faas_cli.console import console, print_json, run_async
from faas_cli.place import BlueprintOption, RpcOption, StakingOption, TangleOption, find_place

if TYPE_CHECKING:
    from faas_operator.doctor.examination import Deployment
    from faas_operator.doctor.finding import Finding

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}


def doctor(
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    staking_router: StakingOption = None,
    blueprint: BlueprintOption = None,
    job: Annotated[bool, typer.Option("--job/--no-job", help="Run a job with a known outcome.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Check host, machine, key and chain; say what to mend. Exit code 0 only if nothing failed.

    Works without a key and without a chain: what needs them is skipped. Posts nothing.
    """
    findings = run_async(_examine(_deployment(rpc, tangle, staking_router, blueprint), job, not as_json))
    counts = {name: sum(finding.standing == name for finding in findings) for name in _COLOURS}
    healthy = counts["failed"] == 0
    if as_json:
        print_json({"healthy": healthy, **counts, "checks": [finding.to_json() for finding in findings]})
    else:
        console.print(", ".join(f"{count} {name}" for name, count in counts.items()))
    raise typer.Exit(0 if healthy else 1)


def _deployment(
    rpc: str | None, tangle: str | None, staking_router: str | None, blueprint: int | None
) -> Deployment | None:
    from faas_operator.doctor.examination import Deployment

    try:
        place = find_place(rpc, tangle, blueprint, staking=staking_router)
    except ChainUnavailable as error:
        raise MissingPrerequisite(f"{error}; without --tangle the endpoint must say what it is") from error
    except MissingPrerequisite:
        if rpc or tangle or blueprint is not None:
            raise
        return None
    router = None if place.staking is None else address(place.staking)
    contract = None if place.tangle is None else address(place.tangle)
    return Deployment(place.rpc_url, contract, place.blueprint_id, router)


async def _examine(deployment: Deployment | None, run_job: bool, show: bool) -> list[Finding]:
    from faas_operator.doctor.examination import examine
    from faas_operator.settings import Secrets, Settings

    findings = []
    async for finding in examine(Settings(), Secrets(), deployment, run_job):
        findings.append(finding)
        if show:
            _show(finding)
    return findings


def _show(finding: Finding) -> None:
    colour = _COLOURS[finding.standing]
    standing = f"[{colour}]{finding.standing:8}[/{colour}]"
    console.print(f"{standing} {finding.check:23} {escape(finding.detail)}")
    if finding.mend:
        console.print(f"{'':32} → {finding.mend}", markup=False)
