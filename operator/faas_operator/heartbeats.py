"""Says from time to time to Tangle's status registry that this operator is there, for each service it serves.

A beat that is missed is not slashed by itself, and one that is refused waits for its next time: neither
hinders the node's work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from importlib.metadata import version

from faas_blueprint.errors import ChainUnavailable, DatabaseUnavailable
from faas_blueprint.receipt import ZERO_ADDRESS, Address
from faas_blueprint.tangle import protocol, status_registry
from faas_operator.backoff import Backoff, repeat
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.evm import EvmAdapter
from faas_operator.happenings import HEARTBEATS
from faas_operator.logs import about
from faas_operator.metrics import QUEUED
from faas_operator.pipeline import State
from faas_operator.settings import Settings
from faas_operator.store import Store

log = logging.getLogger(__name__)


class Heartbeats:
    """One operator's signs of life. `run` it once."""

    def __init__(
        self,
        chain: EvmAdapter,
        store: Store,
        settings: Settings,
        clock: Callable[[], float],
        on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        """`on_duty`: whether this process is the one that uses the operator's key."""
        self._chain = chain
        self._store = store
        self._settings = settings
        self._clock = clock
        self._on_duty = on_duty
        self._backoff = Backoff(settings.retry_seconds, settings.retry_seconds_at_most)
        self._due = 0.0
        self._due_of: dict[int, float] = {}
        self._told: set[tuple[int | None, str]] = set()
        """Troubles that were logged, by service."""

    async def run(self) -> None:
        """Until cancelled."""
        if not self._settings.heartbeat_seconds:
            await asyncio.Event().wait()
        await repeat(self.once, self._settings.poll_seconds, self._backoff, _tell)

    async def once(self) -> None:
        """Whatever is due. Raises ChainUnavailable, DatabaseUnavailable."""
        now = self._clock()
        if now < self._due or not await asyncio.to_thread(self._on_duty):
            return
        try:
            await self._beat_all(now)
        except Reverted as error:
            self._tell_once(None, str(error))
        self._due = now + self._settings.heartbeat_seconds

    async def _beat_all(self, now: float) -> None:
        registry = await self._chain.rpc.read(self._chain.tangle, protocol.operator_status_registry())
        if registry == ZERO_ADDRESS:
            self._tell_once(None, "this deployment has none")
            return
        for service_id in await self._chain.served.ids():
            if self._settings.service_id not in (None, service_id):
                continue
            if now >= self._due_of.get(service_id, 0.0):
                await self._beat(registry, service_id)
                self._due_of[service_id] = now + self._settings.heartbeat_seconds

    async def _beat(self, registry: Address, service_id: int) -> None:
        metrics = await asyncio.to_thread(self._metrics)
        call = status_registry.heartbeat(service_id, self._chain.blueprint_id, metrics)
        try:
            await self._chain.sender.send(registry, call)
        except Reverted as error:
            HEARTBEATS.labels("refused").inc()
            self._tell_once(service_id, str(error))
        else:
            HEARTBEATS.labels("received").inc()
            self._told = {told for told in self._told if told[0] not in (None, service_id)}
            log.debug("heartbeat sent", extra=about(service=service_id))

    def _metrics(self) -> dict[str, int]:
        jobs = self._store.count_by_state()
        return {
            "jobs_done": jobs.get(State.POSTED, 0) + jobs.get(State.FINAL, 0),
            "jobs_abandoned": jobs.get(State.ABANDONED, 0),
            "jobs_queued": sum(jobs.get(state, 0) for state in QUEUED),
            "version": version_number(version("tangle-faas")),
        }

    def _tell_once(self, service_id: int | None, trouble: str) -> None:
        if (service_id, trouble) not in self._told:
            self._told.add((service_id, trouble))
            extra = about(service="any" if service_id is None else service_id, error=trouble)
            log.warning("the status registry takes no heartbeat", extra=extra)


def version_number(text: str) -> int:
    """A version as a number that grows with it: 1.2.3 is 1002003."""
    major, minor, patch = (int(part) for part in text.split(".")[:3])
    return (major * 1000 + minor) * 1000 + patch


def _tell(error: ChainUnavailable | DatabaseUnavailable) -> None:
    log.warning("heartbeats cannot be sent", extra=about(error=error))
