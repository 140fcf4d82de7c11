"""What the court reads of the service manager, and sends to it; one operator's, through its only sender."""

from __future__ import annotations

from typing import TypeVar

from faas_blueprint.digests import Digest
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import ZERO_ADDRESS, Address, CallReference, address
from faas_blueprint.result import decode_result
from faas_blueprint.statement import Statement
from faas_blueprint.tangle import evidence, protocol, service_manager
from faas_blueprint.tangle.abi import Read, word
from faas_blueprint.tangle.service_manager import ManagedCall
from faas_operator.chain.evm import EvmAdapter
from faas_operator.chain.rpc import Header
from faas_operator.docket import Place

T = TypeVar("T")

_CONTESTS = (
    service_manager.RESULT_PROPOSED,
    service_manager.RESULT_DISPUTED,
    service_manager.CALL_UNDECIDED,
    service_manager.ODD_ONE_OUT,
)
"""Events after which somebody may have to do something."""


class CourtChain:
    """One operator before one manager contract."""

    def __init__(self, adapter: EvmAdapter) -> None:
        self._adapter = adapter
        self._rpc = adapter.rpc
        self.operator = adapter.operator

    def call(self, place: Place) -> CallReference:
        """A call of this deployment."""
        return CallReference(self._adapter.chain_id, self._adapter.tangle, *place)

    async def manager(self) -> Address:
        """The contract that is asked."""
        return await self._adapter.manager()

    async def head(self) -> Header:
        """The newest block."""
        return await self._rpc.head()

    async def block_hash(self, number: int) -> str | None:
        """See `ChainAdapter`."""
        return await self._adapter.block_hash(number)

    async def contested(self, first_block: int, last_block: int) -> set[Place]:
        """Calls of this operator's services whose answers can be challenged, or differ."""
        manager = await self._adapter.manager()
        if manager == ZERO_ADDRESS:
            return set()
        topics = (tuple(event.topic for event in _CONTESTS),)
        entries = await self._rpc.logs(manager, topics, first_block, last_block)
        places = {(_number(entry.log.topics[1]), _number(entry.log.topics[2])) for entry in entries}
        serves = {service: await self._serves(service) for service, _ in places}
        return {place for place in places if serves[place[0]]}

    async def managed(self, place: Place) -> ManagedCall:
        """What the manager keeps of a call."""
        return await self._ask(service_manager.call_of(*place))

    async def answers(self, place: Place) -> dict[Address, Digest]:
        """The agreement digest of each answer, in order; zero where one does not count."""
        operators = await self._ask(service_manager.answerers_of(*place))
        return {
            operator: await self._ask(service_manager.agreement_of(*place, operator))
            for operator in operators
        }

    async def turn(self, place: Place) -> int:
        """This operator's place among those of the service."""
        operators = await self._rpc.read(self._adapter.tangle, protocol.service_operators(place[0]))
        return operators.index(self.operator) if self.operator in operators else len(operators)

    async def is_proposed(self, place: Place, operator: Address) -> bool:
        """Whether a slash has been proposed for an operator's answer."""
        return await self._ask(evidence.is_proposed(*place, operator))

    async def posted(self, place: Place, first_block: int) -> list[Statement]:
        """What operators have posted as results of a call and can be read; not judged."""
        topics = (protocol.JOB_RESULT_SUBMITTED.topic, *map(word, place))
        head = await self._rpc.head()
        found = []
        for entry in await self._rpc.logs(self._adapter.tangle, topics, first_block, head.block.number):
            posted = protocol.decode_job_result_submitted(entry.log)
            try:
                result = decode_result(posted.output)
            except InvalidRequest:
                continue
            receipt = result.receipt(self.call(place), address(posted.operator))
            found.append(Statement(receipt, result.signature))
        return found

    async def brought(self, place: Place, first_block: int) -> list[Statement]:
        """What was brought to the manager by transactions of their own; not judged."""
        manager = await self._adapter.manager()
        topics = (service_manager.ANSWERED.topic, *map(word, place))
        head = await self._rpc.head()
        found = []
        for entry in await self._rpc.logs(manager, topics, first_block, head.block.number):
            raw = await self._rpc.request("eth_getTransactionByHash", entry.transaction_hash)
            data = bytes.fromhex(str((raw or {}).get("input", "0x"))[2:])
            try:
                found.append(service_manager.brought_receipt(data, self.call(place)))
            except InvalidRequest:
                continue
        return found

    async def send(self, data: bytes) -> str:
        """A transaction to the manager; its hash. Raises Reverted, ChainUnavailable."""
        return (await self._adapter.sender.send(await self._adapter.manager(), data)).transaction_hash

    async def _ask(self, read: Read[T]) -> T:
        return await self._rpc.read(await self._adapter.manager(), read)

    async def _serves(self, service_id: int) -> bool:
        serves = protocol.is_service_operator(service_id, self.operator)
        return await self._rpc.read(self._adapter.tangle, serves)


def _number(topic: bytes) -> int:
    return int.from_bytes(topic, "big")
