"""What comes out of a verification: findings, one per check, and the verdict they add up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from faas_blueprint.errors import FaaSError
from faas_blueprint.receipt import receipt_to_json
from faas_verifier.blobs import DataFalsified, DataWithheld
from faas_verifier.evidence import Evidence


class Status(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNCHECKED = "unchecked"
    """It had to be made and could not be."""
    WITHHELD = "withheld"
    """Data that it takes is not to be had from any endpoint that was named."""
    FALSIFIED = "falsified"
    """Likewise, and an endpoint has served other data for it."""
    SKIPPED = "skipped"
    """It does not apply, or was not reached; the detail says which."""


class Conclusion(StrEnum):
    """The verdict's one word."""

    VERIFIED = "verified"
    REFUTED = "refuted"
    UNCHECKED = "unchecked"
    WITHHELD = "withheld"
    FALSIFIED = "falsified"

    @property
    def exit_code(self) -> int:
        """0 verified, 1 refuted, 2 could not be checked, 3 data withheld, 4 data falsified."""
        return {"verified": 0, "refuted": 1, "unchecked": 2, "withheld": 3, "falsified": 4}[self.value]


_DECISIVE = (
    (Conclusion.REFUTED, Status.FAILED),
    (Conclusion.FALSIFIED, Status.FALSIFIED),
    (Conclusion.WITHHELD, Status.WITHHELD),
    (Conclusion.UNCHECKED, Status.UNCHECKED),
)
"""The worst first; without any of them a result is verified."""

_ORDER = (*(conclusion for conclusion, _ in _DECISIVE), Conclusion.VERIFIED)


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not what it must be."""

    field: str
    claimed: str | int
    found: str | int


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    number: int
    name: str
    status: Status
    detail: str
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The findings on one receipt, in the order of the checks."""

    findings: tuple[Finding, ...]
    evidence: Evidence | None
    """None when there was nothing to read."""

    @property
    def conclusion(self) -> Conclusion:
        """Refuted by any failure; verified only if nothing failed or was left unchecked for any reason."""
        statuses = {finding.status for finding in self.findings}
        return next(
            (conclusion for conclusion, status in _DECISIVE if status in statuses), Conclusion.VERIFIED
        )

    @property
    def reason(self) -> str:
        """One sentence: the first finding that decided."""
        status = dict(_DECISIVE).get(self.conclusion)
        for finding in self.findings:
            if finding.status is status:
                return f"{finding.name}: {finding.detail}"
        skipped = [finding.name for finding in self.findings if finding.status is Status.SKIPPED]
        without = f" (not asked: {', '.join(skipped)})" if skipped else ""
        return f"every check passed{without}; {self.findings[-1].detail}"

    @property
    def differences(self) -> tuple[Difference, ...]:
        """All that differ, of all findings."""
        return tuple(difference for finding in self.findings for difference in finding.differences)


def verdict_to_json(verdict: Verdict) -> dict[str, object]:
    """The object that `--json` prints."""
    evidence = verdict.evidence
    return {
        "verdict": str(verdict.conclusion),
        "verified": verdict.conclusion is Conclusion.VERIFIED,
        "reason": verdict.reason,
        "checks": [
            {
                "number": finding.number,
                "name": finding.name,
                "status": str(finding.status),
                "detail": finding.detail,
            }
            for finding in verdict.findings
        ],
        "receipt": None if evidence is None else receipt_to_json(evidence.bundle.receipt),
        "differences": [
            {"field": item.field, "claimed": item.claimed, "found": item.found}
            for item in verdict.differences
        ],
        "call": None if evidence is None else _call_to_json(evidence),
    }


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict that decides among several results of one call: the worst, the first of equals."""
    return min(verdicts, key=lambda verdict: _ORDER.index(verdict.conclusion))


def conclusion_of(error: FaaSError) -> Conclusion:
    """What an error leaves to be said: withheld, falsified, else unchecked."""
    if isinstance(error, DataFalsified):
        return Conclusion.FALSIFIED
    return Conclusion.WITHHELD if isinstance(error, DataWithheld) else Conclusion.UNCHECKED


def worst(conclusions: Sequence[Conclusion]) -> Conclusion:
    """The one that decides; unchecked when there is none."""
    return min(conclusions, key=_ORDER.index, default=Conclusion.UNCHECKED)


def _call_to_json(evidence: Evidence) -> dict[str, str | int | None]:
    posted = evidence.posted
    call = evidence.bundle.call if posted is None else posted.call
    return {
        "chain_id": call.chain_id,
        "tangle": call.tangle,
        "service_id": call.service_id,
        "call_id": call.call_id,
        "operator": evidence.bundle.receipt.operator if posted is None else posted.operator,
        "job_tx": None if posted is None else posted.submitted_in,
        "result_tx": None if posted is None else posted.posted_in,
    }
