"""What somebody requires of a result before they rely on it: `faas verify --require …`.

    signed           checks 1 to 6: an operator of the service answers for it
    quorum:K         the same of K operators, whose results are equal
    rerun            all checks: it was run again here and came out the same; the default
    rerun-sample:P   `rerun` with probability P, else `signed`; nobody can foresee which

A policy says whether a machine is opened, and what the verdicts on a call's results come to. Whatever is not
required stands in the report as skipped, with the reason: *verified* is never more than what was required.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from faas_blueprint.agreement import agreement_digest
from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import Address
from faas_verifier.rerun import NOT_ASKED
from faas_verifier.verdict import Conclusion, Finding, Status, Verdict, combine

_RANDOM = random.SystemRandom()

QUORUM_CHECK = 10
"""Number of the check that only `quorum:K` makes."""


class Requirement(StrEnum):
    """The kinds of policy."""

    SIGNED = "signed"
    QUORUM = "quorum"
    RERUN = "rerun"
    RERUN_SAMPLE = "rerun-sample"


@dataclass(frozen=True, slots=True)
class Policy:
    """One requirement. Make it with `parse_policy`."""

    requirement: Requirement
    agreeing: int = 1
    """Of a quorum: so many operators."""
    probability: float = 1.0
    """Of a sample: above 0, at most 1."""

    def __str__(self) -> str:
        match self.requirement:
            case Requirement.QUORUM:
                return f"quorum:{self.agreeing}"
            case Requirement.RERUN_SAMPLE:
                return f"rerun-sample:{self.probability:g}"
            case _:
                return str(self.requirement)

    def draw(self, number: Callable[[], float] = _RANDOM.random) -> bool:
        """Whether to run again, this time. `number` gives one from 0 to below 1."""
        match self.requirement:
            case Requirement.RERUN:
                return True
            case Requirement.RERUN_SAMPLE:
                return number() < self.probability
            case _:
                return False

    def conclude(self, verdicts: Sequence[Verdict], reruns: bool, chosen: Digest | None = None) -> Verdict:
        """The verdict on a call, of those on its results, at least one. `reruns`: what `draw` has said;
        `chosen`: the agreement digest that a quorum must be for, of a receipt that is at hand."""
        required = [self.on_result(verdict, reruns) for verdict in verdicts]
        return self._quorum(required, chosen) if self.requirement is Requirement.QUORUM else combine(required)

    def on_result(self, verdict: Verdict, reruns: bool) -> Verdict:
        """The verdict on one result by itself."""
        return verdict if reruns else without_rerun(verdict, self._why())

    def _why(self) -> str:
        if self.requirement is Requirement.RERUN_SAMPLE:
            return f"not drawn: {self} runs again with probability {self.probability:g}"
        return f"not required: {self}"

    def _quorum(self, verdicts: Sequence[Verdict], chosen: Digest | None) -> Verdict:
        groups: defaultdict[Digest, dict[Address, Verdict]] = defaultdict(dict)
        for verdict in verdicts:
            if verdict.conclusion is Conclusion.VERIFIED and verdict.evidence is not None:
                receipt = verdict.evidence.bundle.receipt
                groups[agreement_digest(receipt)][receipt.operator] = verdict
        enough = [digest for digest, group in groups.items() if len(group) >= self.agreeing]
        if len(enough) > 1:
            return _with(verdicts[0], Status.UNCHECKED, f"{len(enough)} different results have {self}")
        if not enough:
            most = max((len(group) for group in groups.values()), default=0)
            found = f"{most} of {len(verdicts)} results agree, {self.agreeing} are required"
            return _with(combine(verdicts), Status.UNCHECKED, found)
        winners = groups[enough[0]]
        if chosen not in (None, enough[0]):
            found = f"{len(winners)} operators say otherwise than this receipt: {', '.join(winners)}"
            return _with(verdicts[0], Status.FAILED, found)
        others = len(verdicts) - len(winners)
        found = f"{len(winners)} operators agree on {to_hex(enough[0])}: {', '.join(winners)}"
        return _with(next(iter(winners.values())), Status.PASSED, f"{found}; {others} say otherwise")


RERUN = Policy(Requirement.RERUN)
"""What is required where nothing else is said."""


def parse_policy(text: str) -> Policy:
    """A policy as users write it. Raises InvalidRequest."""
    name, _, argument = text.partition(":")
    try:
        match name, bool(argument):
            case "signed" | "rerun", False:
                return Policy(Requirement(name))
            case "quorum", True:
                if (agreeing := int(argument)) >= 1:
                    return Policy(Requirement.QUORUM, agreeing)
            case "rerun-sample", True:
                if 0 < (probability := float(argument)) <= 1:
                    return Policy(Requirement.RERUN_SAMPLE, probability=probability)
    except ValueError:
        pass
    raise InvalidRequest(
        f"{text!r} is not a policy: signed, quorum:K with K from 1 on, rerun, or rerun-sample:P with P above "
        "0 and at most 1",
        {"field": "require"},
    )


def without_rerun(verdict: Verdict, why: str) -> Verdict:
    """A verdict that was made without a machine, with checks 7 and 8 skipped for this reason."""
    if verdict.findings[-len(NOT_ASKED) :] != NOT_ASKED:
        return verdict
    skipped = tuple(replace(finding, status=Status.SKIPPED, detail=why) for finding in NOT_ASKED)
    return Verdict(verdict.findings[: -len(NOT_ASKED)] + skipped, verdict.evidence)


def _with(verdict: Verdict, status: Status, detail: str) -> Verdict:
    return Verdict((*verdict.findings, Finding(QUORUM_CHECK, "quorum", status, detail)), verdict.evidence)
