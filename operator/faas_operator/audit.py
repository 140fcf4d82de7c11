"""The audit log: who did what to which account or key. Rows are added, in the transaction of what they tell.

Refused requests are not here, or strangers could fill it; they are in the node's log.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, func
from sqlmodel import Session, col, select

from faas_operator.account_tables import AuditRow
from faas_operator.transactions import reading


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the log."""

    number: int
    at: float
    actor: str
    """A key's id, `sign-in`, `command line` or `settings`."""
    action: str
    """Such as `key.created`."""
    account: str | None
    subject: str
    """What it was done to: the id of a key or an account, or an address."""
    details: Mapping[str, object]


class AuditLog:
    """Reads the log. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(self, limit: int, offset: int, account: str | None = None) -> tuple[Sequence[AuditEntry], int]:
        """Entries, newest first, and how many there are in all; of one account, if one is given."""
        query = select(AuditRow) if account is None else select(AuditRow).filter_by(account=account)
        with Session(reading(self._engine)) as session:
            total = session.exec(select(func.count()).select_from(query.subquery())).one()
            rows = session.exec(query.order_by(col(AuditRow.number).desc()).limit(limit).offset(offset))
            return [_entry_of(row) for row in rows], total


def record(
    session: Session,
    clock: Callable[[], float],
    actor: str,
    action: str,
    account: str | None,
    subject: str,
    **details: object,
) -> None:
    """Add a line to the transaction that does what it tells of."""
    session.add(
        AuditRow(
            at=clock(),
            actor=actor,
            action=action,
            account=account,
            subject=subject,
            details=json.dumps(details),
        )
    )


def _entry_of(row: AuditRow) -> AuditEntry:
    assert row.number is not None
    return AuditEntry(
        row.number, row.at, row.actor, row.action, row.account, row.subject, json.loads(row.details)
    )
