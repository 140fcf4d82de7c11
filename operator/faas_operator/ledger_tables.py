"""The tables of credits and usage. `ledger`, `charging`, `usage`, `credit_events` and `storage_sweep` alone
touch them.

Entries and postings are only ever added: triggers refuse to change or delete one.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from faas_operator.append_only import make_append_only
from faas_operator.row_number import RowNumber


class LedgerEntryRow(SQLModel, table=True):
    """One thing that happened, once: its cause names it."""

    __tablename__ = "ledger_entry"
    __table_args__ = (UniqueConstraint("kind", "cause"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=RowNumber)
    kind: str
    cause: str
    """Of a deposit: chain, transaction, log index and block; of a charge: account and execution; …"""
    created_at: float


class LedgerPostingRow(SQLModel, table=True):
    """What an entry did to one ledger account. The postings of an entry add up to zero."""

    __tablename__ = "ledger_posting"

    id: int | None = Field(default=None, primary_key=True, sa_type=RowNumber)
    entry_id: int = Field(sa_type=RowNumber, index=True, foreign_key="ledger_entry.id")
    account: str = Field(index=True)
    amount: int = Field(sa_type=BigInteger)
    """Nanocredits; positive is in the account's favour."""


class LedgerBalanceRow(SQLModel, table=True):
    """The sum of an account's postings, kept beside them so that a charge can be compared with it at once."""

    __tablename__ = "ledger_balance"

    account: str = Field(primary_key=True)
    amount: int = Field(sa_type=BigInteger)


class PriceTableRow(SQLModel, table=True):
    """A price table that was in force."""

    __tablename__ = "price_table"

    version: int = Field(primary_key=True)
    figures: str = Field(sa_column=Column(Text, nullable=False))
    """As JSON."""


class UsageRow(SQLModel, table=True):
    """One run that is over, and what it used."""

    __tablename__ = "usage"

    id: int | None = Field(default=None, primary_key=True, sa_type=RowNumber)
    reference: str = Field(unique=True)
    account: str | None = Field(default=None, index=True)
    """NULL for a call on-chain: its payer says whose it is."""
    payer: str | None = Field(default=None, index=True)
    execution_id: str | None = None
    chain_id: int | None = Field(default=None, sa_type=BigInteger)
    service_id: int | None = Field(default=None, sa_type=BigInteger)
    call_id: int | None = Field(default=None, sa_type=BigInteger)
    mode: str
    status: str
    billed_by: str
    virtual_ns: int = Field(default=0, sa_type=BigInteger)
    memory_mb: int = 0
    cpu_millicores: int = 0
    ingress_bytes: int = Field(default=0, sa_type=BigInteger)
    egress_bytes: int = Field(default=0, sa_type=BigInteger)
    price_version: int
    compute_cost: int = Field(default=0, sa_type=BigInteger)
    network_cost: int = Field(default=0, sa_type=BigInteger)
    charged: int = Field(default=0, sa_type=BigInteger)
    """Taken from the account's credits."""
    ended_at: float = Field(index=True)


class StorageUsageRow(SQLModel, table=True):
    """What an account kept between two sweeps."""

    __tablename__ = "storage_usage"
    __table_args__ = (UniqueConstraint("account", "period_end"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=RowNumber)
    account: str = Field(index=True)
    period_start: float
    period_end: float
    byte_seconds: str
    """Decimal digits."""
    price_version: int
    cost: int = Field(sa_type=BigInteger)
    charged: int = Field(sa_type=BigInteger)


class StorageSweepRow(SQLModel, table=True):
    """When storage was last swept; one row."""

    __tablename__ = "storage_sweep"

    id: int = Field(primary_key=True)
    swept_at: float


class CreditEventRow(SQLModel, table=True):
    """A log of a credits contract, in the block in which it was seen."""

    __tablename__ = "credit_event"
    __table_args__ = (UniqueConstraint("chain_id", "contract", "block_hash", "log_index"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=RowNumber)
    chain_id: int = Field(sa_type=BigInteger)
    contract: str
    block_number: int = Field(sa_type=BigInteger, index=True)
    block_hash: str
    log_index: int
    transaction_hash: str
    kind: str
    account_id: bytes = Field(sa_type=LargeBinary)
    payer: str
    token: str
    amount: str
    """Decimal digits, in the token's smallest unit."""
    state: str = Field(index=True)
    applications: int = 0
    """How often it was applied; a reorganisation can take an application back."""


class SpendingLimitRow(SQLModel, table=True):
    """What a payer has signed that may be settled from a purse, in a series."""

    __tablename__ = "spending_limit"
    __table_args__ = (UniqueConstraint("chain_id", "contract", "account_id", "payer", "token", "series"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=RowNumber)
    chain_id: int = Field(sa_type=BigInteger)
    contract: str
    account_id: bytes = Field(sa_type=LargeBinary)
    payer: str
    token: str
    series: int = Field(sa_type=BigInteger)
    total: str
    """Decimal digits."""
    expiry: int = Field(sa_type=BigInteger)
    signature: bytes = Field(sa_type=LargeBinary)


ROWS: tuple[type[SQLModel], ...] = (
    LedgerEntryRow,
    LedgerPostingRow,
    LedgerBalanceRow,
    PriceTableRow,
    UsageRow,
    StorageUsageRow,
    StorageSweepRow,
    CreditEventRow,
    SpendingLimitRow,
)


def _table(row: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(row.__tablename__)]


for _row in (LedgerEntryRow, LedgerPostingRow):
    make_append_only(_table(_row))
