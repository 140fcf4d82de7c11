"""What the protocol says, as values that do not depend on the ABI epoch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from faas_blueprint.receipt import Address


class ServiceStatus(IntEnum):
    """A service's stored status; expiry is a test of time and not stored."""

    PENDING = 0
    ACTIVE = 1
    TERMINATED = 2


@dataclass(frozen=True, slots=True)
class Service:
    """A service; all zero when there is none with the id."""

    blueprint_id: int
    owner: Address
    created_at: int
    """Unix seconds; 0 when there is no such service."""
    ttl: int
    """Seconds; 0 is for ever."""
    terminated_at: int
    operator_count: int
    pricing: int
    status: ServiceStatus
    confidentiality: int
    """Whether it is to run in enclaves; part of quotes for its jobs."""

    def is_open(self, now: int) -> bool:
        """Whether jobs are taken at `now` (Unix seconds): active and not past its time."""
        return (
            self.created_at > 0
            and self.status is ServiceStatus.ACTIVE
            and (self.ttl == 0 or now <= self.created_at + self.ttl)
        )


@dataclass(frozen=True, slots=True)
class JobCall:
    """A job call as stored; `created_at` 0 when there is none."""

    job_index: int
    caller: Address
    created_at: int
    result_count: int
    payment: int
    completed: bool
    is_rfq: bool


@dataclass(frozen=True, slots=True)
class JobSchemas:
    """The schema bytes of one job; empty means that the chain checks nothing."""

    parameters: bytes
    result: bytes


@dataclass(frozen=True, slots=True)
class RegisteredBlueprint:
    """What the chain keeps of a blueprint's definition and an operator needs."""

    metadata_uri: str
    manager: Address
    pricing: int
    event_rate_wei: int
    jobs: tuple[JobSchemas, ...]


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    """A job call's log, plain or from quotes."""

    service_id: int
    call_id: int
    job_index: int
    caller: Address
    inputs: bytes
    quoted_operators: tuple[Address, ...] | None = None
    """None for a plain job."""
    total_price: int | None = None


@dataclass(frozen=True, slots=True)
class JobResultSubmitted:
    """An operator's result."""

    service_id: int
    call_id: int
    operator: Address
    output: bytes


@dataclass(frozen=True, slots=True)
class OperatorAddress:
    """Where an operator says that it can be reached: whatever it wrote."""

    blueprint_id: int
    operator: Address
    rpc_address: str


@dataclass(frozen=True, slots=True)
class ServiceActivated:
    """A service came to life. `request_id` is 0 when it was made from quotes."""

    service_id: int
    request_id: int
    blueprint_id: int


@dataclass(frozen=True, slots=True)
class ServiceRequested:
    """Someone asks operators for a service."""

    request_id: int
    blueprint_id: int
    requester: Address
