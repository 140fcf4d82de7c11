"""What is looked at before anything is run. Numbers are those of the report.

1. *found*: the job and the result are there and can be read, in a version that is known.
   (Made while evidence is gathered, see `verify`.)
2. *signature*: it is valid, and by the operator that the receipt names; on-chain also the account
   that Tangle saw sending the result.
3. *standing*: that operator is one of the service's.
4. *job*: the receipt's job digest is the Keccak-256 of the job's inputs, as the chain holds them.
5. *place*: the receipt is for this chain, contract, service and call.
6. *outcome*: the outcome at hand hashes to the receipt's outcome digest, outcome, state root,
   snapshot and toolchain are the posted ones, and the output at hand (streams, files and their
   manifest) and the trace hash to what the outcome says of them.
7. *snapshot*: profile and snapshot are our own; another one we cannot check.
8. *re-execution*: our own run gives the same outcome and state root, from the same compiler (7 and
   8: see `rerun`).
9. *price*: what the run costs, made when a mode is named (see `price`).
10. *quorum*: so many operators say the same, made when that is required (see `policy`).

Each check is a pure function from evidence to a judgement; they do not depend on each other.
A receipt file alone is checked against itself and by re-execution; what only a chain can say
(3, 5) is then skipped, and the report says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from faas_blueprint.digests import keccak256, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.outcome import Stream, StreamDigest, TraceDigest, outcome_digest
from faas_blueprint.receipt import RECEIPT_VERSION, recover_signer
from faas_verifier.evidence import Evidence
from faas_verifier.output_files import Pair, bundled_pairs
from faas_verifier.traces import trace_pairs
from faas_verifier.verdict import Difference, Finding, Status


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a check says of the evidence."""

    status: Status
    detail: str
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """A numbered, named question."""

    number: int
    name: str
    judge: Callable[[Evidence], Judgement]

    def __call__(self, evidence: Evidence) -> Finding:
        judgement = self.judge(evidence)
        return Finding(self.number, self.name, judgement.status, judgement.detail, judgement.differences)


def passed(detail: str) -> Judgement:
    """It is as it must be."""
    return Judgement(Status.PASSED, detail)


def unchecked(detail: str) -> Judgement:
    """It had to be checked and could not be."""
    return Judgement(Status.UNCHECKED, detail)


def skipped(detail: str) -> Judgement:
    """It does not apply."""
    return Judgement(Status.SKIPPED, detail)


def compared(detail: str, *pairs: Pair) -> Judgement:
    """Passed with `detail` when all pairs (field, claimed, found) are equal, else failed with those not."""
    differing = tuple(Difference(*pair) for pair in pairs if pair[1] != pair[2])
    if not differing:
        return passed(detail)
    named = "; ".join(f"{item.field} is {item.found}, not {item.claimed}" for item in differing)
    return Judgement(Status.FAILED, named, differing)


def found(evidence: Evidence) -> Judgement:
    """1. The job and the result are there and can be read, in a version that is known."""
    version = evidence.bundle.receipt.version
    if version != RECEIPT_VERSION:
        return unchecked(f"receipt version {version} is not known here, {RECEIPT_VERSION} is")
    source = "a receipt file" if evidence.posted is None else f"transaction {evidence.posted.posted_in}"
    return passed(f"{len(evidence.bundle.job)} bytes of inputs, result from {source}")


def signature(evidence: Evidence) -> Judgement:
    """2. The signature is valid and by the operator that the receipt names and that sent it."""
    receipt = evidence.bundle.receipt
    try:
        signer = recover_signer(receipt, evidence.bundle.signature)
    except InvalidRequest as error:
        return Judgement(Status.FAILED, error.message)
    pairs = [("signer", receipt.operator, signer)]
    if evidence.posted is not None:
        pairs.append(("sender", receipt.operator, evidence.posted.operator))
    if evidence.expected_operator is not None:
        pairs.append(("operator", evidence.expected_operator, receipt.operator))
    return compared(f"signed by {signer}", *pairs)


def standing(evidence: Evidence) -> Judgement:
    """3. The operator is one of the service's."""
    posted = evidence.posted
    if posted is None:
        return skipped("no chain was asked")
    if posted.serves is None:
        return unchecked("the endpoint cannot say who served when the result was posted")
    if not posted.serves:
        return Judgement(
            Status.FAILED, f"{posted.operator} is not an operator of service {posted.call.service_id}"
        )
    return passed(f"an operator of service {posted.call.service_id}")


def job(evidence: Evidence) -> Judgement:
    """4. The receipt's job digest is that of the inputs."""
    claimed = to_hex(evidence.bundle.receipt.job_digest)
    pairs = [("job_digest", claimed, to_hex(keccak256(evidence.bundle.job)))]
    if evidence.posted is not None:
        pairs.append(("job_digest on-chain", claimed, to_hex(keccak256(evidence.posted.inputs))))
    return compared(f"job {claimed}", *dict.fromkeys(pairs))


def place(evidence: Evidence) -> Judgement:
    """5. The receipt is for this chain, contract, service and call."""
    if evidence.posted is None:
        return skipped("no chain was asked")
    named, asked = evidence.bundle.call, evidence.posted.call
    return compared(
        f"call {asked.call_id} of service {asked.service_id} on chain {asked.chain_id}",
        ("chain_id", named.chain_id, asked.chain_id),
        ("tangle", named.tangle, asked.tangle),
        ("service_id", named.service_id, asked.service_id),
        ("call_id", named.call_id, asked.call_id),
    )


def outcome(evidence: Evidence) -> Judgement:
    """6. The outcome hashes to the receipt's digest, and the output to the outcome's."""
    bundle = evidence.bundle
    claimed = to_hex(bundle.receipt.outcome_digest)
    pairs: list[Pair] = [
        ("outcome_digest", claimed, to_hex(outcome_digest(bundle.outcome))),
        ("virtual_ns", bundle.receipt.virtual_ns, bundle.outcome.virtual_ns),
    ]
    if evidence.result is not None:
        posted, receipt = evidence.result, bundle.receipt
        pairs += [
            ("outcome_digest on-chain", claimed, to_hex(outcome_digest(posted.outcome))),
            ("state_root on-chain", to_hex(receipt.state_root), to_hex(posted.state_root)),
            ("snapshot on-chain", to_hex(receipt.snapshot), to_hex(posted.snapshot)),
            ("toolchain on-chain", to_hex(receipt.toolchain), to_hex(posted.toolchain)),
            ("profile_id on-chain", to_hex(receipt.profile_id), to_hex(posted.profile_id)),
        ]
    if bundle.output is not None:
        pairs += _stream_pairs("stdout", bundle.outcome.stdout, bundle.output.stdout)
        pairs += _stream_pairs("stderr", bundle.outcome.stderr, bundle.output.stderr)
    pairs += bundled_pairs(bundle)
    if bundle.trace is not None:
        pairs += trace_pairs(bundle.outcome.trace, TraceDigest.of(bundle.trace))
    how = "output by hash" if bundle.output is None else "output at hand"
    return compared(f"{bundle.outcome.status.name.lower()}, {how}", *pairs)


def _stream_pairs(name: str, claimed: StreamDigest, content: bytes) -> tuple[Pair, ...]:
    actual = StreamDigest.of(Stream(content, claimed.truncated))
    return (
        (f"{name}.size", claimed.size, actual.size),
        (f"{name}.sha256", to_hex(claimed.sha256), to_hex(actual.sha256)),
    )


CHECKS: tuple[Check, ...] = (
    Check(1, "found", found),
    Check(2, "signature", signature),
    Check(3, "standing", standing),
    Check(4, "job", job),
    Check(5, "place", place),
    Check(6, "outcome", outcome),
)
"""The checks that need no machine, in order."""
