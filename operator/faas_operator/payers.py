"""Whose account an address on-chain pays for.

A deposit names an account by itself; where it does not, its payer may be bound to one. Credits of a payer
that is bound to none are kept under its address, and move to the account when it is bound.
"""

from __future__ import annotations

from sqlmodel import Session

from faas_blueprint.digests import Digest
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.credit_events import account_named
from faas_operator.account_tables import AddressRow
from faas_operator.ledger import Cause, Posting, available, balance, post

ETHEREUM, SUBSTRATE = PAYING_NETWORKS = ("ethereum", "substrate")
"""Whose addresses pay: of 20 bytes, and of 32."""

LOCK = "payers"
"""Held while a payment is booked or an address is bound: whose it is does not change in between."""


def account_of(session: Session, account_id: Digest, payer: Address) -> str:
    """The account that a deposit is for, or the payer's address while nobody knows."""
    named = account_named(account_id)
    if named is not None:
        return named
    row = session.get(AddressRow, (ETHEREUM if len(payer) == 42 else SUBSTRATE, payer))
    return payer if row is None else row.account


def hand_over(session: Session, now: float, payer: Address, account: str) -> None:
    """Give an account what an address has paid before it was bound to it."""
    amount = balance(session, available(payer), keep=True)
    if amount:
        cause = Cause("binding", f"{payer} to {account}")
        post(session, now, cause, Posting(available(payer), -amount), Posting(available(account), amount))
