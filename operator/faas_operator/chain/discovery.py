"""From a blueprint to its services: the protocol has no view for it, the logs tell."""

from __future__ import annotations

from dataclasses import dataclass

from faas_blueprint.receipt import Address
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.abi import word
from faas_blueprint.tangle.values import Service
from faas_operator.chain.rpc import Rpc


@dataclass(frozen=True, slots=True)
class ActiveService:
    """A service that takes jobs."""

    service_id: int
    service: Service
    operators: tuple[Address, ...]
    activated_in_block: int


async def active_services(
    rpc: Rpc, tangle: Address, blueprint_id: int, first_block: int = 0
) -> list[ActiveService]:
    """The services of a blueprint that are active and not past their time, newest first."""
    head = await rpc.head()
    topics = (protocol.SERVICE_ACTIVATED.topic, None, None, word(blueprint_id))
    found = []
    for entry in reversed(await rpc.logs(tangle, topics, first_block, head.block.number)):
        service_id = protocol.decode_service_activated(entry.log).service_id
        service = await rpc.read(tangle, protocol.service(service_id))
        if service.is_open(head.timestamp):
            operators = await rpc.read(tangle, protocol.service_operators(service_id))
            found.append(ActiveService(service_id, service, operators, entry.block.number))
    return found
