"""The services that one operator serves, found without a log: a node may not know since when it does."""

from __future__ import annotations

import asyncio

from faas_blueprint.receipt import Address
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.values import Service
from faas_operator.chain.rpc import Rpc


async def served_services(rpc: Rpc, tangle: Address, operator: Address) -> list[int]:
    """All open services that an operator serves, of whatever blueprint. Raises ChainUnavailable."""
    now = (await rpc.head()).timestamp
    count = await rpc.read(tangle, protocol.service_count())
    return [
        service_id
        for service_id in range(count)
        if await rpc.read(tangle, protocol.is_service_operator(service_id, operator))
        and (await rpc.read(tangle, protocol.service(service_id))).is_open(now)
    ]


SETTLED_SECONDS = 3600
"""The age from which a service is taken to stay what it is: no reorganisation reaches back so far."""


class ServedServices:
    """Of one blueprint. Looks for the blueprint's at the services of the chain that are younger than an hour,
    and once at those that are older. Safe for concurrent calls on one event loop."""

    def __init__(self, rpc: Rpc, tangle: Address, blueprint_id: int, operator: Address) -> None:
        self._rpc = rpc
        self._tangle = tangle
        self._blueprint_id = blueprint_id
        self._operator = operator
        self._settled: list[int] = []
        """The blueprint's among the first `_looked_at` of the chain."""
        self._looked_at = 0
        self._looking = asyncio.Lock()

    async def ids(self) -> list[int]:
        """Open ones that the operator serves at the newest block. Raises ChainUnavailable."""
        now = (await self._rpc.head()).timestamp
        async with self._looking:
            services = await self._of_blueprint(now)
        return [
            service_id
            for service_id, service in services.items()
            if service.is_open(now)
            and await self._rpc.read(self._tangle, protocol.is_service_operator(service_id, self._operator))
        ]

    async def _of_blueprint(self, now: int) -> dict[int, Service]:
        found = {service_id: await self._read(service_id) for service_id in self._settled}
        count = await self._rpc.read(self._tangle, protocol.service_count())
        for service_id in range(self._looked_at, count):
            service = await self._read(service_id)
            ours = service.blueprint_id == self._blueprint_id
            if ours:
                found[service_id] = service
            if service_id == self._looked_at and service.created_at <= now - SETTLED_SECONDS:
                self._settled += [service_id] if ours else []
                self._looked_at += 1
        return found

    async def _read(self, service_id: int) -> Service:
        return await self._rpc.read(self._tangle, protocol.service(service_id))
