"""What the platform dialect answers about usage, credits and prices.

Decimal amounts are credits and GiB, for people; whole numbers of nanocredits stand beside them.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from faas_api.platform.times import timestamp
from faas_blueprint.prices import GIB, NANOCREDITS_PER_CREDIT, PriceTable, in_credits, price_table_to_json
from faas_operator.ledger import StatementLine
from faas_operator.usage import CurrentUsage as Current
from faas_operator.usage import Period, UsageLine, UsageSummary


class ExecutionsUsage(BaseModel):
    """Runs that ended in the period."""

    total_count: int
    successful_count: int = Field(description="Completed, with whatever exit code")
    failed_count: int = Field(description="Failed, timed out or cancelled")
    cpu_seconds: float = Field(description="Virtual, times the share of the processor")
    memory_gb_seconds: float
    by_mode: dict[str, int]
    on_chain_count: int = Field(description="How many of them were billed by the chain")


class StorageUsage(BaseModel):
    """Snapshots."""

    snapshots_created: int = Field(description="In the period, and still there")
    total_gb_stored: float = Field(description="GB-months: what was charged for")


class NetworkUsage(BaseModel):
    """Jobs that came in, and output that they gave back; fetching it again is not counted."""

    ingress_gb: float
    egress_gb: float


class Costs(BaseModel):
    """In credits; what was taken from the balance."""

    compute_cost: float
    storage_cost: float
    network_cost: float
    total_cost: float
    credits_remaining: float | None = Field(description="Null on a node that does not charge")
    total_nanocredits: int
    on_chain_price: float = Field(
        description="What the same prices say of runs that the chain has billed; not taken from the balance"
    )


class Usage(BaseModel):
    """A period of the account."""

    period_start: str
    period_end: str
    executions: ExecutionsUsage
    storage: StorageUsage
    network: NetworkUsage
    costs: Costs


class CurrentUsage(BaseModel):
    """The account at this moment."""

    current_balance: float | None = Field(
        description="With the pending charges; null where nothing is charged"
    )
    pending_charges: float = Field(description="Held for runs that are not over")
    rate_limit_remaining: int | None = Field(description="In this minute; null where there is no limit")
    storage_used_bytes: int
    active_executions: int
    balance_nanocredits: int | None
    pending_nanocredits: int


class ChainCall(BaseModel):
    """A job on-chain."""

    chain_id: int
    service_id: int
    call_id: int


class UsageEntry(BaseModel):
    """One run: what it used, and the cost by the price table of that version, in nanocredits."""

    execution_id: str | None
    call: ChainCall | None
    mode: str
    status: str
    billed_by: str = Field(description="`ledger`, `chain`, or `nobody` on a node that does not charge")
    virtual_ns: int
    memory_mb: int
    cpu_millicores: int
    ingress_bytes: int
    egress_bytes: int = Field(description="stdout, stderr and output files")
    price_version: int
    compute_nanocredits: int
    network_nanocredits: int
    total_nanocredits: int
    charged_nanocredits: int = Field(description="Taken from the balance")
    ended_at: str


class UsageList(BaseModel):
    """A part of the account's runs, latest first."""

    executions: list[UsageEntry]
    total: int
    limit: int
    offset: int


class StatementEntry(BaseModel):
    """A move of credits."""

    kind: str = Field(
        description="grant, deposited, claimed, hold, settlement, release, storage, refund_announced, "
        "refund_cancelled, refunded, binding or reorganisation"
    )
    cause: str = Field(description="Execution, or chain, transaction, log index and block, or period")
    account: str = Field(description="`available` or `held`")
    nanocredits: int
    created_at: str


class Statement(BaseModel):
    """A part of the moves, newest first."""

    entries: list[StatementEntry]
    total: int
    limit: int
    offset: int


class Prices(BaseModel):
    """Nanocredits for each unit; a GB is 2^30 bytes, a month 30 days."""

    version: int
    vcpu_second: int
    memory_gib_second: int
    storage_gib_month: int
    egress_gib: int
    ephemeral_percent: int
    cached_percent: int
    checkpointed_percent: int
    branched_percent: int
    persistent_percent: int


class Pricing(BaseModel):
    """The prices, and whether they are charged."""

    table: Prices
    nanocredits_per_credit: int
    charged: bool


def usage_answer(period: Period, summary: UsageSummary, charged: bool) -> Usage:
    """A period of an account."""
    total = summary.compute_cost + summary.network_cost + summary.storage_cost
    return Usage(
        period_start=timestamp(period.start),
        period_end=timestamp(period.end),
        executions=ExecutionsUsage(
            total_count=summary.total,
            successful_count=summary.successful,
            failed_count=summary.total - summary.successful,
            cpu_seconds=round(summary.cpu_seconds, 9),
            memory_gb_seconds=round(summary.memory_gb_seconds, 9),
            by_mode={str(mode): count for mode, count in summary.by_mode.items()},
            on_chain_count=summary.on_chain,
        ),
        storage=StorageUsage(snapshots_created=summary.snapshots_created, total_gb_stored=summary.gb_months),
        network=NetworkUsage(ingress_gb=summary.ingress_bytes / GIB, egress_gb=summary.egress_bytes / GIB),
        costs=Costs(
            compute_cost=in_credits(summary.compute_cost),
            storage_cost=in_credits(summary.storage_cost),
            network_cost=in_credits(summary.network_cost),
            total_cost=in_credits(total),
            credits_remaining=in_credits(summary.balance) if charged else None,
            total_nanocredits=total,
            on_chain_price=in_credits(summary.on_chain_price),
        ),
    )


def current_answer(current: Current, charged: bool, remaining: int | None) -> CurrentUsage:
    """An account now."""
    return CurrentUsage(
        current_balance=in_credits(current.balance) if charged else None,
        pending_charges=in_credits(current.held),
        rate_limit_remaining=remaining,
        storage_used_bytes=current.storage_bytes,
        active_executions=current.active_executions,
        balance_nanocredits=current.balance if charged else None,
        pending_nanocredits=current.held,
    )


def list_answer(lines: list[UsageLine], total: int, limit: int, offset: int) -> UsageList:
    """A part of the runs."""
    return UsageList(executions=[_entry(line) for line in lines], total=total, limit=limit, offset=offset)


def statement_answer(lines: list[StatementLine], total: int, limit: int, offset: int) -> Statement:
    """A part of the moves."""
    entries = [
        StatementEntry(
            kind=line.kind,
            cause=line.cause,
            account=line.account,
            nanocredits=line.amount,
            created_at=timestamp(line.created_at),
        )
        for line in lines
    ]
    return Statement(entries=entries, total=total, limit=limit, offset=offset)


def pricing_answer(table: PriceTable, charged: bool) -> Pricing:
    """A price table."""
    prices = Prices.model_validate(price_table_to_json(table))
    return Pricing(table=prices, nanocredits_per_credit=NANOCREDITS_PER_CREDIT, charged=charged)


def _entry(line: UsageLine) -> UsageEntry:
    call = None
    if line.call is not None:
        chain_id, service_id, call_id = line.call
        call = ChainCall(chain_id=chain_id, service_id=service_id, call_id=call_id)
    return UsageEntry(
        execution_id=line.execution_id,
        call=call,
        mode=str(line.mode),
        status=str(line.status),
        billed_by=line.billed_by,
        virtual_ns=line.use.virtual_ns,
        memory_mb=line.use.memory_mb,
        cpu_millicores=line.use.cpu_millicores,
        ingress_bytes=line.ingress_bytes,
        egress_bytes=line.use.egress_bytes,
        price_version=line.price_version,
        compute_nanocredits=line.cost.compute,
        network_nanocredits=line.cost.network,
        total_nanocredits=line.cost.total,
        charged_nanocredits=line.charged,
        ended_at=timestamp(line.ended_at),
    )
