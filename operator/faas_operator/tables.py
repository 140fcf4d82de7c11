"""The store's tables. Nothing outside `store` and its parts touches them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from faas_operator.row_number import RowNumber

PRICE_DIGITS = 78
"""Of the largest uint256."""

NO_PRICE = "0" * PRICE_DIGITS


class CursorRow(SQLModel, table=True):
    """How far the logs of one deployment have been read."""

    __tablename__ = "chain_cursor"

    deployment: str = Field(primary_key=True)
    block_number: int = Field(sa_type=BigInteger)
    block_hash: str


class JobRow(SQLModel, table=True):
    """One job call and all that this node knows of it."""

    __tablename__ = "job"
    __table_args__ = (UniqueConstraint("chain_id", "tangle", "service_id", "call_id"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=RowNumber)
    chain_id: int = Field(sa_type=BigInteger)
    tangle: str
    service_id: int = Field(sa_type=BigInteger)
    call_id: int = Field(sa_type=BigInteger)

    job_index: int
    caller: str
    inputs: bytes = Field(sa_type=LargeBinary)
    quoted_operators: str | None = None
    """Addresses separated by blanks; NULL for a plain job."""
    price: str = NO_PRICE
    """What was paid for the call, in `PRICE_DIGITS` decimal digits, so that texts sort as the numbers do."""
    waits: int = 0
    """Times that it was its turn and an earlier call had to come first; its price counts no more then."""
    block_number: int = Field(sa_type=BigInteger)
    block_hash: str
    transaction_hash: str

    state: str = Field(index=True)
    revision: int = 0
    """Grows with every transition; a writer that holds an older one is refused."""
    attempts: int = 0
    """Machines that this job has lost."""
    error: str | None = Field(default=None, sa_column=Column(Text))

    outcome: bytes | None = Field(default=None, sa_type=LargeBinary)
    """Canonical encoding of the outcome's digest form; streams, files and manifest are blobs."""
    state_root: bytes | None = Field(default=None, sa_type=LargeBinary)
    profile_id: bytes | None = Field(default=None, sa_type=LargeBinary)
    snapshot: bytes | None = Field(default=None, sa_type=LargeBinary)
    """What the outcome came from; the node may have another snapshot by the time it signs."""
    toolchain: bytes | None = Field(default=None, sa_type=LargeBinary)
    """Likewise, of the compiler's snapshot; zeros where nothing was compiled."""
    payload: bytes | None = Field(default=None, sa_type=LargeBinary)
    """The signed result, as posted."""
    receipt: str | None = Field(default=None, sa_column=Column(Text))

    result_transaction: str | None = None
    result_block_number: int | None = Field(default=None, sa_type=BigInteger)
    result_block_hash: str | None = None

    created_at: float
    updated_at: float


class BlobRow(SQLModel, table=True):
    """Bytes by their SHA-256."""

    __tablename__ = "blob"

    sha256: str = Field(primary_key=True)
    content: bytes = Field(sa_type=LargeBinary)
    created_at: float


class ExecutionRow(SQLModel, table=True):
    """One run that was asked for over HTTP."""

    __tablename__ = "execution"
    __table_args__ = (UniqueConstraint("account", "id"), UniqueConstraint("account", "idempotency_key"))

    number: int | None = Field(default=None, primary_key=True, sa_type=RowNumber)
    """The call id of its receipt."""
    id: str = Field(index=True)
    account: str = Field(index=True)
    status: str = Field(index=True)
    mode: str
    language: str | None = None
    job: bytes | None = Field(default=None, sa_type=LargeBinary)
    """Canonical encoding; NULL for a machine that was restored and has no job yet."""
    snapshot_id: str | None = None
    """Where it was asked to start; NULL is the base, or the head of what follows."""
    branch_id: str | None = None
    session: str | None = None
    kept_snapshot_id: str | None = None
    cached: bool = False
    idempotency_key: str | None = None
    request_digest: bytes | None = Field(default=None, sa_type=LargeBinary)
    outcome: bytes | None = Field(default=None, sa_type=LargeBinary)
    """As in a job's row."""
    receipt: str | None = Field(default=None, sa_column=Column(Text))
    signature: bytes | None = Field(default=None, sa_type=LargeBinary)
    wall_ms: float | None = None
    error: str | None = Field(default=None, sa_column=Column(Text))
    process: str | None = Field(default=None, index=True)
    """Which process has it in hand."""
    said_stdout: bytes | None = Field(default=None, sa_type=LargeBinary)
    """What it had written, if it came to an end without an outcome."""
    said_stderr: bytes | None = Field(default=None, sa_type=LargeBinary)
    said_truncated: bool | None = None
    """Whether its beginning is missing."""
    cancel_reason: str | None = Field(default=None, sa_column=Column(Text))
    """Another process was asked to stop it."""
    created_at: float
    updated_at: float


class SnapshotRow(SQLModel, table=True):
    """One account's name for a snapshot of the engine's store. Several rows may mean the same snapshot."""

    __tablename__ = "snapshot"

    number: int | None = Field(default=None, primary_key=True, sa_type=RowNumber)
    id: str = Field(unique=True)
    account: str = Field(index=True)
    measurement: bytes = Field(sa_type=LargeBinary, index=True)
    parent_id: str | None = Field(default=None, index=True)
    mode: str
    kind: str
    paused: bool = False
    """Its job is still under way in it."""
    execution_id: str | None = None
    branch_id: str | None = None
    details: str = Field(sa_column=Column(Text, nullable=False))
    """The caller's metadata, as JSON."""
    size_bytes: int = Field(sa_type=BigInteger)
    stored_bytes: int = Field(sa_type=BigInteger)
    deleted: bool = Field(default=False, index=True)
    """Nobody's any more; the row goes when the store no longer needs the snapshot for others."""
    created_at: float


class BranchRow(SQLModel, table=True):
    """A named line of snapshots."""

    __tablename__ = "branch"

    number: int | None = Field(default=None, primary_key=True, sa_type=RowNumber)
    id: str = Field(unique=True)
    account: str = Field(index=True)
    snapshot_id: str
    """Where it began."""
    head_id: str
    """Where its next run starts."""
    parent_branch: str | None = None
    details: str = Field(sa_column=Column(Text, nullable=False))
    created_at: float
    updated_at: float


class SessionRow(SQLModel, table=True):
    """A machine that stays up between runs."""

    __tablename__ = "session"

    account: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    snapshot_id: str | None = None
    """Where it began; NULL is the base."""
    created_at: float
    updated_at: float
