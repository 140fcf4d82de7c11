"""Joining a service that runs, and leaving it: calls, views and events, the same in every epoch.

Only a service of dynamic membership can be joined or left. Leaving takes two steps: an exit is scheduled,
once the least commitment is over, and executed when the queue has passed; both times are the service
manager's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from faas_blueprint.definition import Membership
from faas_blueprint.errors import ChainUnavailable
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.abi import Event, Function, Read, Value
from faas_blueprint.tangle.protocol import GET_SERVICE

_COMMITMENTS = "((uint8,address),uint16)[]"

JOIN_SERVICE = Function("joinService", ("uint64", "uint16"))
JOIN_SERVICE_WITH_COMMITMENTS = Function("joinServiceWithCommitments", ("uint64", "uint16", _COMMITMENTS))
SCHEDULE_EXIT = Function("scheduleExit", ("uint64",))
EXECUTE_EXIT = Function("executeExit", ("uint64",))
CANCEL_EXIT = Function("cancelExit", ("uint64",))
LEAVE_SERVICE = Function("leaveService", ("uint64",))
FORCE_EXIT = Function("forceExit", ("uint64", "address"))
UNREGISTER_OPERATOR = Function("unregisterOperator", ("uint64",))

GET_EXIT_REQUEST = Function("getExitRequest", ("uint64", "address"), ("(uint64,uint64,uint64,bool)",))
GET_EXIT_CONFIG = Function("getExitConfig", ("uint64",), ("(uint64,uint64,bool)",))
GET_SERVICE_OPERATOR = Function("getServiceOperator", ("uint64", "address"), ("(uint16,uint64,uint64,bool)",))
GET_SERVICE_SECURITY_REQUIREMENTS = Function(
    "getServiceSecurityRequirements", ("uint64",), ("((uint8,address),uint16,uint16)[]",)
)

EXIT_SCHEDULED = Event("ExitScheduled", ("uint64", "address", "uint64"), (0, 1))
EXIT_FORCED = Event("ExitForced", ("uint64", "address", "address"), (0, 1, 2))
OPERATOR_JOINED_SERVICE = Event("OperatorJoinedService", ("uint64", "address", "uint16"), (0, 1))
OPERATOR_LEFT_SERVICE = Event("OperatorLeftService", ("uint64", "address"), (0, 1))


@dataclass(frozen=True, slots=True)
class ServiceMembership:
    """Who may come and go."""

    membership: Membership
    operator_count: int
    least_operators: int
    most_operators: int
    """0 is as many as Tangle takes."""


@dataclass(frozen=True, slots=True)
class ServiceOperator:
    """An operator's place in a service; all zero when it never had one. Times are Unix seconds."""

    exposure_bps: int
    joined_at: int
    left_at: int
    active: bool

    def served_at(self, timestamp: int) -> bool:
        """Whether the operator served in a block of that time. Of several stays the last one is known."""
        if not self.joined_at or timestamp < self.joined_at:
            return False
        return self.active or timestamp <= self.left_at


@dataclass(frozen=True, slots=True)
class ExitTerms:
    """How long leaving takes, in seconds."""

    least_commitment: int
    """From joining on, before an exit can be scheduled."""
    queue: int
    """From scheduling an exit to executing it; 0: it is left at once."""
    can_be_forced: bool
    """Whether the service's owner may put an operator out."""


@dataclass(frozen=True, slots=True)
class ExitRequest:
    """An exit that was scheduled."""

    scheduled_at: int
    execute_after: int
    """Unix seconds, by the chain's clock."""


@dataclass(frozen=True, slots=True)
class SecurityRequirement:
    """The stake in one asset that a service asks of each operator."""

    kind: int
    """0 native, 1 ERC-20."""
    token: Address
    least_bps: int
    most_bps: int


def join_service(service_id: int, exposure_bps: int, requirements: Sequence[SecurityRequirement]) -> bytes:
    """Call data: with the least of what each requirement asks for."""
    if not requirements:
        return JOIN_SERVICE.encode(service_id, exposure_bps)
    commitments = tuple(((item.kind, item.token), item.least_bps) for item in requirements)
    return JOIN_SERVICE_WITH_COMMITMENTS.encode(service_id, exposure_bps, commitments)


def service_membership(service_id: int) -> Read[ServiceMembership]:
    """Of a service; zeros when there is none."""

    def membership(values: tuple[Value, ...]) -> ServiceMembership:
        service = cast("tuple[tuple[int, ...]]", values)[0]
        if service[9] not in Membership._value2member_map_:
            raise ChainUnavailable(f"membership {service[9]} is unknown")
        return ServiceMembership(Membership(service[9]), service[6], service[7], service[8])

    return GET_SERVICE.read(membership, service_id)


def service_operator(service_id: int, operator: Address) -> Read[ServiceOperator]:
    """An operator's place in a service."""
    return GET_SERVICE_OPERATOR.read(
        lambda values: ServiceOperator(*cast("tuple[tuple[int, int, int, bool]]", values)[0]),
        service_id,
        operator,
    )


def exit_terms(service_id: int) -> Read[ExitTerms]:
    """How long leaving a service takes."""
    return GET_EXIT_CONFIG.read(
        lambda values: ExitTerms(*cast("tuple[tuple[int, int, bool]]", values)[0]), service_id
    )


def exit_request(service_id: int, operator: Address) -> Read[ExitRequest | None]:
    """An operator's exit that waits; None when there is none."""

    def request(values: tuple[Value, ...]) -> ExitRequest | None:
        _, scheduled_at, execute_after, pending = cast("tuple[tuple[int, int, int, bool]]", values)[0]
        return ExitRequest(scheduled_at, execute_after) if pending else None

    return GET_EXIT_REQUEST.read(request, service_id, operator)


def security_requirements(service_id: int) -> Read[tuple[SecurityRequirement, ...]]:
    """What stake a service asks of each operator."""

    def requirements(values: tuple[Value, ...]) -> tuple[SecurityRequirement, ...]:
        found = cast("tuple[tuple[tuple[tuple[int, Address], int, int], ...]]", values)[0]
        return tuple(SecurityRequirement(kind, token, least, most) for (kind, token), least, most in found)

    return GET_SERVICE_SECURITY_REQUIREMENTS.read(requirements, service_id)
