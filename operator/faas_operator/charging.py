"""What a run costs its account: held before it starts, settled when it ends, given back when it is not its
caller's fault that it did not.

Everything here works inside the transaction that stores the run's state, so a run and its charge cannot be
told apart by any crash. A node that does not charge keeps the same records of use, with nothing charged.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import delete
from sqlmodel import Session, col, select

from faas_blueprint.errors import FatalError, InvalidRequest, PaymentRequired
from faas_blueprint.job import Job, Mode, decode_job
from faas_blueprint.operation import Run
from faas_blueprint.operation_payload import operation_of_call
from faas_blueprint.outcome import OutcomeDigest, Status
from faas_blueprint.prices import (
    NOTHING,
    PRICES,
    Cost,
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
    held,
    post,
    postings_of,
)
from faas_operator.ledger_tables import PriceTableRow, UsageRow
from faas_operator.statement import Statement, Transaction
from faas_operator.stored_outcomes import decode_outcome
from faas_operator.tables import JobRow
from faas_operator.transactions import lock

log = logging.getLogger(__name__)

BY_LEDGER = "ledger"
BY_CHAIN = "chain"
BY_NOBODY = "nobody"
"""The node does not charge, or did not when the run began."""

_ADD_USAGE = Statement(
    "INSERT INTO usage (reference, account, payer, execution_id, chain_id, service_id, call_id, mode, "
    "status, billed_by, virtual_ns, memory_mb, cpu_millicores, ingress_bytes, egress_bytes, price_version, "
    "compute_cost, network_cost, charged, ended_at) "
    "VALUES (:reference, :account, :payer, :execution_id, :chain_id, :service_id, :call_id, :mode, :status, "
    ":billed_by, :virtual_ns, :memory_mb, :cpu_millicores, :ingress_bytes, :egress_bytes, :price_version, "
    ":compute_cost, :network_cost, :charged, :ended_at)"
)
_NOBODYS: Mapping[str, None] = dict.fromkeys(
    ("account", "payer", "execution_id", "chain_id", "service_id", "call_id")
)


class StoredRun(Protocol):
    """What is charged for of a run's row."""

    @property
    def id(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def job(self) -> bytes | None: ...


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

    def open_account(self, within: Transaction, account: str) -> None:
        """Give an account what it has to begin with, once."""
        amount = self.terms.starting_credit
        if self.terms.charged and amount:
            post(
                within,
                self._clock(),
                Cause("grant", account),
                Posting(GRANTS, -amount),
                Posting(available(account), amount),
            )

    def hold(self, within: Transaction, account: str, execution_id: str, job: Job, mode: Mode) -> None:
        """Set aside the most that a run can cost. Raises PaymentRequired with what it takes."""
        if not self.terms.charged:
            return
        self.open_account(within, account)
        amount = execution_cost(self.terms.prices, mode, most_use_of(job)).total
        cause = Cause("hold", _run(account, execution_id))
        try:
            post(
                within,
                self._clock(),
                cause,
                Posting(available(account), -amount, floor=0),
                Posting(held(account), amount),
            )
        except Insufficient as error:
            raise payment_required(amount, error.there) from None

    def settle(
        self,
        within: Transaction,
        row: StoredRun,
        job: Job,
        status: ExecutionStatus,
        outcome: OutcomeDigest,
    ) -> Cost:
        """Take what a finished run of a job cost, by its receipt; the rest of what was held is free again."""
        return self._settle(within, row, status, use_of(job, outcome))

    def settle_cancelled(self, within: Transaction, row: StoredRun, reached_ms: int) -> None:
        """A run that was called off is paid for as far as it had been seen to come; it has no receipt."""
        if row.job is None:
            return
        limits = decode_job(row.job).limits
        use = Use(reached_ms * 1_000_000, limits.memory_mb, limits.cpu_millicores, 0)
        self._settle(within, row, ExecutionStatus.CANCELLED, use)

    def release(self, within: Transaction, row: StoredRun) -> None:
        """Give back all that was held for a run that did not come to an end."""
        if row.job is None:
            return
        limits = decode_job(row.job).limits
        use = Use(0, limits.memory_mb, limits.cpu_millicores, 0)
        self._settle(within, row, ExecutionStatus.FAILED, use, kind="release")

    def charge_paid(self, session: Session, account: str, execution_id: str, paid: int) -> None:
        """Take what a finished run cost that nothing was held for, from what was paid for it just now.

        Run and record are the account's by now; `paid` is in nanocredits.
        """
        usage = session.exec(
            select(UsageRow).filter_by(reference=usage_reference(account, execution_id))
        ).one()
        usage.charged, usage.billed_by = min(usage.compute_cost + usage.network_cost, paid), BY_LEDGER
        session.add(usage)
        post(
            session,
            self._clock(),
            Cause("settlement", _run(account, execution_id)),
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
        # there is one if it was final before, and its block has been replaced since
        session.execute(delete(UsageRow).where(col(UsageRow.reference) == reference))
        self._add_usage(
            session,
            mode,
            use,
            reference=reference,
            payer=row.caller,
            chain_id=row.chain_id,
            service_id=row.service_id,
            call_id=row.call_id,
            status=_status_of(outcome.status),
            billed_by=BY_CHAIN,
            ingress_bytes=len(row.inputs),
            charged=0,
        )

    def _settle(
        self, within: Transaction, row: StoredRun, status: ExecutionStatus, use: Use, kind: str = "settlement"
    ) -> Cost:
        reference = _run(row.account, row.id)
        mode = Mode(row.mode)
        set_aside = sum(
            posting.amount
            for posting in postings_of(within, Cause("hold", reference))
            if posting.account == held(row.account)
        )
        cost = execution_cost(self.terms.prices, mode, use) if kind == "settlement" else NOTHING
        charged = min(cost.total, set_aside)
        if set_aside and cost.total > set_aside:
            log.error("run %s cost %d, over the %d held for it", row.id, cost.total, set_aside)
        if set_aside:
            post(
                within,
                self._clock(),
                Cause(kind, reference),
                Posting(held(row.account), -set_aside),
                Posting(REVENUE, charged),
                Posting(available(row.account), set_aside - charged),
            )
        assert row.job is not None
        return self._add_usage(
            within,
            mode,
            use,
            reference=usage_reference(row.account, row.id),
            account=row.account,
            execution_id=row.id,
            status=status,
            billed_by=BY_LEDGER if set_aside else BY_NOBODY,
            ingress_bytes=len(row.job),
            charged=charged,
        )

    def _add_usage(self, within: Transaction, mode: Mode, use: Use, **columns: str | int) -> Cost:
        """A row of the table, and its price by the table in force."""
        cost = execution_cost(self.terms.prices, mode, use)
        _ADD_USAGE.run(
            within,
            **{**_NOBODYS, **columns},
            mode=mode,
            virtual_ns=use.virtual_ns,
            memory_mb=use.memory_mb,
            cpu_millicores=use.cpu_millicores,
            egress_bytes=use.egress_bytes,
            price_version=self.terms.prices.version,
            compute_cost=cost.compute,
            network_cost=cost.network,
            ended_at=self._clock(),
        )
        return cost


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


def _status_of(status: Status) -> ExecutionStatus:
    match status:
        case Status.TIMEOUT:
            return ExecutionStatus.TIMEOUT
        case Status.FAILED:
            return ExecutionStatus.FAILED
        case _:
            return ExecutionStatus.COMPLETED
