"""A payment by request as it is stored, and how its row becomes a value. `payment_store` reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from faas_blueprint.digests import Digest
from faas_blueprint.receipt import Address
from faas_operator.chain.authorization import Authorization
from faas_operator.chain.interface import Block
from faas_operator.execution_record import Conflict, ExecutionStatus
from faas_operator.payment_tables import PaymentRow

FINISHED = (ExecutionStatus.COMPLETED, ExecutionStatus.TIMEOUT)
"""Runs that have an outcome, and so are paid for."""


class PaymentState(StrEnum):
    """What has become of a payment."""

    RESERVED = "reserved"
    SETTLED = "settled"
    FINAL = "final"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as stored."""

    id: int
    authorization: Authorization
    nanocredits: int
    """What it buys."""
    request: Digest
    """SHA-256 of what was asked with it."""
    execution_id: str
    first_block: int
    """Its nonce was not used before."""
    state: PaymentState
    reason: str | None
    account: str
    """Whose the run is: `nobodys` before it is settled."""
    transaction_hash: str | None
    block: Block | None
    process: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reserved payment and how its run stands."""

    payment: Payment
    run: ExecutionStatus | None
    """None: it has not begun."""
    abandoned: bool
    """Whether the process that had it in hand is dead, or seems to have forgotten it."""


NOBODYS = "payer:"
"""What the names of accounts begin with that no key has."""


def nobodys(payer: Address) -> str:
    """Under what name the runs of a payer are stored until they are paid for."""
    return NOBODYS + payer


def require_same(payment: Payment, request: Digest) -> None:
    """Raises Conflict when a payment was made for another request."""
    if payment.request != request:
        raise Conflict("this payment was made for another request: sign one for this", {"reason": "used"})


def payment_of(row: PaymentRow) -> Payment:
    """The value of a row."""
    assert row.id is not None
    return Payment(
        id=row.id,
        authorization=Authorization(
            payer=Address(row.payer),
            to=Address(row.pay_to),
            value=int(row.amount),
            valid_after=int(row.valid_after),
            valid_before=int(row.valid_before),
            nonce=bytes.fromhex(row.nonce),
            signature=row.signature,
        ),
        nanocredits=row.nanocredits,
        request=Digest(row.request_digest),
        execution_id=row.execution_id,
        first_block=row.first_block,
        state=PaymentState(row.state),
        reason=row.reason,
        account=row.account or nobodys(Address(row.payer)),
        transaction_hash=row.transaction_hash,
        block=None if row.block_hash is None else Block(row.block_number or 0, row.block_hash),
        process=row.process,
    )
