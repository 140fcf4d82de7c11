"""What one process does about the runs of the others that share its database, and they about its own.

All of it goes through the database: a run is waited for by looking at its row, and stopped by a note in it,
which the process that runs it finds within a second. Live output stays with that process.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable

from faas_blueprint.errors import DatabaseUnavailable
from faas_operator.execution_record import UNFINISHED, ExecutionRecord
from faas_operator.logs import about
from faas_operator.store import Store

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""How often runs of others are looked at, and notes for one's own."""

CANCEL_SECONDS = 10.0
"""How long another process may take to stop a run before its caller is told that it has not yet."""

_ROUNDS = 10
"""Of looking, to one of ending what dead processes have left."""


class Elsewhere:
    """The runs of one store, seen from one of its processes."""

    def __init__(self, store: Store) -> None:
        self._executions = store.executions
        self._processes = store.processes

    async def wait(self, execution_id: str, account: str) -> ExecutionRecord:
        """A run once it is over, whoever runs it. Raises NotFound."""
        while True:
            record = await asyncio.to_thread(self._executions.get, execution_id, account)
            if record.status not in UNFINISHED:
                return record
            await asyncio.sleep(LOOK_SECONDS)

    async def cancel(self, execution_id: str, account: str, reason: str) -> ExecutionRecord:
        """Have a run stopped by whoever runs it; its record after that, or after CANCEL_SECONDS as it is.

        Raises NotFound.
        """
        await asyncio.to_thread(self._executions.ask_to_cancel, execution_id, account, reason)
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                return await self.wait(execution_id, account)
        except TimeoutError:
            return await asyncio.to_thread(self._executions.get, execution_id, account)

    async def keep_up(self, cancel: Callable[[str, str, str], None]) -> None:
        """Until cancelled: say that this process is there, stop what others were asked to stop, and end what
        dead processes have left. `cancel` takes id, account and reason."""
        for round in itertools.count(1):
            try:
                await asyncio.to_thread(self._processes.beat)
                for account, execution_id, reason in await asyncio.to_thread(
                    self._executions.to_be_cancelled
                ):
                    cancel(execution_id, account, reason)
                if round % _ROUNDS == 0:
                    await asyncio.to_thread(self.end_interrupted)
            except DatabaseUnavailable as error:
                log.warning("database unavailable", extra=about(error=error))
            await asyncio.sleep(LOOK_SECONDS)

    def end_interrupted(self) -> None:
        """End what dead processes have left."""
        interrupted = self._executions.end_interrupted()
        if interrupted:
            log.warning("%d runs were interrupted when their process stopped", interrupted)
