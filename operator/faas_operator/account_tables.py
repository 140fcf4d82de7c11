"""Tables of accounts, their API keys and addresses, sign-in challenges, and the audit log.

Nothing outside `accounts`, `api_keys`, `challenges` and `audit` touches them. What an account has run or kept
is in `tables`, under the account's id.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Text
from sqlmodel import Field, SQLModel

from faas_operator.append_only import make_append_only
from faas_operator.row_number import RowNumber


class AccountRow(SQLModel, table=True):
    """Whoever owns executions, snapshots, branches and sessions."""

    __tablename__ = "account"

    number: int | None = Field(default=None, primary_key=True, sa_type=RowNumber)
    id: str = Field(unique=True)
    name: str
    requests_per_minute: int | None = Field(default=None, sa_type=BigInteger)
    """NULL, here and below: what the node's settings say."""
    requests_per_hour: int | None = Field(default=None, sa_type=BigInteger)
    concurrent_executions: int | None = Field(default=None, sa_type=BigInteger)
    created_at: float
    closed_at: float | None = None


class ApiKeyRow(SQLModel, table=True):
    """One API key, without the key."""

    __tablename__ = "api_key"

    number: int | None = Field(default=None, primary_key=True, sa_type=RowNumber)
    id: str = Field(unique=True)
    account: str = Field(index=True)
    digest: str
    """`sha256:<hex>` of the whole key."""
    name: str
    scopes: str
    """Separated by blanks."""
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None


class AddressRow(SQLModel, table=True):
    """An address on a chain that one account has proven to hold, and pays from."""

    __tablename__ = "account_address"

    network: str = Field(primary_key=True)
    address: str = Field(primary_key=True)
    account: str = Field(index=True)
    created_at: float


class ChallengeRow(SQLModel, table=True):
    """A text that waits to be signed. The row goes when it is answered, rightly or wrongly."""

    __tablename__ = "sign_in_challenge"

    nonce: str = Field(primary_key=True)
    scheme: str
    address: str
    message: str = Field(sa_column=Column(Text, nullable=False))
    expires_at: float = Field(index=True)


class AuditRow(SQLModel, table=True):
    """Something that was done to an account or a key. The database itself refuses to change or drop a row."""

    __tablename__ = "audit_log"

    number: int | None = Field(default=None, primary_key=True, sa_type=RowNumber)
    at: float
    actor: str
    action: str
    account: str | None = Field(default=None, index=True)
    subject: str
    details: str = Field(sa_column=Column(Text, nullable=False))
    """JSON."""


make_append_only(SQLModel.metadata.tables["audit_log"])
