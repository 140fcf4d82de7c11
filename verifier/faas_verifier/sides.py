"""The sides of a call: what its operators have claimed, each claim once, with its trace where it is shown.

Claims come from the chain; receipts that operators' APIs show add the traces, and claims of operators of the
service that the chain does not hold. Everything is checked before it counts: an answer that is not signed by
its operator, is for another call, or does not hash, is no side, whoever shows it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from faas_blueprint.agreement import agreement_digest
from faas_blueprint.bisection import Point, check_trace, points
from faas_blueprint.bundle import Bundle, bundle_from_json
from faas_blueprint.digests import ZERO_DIGEST, Digest, to_hex
from faas_blueprint.errors import BlobUnavailable, InvalidRequest
from faas_blueprint.operation import Blob
from faas_blueprint.outcome import TraceDigest, decode_trace
from faas_blueprint.receipt import Address, CallReference
from faas_blueprint.statement import Statement, equivocation
from faas_verifier.blobs import Endpoints, ask
from faas_verifier.bundle import MAX_FILE_BYTES
from faas_verifier.checks import CHECKS
from faas_verifier.evidence import Evidence, PostedResult, evidence_from_chain
from faas_verifier.verdict import Status

MOST_TRACE_BYTES = 1 << 20
"""Of a trace that is fetched: nine hours of virtual time."""


@dataclass(frozen=True, slots=True)
class Side:
    """One claim about a call."""

    bundles: tuple[Bundle, ...]
    """A receipt of each operator that made it, with one trace, which is checked against the outcome."""

    @property
    def bundle(self) -> Bundle:
        """The first of them."""
        return self.bundles[0]

    @property
    def operators(self) -> tuple[Address, ...]:
        """Who made it."""
        return tuple(bundle.receipt.operator for bundle in self.bundles)

    @property
    def agreement(self) -> Digest:
        """What names the claim."""
        return agreement_digest(self.bundle.receipt)

    @property
    def trace(self) -> tuple[Digest, ...] | None:
        """None where it is withheld."""
        return self.bundle.trace

    @property
    def failed(self) -> bool:
        """Whether it says that no machine could be had, which contradicts nothing."""
        return self.bundle.receipt.state_root == ZERO_DIGEST

    @property
    def row(self) -> tuple[Point, ...]:
        """Its points; only the end where the trace is withheld."""
        return points(self.bundle.receipt, self.trace or ())

    def with_trace(self, trace: tuple[Digest, ...]) -> Side:
        """The same, its trace known. Raises InvalidRequest unless it is the one it commits to."""
        check_trace(self.bundle.outcome.trace, trace)
        return Side(tuple(replace(bundle, trace=trace) for bundle in self.bundles))


@dataclass(frozen=True, slots=True)
class Sides:
    """All claims of a call."""

    call: CallReference
    sides: tuple[Side, ...]
    """In the order in which the chain has their first."""
    rejected: tuple[tuple[Address, str], ...] = ()
    """Operators whose answer is no claim, with the reason."""
    equivocation: tuple[Statement, Statement] | None = None
    """Two receipts of one operator that contradict each other, if somebody shows such."""


@dataclass
class _Gathering:
    call: CallReference
    claims: dict[Digest, list[Bundle]] = field(default_factory=dict)
    rejected: list[tuple[Address, str]] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)

    def add(self, bundle: Bundle) -> None:
        self.claims.setdefault(agreement_digest(bundle.receipt), []).append(bundle)
        self.statements.append(Statement(bundle.receipt, bundle.signature))

    def has_claimed(self, bundle: Bundle) -> bool:
        same = self.claims.get(agreement_digest(bundle.receipt), [])
        return any(other.receipt.operator == bundle.receipt.operator for other in same)

    def sides(self) -> Sides:
        return Sides(
            self.call,
            tuple(map(_side, self.claims.values())),
            tuple(self.rejected),
            equivocation(self.statements),
        )


async def gather_sides(
    call: CallReference, posted: Sequence[PostedResult], endpoints: Endpoints, operators: frozenset[Address]
) -> Sides:
    """All claims. `posted`: at least one, of this call; `operators`: all of the service, whose receipts
    count though they have not posted them."""
    found = _Gathering(call)
    for result in posted:
        bundle = _claim_on_chain(result)
        if isinstance(bundle, str):
            found.rejected.append((result.operator, bundle))
        else:
            found.add(bundle)
    answered = {result.operator for result in posted}
    for bundle in await _shown(call, posted[0].inputs, endpoints):
        operator = bundle.receipt.operator
        if operator in answered and not found.has_claimed(
            bundle
        ):  # not what it posted: its word all the same
            found.statements.append(Statement(bundle.receipt, bundle.signature))
        elif operator in answered | operators:
            found.add(bundle)
    gathered = found.sides()
    return replace(gathered, sides=tuple([await _with_trace(side, endpoints) for side in gathered.sides]))


def bundle_fault(bundle: Bundle) -> str | None:
    """What is wrong with a receipt by itself: its signature, job digest, outcome, output or trace."""
    for check in CHECKS:
        finding = check(Evidence(bundle))
        if finding.status in (Status.FAILED, Status.UNCHECKED):
            return f"{finding.name}: {finding.detail}"
    if bundle.trace is not None:
        try:
            check_trace(bundle.outcome.trace, bundle.trace)
        except InvalidRequest as error:
            return error.message
    return None


def _claim_on_chain(result: PostedResult) -> Bundle | str:
    try:
        evidence = evidence_from_chain(result)
    except InvalidRequest as error:
        return f"what it posted is not a result: {error.message}"
    for check in CHECKS:
        finding = check(evidence)
        if finding.status is Status.FAILED or (finding.status, check.number) == (Status.UNCHECKED, 1):
            return f"{finding.name}: {finding.detail}"
    return evidence.bundle


async def _shown(call: CallReference, inputs: bytes, endpoints: Endpoints) -> list[Bundle]:
    """The receipts that endpoints show for a call, those that hold by themselves."""
    path = f"/calls/{call.service_id}/{call.call_id}/receipt"
    answers = await asyncio.gather(*(ask(address, path, MAX_FILE_BYTES) for address in endpoints.addresses))
    found = []
    for answer in answers:
        if isinstance(answer, str):
            continue
        try:
            bundle = bundle_from_json(json.loads(answer))
        except (InvalidRequest, ValueError, RecursionError):
            continue
        if bundle.call == call and bundle.job == inputs and bundle_fault(bundle) is None:
            found.append(bundle)
    return found


def _side(bundles: Sequence[Bundle]) -> Side:
    """All bundles claim the same, so the trace of one is that of all."""
    first = bundles[0]
    shown = next((bundle.trace for bundle in bundles if bundle.trace is not None), None)
    trace = () if first.outcome.trace == TraceDigest.of(()) else shown
    by_operator: dict[Address, Bundle] = {}
    for bundle in bundles:
        by_operator.setdefault(bundle.receipt.operator, bundle)
    return Side(tuple(replace(bundle, trace=trace) for bundle in by_operator.values()))


async def _with_trace(side: Side, endpoints: Endpoints) -> Side:
    """Operators keep traces as blobs too."""
    digest = side.bundle.outcome.trace
    size = 32 * digest.count
    if side.trace is not None or size > MOST_TRACE_BYTES or not endpoints.addresses:
        return side
    try:
        roots = await endpoints.blob(Blob(size, digest.sha256), "the answer")
        return side.with_trace(decode_trace(roots))
    except (BlobUnavailable, InvalidRequest):
        return side


def side_to_json(side: Side) -> dict[str, object]:
    """Who claims what."""
    receipt, outcome = side.bundle.receipt, side.bundle.outcome
    return {
        "agreement": to_hex(side.agreement),
        "operators": list(side.operators),
        "state_root": to_hex(receipt.state_root),
        "outcome_digest": to_hex(receipt.outcome_digest),
        "status": outcome.status.name.lower(),
        "virtual_ns": receipt.virtual_ns,
        "milestones": outcome.trace.count,
        "trace": "withheld" if side.trace is None else "known",
    }
