"""The table of quotes. Nothing outside `quote_store` touches it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Text
from sqlmodel import Field, SQLModel


class JobQuoteRow(SQLModel, table=True):
    """One quote that was signed for a job."""

    __tablename__ = "job_quote"

    digest: str = Field(primary_key=True)
    """Hexadecimal: what was signed, by which Tangle takes a quote once."""
    caller: str = Field(index=True)
    """Who asked for it."""
    terms: str = Field(sa_column=Column(Text, nullable=False))
    """All fields of the quote, as JSON."""
    expiry: int = Field(sa_type=BigInteger, index=True)
    """Unix seconds."""
    made_at: float
