"""`faas verify`: the command, its arguments, its exit codes.

0 verified, 1 refuted, 2 could not be checked. `--signature-only` re-executes nothing, so its best
verdict is *could not be checked*: a signature says who answers for a result, not that it is right.
`--require` says what is enough, see `policy`: *verified* then means just that. Of several results of one call
all are checked, and the worst verdict is the command's, but for a quorum.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from faas_blueprint.agreement import agreement_digest
from faas_blueprint.bundle import Bundle
from faas_blueprint.digests import Digest
from faas_blueprint.errors import (
    ChainUnavailable,
    FaaSError,
    FatalError,
    InvalidRequest,
    NotFound,
)
from faas_blueprint.job import Mode
from faas_blueprint.prices import PRICES
from faas_blueprint.receipt import Address, address
from faas_microvm.home import default_home
from faas_verifier.blobs import Endpoints, blob_source
from faas_verifier.bundle import load_bundle
from faas_verifier.chain import first_endpoint, tangle_address
from faas_verifier.evidence import PostedResult
from faas_verifier.policy import RERUN, Policy, Requirement, parse_policy
from faas_verifier.posted import posted_results
from faas_verifier.price import PriceQuestion, load_price_table, price_to_json, with_price
from faas_verifier.published_machine import MachineSource
from faas_verifier.report import print_verdict
from faas_verifier.rerun import OpenMachine, own_machine
from faas_verifier.rpc import Rpc
from faas_verifier.verdict import Conclusion, Verdict, combine, verdict_to_json
from faas_verifier.verify import unreadable, verify_bundle, verify_posted

_UNREADABLE = (InvalidRequest, NotFound, ChainUnavailable, FatalError)
"""What stands against a check without anyone being at fault."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be verified."""

    receipt: Path | None
    rpc_url: str | None
    service_id: int | None
    call_id: int | None
    tangle: Address | None
    """None: the devnet's, unless the endpoint is a Substrate node."""
    operator: Address | None
    blobs: tuple[str, ...] = ()
    """Addresses of operators' APIs."""


async def answer(
    question: Question, open_machine: OpenMachine | None, source: MachineSource | None = None
) -> list[Verdict]:
    """One verdict a result, at least one. What cannot be read or reached is a verdict too."""
    try:
        if question.receipt is not None:
            return [await _answer_file(question, load_bundle(question.receipt), open_machine, source)]
        assert question.service_id is not None
        assert question.call_id is not None
        posted = await _posted(question, question.service_id, question.call_id)
    except _UNREADABLE as error:
        return [unreadable(error.message)]
    blobs = blob_source(question.blobs)
    return [await verify_posted(result, open_machine, question.operator, blobs, source) for result in posted]


async def quorum_of_file(question: Question) -> tuple[list[Verdict], Digest | None]:
    """What is needed to hold a receipt file against a quorum: the verdict on the file, if it is refuted, else
    those on all results of its call; and the agreement digest of the file."""
    assert question.receipt is not None
    try:
        bundle = load_bundle(question.receipt)
        own = await _answer_file(question, bundle, None)
        if own.conclusion is Conclusion.REFUTED:
            return [own], None
        named = bundle.call
        posted = await _posted(replace(question, receipt=None), named.service_id, named.call_id)
    except _UNREADABLE as error:
        return [unreadable(error.message)], None
    return [await verify_posted(result, None) for result in posted], agreement_digest(bundle.receipt)


async def _answer_file(
    question: Question, bundle: Bundle, open_machine: OpenMachine | None, source: MachineSource | None = None
) -> Verdict:
    blobs = blob_source(question.blobs)
    if question.rpc_url is None:
        return await verify_bundle(bundle, open_machine, None, question.operator, blobs, source)
    named = bundle.call
    service_id = named.service_id if question.service_id is None else question.service_id
    call_id = named.call_id if question.call_id is None else question.call_id
    results = await _posted(question, service_id, call_id)
    own = [result for result in results if result.operator == bundle.receipt.operator]
    return await verify_bundle(bundle, open_machine, (own or results)[0], question.operator, blobs, source)


async def _posted(question: Question, service_id: int, call_id: int) -> tuple[PostedResult, ...]:
    assert question.rpc_url is not None
    async with Rpc(question.rpc_url) as rpc:
        found = await posted_results(rpc, question.tangle, service_id, call_id, bool(question.blobs))
    wanted = question.operator if question.receipt is None else None
    results = tuple(result for result in found if wanted in (None, result.operator))
    if not results:
        whose = "" if wanted is None else f" by {wanted}"
        raise NotFound(f"call {call_id} of service {service_id} has no result{whose} yet")
    return results


def verify(
    context: typer.Context,
    receipt: Annotated[
        Path | None, typer.Argument(help="A receipt file. With --rpc it is held against the chain too.")
    ] = None,
    rpc: Annotated[
        str | None,
        typer.Option(
            "--rpc",
            metavar="URL",
            envvar="FAAS_RPC_URL",
            help="The chain's endpoint. The variable is not for a receipt file, which needs no chain.",
        ),
    ] = None,
    service: Annotated[int | None, typer.Option("--service", min=0, help="Service id.")] = None,
    call: Annotated[int | None, typer.Option("--call", min=0, help="Job call id.")] = None,
    tangle: Annotated[
        str | None,
        typer.Option(
            "--tangle",
            metavar="ADDRESS|FILE",
            help="Tangle's address, or a deployment's JSON file; default: the devnet's. Not on Substrate.",
        ),
    ] = None,
    operator: Annotated[
        str | None,
        typer.Option("--operator", metavar="ADDRESS", help="Whose result it must be; default: check all."),
    ] = None,
    signature_only: Annotated[
        bool,
        typer.Option("--signature-only", help="Run nothing again: the best verdict is then exit code 2."),
    ] = False,
    require: Annotated[
        str | None,
        typer.Option(
            "--require",
            metavar="POLICY",
            help="What is enough: signed (an operator answers for it), quorum:K (K operators say the same), "
            "rerun (run again here; the default), rerun-sample:P (run again with probability P).",
        ),
    ] = None,
    home: Annotated[
        Path | None, typer.Option("--home", help="Where image and snapshot are; default: FAAS_HOME.")
    ] = None,
    mode: Annotated[
        Mode | None, typer.Option("--mode", help="Work out the price too, of a run in this mode.")
    ] = None,
    charged: Annotated[
        int | None, typer.Option("--charged", min=0, help="Nanocredits that were charged, to compare.")
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", help="The price table, as GET /pricing answers it; default: the list."),
    ] = None,
    blobs: Annotated[
        list[str] | None,
        typer.Option(
            "--blobs",
            metavar="URL",
            help="An operator's API to fetch by hash what is not here: a job's large inputs, the machine "
            "that it ran on. May be given several times.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Check a result: who signed it, for which job, and whether running it again gives the same.

    Exit code 0: verified, which is what `--require` names and no more. 1: refuted, with what differs. 2:
    could not be checked. 3: data that it takes is withheld by all --blobs. 4: one of them served false data.
    """
    source = context.get_parameter_source("rpc")
    if receipt is not None and source is not None and source.name == "ENVIRONMENT":
        rpc = None
    rpc = None if rpc is None else first_endpoint(rpc)
    policy = _policy(require, signature_only, rpc, operator)
    question = _question(receipt, rpc, service, call, tangle, operator, tuple(blobs or ()))
    price = _price_question(mode, charged, prices)
    console = Console(stderr=as_json, highlight=False)
    found, decisive = _answered(question, home, policy, console)
    verdicts = [with_price(verdict, price) for verdict in found]
    decisive = with_price(decisive, price)
    if as_json:
        print(json.dumps(_report(verdicts, decisive, price, policy)))
    else:
        for verdict in verdicts:
            print_verdict(verdict, console)
        if decisive not in verdicts:
            print_verdict(decisive, console)
    raise typer.Exit(decisive.conclusion.exit_code)


def _answered(
    question: Question, home: Path | None, policy: Policy | None, console: Console
) -> tuple[list[Verdict], Verdict]:
    """The verdicts on all results, and the deciding one; without a policy nothing is run again. A defect of
    our own must not read as *refuted*, so it ends with exit code 2."""
    reruns = policy is not None and policy.draw()
    try:
        with console.status("checking") as status:
            machine = own_machine(home, status.update) if reruns else None
            source = None
            if reruns and question.blobs:
                source = MachineSource(home or default_home(), Endpoints(question.blobs), status.update)
            if policy is None:
                verdicts = asyncio.run(answer(question, machine))
                return verdicts, combine(verdicts)
            if policy.requirement is Requirement.QUORUM and question.receipt is not None:
                verdicts, chosen = asyncio.run(quorum_of_file(question))
            else:
                verdicts, chosen = asyncio.run(answer(question, machine, source)), None
            decisive = policy.conclude(verdicts, reruns, chosen)
            return [policy.on_result(verdict, reruns) for verdict in verdicts], decisive
    except Exception as error:
        console.print_exception()
        raise typer.Exit(Conclusion.UNCHECKED.exit_code) from error


def _policy(
    require: str | None, signature_only: bool, rpc: str | None, operator: str | None
) -> Policy | None:
    """What is required; None for `--signature-only`. Raises typer.BadParameter (exit code 2)."""
    if signature_only:
        if require is not None:
            raise typer.BadParameter("--signature-only and --require exclude each other")
        return None
    try:
        policy = RERUN if require is None else parse_policy(require)
    except InvalidRequest as error:
        raise typer.BadParameter(error.message) from error
    if policy.requirement is Requirement.QUORUM and (rpc is None or operator is not None):
        raise typer.BadParameter("--require quorum:K needs --rpc, and takes no --operator")
    return policy


def _question(
    receipt: Path | None,
    rpc: str | None,
    service: int | None,
    call: int | None,
    tangle: str | None,
    operator: str | None,
    blobs: tuple[str, ...],
) -> Question:
    """The arguments, checked together. Raises typer.BadParameter (exit code 2)."""
    if receipt is None and (rpc is None or service is None or call is None):
        raise typer.BadParameter("give a receipt file, or --rpc, --service and --call")
    if receipt is not None and rpc is None and (service is not None or call is not None):
        raise typer.BadParameter("--service and --call need --rpc")
    try:
        place = None if tangle is None else tangle_address(tangle)
        expected = None if operator is None else address(operator)
    except FaaSError as error:
        raise typer.BadParameter(error.message) from error
    return Question(receipt, rpc, service, call, place, expected, blobs)


def _price_question(mode: Mode | None, charged: int | None, prices: Path | None) -> PriceQuestion | None:
    if mode is None:
        if charged is not None or prices is not None:
            raise typer.BadParameter("--charged and --prices need --mode")
        return None
    try:
        return PriceQuestion(mode, PRICES if prices is None else load_price_table(prices), charged)
    except InvalidRequest as error:
        raise typer.BadParameter(error.message) from error


def _report(
    verdicts: list[Verdict], decisive: Verdict, price: PriceQuestion | None, policy: Policy | None
) -> dict[str, object]:
    """The deciding verdict; with several results, all of them besides."""
    report = {**_one(decisive, price), "require": None if policy is None else str(policy)}
    if len(verdicts) > 1:
        report["results"] = [_one(verdict, price) for verdict in verdicts]
    return report


def _one(verdict: Verdict, price: PriceQuestion | None) -> dict[str, object]:
    report = verdict_to_json(verdict)
    return report if price is None else {**report, "price": price_to_json(verdict, price)}


def main() -> None:
    """The command by itself, for `scripts/verify_result.py`."""
    typer.run(verify)
