"""`faas dispute`: which of a call's operators is wrong, where, and the evidence."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from faas_blueprint.errors import FaaSError
from faas_cli.proposing import Proposal, propose_all
from faas_verifier.blobs import Endpoints
from faas_verifier.chain import first_endpoint, tangle_address
from faas_verifier.dispute_command import DisputeQuestion, ask_dispute, check_file, print_answer
from faas_verifier.dispute_report import check_to_json, print_check
from faas_verifier.report import plain


def dispute(
    service: Annotated[
        int | None, typer.Argument(min=0, metavar="SERVICE", help="Service id; or give --service.")
    ] = None,
    call: Annotated[
        int | None, typer.Argument(min=0, metavar="CALL", help="Job call id; or give --call.")
    ] = None,
    rpc: Annotated[
        str | None,
        typer.Option("--rpc", metavar="URL", envvar="FAAS_RPC_URL", help="The chain's endpoint."),
    ] = None,
    service_option: Annotated[int | None, typer.Option("--service", min=0, help="Service id.")] = None,
    call_option: Annotated[int | None, typer.Option("--call", min=0, help="Job call id.")] = None,
    tangle: Annotated[
        str | None,
        typer.Option(
            "--tangle",
            metavar="ADDRESS|FILE",
            help="Tangle's address, or a deployment's JSON file; default: the devnet's. Not on Substrate.",
        ),
    ] = None,
    blobs: Annotated[
        list[str] | None,
        typer.Option(
            "--blobs",
            metavar="URL",
            help="An operator's API, for its receipt with the trace and for machines by hash. May be given "
            "several times.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where the evidence goes; default: dispute-SERVICE-CALL.zip here.",
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option("--check", metavar="FILE", help="Check an evidence bundle again, offline."),
    ] = None,
    propose: Annotated[
        bool,
        typer.Option(
            "--propose",
            help="Prove what is refuted to the service manager, which proposes the slash, if enough "
            "operators have signed the same report.",
        ),
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            envvar="FAAS_PRIVATE_KEY",
            help="Private key that pays for --propose. Better given by FAAS_PRIVATE_KEY.",
        ),
    ] = None,
    home: Annotated[
        Path | None, typer.Option("--home", help="Where image and snapshot are; default: FAAS_HOME.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Find out which of a call's operators is wrong: bisect their runs, run the first leg that differs again,
    and write an evidence bundle that anyone can check offline.

    Exit code 0: the answers agree (with --check: the evidence holds). 1: a receipt is refuted (the evidence
    does not hold). 2: could not be judged. 3: data that it takes is withheld by all --blobs. 4: one of them
    served false data.
    """
    endpoints = Endpoints(tuple(blobs or ()))
    console = Console(stderr=as_json, highlight=False)
    if check is not None:
        _check(check, endpoints, home, console, as_json)
    question = _question(rpc, service, call, service_option, call_option, tangle, endpoints, home)
    if propose and key is None:
        raise typer.BadParameter("--propose sends a transaction: give --key, or set FAAS_PRIVATE_KEY")
    with console.status("reading the answers") as status:
        answer = asyncio.run(ask_dispute(question, output, status.update))
        proposals: list[Proposal] = []
        if propose and key is not None and answer.dispute is not None:
            status.update("asking for witnesses")
            proposals = asyncio.run(propose_all(answer.dispute, question.rpc_url, endpoints, key))
    if as_json:
        proposed = {"proposals": [proposal.to_json() for proposal in proposals]} if propose else {}
        print(json.dumps({**answer.report, **proposed}))
    else:
        print_answer(answer, console)
        for proposal in proposals:
            word = "[green]proposed[/]" if proposal.proposed else "[yellow]not proposed[/]"
            console.print(f"slash of {proposal.operator}: {word}: {plain(proposal.reason)}", soft_wrap=True)
    raise typer.Exit(answer.conclusion.exit_code)


def _check(path: Path, endpoints: Endpoints, home: Path | None, console: Console, as_json: bool) -> None:
    with console.status("checking") as status:
        checked = asyncio.run(check_file(path, endpoints, home, status.update))
    if as_json:
        print(json.dumps(check_to_json(checked)))
    else:
        print_check(checked, console)
    raise typer.Exit(checked.verdict.conclusion.exit_code)


def _question(
    rpc: str | None,
    service: int | None,
    call: int | None,
    service_option: int | None,
    call_option: int | None,
    tangle: str | None,
    endpoints: Endpoints,
    home: Path | None,
) -> DisputeQuestion:
    """The arguments, checked together. Raises typer.BadParameter (exit code 2)."""
    service_id = service_option if service is None else service
    call_id = call_option if call is None else call
    if service_id is None or call_id is None or rpc is None:
        raise typer.BadParameter("name the service and the call, and the chain with --rpc; or give --check")
    try:
        place = None if tangle is None else tangle_address(tangle)
    except FaaSError as error:
        raise typer.BadParameter(error.message) from error
    return DisputeQuestion(first_endpoint(rpc), place, service_id, call_id, endpoints, home)
