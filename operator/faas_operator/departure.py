"""Joining services that run and leaving them, as one operator; and taking its name off the blueprint.

Leaving takes its time: an exit is scheduled when the least commitment is over, and executed when the queue
has passed and no result is owed. `exits` executes it while the node runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from faas_blueprint.definition import Membership
from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.receipt import Address
from faas_blueprint.tangle import membership, protocol
from faas_blueprint.tangle.abi import address_word, word
from faas_blueprint.tangle.membership import SecurityRequirement
from faas_operator.pipeline import State
from faas_operator.registration import Registration
from faas_operator.store import Store

WHOLE_BPS = 10_000

_DONE = frozenset({State.FINAL, State.ABANDONED, State.DROPPED})


@dataclass(frozen=True, slots=True)
class Exit:
    """How far leaving a service has come."""

    service_id: int
    standing: str
    """`scheduled`, `executable`, `left` or `none`."""
    executable_at: int | None
    """Unix seconds, by the chain's clock; None when nothing is scheduled."""
    owed: int = 0
    """Calls that this node has not answered for good."""
    forced_by: Address | None = None
    """Who put the operator out, where that is why it left."""
    too_few: bool = False
    """Whether Tangle lets nobody go, because the service has its least number of operators."""


def results_owed(store: Store, chain_id: int, tangle: Address, service_id: int) -> int:
    """Calls of a service that a node has taken in and whose results are not final."""
    place = (chain_id, tangle, service_id)
    waiting = store.jobs_in([state for state in State if state not in _DONE])
    calls = (record.submitted.call for record in waiting)
    return sum((call.chain_id, call.tangle, call.service_id) == place for call in calls)


@dataclass(frozen=True, slots=True)
class Departure:
    """Of one operator of one blueprint. All of it raises ChainUnavailable."""

    operator: Registration
    blueprint_id: int

    async def join(self, service_id: int, exposure_bps: int) -> tuple[SecurityRequirement, ...]:
        """Join, with the least stake that the service asks for; what that is, in each asset.

        Raises NotFound, and InvalidRequest when it cannot be joined.
        """
        await self._require_dynamic(service_id, "joined")
        if await self._serves(service_id):
            raise InvalidRequest(f"this operator serves service {service_id} already")
        asked = await self.operator.rpc.read(
            self.operator.tangle, membership.security_requirements(service_id)
        )
        call = membership.join_service(service_id, exposure_bps, asked)
        try:
            await self.operator.send(f"joining service {service_id}", self.operator.tangle, call)
        except InvalidRequest as error:
            if error.details.get("reason") != "Unauthorized":
                raise
            raise InvalidRequest(
                f"the blueprint's manager does not let {self.operator.sender.address} join service "
                f"{service_id}: its owner has to admit this operator first",
                error.details,
            ) from error
        return asked

    async def look(self, service_id: int, owed: int = 0, first_block: int = 0) -> Exit:
        """How far leaving has come; `first_block`: where to look for who forced it. Raises NotFound."""
        service = await self._service(service_id)
        rpc, own, tangle = self.operator.rpc, self.operator.sender.address, self.operator.tangle
        place = await rpc.read(tangle, membership.service_operator(service_id, own))
        if not place.active:
            if not place.joined_at:
                raise NotFound(f"this operator does not serve service {service_id}")
            return Exit(
                service_id, "left", place.left_at, owed, await self._forced_by(service_id, first_block)
            )
        waiting = await rpc.read(tangle, membership.exit_request(service_id, own))
        too_few = service.operator_count <= service.least_operators
        if waiting is None:
            return Exit(service_id, "none", None, owed, too_few=too_few)
        due = (await rpc.head()).timestamp >= waiting.execute_after
        standing = "executable" if due else "scheduled"
        return Exit(service_id, standing, waiting.execute_after, owed, too_few=too_few)

    async def schedule(self, service_id: int) -> Exit:
        """Schedule the exit; where the service has no queue, it is left at once by `execute`.

        Raises NotFound, and InvalidRequest when it cannot be left yet, with when it can.
        """
        await self._require_dynamic(service_id, "left")
        rpc, own, tangle = self.operator.rpc, self.operator.sender.address, self.operator.tangle
        if not await self._serves(service_id):
            raise NotFound(f"this operator does not serve service {service_id}")
        terms = await rpc.read(tangle, membership.exit_terms(service_id))
        place = await rpc.read(tangle, membership.service_operator(service_id, own))
        earliest = place.joined_at + terms.least_commitment
        if (await rpc.head()).timestamp < earliest:
            raise InvalidRequest(
                f"service {service_id} can be left from {earliest} (Unix seconds) on: who joins stays for "
                f"{terms.least_commitment} s",
                {"schedulable_at": earliest},
            )
        call = membership.SCHEDULE_EXIT.encode(service_id)
        await self.operator.send(f"scheduling the exit from service {service_id}", tangle, call)
        return await self.look(service_id)

    async def execute(self, service_id: int) -> None:
        """Leave, when the exit is due. Raises InvalidRequest."""
        call = membership.EXECUTE_EXIT.encode(service_id)
        try:
            await self.operator.send(f"leaving service {service_id}", self.operator.tangle, call)
        except InvalidRequest as error:
            if error.details.get("reason") != "InvalidState":
                raise
            raise InvalidRequest(
                f"service {service_id} has its least number of operators: none can leave until another joins",
                error.details,
            ) from error

    async def cancel(self, service_id: int) -> None:
        """Stay. Raises InvalidRequest when no exit is scheduled."""
        call = membership.CANCEL_EXIT.encode(service_id)
        what = f"cancelling the exit from service {service_id}"
        await self.operator.send(what, self.operator.tangle, call)

    async def unregister(self) -> None:
        """Take the operator's name off the blueprint. Raises InvalidRequest while it serves its services."""
        registered = protocol.is_operator_registered(self.blueprint_id, self.operator.sender.address)
        if not await self.operator.rpc.read(self.operator.tangle, registered):
            raise InvalidRequest(f"this operator is not registered for blueprint {self.blueprint_id}")
        call = membership.UNREGISTER_OPERATOR.encode(self.blueprint_id)
        what = f"unregistering from blueprint {self.blueprint_id}"
        try:
            await self.operator.send(what, self.operator.tangle, call)
        except InvalidRequest as error:
            if error.details.get("reason") != "OperatorHasActiveServices":
                raise
            raise InvalidRequest(
                "services of the blueprint are served yet: leave them (`faas operator leave SERVICE`), or "
                "wait for their owners to end them",
                error.details,
            ) from error

    async def _service(self, service_id: int) -> membership.ServiceMembership:
        tangle = self.operator.tangle
        service = await self.operator.rpc.read(tangle, protocol.service(service_id))
        if not service.created_at or service.blueprint_id != self.blueprint_id:
            raise NotFound(f"blueprint {self.blueprint_id} has no service {service_id}")
        return await self.operator.rpc.read(tangle, membership.service_membership(service_id))

    async def _require_dynamic(self, service_id: int, done: str) -> None:
        members = await self._service(service_id)
        service = await self.operator.rpc.read(self.operator.tangle, protocol.service(service_id))
        if not service.is_open((await self.operator.rpc.head()).timestamp):
            raise InvalidRequest(f"service {service_id} has ended")
        if members.membership is not Membership.DYNAMIC:
            raise InvalidRequest(f"service {service_id} cannot be {done}: its operators are fixed")

    async def _serves(self, service_id: int) -> bool:
        read = protocol.is_service_operator(service_id, self.operator.sender.address)
        return await self.operator.rpc.read(self.operator.tangle, read)

    async def _forced_by(self, service_id: int, first_block: int) -> Address | None:
        return await forced_by(self.operator, service_id, first_block)


async def forced_by(operator: Registration, service_id: int, first_block: int) -> Address | None:
    """Who put an operator out of a service, as the newest log since a block says."""
    topics = (membership.EXIT_FORCED.topic, word(service_id), address_word(operator.sender.address))
    head = (await operator.rpc.head()).block.number
    found = await operator.rpc.logs(operator.tangle, topics, first_block, head)
    return cast(Address, membership.EXIT_FORCED.decode(found[-1].log)[2]) if found else None
