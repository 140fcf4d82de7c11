"""What a run costs its account: held before it starts, settled when it ends, given back when it is not its
caller's fault that it did not.

Everything here works inside the transaction that stores the run's state, so a run and its charge cannot be
told apart by any crash. A node that does not charge keeps the same records of use, with nothing charged.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlmodel import Session, select

from faas_blueprint.errors import FatalError, InvalidRequest, PaymentRequired
from faas_blueprint.job import Job, Mode, decode_job
from faas_blueprint.operation import Run
from faas_blueprint.operation_payload import operation_of_call
from faas_blueprint.outcome import OutcomeDigest, Status
from faas_blueprint.prices import (
    NOTHING,
    PRICES,
    PriceTable,
    Use,
    execution_cost,
    in_credits,
    most_use_of,
    price_table_to_json,
    use_of,
)
from faas_operator.execution_record import ExecutionStatus, usage_reference
from faas_operator.ledger import (
    GRANTS,
    REVENUE,
    Cause,
    Insufficient,
    Posting,
    available,
    balance,
    held,
    post,
    postings_of,
)
from faas_operator.ledger_tables import PriceTableRow, UsageRow
from faas_operator.stored_outcomes import decode_outcome
from faas_operator.tables import ExecutionRow, JobRow
from faas_operator.transactions import lock

log = logging.getLogger(__name__)

BY_LEDGER = "ledger"
BY_CHAIN = "chain"
BY_NOBODY = "nobody"
"""The node does not charge, or did not when the run began."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a node serves."""

    prices: PriceTable = PRICES
    charged: bool = False
    """Whether runs are paid for with credits."""
    starting_credit: int = 0
    """Nanocredits that an account has to begin with."""


class Charging:
    """Charges of one store, by the terms in force."""

    def __init__(self, terms: Terms, clock: Callable[[], float]) -> None:
        self.terms = terms
        self._clock = clock

    def keep_prices(self, session: Session) -> None:
        """Remember the table in force. Raises FatalError when its version once had other figures."""
        lock(session, "price tables")
        figures = json.dumps(price_table_to_json(self.terms.prices))
        row = session.get(PriceTableRow, self.terms.prices.version)
        if row is None:
            session.add(PriceTableRow(version=self.terms.prices.version, figures=figures))
        elif row.figures != figures:
            raise FatalError(
                f"price table {row.version} was in force with other figures: give the new one another version"
            )

    def open_account(self, session: Session, account: str) -> None:
        """Give an account what it has to begin with, once."""
        amount = self.terms.starting_credit
        if self.terms.charged and amount:
            post(
                session,
                self._clock(),
                Cause("grant", account),
                Posting(GRANTS, -amount),
                Posting(available(account), amount),
            )

    def hold(self, session: Session, account: str, execution_id: str, job: Job, mode: Mode) -> None:
        """Set aside the most that a run can cost. Raises PaymentRequired with what it takes."""
        if not self.terms.charged:
            return
        self.open_account(session, account)
        amount = execution_cost(self.terms.prices, mode, most_use_of(job)).total
        cause = Cause("hold", _run(account, execution_id))
        there = balance(session, available(account))
        try:
            post(
                session,
                self._clock(),
                cause,
                Posting(available(account), -amount, floor=0),
                Posting(held(account), amount),
            )
        except Insufficient:
            raise payment_required(amount, there) from None

    def settle(
        self, session: Session, row: ExecutionRow, status: ExecutionStatus, outcome: OutcomeDigest
    ) -> None:
        """Take what a finished run cost, by its receipt; the rest of what was held is free again."""
        assert row.job is not None
        self._settle(session, row, status, use_of(decode_job(row.job), outcome))

    def settle_cancelled(self, session: Session, row: ExecutionRow, reached_ms: int) -> None:
        """A run that was called off is paid for as far as it had been seen to come; it has no receipt."""
        if row.job is None:
            return
        limits = decode_job(row.job).limits
        use = Use(reached_ms * 1_000_000, limits.memory_mb, limits.cpu_millicores, 0)
        self._settle(session, row, ExecutionStatus.CANCELLED, use)

    def release(self, session: Session, row: ExecutionRow) -> None:
        """Give back all that was held for a run that did not come to an end."""
        if row.job is None:
            return
        limits = decode_job(row.job).limits
        use = Use(0, limits.memory_mb, limits.cpu_millicores, 0)
        self._settle(session, row, ExecutionStatus.FAILED, use, kind="release")

    def charge_paid(self, session: Session, account: str, row: ExecutionRow, paid: int) -> None:
        """Take what a finished run cost that nothing was held for, from what was paid for it just now.

        Run and record are the account's by now; `paid` is in nanocredits.
        """
        usage = _usage(session, usage_reference(account, row.id))
        assert usage is not None
        usage.charged, usage.billed_by = min(usage.compute_cost + usage.network_cost, paid), BY_LEDGER
        session.add(usage)
        post(
            session,
            self._clock(),
            Cause("settlement", _run(account, row.id)),
            Posting(available(account), -usage.charged),
            Posting(REVENUE, usage.charged),
        )

    def record_call(self, session: Session, row: JobRow) -> None:
        """Note a call whose result is final: the chain has billed it, so nothing is taken here."""
        assert row.outcome is not None
        outcome = decode_outcome(row.outcome)
        try:
            operation = operation_of_call(row.job_index, row.inputs)
        except InvalidRequest:
            operation = None
        run = operation if isinstance(operation, Run) else None
        job = None if run is None else run.program.job
        mode = Mode.EPHEMERAL if run is None else run.mode
        use = Use(0, 0, 0, 0) if job is None else use_of(job, outcome)
        reference = f"call/{row.chain_id}/{row.tangle}/{row.service_id}/{row.call_id}"
        known = _usage(session, reference)
        if known is not None:  # it was final before, and its block has been replaced since
            session.delete(known)
            session.flush()
        usage = UsageRow(
            reference=reference,
            payer=row.caller,
            chain_id=row.chain_id,
            service_id=row.service_id,
            call_id=row.call_id,
            mode=mode,
            status=_status_of(outcome.status),
            billed_by=BY_CHAIN,
            ingress_bytes=len(row.inputs),
            price_version=self.terms.prices.version,
            ended_at=self._clock(),
        )
        self._add(session, usage, mode, use)

    def _settle(
        self, session: Session, row: ExecutionRow, status: ExecutionStatus, use: Use, kind: str = "settlement"
    ) -> None:
        reference = _run(row.account, row.id)
        mode = Mode(row.mode)
        set_aside = sum(
            posting.amount
            for posting in postings_of(session, Cause("hold", reference))
            if posting.account == held(row.account)
        )
        cost = execution_cost(self.terms.prices, mode, use) if kind == "settlement" else NOTHING
        charged = min(cost.total, set_aside)
        if set_aside and cost.total > set_aside:
            log.error("run %s cost %d, over the %d held for it", row.id, cost.total, set_aside)
        if set_aside:
            post(
                session,
                self._clock(),
                Cause(kind, reference),
                Posting(held(row.account), -set_aside),
                Posting(REVENUE, charged),
                Posting(available(row.account), set_aside - charged),
            )
        assert row.job is not None
        usage = UsageRow(
            reference=usage_reference(row.account, row.id),
            account=row.account,
            execution_id=row.id,
            mode=mode,
            status=status,
            billed_by=BY_LEDGER if set_aside else BY_NOBODY,
            ingress_bytes=len(row.job),
            price_version=self.terms.prices.version,
            charged=charged,
            ended_at=self._clock(),
        )
        self._add(session, usage, mode, use)

    def _add(self, session: Session, usage: UsageRow, mode: Mode, use: Use) -> None:
        cost = execution_cost(self.terms.prices, mode, use)
        usage.virtual_ns, usage.memory_mb = use.virtual_ns, use.memory_mb
        usage.cpu_millicores, usage.egress_bytes = use.cpu_millicores, use.egress_bytes
        usage.compute_cost, usage.network_cost = cost.compute, cost.network
        session.add(usage)
        session.flush()


def payment_required(required: int, there: int) -> PaymentRequired:
    """The error of a run that does not fit, in nanocredits."""
    missing = required - there
    return PaymentRequired(
        f"this run can cost up to {in_credits(required):.9f} credits by its limits, and the account has "
        f"{in_credits(there):.9f}; deposit {in_credits(missing):.9f}, or ask for less time, memory or output",
        {
            "required": in_credits(required),
            "available": in_credits(there),
            "missing": in_credits(missing),
            "required_nanocredits": required,
            "available_nanocredits": there,
        },
    )


def _run(account: str, execution_id: str) -> str:
    return f"{account}/{execution_id}"


def _usage(session: Session, reference: str) -> UsageRow | None:
    return session.exec(select(UsageRow).filter_by(reference=reference)).one_or_none()


def _status_of(status: Status) -> ExecutionStatus:
    match status:
        case Status.TIMEOUT:
            return ExecutionStatus.TIMEOUT
        case Status.FAILED:
            return ExecutionStatus.FAILED
        case _:
            return ExecutionStatus.COMPLETED
