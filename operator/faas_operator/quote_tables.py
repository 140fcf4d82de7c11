"""The tables of quotes. Nothing outside `quote_store` touches it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Text
from sqlmodel import Field, SQLModel


class JobQuoteRow(SQLModel, table=True):
    """One quote that was signed for a job."""

    __tablename__ = "job_quote"

    digest: str = Field(primary_key=True)
    """Hexadecimal: what was signed, by which Tangle takes a quote once."""
    caller: str = Field(index=True)
    """Who asked for it."""
    terms: str = Field(sa_type=Text)
    """All fields of the quote, as JSON."""
    expiry: int = Field(sa_type=BigInteger, index=True)
    """Unix seconds."""
    made_at: float


class ServiceQuoteRow(SQLModel, table=True):
    """One quote that was signed for a service."""

    __tablename__ = "service_quote"

    digest: str = Field(primary_key=True)
    """Hexadecimal, likewise."""
    caller: str = Field(index=True)
    terms: str = Field(sa_type=Text)
    expiry: int = Field(sa_type=BigInteger, index=True)
    made_at: float
