"""The table of payments by request. Nothing outside `payment_store` and `payment_record` touches it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from faas_operator.row_number import RowNumber


class PaymentRow(SQLModel, table=True):
    """One signed transfer and the run that was asked for with it."""

    __tablename__ = "payment"
    __table_args__ = (UniqueConstraint("chain_id", "token", "payer", "nonce"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=RowNumber)
    chain_id: int = Field(sa_type=BigInteger)
    token: str
    payer: str
    nonce: str
    """Hexadecimal digits."""
    pay_to: str
    amount: str
    """Decimal digits, in the token's smallest unit; so are the times, as they may be of 256 bits."""
    valid_after: str
    valid_before: str
    signature: bytes = Field(sa_type=LargeBinary)
    nanocredits: int = Field(sa_type=BigInteger)
    """What it buys, by the rate at which it was asked for."""
    request_digest: bytes = Field(sa_type=LargeBinary)
    execution_id: str
    first_block: int = Field(sa_type=BigInteger)
    """The nonce was not used before it."""
    state: str = Field(index=True)
    reason: str | None = Field(default=None, sa_column=Column(Text))
    """Why it was given up."""
    account: str | None = None
    """Whose run and credits it has become."""
    transaction_hash: str | None = None
    block_number: int | None = Field(default=None, sa_type=BigInteger)
    block_hash: str | None = None
    process: str
    """Which process has its run in hand."""
    created_at: float
    updated_at: float
