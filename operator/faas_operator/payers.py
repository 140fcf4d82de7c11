"""Whose account an address on-chain pays for.

A deposit names an account by itself; where it does not, its payer may be bound to one. Credits of a payer
that is bound to none are kept under its address, and move to the account when it is bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sqlalchemy import Engine
from sqlmodel import Session, select

from faas_blueprint.digests import Digest
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.credit_events import account_named
from faas_operator.execution_record import Conflict
from faas_operator.ledger import Cause, Posting, available, balance, post
from faas_operator.ledger_tables import PayerRow


class PayerBinding(Protocol):
    """What whoever signs accounts in tells the ledger."""

    def bind(self, payer: Address, account: str) -> None:
        """From now on, `payer` pays for `account`."""
        ...


class Payers(PayerBinding):
    """The bindings of one store. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    def bind(self, payer: Address, account: str) -> None:
        """Bind an address that its owner has proven to be theirs, and hand over what it has paid so far.

        Raises Conflict when it is bound to another account.
        """
        with Session(self._engine) as session:
            row = session.get(PayerRow, payer)
            if row is not None and row.account != account:
                raise Conflict(f"{payer} pays for another account already", {"field": "payer"})
            if row is None:
                session.add(PayerRow(payer=payer, account=account))
                amount = balance(session, available(payer))
                post(
                    session,
                    self._clock(),
                    Cause("binding", f"{payer} to {account}"),
                    Posting(available(payer), -amount),
                    Posting(available(account), amount),
                )
            session.commit()


def account_of(session: Session, account_id: Digest, payer: Address) -> str:
    """The account that a deposit is for, or the payer's address while nobody knows."""
    named = account_named(account_id)
    if named is not None:
        return named
    row = session.exec(select(PayerRow).filter_by(payer=payer)).one_or_none()
    return payer if row is None else row.account
