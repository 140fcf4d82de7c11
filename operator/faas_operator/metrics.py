"""What Prometheus reads of a node when it asks, together with what `happenings` counted.

Labels are states and kinds: no customer, no key, no URL. A scrape costs little: what needs the network
or walks the store is asked for once in `REMEMBERED_SECONDS`. Serving it is `faas_api.observing`'s business.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from faas_blueprint.errors import DatabaseUnavailable, FaaSError
from faas_operator.execution_record import ExecutionStatus
from faas_operator.executions import ExecutionService
from faas_operator.happenings import HAPPENINGS
from faas_operator.pipeline import State
from faas_operator.readiness import PATIENCE_SECONDS, reasons_against
from faas_operator.service import Operator

REMEMBERED_SECONDS = 60.0

QUEUED = (State.CONFIRMED, State.ACCEPTED)
"""Job calls that wait for a machine."""


class _Remembered:
    """A value that is asked for seldom; None while it cannot be had."""

    def __init__(self, ask: Callable[[], Awaitable[int]]) -> None:
        self._ask = ask
        self._value: int | None = None
        self._asked: float | None = None

    async def get(self) -> int | None:
        now = time.monotonic()
        if self._asked is None or now - self._asked > REMEMBERED_SECONDS:
            self._asked = now
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    self._value = await self._ask()
            except (FaaSError, OSError, TimeoutError):
                self._value = None
        return self._value


class NodeMetrics:
    """One node's, with the process's counters. `operator` is None where no chain is followed."""

    def __init__(self, executions: ExecutionService, operator: Operator | None) -> None:
        self._executions = executions
        self._operator = operator
        self._store_bytes = _Remembered(self._ask_store_bytes)
        self._balance = None if operator is None else _Remembered(operator.balance)

    async def exposition(self) -> bytes:
        """All metrics in Prometheus' text format. A value that cannot be had is left out."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families([*await self._machines(), *await self._stored(), *await self._chain()]))
        return generate_latest(HAPPENINGS) + generate_latest(registry)

    async def _machines(self) -> list[GaugeMetricFamily]:
        engine = self._executions.engine
        waiting, alive = engine.pool.waiting, len(engine.pool.machines)
        kinds = {"waiting": waiting, "taken": alive - waiting}
        families = [_labelled("faas_machines", "Machines that are up", "kind", kinds)]
        size = await self._store_bytes.get()
        if size is not None:
            families.append(_gauge("faas_snapshot_store_bytes", "Size of the snapshot store", size))
        return families

    async def _ask_store_bytes(self) -> int:
        return (await self._executions.engine.library.store.usage()).used_bytes

    async def _stored(self) -> list[GaugeMetricFamily]:
        store = self._executions.store
        try:
            jobs = await asyncio.to_thread(store.count_by_state)
            runs = await asyncio.to_thread(store.executions.count_by_status)
        except (SQLAlchemyError, DatabaseUnavailable):
            return []
        queued = sum(jobs.get(state, 0) for state in QUEUED)
        states = {str(state): jobs.get(state, 0) for state in State}
        statuses = {str(status): runs.get(status, 0) for status in ExecutionStatus}
        return [
            _labelled("faas_jobs", "Job calls stored, by state", "state", states),
            _gauge("faas_jobs_queued", "Job calls that wait for a machine", queued),
            _labelled("faas_executions", "Runs over HTTP stored, by status", "status", statuses),
        ]

    async def _chain(self) -> list[GaugeMetricFamily]:
        against = await reasons_against(self._executions, self._operator)
        families = [_gauge("faas_ready", "Whether /ready says yes", int(not against))]
        if self._operator is None:
            return families
        try:
            block = await asyncio.to_thread(self._operator.block)
        except (SQLAlchemyError, DatabaseUnavailable):
            block = None
        if block is not None:
            families.append(_gauge("faas_chain_block", "The last block whose jobs are stored", block))
        seconds = self._operator.seconds_since_look()
        if seconds is not None:
            families.append(_gauge("faas_chain_look_age_seconds", "Since the chain was last read", seconds))
        balance = None if self._balance is None else await self._balance.get()
        if balance is not None:
            families.append(_gauge("faas_operator_balance_wei", "What the operator's account holds", balance))
        return families


class _Families(Collector):
    def __init__(self, families: list[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._families


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
