"""The tables of contested calls and of refutations. Nothing outside `docket` and `refutation_store` touches
them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Text
from sqlmodel import Field, SQLModel


class ContestedCallRow(SQLModel, table=True):
    """A call whose answers this operator still has something to do with."""

    __tablename__ = "contested_call"

    deployment: str = Field(primary_key=True)
    service_id: int = Field(primary_key=True, sa_type=BigInteger)
    call_id: int = Field(primary_key=True, sa_type=BigInteger)
    opened_at: float


class RefutationRow(SQLModel, table=True):
    """What this operator has signed against another's receipt."""

    __tablename__ = "refutation"

    chain_id: int = Field(primary_key=True, sa_type=BigInteger)
    tangle: str = Field(primary_key=True)
    service_id: int = Field(primary_key=True, sa_type=BigInteger)
    call_id: int = Field(primary_key=True, sa_type=BigInteger)
    operator: str = Field(primary_key=True)
    """Whose receipt is refuted."""
    report_digest: str = Field(primary_key=True)
    report: str = Field(sa_column=Column(Text, nullable=False))
    """As JSON."""
    signature: bytes = Field(sa_type=LargeBinary)
    made_at: float
