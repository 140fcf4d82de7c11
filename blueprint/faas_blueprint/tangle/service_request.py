"""Requests for a service: what they pay and ask for, and an operator's answer to them.

A stored request has two layouts, by epoch, which their lengths tell apart: the newer one ends in whether it
was activated. No view tells which operators a request asks for; Tangle says so to whoever tries to approve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import cast

from faas_blueprint.definition import Pricing
from faas_blueprint.errors import ChainUnavailable
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.abi import Event, Function, Read, Value

GET_SERVICE_REQUEST = Function(
    "getServiceRequest",
    ("uint64",),
    ("(uint64,address,uint64,uint64,uint32,uint32,address,uint256,uint8,uint32,uint32,bool,uint8,bool)",),
)
_REQUEST_BYTES = 14 * 32
_EARLIER_REQUEST = Function(
    "getServiceRequest",
    ("uint64",),
    ("(uint64,address,uint64,uint64,uint32,uint32,address,uint256,uint8,uint32,uint32,bool,uint8)",),
)
REJECT_SERVICE = Function("rejectService", ("uint64",))
GET_BLUEPRINT_CONFIG = Function(
    "getBlueprintConfig", ("uint64",), ("(uint8,uint8,uint32,uint32,uint256,uint64,uint256)",)
)
SERVICE_APPROVED = Event("ServiceApproved", ("uint64", "address"), (0, 1))
SERVICE_REJECTED = Event("ServiceRejected", ("uint64", "address"), (0, 1))


class Confidentiality(IntEnum):
    """Whether a service is to run in enclaves."""

    ANY = 0
    TEE_REQUIRED = 1
    STANDARD_REQUIRED = 2
    TEE_PREFERRED = 3


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """A request as stored; all zero when there is none with the id."""

    blueprint_id: int
    requester: Address
    created_at: int
    """Unix seconds; 0 when there is no such request."""
    ttl: int
    """Seconds that the service is to last; 0 is for ever."""
    operator_count: int
    """How many operators it asks for."""
    approval_count: int
    payment_token: Address
    """The zero address is the native one."""
    payment_amount: int
    """What is paid at once: all of a service that is paid for once, the first deposit of a subscription."""
    confidentiality: int
    rejected: bool

    @property
    def is_waiting(self) -> bool:
        """Whether it is neither rejected nor approved by all."""
        return bool(self.created_at) and not self.rejected and self.approval_count < self.operator_count


@dataclass(frozen=True, slots=True)
class BlueprintPricing:
    """How a blueprint's services pay."""

    pricing: Pricing
    subscription_rate: int
    """For an interval, at the most."""
    subscription_interval: int
    """Seconds."""


@dataclass(frozen=True, slots=True)
class ServiceTerms:
    """What a request asks for and pays, whatever the ABI epoch; amounts are in the asset's smallest unit."""

    requester: Address
    pricing: Pricing
    asset: Address
    """What it pays in; the zero address is the native token."""
    operators: int
    """How many are to serve it: each runs every job."""
    ttl: int
    """Seconds; 0 is for ever."""
    amount: int
    """What is paid at once."""
    job_rates: Mapping[int, int]
    """What a job costs by its index, where jobs are paid one by one."""
    rate: int
    """What an interval of a subscription costs, at the most."""
    interval: int
    """Seconds."""
    confidentiality: int


def service_request(request_id: int) -> Read[ServiceRequest]:
    """A request."""

    def request(data: bytes) -> ServiceRequest:
        layout = GET_SERVICE_REQUEST if len(data) == _REQUEST_BYTES else _EARLIER_REQUEST
        found = cast("tuple[tuple[Value, ...]]", layout.decode_outputs(data))[0]
        blueprint_id, requester, created_at, ttl, operators, approvals, token, amount = found[:8]
        return ServiceRequest(
            cast(int, blueprint_id),
            cast(Address, requester),
            cast(int, created_at),
            cast(int, ttl),
            cast(int, operators),
            cast(int, approvals),
            cast(Address, token),
            cast(int, amount),
            cast(int, found[12]),
            cast(bool, found[11]),
        )

    return Read(GET_SERVICE_REQUEST.encode(request_id), request)


def reject_service(request_id: int) -> bytes:
    """Call data: ends a request for all of its operators, and what was paid goes back."""
    return REJECT_SERVICE.encode(request_id)


def blueprint_pricing(blueprint_id: int) -> Read[BlueprintPricing]:
    """How a blueprint's services pay."""

    def pricing(values: tuple[Value, ...]) -> BlueprintPricing:
        _, kind, _, _, rate, interval, _ = cast("tuple[tuple[int, ...]]", values)[0]
        if kind not in Pricing._value2member_map_:
            raise ChainUnavailable(f"pricing {kind} is unknown")
        return BlueprintPricing(Pricing(kind), rate, interval)

    return GET_BLUEPRINT_CONFIG.read(pricing, blueprint_id)
