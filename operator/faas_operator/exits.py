"""Executes scheduled exits from services, when they are due and no result is owed; tells of services lost.

It schedules none: that is `faas operator leave`. The chain keeps what is scheduled: a restart loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from faas_blueprint.errors import ChainUnavailable, DatabaseUnavailable, InvalidRequest, NotFound
from faas_blueprint.receipt import ZERO_ADDRESS
from faas_operator.backoff import Backoff, repeat
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.evm import EvmAdapter
from faas_operator.departure import Departure, Exit, results_owed
from faas_operator.happenings import EXITS
from faas_operator.logs import about
from faas_operator.registration import Registration
from faas_operator.settings import Settings
from faas_operator.store import Store

log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
"""How often scheduled exits are looked for: they take days."""


class Exits:
    """Of one operator. `run` it once."""

    def __init__(
        self,
        chain: EvmAdapter,
        store: Store,
        settings: Settings,
        on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        """`on_duty`: whether this process is the one that uses the operator's key."""
        self._chain = chain
        self._store = store
        self._settings = settings
        self._on_duty = on_duty
        self._backoff = Backoff(settings.retry_seconds, settings.retry_seconds_at_most)
        operator = Registration(chain.rpc, chain.sender, chain.epoch, chain.tangle, ZERO_ADDRESS)
        self._departure = Departure(operator, chain.blueprint_id)
        self._before: set[int] = set()
        """Served when it was looked last."""
        self._trouble: str | None = None
        """What was told of exits that cannot be read."""
        self._told: dict[int, str] = {}
        """What was said of a service's exit last."""

    async def run(self) -> None:
        """Until cancelled."""
        await repeat(self.once, max(LOOK_SECONDS, self._settings.poll_seconds), self._backoff, _tell)

    async def once(self) -> None:
        """Whatever is due. Raises ChainUnavailable, DatabaseUnavailable."""
        if not await asyncio.to_thread(self._on_duty):
            return
        try:
            await self._look_at_all()
        except (NotFound, Reverted) as error:  # a reorganisation, or a deployment that knows no exits
            if str(error) != self._trouble:
                self._trouble = str(error)
                log.warning("scheduled exits cannot be read", extra=about(error=error))

    async def _look_at_all(self) -> None:
        waiting = {"scheduled": 0, "executable": 0}
        only = self._settings.service_id
        now = {item for item in await self._chain.served.ids() if only in (None, item)}
        for service_id in sorted(now):
            found = await self._departure.look(service_id, await self._owed(service_id))
            if found.standing in waiting and not await self._leave(found):
                waiting[found.standing] += 1
            elif found.standing in waiting:
                now.discard(service_id)
                self._before.discard(service_id)
        for service_id in sorted(self._before - now):
            await self._tell_of_lost(service_id)
        self._before = now
        for standing, count in waiting.items():
            EXITS.labels(standing).set(count)

    async def _owed(self, service_id: int) -> int:
        place = (self._chain.chain_id, self._chain.tangle, service_id)
        return await asyncio.to_thread(results_owed, self._store, *place)

    async def _leave(self, found: Exit) -> bool:
        """Whether it is done."""
        if found.standing != "executable":
            self._tell_once(found, f"it can be executed from {found.executable_at} (Unix seconds) on")
            return False
        if found.owed:
            self._tell_once(found, f"it waits for {found.owed} results that are owed")
            return False
        try:
            await self._departure.execute(found.service_id)
        except InvalidRequest as error:
            self._tell_once(found, error.message)
            return False
        log.info("service left", extra=about(service=found.service_id))
        return True

    def _tell_once(self, found: Exit, state: str) -> None:
        if self._told.get(found.service_id) != state:
            self._told[found.service_id] = state
            log.info("an exit is scheduled", extra=about(service=found.service_id, state=state))

    async def _tell_of_lost(self, service_id: int) -> None:
        """Of one that was served and is not any more; that it has ended is no news."""
        found = await self._departure.look(service_id, first_block=self._settings.start_block)
        if found.standing == "left":
            extra = about(service=service_id, forced_by=found.forced_by or "nobody: it was left")
            log.warning("this operator serves a service no more", extra=extra)


def _tell(error: ChainUnavailable | DatabaseUnavailable) -> None:
    log.warning("scheduled exits cannot be executed", extra=about(error=error))
