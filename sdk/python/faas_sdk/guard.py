"""What is looked at before money leaves: every reason not to send a job, found out by reading.

1. `no_contract`: the address is a contract.
2. `unknown_service`, `service_ended`: the service exists and is active.
3. `service_expired`: its time is not over.
4. `not_permitted`: this account may submit jobs to it.
5. `schema_mismatch`: its blueprint's job takes the inputs that this client encodes.
6. `foreign_asset`, `price_too_high`: only an event-driven service is paid per job, in the native
   token, its exact rate. Elsewhere jobs are free and Tangle *keeps* whatever is sent: nothing is.
7. `insufficient_funds`: the account holds the price and the gas. (When the transaction is built.)

Any of them raises SubmissionRefused with that word; nothing was sent then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from faas_sdk import abi
from faas_sdk.abi import has, read
from faas_sdk.effects import Plan
from faas_sdk.errors import ConnectionFailed, SubmissionRefused
from faas_sdk.operations import PARAMETERS
from faas_sdk.payload import EXECUTE_JOB
from faas_sdk.rpc import Rpc
from faas_sdk.tlv import decode_schema


@dataclass(frozen=True, slots=True)
class Deployment:
    """One Tangle contract behind one endpoint."""

    rpc: Rpc
    tangle: str
    """Its address, in lower case."""


@dataclass(frozen=True, slots=True)
class Service:
    """What a caller must know of a service."""

    service_id: int
    blueprint_id: int
    owner: str
    created_at: int
    """Unix seconds; 0 when there is no such service."""
    ttl: int
    """Seconds; 0 is for ever."""
    pricing: int
    active: bool
    """By status; time is another matter."""

    def expired(self, now: int) -> bool:
        """Whether its time is over at `now`, in Unix seconds of the chain."""
        return self.ttl != 0 and now > self.created_at + self.ttl


@dataclass(frozen=True, slots=True)
class Terms:
    """What a job costs, once nothing speaks against it."""

    service: Service
    price_wei: int


def check_submission(
    at: Deployment,
    service_id: int,
    caller: str,
    maximum_price_wei: int | None,
    job_index: int = EXECUTE_JOB,
) -> Plan[Terms]:
    """All of 1-6. Raises SubmissionRefused and ConnectionFailed."""
    yield from _require_contract(at)
    service = yield from _require_open_service(at, service_id)
    if not (yield from read(at.rpc, at.tangle, abi.IS_PERMITTED_CALLER, service_id, caller)):
        raise SubmissionRefused(
            "not_permitted",
            f"{caller} may not submit jobs to service {service_id}; its owner {service.owner} can permit it",
        )
    yield from _require_schema(at, service.blueprint_id, job_index)
    price = yield from _price(at, service, maximum_price_wei, job_index)
    return Terms(service, price)


def read_service(at: Deployment, service_id: int) -> Plan[Service]:
    """A service as stored."""
    values = yield from read(at.rpc, at.tangle, abi.GET_SERVICE, service_id)
    (blueprint_id, owner, created_at, ttl, _, _, _, _, _, _, pricing, status, _) = cast(
        "tuple[int, str, int, int, int, int, int, int, int, int, int, int, int]", values
    )
    return Service(service_id, blueprint_id, owner, created_at, ttl, pricing, status == abi.ACTIVE)


def chain_time(at: Deployment) -> Plan[int]:
    """The newest block's time, in Unix seconds."""
    block = yield from at.rpc.call("eth_getBlockByNumber", "latest", False)
    if not isinstance(block, dict):
        raise ConnectionFailed("the endpoint knows no newest block")
    return int(block["timestamp"], 16)


def _require_contract(at: Deployment) -> Plan[None]:
    """1. The address is a contract."""
    if (yield from at.rpc.call("eth_getCode", at.tangle, "latest")) in ("0x", None):
        chain_id = yield from at.rpc.number("eth_chainId")
        raise SubmissionRefused("no_contract", f"there is no contract at {at.tangle} on chain {chain_id}")


def _require_open_service(at: Deployment, service_id: int) -> Plan[Service]:
    """2 and 3. The service exists, is active, and its time is not over."""
    service = yield from read_service(at, service_id)
    if service.created_at == 0:
        raise SubmissionRefused("unknown_service", f"there is no service {service_id}")
    if not service.active:
        raise SubmissionRefused("service_ended", f"service {service_id} is terminated")
    now = yield from chain_time(at)
    if service.expired(now):
        end = service.created_at + service.ttl
        raise SubmissionRefused(
            "service_expired", f"service {service_id} expired {now - end} seconds ago", {"expired_at": end}
        )
    return service


def _require_schema(at: Deployment, blueprint_id: int, job_index: int) -> Plan[None]:
    """5. The job takes what this client encodes; an empty schema takes anything."""
    newer = yield from has(at.rpc, at.tangle, abi.APPROVE_WITH_PARAMETERS)
    function = abi.GET_BLUEPRINT_DEFINITION if newer else abi.GET_BLUEPRINT_DEFINITION_0_10
    definition = cast("tuple[object, ...]", (yield from read(at.rpc, at.tangle, function, blueprint_id)))
    jobs = cast("tuple[tuple[str, str, str, bytes, bytes], ...]", definition[-1])
    if len(jobs) <= job_index:
        raise SubmissionRefused("schema_mismatch", f"blueprint {blueprint_id} has no job {job_index}")
    schema = jobs[job_index][3]
    try:
        matches = not schema or decode_schema(schema) == PARAMETERS[job_index]
    except ValueError:
        matches = False
    if not matches:
        raise SubmissionRefused(
            "schema_mismatch",
            f"blueprint {blueprint_id} wants other inputs than this client makes; is it this blueprint?",
            {"schema": "0x" + schema.hex()},
        )


def _price(at: Deployment, service: Service, maximum: int | None, job_index: int) -> Plan[int]:
    """6. The exact rate of an event-driven service in the native token; 0 of any other."""
    if service.pricing != abi.EVENT_DRIVEN:
        return 0
    price = cast(
        int,
        (yield from read(at.rpc, at.tangle, abi.GET_JOB_EVENT_RATE, service.blueprint_id, job_index)),
    )
    if maximum is not None and price > maximum:
        raise SubmissionRefused(
            "price_too_high",
            f"a job costs {price} wei, over the {maximum} that you allow",
            {"price_wei": price, "maximum_wei": maximum},
        )
    if (yield from has(at.rpc, at.tangle, abi.GET_SERVICE_PAYMENT_ASSET.selector)):
        asset = yield from read(at.rpc, at.tangle, abi.GET_SERVICE_PAYMENT_ASSET, service.service_id)
        if asset != abi.ZERO_ADDRESS:
            raise SubmissionRefused(
                "foreign_asset",
                f"the service is paid in token {asset}; this client pays the native token only",
            )
    return price
