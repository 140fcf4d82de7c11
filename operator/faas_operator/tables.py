"""The store's tables. Nothing outside `store` and its parts touches them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field, SQLModel


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

    id: int | None = Field(default=None, primary_key=True)
    chain_id: int = Field(sa_type=BigInteger)
    tangle: str
    service_id: int = Field(sa_type=BigInteger)
    call_id: int = Field(sa_type=BigInteger)

    job_index: int
    caller: str
    inputs: bytes = Field(sa_type=LargeBinary)
    quoted_operators: str | None = None
    """Addresses separated by blanks; NULL for a plain job."""
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

    number: int | None = Field(default=None, primary_key=True)
    """The call id of its receipt."""
    id: str = Field(unique=True)
    account: str = Field(index=True)
    status: str = Field(index=True)
    job: bytes = Field(sa_type=LargeBinary)
    """Canonical encoding."""
    outcome: bytes | None = Field(default=None, sa_type=LargeBinary)
    """As in a job's row."""
    receipt: str | None = Field(default=None, sa_column=Column(Text))
    signature: bytes | None = Field(default=None, sa_type=LargeBinary)
    wall_ms: float | None = None
    error: str | None = Field(default=None, sa_column=Column(Text))
    created_at: float
    updated_at: float
