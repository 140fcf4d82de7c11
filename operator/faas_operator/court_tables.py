"""The table of contested calls. Nothing outside `docket` touches it."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class ContestedCallRow(SQLModel, table=True):
    """A call whose answers this operator still has something to do with."""

    __tablename__ = "contested_call"

    deployment: str = Field(primary_key=True)
    service_id: int = Field(primary_key=True, sa_type=BigInteger)
    call_id: int = Field(primary_key=True, sa_type=BigInteger)
    opened_at: float
