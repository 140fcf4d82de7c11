"""What `faas dispute` does, but for sending: judge a call, or check an evidence bundle again.

The command with its options is `faas_cli.dispute`, since it may propose a slash.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from faas_blueprint.errors import FaaSError, InvalidRequest
from faas_blueprint.job import Language
from faas_blueprint.operation import compiled_language
from faas_blueprint.operation_payload import decode_operation
from faas_blueprint.receipt import Address
from faas_microvm.home import default_home
from faas_verifier.blobs import Endpoints
from faas_verifier.checks import Judgement
from faas_verifier.dispute_check import Checked, check_evidence, concluded, look_at, unreadable_evidence
from faas_verifier.dispute_report import (
    dispute_conclusion,
    dispute_to_json,
    print_dispute,
    unjudged_to_json,
)
from faas_verifier.disputed_call import (
    Contested,
    Dispute,
    dispute_call,
    read_contested,
)
from faas_verifier.evidence_bundle import EvidenceBundle, read_evidence, write_evidence
from faas_verifier.legs import Note
from faas_verifier.published_machine import MachineSource
from faas_verifier.report import plain
from faas_verifier.traced_runs import OpenEngine, own_engine
from faas_verifier.verdict import Conclusion, Status, conclusion_of


@dataclass(frozen=True, slots=True)
class DisputeQuestion:
    """Which call, and where to ask."""

    rpc_url: str
    tangle: Address | None
    """None: the devnet's, unless the endpoint is a Substrate node."""
    service_id: int
    call_id: int
    endpoints: Endpoints
    home: Path | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it."""

    conclusion: Conclusion
    report: dict[str, object]
    dispute: Dispute | None = None
    reason: str = ""
    """Why nothing was judged, where nothing was."""


async def ask_dispute(question: DisputeQuestion, output: Path | None, progress: Note) -> Answer:
    """Judge a call, and write an evidence bundle for each receipt that is refuted; what cannot be reached,
    read or run is an answer too."""
    contested: Contested | None = None
    try:
        contested = await read_contested(
            question.rpc_url, question.tangle, question.service_id, question.call_id, question.endpoints
        )
        found = await dispute_call(contested, question.endpoints, question.home, progress)
        files = _write(found, output)
    except FaaSError as error:
        conclusion = conclusion_of(error)
        return Answer(
            conclusion, unjudged_to_json(contested, conclusion, error.message), reason=error.message
        )
    return Answer(dispute_conclusion(found), dispute_to_json(found, files), found)


def print_answer(answer: Answer, console: Console) -> None:
    """For people."""
    if answer.dispute is None:
        console.print(f"[yellow]COULD NOT BE JUDGED[/]: {plain(answer.reason)}", soft_wrap=True)
        return
    print_dispute(answer.dispute, console)
    refutations = answer.report["refutations"]
    assert isinstance(refutations, list)
    for refutation in refutations:
        console.print(f"evidence: {plain(refutation['evidence'])}", soft_wrap=True)


async def check_file(path: Path, endpoints: Endpoints, home: Path | None, progress: Note) -> Checked:
    """Check an evidence bundle again: `dispute_check`. Never raises FaaSError."""
    try:
        evidence = read_evidence(path)
    except InvalidRequest as error:
        return unreadable_evidence(error.message)
    judgements = look_at(evidence)
    if judgements[-1].status is not Status.PASSED:
        return concluded(evidence, judgements)
    try:
        opening = await _opening(evidence, endpoints, home, progress)
        async with opening() as engine:
            return await check_evidence(evidence, engine, progress)
    except FaaSError as error:
        status = {Conclusion.WITHHELD: Status.WITHHELD, Conclusion.FALSIFIED: Status.FALSIFIED}
        said = status.get(conclusion_of(error), Status.UNCHECKED)
        return concluded(evidence, [*judgements, Judgement(said, error.message)])


async def _opening(
    evidence: EvidenceBundle, endpoints: Endpoints, home: Path | None, progress: Note
) -> OpenEngine:
    """Our own base machine; the bundle's, fetched, where that is another and endpoints are named."""
    receipt = replace(evidence.refuted.receipt, snapshot=evidence.base)
    language = _compiled_language(evidence)
    source = MachineSource(home or default_home(), endpoints, progress)
    if endpoints.addresses and await source.lacks(receipt, language):
        return lambda: source.open(receipt, language)
    return lambda: own_engine(home, progress)


def _compiled_language(evidence: EvidenceBundle) -> Language | None:
    """Of a leg that begins with a program that is compiled."""
    if evidence.report.milestone:
        return None
    return compiled_language(decode_operation(evidence.refuted.job))


def _write(found: Dispute, output: Path | None) -> list[Path]:
    """The bundle of each refutation: `output` for the first, its name with the operator's for any other."""
    call = found.contested.sides.call
    named = output or Path(f"dispute-{call.service_id}-{call.call_id}.zip")
    files = []
    for number, refutation in enumerate(found.refutations):
        whose = refutation.report.operator[2:10]
        path = named if number == 0 else named.with_name(f"{named.stem}-{whose}{named.suffix}")
        write_evidence(refutation.evidence, path)
        files.append(path)
    return files
