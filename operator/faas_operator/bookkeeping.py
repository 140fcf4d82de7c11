"""What has to be done for the ledger from time to time: follow deposits, sweep storage, check the sums,
fetch what was used.

A loop of the node's own and no scheduler: what is due is read from the database each time, so there are no
schedules to keep, nothing is made up for twice after a restart, and the loop is stopped like the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from faas_blueprint.errors import ChainUnavailable, DatabaseUnavailable
from faas_operator.backoff import Backoff, repeat
from faas_operator.deposits import DepositFollower
from faas_operator.ledger import Ledger
from faas_operator.logs import about
from faas_operator.settings import Settings
from faas_operator.settlement import Settlement
from faas_operator.storage_sweep import StorageSweep

log = logging.getLogger(__name__)


class Bookkeeping:
    """The books of one node. `run` it once."""

    def __init__(
        self,
        ledger: Ledger,
        sweep: StorageSweep,
        follower: DepositFollower | None,
        settlement: Settlement | None,
        settings: Settings,
        clock: Callable[[], float],
        on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        """`on_duty`: whether this process is the one that does it, of those that share a database."""
        self._on_duty = on_duty
        self._ledger = ledger
        self._sweep = sweep
        self._follower = follower
        self._settlement = settlement
        self._settings = settings
        self._clock = clock
        self._backoff = Backoff(settings.retry_seconds, settings.retry_seconds_at_most)
        self._checked_at: float | None = None
        self._settled_at = clock()

    async def run(self) -> None:
        """Until cancelled. Raises LedgerBroken: then nothing may be charged before somebody has looked."""
        await repeat(self.once, self._settings.poll_seconds, self._backoff, _tell)

    async def once(self) -> None:
        """Whatever is due. Raises LedgerBroken, ChainUnavailable, DatabaseUnavailable."""
        if not await asyncio.to_thread(self._on_duty):
            return
        await asyncio.to_thread(self._sweep.sweep, self._settings.sweep_seconds)
        now = self._clock()
        if self._checked_at is None or now - self._checked_at >= self._settings.check_seconds:
            await asyncio.to_thread(self._ledger.check)
            self._checked_at = now
        if self._follower is not None:
            await self._follower.look()
        if self._settlement is not None and now - self._settled_at >= self._settings.settle_seconds:
            await self._settlement.settle()
            self._settled_at = now


def _tell(error: ChainUnavailable | DatabaseUnavailable) -> None:
    of_chain = isinstance(error, ChainUnavailable)
    log.warning(
        "credits contracts out of reach" if of_chain else "database unavailable", extra=about(error=error)
    )
