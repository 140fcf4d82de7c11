"""What is looked at before money leaves: every reason not to send a job, found out by reading.

1. `no_contract`: the address is a contract. What is sent elsewhere is gone.
2. `unknown_service`, `service_ended`: the service exists and is active.
3. `service_expired`, `ends_soon`: its time is not over, and lasts for an answer. Later ones are not taken,
   and a paid job that is not answered is not paid back.
4. `not_permitted`: this account may submit jobs to it.
5. `schema_mismatch`: its blueprint's job takes the inputs that this client encodes.
6. `no_operator`, `too_few_operators`, `aggregated`: the operators that it has can complete a job, by plain
   results. The others stay open for ever, with the money.
7. `foreign_asset`, `price_too_high`: only an event-driven service is paid per job, in the native
   token, its exact rate.
8. `value_swallowed`, `wrong_value`: a value that the caller names is that price. Elsewhere than at an
   event-driven service jobs are free, and Tangle *keeps* whatever is sent.
9. `insufficient_funds`: the account holds the price and the gas. (When the transaction is built.)

Any of them raises SubmissionRefused with that word; nothing was sent then. Where Tangle would have taken the
money for nothing, it is FundsAtRisk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from faas_sdk import abi
from faas_sdk.abi import has, read
from faas_sdk.effects import Plan
from faas_sdk.errors import ConnectionFailed, FundsAtRisk, SubmissionRefused
from faas_sdk.operations import PARAMETERS
from faas_sdk.payload import EXECUTE_JOB
from faas_sdk.rpc import Rpc, RpcError
from faas_sdk.tlv import decode_schema

LEAST_SECONDS_LEFT = 60
"""A job that is paid so shortly before its service's end may not be answered in time."""


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
    confidentiality: int
    """Whether it is to run in enclaves; part of quotes."""

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
    value_wei: int | None = None,
) -> Plan[Terms]:
    """All of 1-8. Raises SubmissionRefused and ConnectionFailed."""
    service = yield from check_service(at, service_id, caller, job_index)
    operators = yield from service_operators(at, service_id)
    yield from require_answers(at, service, job_index, len(operators))
    price = yield from _price(at, service, maximum_price_wei, job_index)
    require_value(service, price, value_wei)
    return Terms(service, price)


def check_service(at: Deployment, service_id: int, caller: str, job_index: int) -> Plan[Service]:
    """1 to 5."""
    yield from require_contract(at)
    service = yield from _require_open_service(at, service_id)
    if not (yield from read(at.rpc, at.tangle, abi.IS_PERMITTED_CALLER, service_id, caller)):
        raise SubmissionRefused(
            "not_permitted",
            f"{caller} may not submit jobs to service {service_id}; its owner {service.owner} can permit it",
        )
    yield from _require_schema(at, service.blueprint_id, job_index)
    return service


def service_operators(at: Deployment, service_id: int) -> Plan[tuple[str, ...]]:
    """Who serves, in lower case."""
    found = yield from read(at.rpc, at.tangle, abi.GET_SERVICE_OPERATORS, service_id)
    return tuple(str(operator).lower() for operator in cast("tuple[str, ...]", found))


def require_answers(at: Deployment, service: Service, job_index: int, answering: int) -> Plan[None]:
    """6. So many operators may answer, and they are enough."""
    if answering == 0:
        raise FundsAtRisk(
            "no_operator", f"no operator serves service {service.service_id}: nobody would answer"
        )
    _, manager = yield from blueprint_manager(at, service.blueprint_id)
    if manager == abi.ZERO_ADDRESS:
        return
    place = (service.service_id, job_index)
    needed = cast("int | None", (yield from _hook(at, manager, abi.GET_REQUIRED_RESULT_COUNT, *place)))
    if (needed or 1) > answering:
        raise FundsAtRisk(
            "too_few_operators",
            f"a job takes {needed} equal results, and {answering} operators may answer: it would stay open",
            {"needed": needed, "answering": answering},
        )
    aggregated = yield from _hook(at, manager, abi.REQUIRES_AGGREGATION, *place)
    if aggregated or (aggregated is None and (yield from is_newer(at))):
        raise FundsAtRisk(
            "aggregated",
            f"service {service.service_id} takes no plain results of job {job_index}, which is all that "
            "operators of this blueprint give",
        )


def require_value(service: Service, price: int, value_wei: int | None) -> None:
    """8."""
    if value_wei is None or value_wei == price:
        return
    details = {"value_wei": value_wei, "price_wei": price}
    if service.pricing != abi.EVENT_DRIVEN:
        raise FundsAtRisk(
            "value_swallowed",
            f"jobs of service {service.service_id} are free: Tangle would keep the {value_wei} wei",
            details,
        )
    raise SubmissionRefused("wrong_value", f"the job costs exactly {price} wei, not {value_wei}", details)


def blueprint_manager(at: Deployment, blueprint_id: int) -> Plan[tuple[int, str]]:
    """A blueprint's pricing, and the address of its manager, in lower case; zero when it has none."""
    function = abi.GET_BLUEPRINT if (yield from is_newer(at)) else abi.GET_BLUEPRINT_0_10
    stored = cast("tuple[object, ...]", (yield from read(at.rpc, at.tangle, function, blueprint_id)))
    return cast(int, stored[-2]), str(stored[1]).lower()


def is_newer(at: Deployment) -> Plan[bool]:
    """Whether the deployment is of an epoch since 0.11."""
    return (yield from has(at.rpc, at.tangle, abi.APPROVE_WITH_PARAMETERS))


def _hook(at: Deployment, manager: str, function: abi.Function, *values: object) -> Plan[object]:
    """What a manager answers; None when it reverts, which Tangle takes for its default."""
    query = {"to": manager, "data": "0x" + function.call_data(*values).hex()}
    try:
        answer = yield from at.rpc.call("eth_call", query, "latest")
        return decode(function.gives, bytes.fromhex(str(answer)[2:]))[0]
    except (RpcError, DecodingError):
        return None


def read_service(at: Deployment, service_id: int) -> Plan[Service]:
    """A service as stored."""
    values = yield from read(at.rpc, at.tangle, abi.GET_SERVICE, service_id)
    (blueprint_id, owner, created_at, ttl, _, _, _, _, _, _, pricing, status, policy) = cast(
        "tuple[int, str, int, int, int, int, int, int, int, int, int, int, int]", values
    )
    active = status == abi.ACTIVE
    return Service(service_id, blueprint_id, owner, created_at, ttl, pricing, active, policy)


def chain_time(at: Deployment) -> Plan[int]:
    """The newest block's time, in Unix seconds."""
    block = yield from at.rpc.call("eth_getBlockByNumber", "latest", False)
    if not isinstance(block, dict):
        raise ConnectionFailed("the endpoint knows no newest block")
    return int(block["timestamp"], 16)


def require_contract(at: Deployment) -> Plan[None]:
    """1. The address is a contract."""
    if (yield from at.rpc.call("eth_getCode", at.tangle, "latest")) in ("0x", None):
        chain_id = yield from at.rpc.number("eth_chainId")
        raise FundsAtRisk("no_contract", f"there is no contract at {at.tangle} on chain {chain_id}")


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
    left = service.created_at + service.ttl - now
    if service.ttl != 0 and left < LEAST_SECONDS_LEFT:
        raise FundsAtRisk(
            "ends_soon",
            f"service {service_id} ends in {left} seconds: an answer after that is not taken",
            {"seconds_left": left},
        )
    return service


def _require_schema(at: Deployment, blueprint_id: int, job_index: int) -> Plan[None]:
    """5. The job takes what this client encodes; an empty schema takes anything."""
    newer = yield from is_newer(at)
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
    """7. The exact rate of an event-driven service in the native token; 0 of any other."""
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
    yield from require_native(at, service.service_id)
    return price


def require_native(at: Deployment, service_id: int) -> Plan[None]:
    """7. Tangle's routers before 0.19 know native payment only."""
    if (yield from has(at.rpc, at.tangle, abi.GET_SERVICE_PAYMENT_ASSET.selector)):
        asset = yield from read(at.rpc, at.tangle, abi.GET_SERVICE_PAYMENT_ASSET, service_id)
        if asset != abi.ZERO_ADDRESS:
            raise SubmissionRefused(
                "foreign_asset",
                f"the service is paid in token {asset}; this client pays the native token only",
            )
