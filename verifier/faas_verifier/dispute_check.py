"""An evidence bundle, checked again: offline, on a base machine of one's own.

1. *readable*: it is an evidence bundle, see `evidence_bundle`.
2. *receipts*: each is signed by the operator that it names and hashes to what it says; both are for one call,
   start from the same, and contradict each other.
3. *report*: it says of both what they say: their agreement digests, their points at this leg.
4. *start*: the machine that the leg starts on measures to the milestone that the refuted operator has signed,
   or it is what the job starts on.
5. *re-execution*: the leg, run here, ends where the report says, and not where the refuted receipt does.
6. *claimed machine*: what the refuted operator shows measures to what it claims; it is never run.

What the evidence says of an operator follows from what that operator has signed and from our own run. Who
made the bundle, and the other receipt, do not matter for it. Whether the operator serves the service, only a
chain says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faas_blueprint.agreement import agreement_digest, contradict
from faas_blueprint.bisection import Point, points
from faas_blueprint.bundle import Bundle
from faas_blueprint.digests import ZERO_DIGEST, Digest, to_hex
from faas_blueprint.errors import FaaSError, InvalidRequest
from faas_blueprint.job import COMPILED_LANGUAGES
from faas_blueprint.operation import blobs_of
from faas_blueprint.operation_payload import decode_operation
from faas_verifier.checks import Judgement, compared, passed, skipped, unchecked
from faas_verifier.evidence import Evidence
from faas_verifier.evidence_bundle import EvidenceBundle
from faas_verifier.legs import FoundMachine, LegRun, TracedRun, job_and_start
from faas_verifier.machine_difference import MachineDifference, compare_machines
from faas_verifier.packed_machine import unpack_machine
from faas_verifier.sides import bundle_fault
from faas_verifier.verdict import Finding, Status, Verdict

if TYPE_CHECKING:
    from faas_microvm.engine import Engine

_NAMES = ("readable", "receipts", "report", "start", "re-execution", "claimed machine")

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of it."""

    verdict: Verdict
    difference: MachineDifference | None = None
    """Between our own machine at the leg's end and the claimed one, where the bundle has that."""


@dataclass(frozen=True, slots=True)
class _Start:
    run: TracedRun
    prefix: tuple[Digest, ...]
    whole: bool


def unreadable_evidence(reason: str) -> Checked:
    """The verdict on what is no evidence bundle."""
    return Checked(_verdict([unchecked(reason)], None))


def look_at(evidence: EvidenceBundle) -> list[Judgement]:
    """1 to 3, which take no machine."""
    judgements = [passed("an evidence bundle"), _receipts(evidence)]
    if judgements[-1].status is Status.PASSED:
        judgements.append(_report(evidence))
    return judgements


def concluded(evidence: EvidenceBundle, judgements: list[Judgement]) -> Checked:
    """What is known without a machine, the rest skipped."""
    return Checked(_verdict(judgements, evidence.refuted))


async def check_evidence(
    evidence: EvidenceBundle, engine: Engine, progress: Note = lambda _: None
) -> Checked:
    """All checks, on an engine whose base is that of the bundle."""
    judgements = look_at(evidence)
    if judgements[-1].status is not Status.PASSED:
        return concluded(evidence, judgements)
    if (evidence.base, evidence.refuted.receipt.profile_id) != (engine.measurement, engine.profile_id):
        theirs, ours = to_hex(evidence.base), to_hex(engine.measurement)
        return concluded(
            evidence,
            [*judgements, unchecked(f"the evidence stands on base machine {theirs}, {ours} is here")],
        )
    try:
        start = await _start(evidence, engine, progress)
    except InvalidRequest as error:
        return concluded(evidence, [*judgements, Judgement(Status.FAILED, error.message)])
    except _CannotStart as error:
        return concluded(evidence, [*judgements, unchecked(error.message)])
    judgements.append(passed(f"it measures {to_hex(evidence.report.start)}"))
    try:
        leg = await _leg(start, evidence)
    except FaaSError as error:
        return concluded(evidence, [*judgements, unchecked(f"our own run gave nothing: {error.message}")])
    judgements.append(_compared(evidence, leg))
    if judgements[-1].status is not Status.PASSED:
        return concluded(evidence, judgements)
    if evidence.claimed is None:
        return concluded(evidence, [*judgements, skipped("the operator does not show it")])
    wrong = evidence.report.wrong.root
    try:
        claimed = unpack_machine(evidence.claimed, engine.library.base, wrong, "the claimed machine")
    except InvalidRequest as error:
        return concluded(evidence, [*judgements, Judgement(Status.FAILED, error.message)])
    difference = await compare_machines(engine, leg.ran.end, claimed)
    judgements.append(passed(f"it measures {to_hex(wrong)}; pages that differ: {len(difference.pages)}"))
    return Checked(_verdict(judgements, evidence.refuted), difference)


class _CannotStart(FaaSError):
    """This host cannot run what the evidence starts from."""


def _receipts(evidence: EvidenceBundle) -> Judgement:
    refuted, established = evidence.refuted, evidence.established
    for name, bundle in (("refuted", refuted), ("established", established)):
        if bundle is not None and (fault := bundle_fault(bundle)) is not None:
            return Judgement(Status.FAILED, f"the {name} receipt: {fault}")
    if refuted.receipt.state_root == ZERO_DIGEST:
        return Judgement(Status.FAILED, "the refuted receipt is of a failure, which claims nothing")
    if established is None:
        return passed(f"signed by {refuted.receipt.operator}")
    if established.call != refuted.call or not contradict(established.receipt, refuted.receipt):
        return Judgement(Status.FAILED, "the two receipts do not contradict each other")
    return passed(f"signed by {established.receipt.operator}, and otherwise by {refuted.receipt.operator}")


def _report(evidence: EvidenceBundle) -> Judgement:
    report, refuted, established = evidence.report, evidence.refuted, evidence.established
    if report.call != refuted.call:
        return Judgement(Status.FAILED, "the report is about another call")
    stands = ZERO_DIGEST if established is None else agreement_digest(established.receipt)
    judgement = compared(
        f"the leg after milestone {report.milestone}",
        ("operator", report.operator, refuted.receipt.operator),
        ("established", to_hex(report.established), to_hex(stands)),
        ("refuted", to_hex(report.refuted), to_hex(agreement_digest(refuted.receipt))),
    )
    if judgement.status is not Status.PASSED:
        return judgement
    if report.right == report.wrong:
        return Judgement(Status.FAILED, "it says that both end alike")
    if report.milestone and _start_root(refuted, report.milestone) != report.start:
        return Judgement(Status.FAILED, "the refuted receipt has another machine at this milestone")
    if report.wrong not in _claimed(refuted, report.milestone):
        return Judgement(Status.FAILED, "the refuted receipt does not say what the report says that it does")
    if established is not None and report.right not in _claimed(established, report.milestone):
        return Judgement(Status.FAILED, "the established receipt does not say what the report says")
    return judgement


def _start_root(bundle: Bundle, milestone: int) -> Digest | None:
    trace = bundle.trace or ()
    return trace[milestone - 1] if milestone <= len(trace) else None


def _claimed(bundle: Bundle, milestone: int) -> tuple[Point, ...]:
    """Where a receipt may be held to: at the leg's end; for the whole run, at its own."""
    row = points(bundle.receipt, bundle.trace or ())
    ends = row[milestone : milestone + 1]
    return (*ends, row[-1]) if milestone == 0 else ends


async def _start(evidence: EvidenceBundle, engine: Engine, progress: Note) -> _Start:
    """4. Raises InvalidRequest when it is not what it must be."""
    base, report, receipt = engine.library.base, evidence.report, evidence.refuted.receipt
    operation = decode_operation(evidence.refuted.job)
    parent = base
    if receipt.snapshot != base.measurement:
        if evidence.origin is None:
            raise InvalidRequest("the receipt's snapshot is not in the bundle")
        parent = unpack_machine(evidence.origin, base, receipt.snapshot, "the receipt's snapshot")
    missing = [blob for blob in blobs_of(operation) if blob.sha256 not in evidence.inputs]
    if missing:
        raise InvalidRequest(f"input {to_hex(missing[0].sha256)} of the job is not in the bundle")
    job, start = job_and_start(operation, evidence.inputs, parent)
    found: FoundMachine | None = None
    if report.milestone == 0:
        if report.start != start.measurement:
            raise InvalidRequest(
                f"the job starts on {to_hex(start.measurement)}, not on the report's machine"
            )
        toolchain = (
            (await engine.prepare(job)).toolchain if job.language in COMPILED_LANGUAGES else ZERO_DIGEST
        )
        if toolchain != receipt.toolchain:
            raise _CannotStart(f"the receipt's toolchain is {to_hex(receipt.toolchain)}, not the one here")
    else:
        if evidence.start is None:
            raise InvalidRequest("the machine that the leg starts on is not in the bundle")
        machine = unpack_machine(evidence.start, base, report.start, "the machine that the leg starts on")
        if not machine.is_under_way:
            raise InvalidRequest("no job is under way in the machine that the leg starts on")
        found = FoundMachine(machine, "the bundle")

    async def find(measurement: Digest) -> FoundMachine | None:
        return found

    prefix = (evidence.refuted.trace or ())[: report.milestone]
    return _Start(TracedRun(engine, job, start, find, progress), prefix, _is_whole(evidence))


def _is_whole(evidence: EvidenceBundle) -> bool:
    """Whether the leg is the whole run: then the receipt is held to its end, else to the leg's."""
    report, refuted = evidence.report, evidence.refuted
    row = points(refuted.receipt, refuted.trace or ())
    if report.milestone or report.wrong != row[-1]:
        return False
    return refuted.trace is None or len(row) > 1 or report.right.outcome_digest is not None


async def _leg(start: _Start, evidence: EvidenceBundle) -> LegRun:
    """5. Once more where it is not as the report says: see `rerun`."""
    run = start.run
    for _ in range(2):
        leg = await (run.whole() if start.whole else run.leg(start.prefix))
        if leg.point == evidence.report.right:
            break
    return leg


def _compared(evidence: EvidenceBundle, leg: LegRun) -> Judgement:
    report = evidence.report
    if leg.point == report.wrong:
        return Judgement(Status.FAILED, "our own run ends where the refuted receipt says")
    return compared(
        f"our own run of {leg.ran.wall_ms:.0f} ms ends at {to_hex(leg.point.root)}",
        ("root", to_hex(report.right.root), to_hex(leg.point.root)),
        ("outcome_digest", _shown(report.right.outcome_digest), _shown(leg.point.outcome_digest)),
    )


def _shown(digest: Digest | None) -> str:
    return "none: it goes on" if digest is None else to_hex(digest)


def _verdict(judgements: list[Judgement], refuted: Bundle | None) -> Verdict:
    rest = [skipped("not reached")] * (len(_NAMES) - len(judgements))
    findings = tuple(
        Finding(number, name, said.status, said.detail, said.differences)
        for number, (name, said) in enumerate(zip(_NAMES, [*judgements, *rest], strict=True), 1)
    )
    return Verdict(findings, None if refuted is None else Evidence(refuted))
