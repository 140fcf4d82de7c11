"""What accounts have used and what it came to: sums over the records that each run left when it ended.

Asking opens the account, and nothing else is written. Runs over HTTP and calls on-chain stand in one list;
what the chain has billed is shown with its price by the same table and taken from nobody's credits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy
from sqlalchemy import ColumnElement, Engine, Float, and_, cast, func, or_
from sqlmodel import Session, col, select

from faas_blueprint.errors import NotFound
from faas_blueprint.job import Mode
from faas_blueprint.prices import GIB, MONTH_SECONDS, Cost, PriceTable, Use, price_table_from_json
from faas_operator.account_tables import AddressRow
from faas_operator.charging import BY_CHAIN, BY_LEDGER, Charging
from faas_operator.execution_record import UNFINISHED, ExecutionStatus
from faas_operator.ledger import available, held
from faas_operator.ledger_tables import LedgerBalanceRow, PriceTableRow, StorageUsageRow, UsageRow
from faas_operator.payers import PAYING_NETWORKS
from faas_operator.tables import ExecutionRow, SnapshotRow
from faas_operator.transactions import reading


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` up to but not including `end`, in Unix seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class UsageLine:
    """One run that is over."""

    execution_id: str | None
    call: tuple[int, int, int] | None
    """Chain, service and call of a job on-chain."""
    mode: Mode
    status: ExecutionStatus
    billed_by: str
    use: Use
    ingress_bytes: int
    price_version: int
    cost: Cost
    """By that table."""
    charged: int
    """Nanocredits taken from the account: the cost, or nothing where another bills or the run failed."""
    ended_at: float


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """A period of an account. Costs are nanocredits, taken from its credits."""

    total: int
    successful: int
    cpu_seconds: float
    memory_gb_seconds: float
    by_mode: dict[Mode, int]
    on_chain: int
    """How many of the runs the chain has billed."""
    snapshots_created: int
    gb_months: float
    ingress_bytes: int
    egress_bytes: int
    compute_cost: int
    network_cost: int
    storage_cost: int
    on_chain_price: int
    """What the same table says of the runs that the chain has billed."""
    balance: int


@dataclass(frozen=True, slots=True)
class CurrentUsage:
    """An account at this moment; nanocredits."""

    balance: int
    """With what is held."""
    held: int
    storage_bytes: int
    active_executions: int


@dataclass(frozen=True, slots=True)
class _Group:
    """Runs of one mode and status that the same one has billed, added up."""

    mode: Mode
    status: str
    billed_by: str
    runs: int
    cpu_seconds: float
    memory_gb_seconds: float
    ingress_bytes: int
    egress_bytes: int
    compute_cost: int
    network_cost: int
    charged: int


class UsageBook:
    """Usage of one store. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float], charging: Charging) -> None:
        self._engine = engine
        self._clock = clock
        self._charging = charging

    @property
    def charged(self) -> bool:
        """Whether this node takes credits for what it does."""
        return self._charging.terms.charged

    def now(self) -> float:
        """By the store's clock, Unix seconds."""
        return self._clock()

    def prices(self, version: int | None = None) -> PriceTable:
        """The table in force, or an earlier one. Raises NotFound."""
        if version is None:
            return self._charging.terms.prices
        with Session(reading(self._engine)) as session:
            row = session.get(PriceTableRow, version)
        if row is None:
            raise NotFound(f"there has been no price table {version}")
        return price_table_from_json(json.loads(row.figures))

    def summary(self, account: str, period: Period) -> UsageSummary:
        """A period of an account."""
        created = select(func.count()).select_from(SnapshotRow).where(_owned(account))
        with Session(self._engine) as session:
            self._charging.open_account(session, account)
            groups = _grouped(session, account, period)
            storage = _storage(session, account, period)
            ours = [group for group in groups if group.billed_by == BY_LEDGER]
            network = sum(group.network_cost for group in ours)
            chain = [group for group in groups if group.billed_by == BY_CHAIN]
            summary = UsageSummary(
                total=sum(group.runs for group in groups),
                successful=sum(group.runs for group in groups if group.status == ExecutionStatus.COMPLETED),
                cpu_seconds=sum(group.cpu_seconds for group in groups),
                memory_gb_seconds=sum(group.memory_gb_seconds for group in groups),
                by_mode={mode: sum(group.runs for group in groups if group.mode is mode) for mode in Mode},
                on_chain=sum(group.runs for group in chain),
                snapshots_created=session.exec(created.where(*_within(SnapshotRow.created_at, period))).one(),
                gb_months=sum(int(row.byte_seconds) for row in storage) / (GIB * MONTH_SECONDS),
                ingress_bytes=sum(group.ingress_bytes for group in groups),
                egress_bytes=sum(group.egress_bytes for group in groups),
                compute_cost=sum(group.charged for group in ours) - network,
                network_cost=network,
                storage_cost=sum(row.charged for row in storage),
                on_chain_price=sum(group.compute_cost + group.network_cost for group in chain),
                balance=sum(_amounts(session, account).values()),
            )
            session.commit()
        return summary

    def lines(self, account: str, period: Period, limit: int, offset: int) -> tuple[list[UsageLine], int]:
        """The runs of a period, latest first, and how many there are in all."""
        where = (_whose(account), *_within(UsageRow.ended_at, period))
        query = select(UsageRow).where(*where).order_by(col(UsageRow.id).desc()).limit(limit).offset(offset)
        with Session(reading(self._engine)) as session:
            total = session.exec(select(func.count()).select_from(UsageRow).where(*where)).one()
            return [_line(row) for row in session.exec(query)], total

    def current(self, account: str) -> CurrentUsage:
        """An account now."""
        stored = func.coalesce(func.sum(SnapshotRow.size_bytes), 0)
        active = select(func.count()).select_from(ExecutionRow).filter_by(account=account)
        with Session(self._engine) as session:
            self._charging.open_account(session, account)
            amounts = _amounts(session, account)
            found = CurrentUsage(
                balance=sum(amounts.values()),
                held=amounts.get(held(account), 0),
                storage_bytes=int(session.exec(select(stored).where(_owned(account))).one()),
                active_executions=session.exec(active.where(col(ExecutionRow.status).in_(UNFINISHED))).one(),
            )
            session.commit()
        return found


def _whose(account: str) -> ColumnElement[bool]:
    paying = col(AddressRow.network).in_(PAYING_NETWORKS)
    payers = select(AddressRow.address).filter_by(account=account).where(paying)
    return or_(col(UsageRow.account) == account, col(UsageRow.payer).in_(payers))


def _within(column: float, period: Period) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return col(column) >= period.start, col(column) < period.end


def _grouped(session: Session, account: str, period: Period) -> list[_Group]:
    """Sums by mode, status and who has billed."""
    seconds = cast(UsageRow.virtual_ns, Float) / 1e9
    keys = (UsageRow.mode, UsageRow.status, UsageRow.billed_by)
    query = (
        sqlalchemy.select(
            *(col(key) for key in keys),
            func.count(),
            func.sum(seconds * UsageRow.cpu_millicores / 1000),
            func.sum(seconds * UsageRow.memory_mb / 1024),
            func.sum(UsageRow.ingress_bytes),
            func.sum(UsageRow.egress_bytes),
            func.sum(UsageRow.compute_cost),
            func.sum(UsageRow.network_cost),
            func.sum(UsageRow.charged),
        )
        .where(_whose(account), *_within(UsageRow.ended_at, period))
        .group_by(*(col(key) for key in keys))
    )
    return [
        _Group(Mode(row[0]), row[1], row[2], row[3], float(row[4]), float(row[5]), *map(int, row[6:]))
        for row in session.execute(query)
    ]


def _storage(session: Session, account: str, period: Period) -> Sequence[StorageUsageRow]:
    """The sweeps that ended within a period."""
    query = select(StorageUsageRow).filter_by(account=account)
    return session.exec(query.where(*_within(StorageUsageRow.period_end, period))).all()


def _owned(account: str) -> ColumnElement[bool]:
    return and_(col(SnapshotRow.account) == account, col(SnapshotRow.deleted).is_(False))


def _amounts(session: Session, account: str) -> dict[str, int]:
    """What is available and what is held, by ledger account."""
    both = col(LedgerBalanceRow.account).in_((available(account), held(account)))
    return {row.account: row.amount for row in session.exec(select(LedgerBalanceRow).where(both))}


def _line(row: UsageRow) -> UsageLine:
    call = None
    if row.chain_id is not None and row.service_id is not None and row.call_id is not None:
        call = (row.chain_id, row.service_id, row.call_id)
    return UsageLine(
        execution_id=row.execution_id,
        call=call,
        mode=Mode(row.mode),
        status=ExecutionStatus(row.status),
        billed_by=row.billed_by,
        use=Use(row.virtual_ns, row.memory_mb, row.cpu_millicores, row.egress_bytes),
        ingress_bytes=row.ingress_bytes,
        price_version=row.price_version,
        cost=Cost(row.compute_cost, row.network_cost),
        charged=row.charged,
        ended_at=row.ended_at,
    )
