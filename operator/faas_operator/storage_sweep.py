"""What kept snapshots cost: at each sweep, every account pays for what it has, since the sweep before.

A snapshot counts with the bytes that differ from its parent's, from when it was taken; one that was deleted
since the last sweep no longer counts. A debt is possible by it: then no run starts until it is paid, and
nothing is deleted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from sqlalchemy import Engine
from sqlmodel import Session, select

from faas_blueprint.prices import storage_cost
from faas_operator.charging import Terms
from faas_operator.ledger import REVENUE, Cause, Posting, available, keep, post
from faas_operator.ledger_tables import StorageSweepRow, StorageUsageRow
from faas_operator.tables import SnapshotRow
from faas_operator.transactions import lock

_ONLY = 1


class StorageSweep:
    """Sweeps one store. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float], terms: Terms) -> None:
        self._engine = engine
        self._clock = clock
        self._terms = terms

    def sweep(self, least_seconds: float = 0.0) -> int:
        """Charge what was kept since the last sweep, all in one transaction, unless that is less than so many
        seconds ago. The first sweep only notes the time. Answers how many accounts had something."""
        now = self._clock()
        with Session(self._engine) as session:
            lock(session, "storage sweep")
            last = session.get(StorageSweepRow, _ONLY)
            if last is None:
                session.add(StorageSweepRow(id=_ONLY, swept_at=now))
                session.commit()
                return 0
            start = last.swept_at
            if now - start < max(least_seconds, 0.001):
                return 0
            kept = _kept(session, start, now)
            if self._terms.charged:
                keep(session, [available(account) for account in kept])
            for account, byte_seconds in kept.items():
                self._charge(session, account, byte_seconds, start, now)
            last.swept_at = now
            session.add(last)
            session.commit()
        return len(kept)

    def _charge(self, session: Session, account: str, byte_seconds: int, start: float, end: float) -> None:
        cost = storage_cost(self._terms.prices, byte_seconds)
        charged = cost if self._terms.charged else 0
        if charged:
            cause = Cause("storage", f"{account} from {start:.3f} to {end:.3f}")
            post(session, end, cause, Posting(available(account), -charged), Posting(REVENUE, charged))
        session.add(
            StorageUsageRow(
                account=account,
                period_start=start,
                period_end=end,
                byte_seconds=str(byte_seconds),
                price_version=self._terms.prices.version,
                cost=cost,
                charged=charged,
            )
        )


def _kept(session: Session, start: float, end: float) -> dict[str, int]:
    """Byte-seconds of each account."""
    kept: defaultdict[str, int] = defaultdict(int)
    for row in session.exec(select(SnapshotRow).filter_by(deleted=False)):
        milliseconds = round((end - max(start, row.created_at)) * 1000)
        kept[row.account] += row.size_bytes * max(0, milliseconds) // 1000
    return {account: amount for account, amount in kept.items() if amount}
