"""Receipts that were outvoted, next to one that stands, and what can be reported of them. Pure.

Of one receipt there are two reports at the most: by its trace, where that is to be had, and without any
trace, which everyone can make who knows the receipt. So an operator that keeps its trace to itself, or
shows it to some only, hides where it went wrong but not that it did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from faas_blueprint.agreement import agreement_digest, contradict
from faas_blueprint.bisection import Report, check_trace, differing_leg, points
from faas_blueprint.bundle import Bundle
from faas_blueprint.digests import ZERO_DIGEST, Digest
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.outcome import outcome_digest
from faas_blueprint.receipt import Address, CallReference, Receipt
from faas_blueprint.statement import Statement


@dataclass(frozen=True, slots=True)
class Case:
    """Two receipts of one call that contradict each other."""

    call: CallReference
    own: Receipt
    """It says what the operators have agreed on."""
    refuted: Statement
    trace: tuple[Digest, ...] | None
    """Of the refuted run; None where it is not to be had."""

    @property
    def operator(self) -> Address:
        """Whose receipt it is."""
        return self.refuted.receipt.operator

    def whole_run(self) -> Report | None:
        """The report that needs no trace."""
        return self._report((), ())

    def by_trace(self, own_trace: Sequence[Digest]) -> Report | None:
        """The report that names the first leg that differs; None without the refuted run's trace."""
        return None if self.trace is None else self._report(own_trace, self.trace)

    def _report(self, own_trace: Sequence[Digest], trace: Sequence[Digest]) -> Report | None:
        """None where the runs are the same, and only the receipts' virtual times differ."""
        own, refuted = self.own, self.refuted.receipt
        leg = differing_leg(own.snapshot, points(own, own_trace), points(refuted, trace))
        if leg is None:
            return None
        established, said = agreement_digest(own), agreement_digest(refuted)
        return Report(
            self.call, self.operator, established, said, leg.milestone, leg.start, leg.first, leg.second
        )


def outvoted(established: Digest, answers: Mapping[Address, Digest]) -> list[Address]:
    """Operators whose answers count and are not the established one."""
    return [name for name, answer in answers.items() if answer not in (ZERO_DIGEST, established)]


def case_against(
    call: CallReference, own: Receipt, answer: Digest, said: Sequence[Statement], shown: Sequence[Bundle]
) -> Case | None:
    """The case against the operator that has given an answer; None while its receipt is not to be had.

    All that was said and shown must be genuine.
    """
    refuted = next((item for item in said if agreement_digest(item.receipt) == answer), None)
    if refuted is None:
        return None
    traces = (_trace(bundle) for bundle in shown if bundle.receipt == refuted.receipt)
    return Case(call, own, refuted, next((trace for trace in traces if trace is not None), None))


def is_refutable(case: Case) -> bool:
    """Whether the receipts contradict each other: a failure, or another start, contradicts nothing."""
    return contradict(case.own, case.refuted.receipt)


def _trace(bundle: Bundle) -> tuple[Digest, ...] | None:
    """The trace that a receipt commits to, if it is in the bundle."""
    if bundle.trace is None or outcome_digest(bundle.outcome) != bundle.receipt.outcome_digest:
        return None
    try:
        check_trace(bundle.outcome.trace, bundle.trace)
    except InvalidRequest:
        return None
    return bundle.trace
