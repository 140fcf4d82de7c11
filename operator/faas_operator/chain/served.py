"""The services that one operator serves, found without a log: a node may not know since when it does."""

from __future__ import annotations

from faas_blueprint.receipt import Address
from faas_blueprint.tangle import protocol
from faas_operator.chain.evm import EvmAdapter
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


class ServedServices:
    """Of the adapter's blueprint and operator. Looks at each new service of the chain once to find the
    blueprint's."""

    def __init__(self, chain: EvmAdapter) -> None:
        self._chain = chain
        self._services: list[int] = []
        """Those of the blueprint among the first `_counted` of the chain."""
        self._counted = 0

    async def ids(self) -> list[int]:
        """Open ones that the operator serves at the newest block. Raises ChainUnavailable."""
        rpc, tangle, operator = self._chain.rpc, self._chain.tangle, self._chain.operator
        count = await rpc.read(tangle, protocol.service_count())
        if count < self._counted:  # a reorganisation took services away, others may get their ids
            self._services, self._counted = [], 0
        for service_id in range(self._counted, count):
            service = await rpc.read(tangle, protocol.service(service_id))
            if service.blueprint_id == self._chain.blueprint_id:
                self._services.append(service_id)
            self._counted = service_id + 1
        now = (await rpc.head()).timestamp
        served = []
        for service_id in self._services:
            if (await rpc.read(tangle, protocol.service(service_id))).is_open(now) and await rpc.read(
                tangle, protocol.is_service_operator(service_id, operator)
            ):
                served.append(service_id)
        return served
