"""Calls and events that are the same in every epoch of the protocol.

Upstream's ABI marks `JobSubmitted.jobIndex` as indexed; the contracts do not index it, so real logs
have three topics. The fragment here is the real one.
"""

from __future__ import annotations

from typing import cast

from faas_blueprint.errors import ChainUnavailable
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.abi import (
    Event,
    Function,
    Log,
    Read,
    Value,
    as_address,
    as_addresses,
    as_bool,
    as_int,
)
from faas_blueprint.tangle.values import (
    JobResultSubmitted,
    JobSubmitted,
    OperatorAddress,
    Service,
    ServiceActivated,
    ServiceRequested,
    ServiceStatus,
)

SUBMIT_JOB = Function("submitJob", ("uint64", "uint8", "bytes"), ("uint64",))
SUBMIT_RESULT = Function("submitResult", ("uint64", "uint64", "bytes"))
REGISTER_OPERATOR = Function("registerOperator", ("uint64", "bytes", "string"))
UPDATE_OPERATOR_PREFERENCES = Function("updateOperatorPreferences", ("uint64", "bytes", "string"))
REQUEST_SERVICE = Function(
    "requestService",
    ("uint64", "address[]", "bytes", "address[]", "uint64", "address", "uint256", "uint8"),
    ("uint64",),
)
TERMINATE_SERVICE = Function("terminateService", ("uint64",))

FACET_FOR_SELECTOR = Function("facetForSelector", ("bytes4",), ("address",))
_SERVICE_TUPLE = "(uint64,address,uint64,uint64,uint64,uint64,uint32,uint32,uint32,uint8,uint8,uint8,uint8)"
GET_SERVICE = Function("getService", ("uint64",), (_SERVICE_TUPLE,))
GET_SERVICE_OPERATORS = Function("getServiceOperators", ("uint64",), ("address[]",))
IS_SERVICE_OPERATOR = Function("isServiceOperator", ("uint64", "address"), ("bool",))
IS_SERVICE_ACTIVE = Function("isServiceActive", ("uint64",), ("bool",))
IS_PERMITTED_CALLER = Function("isPermittedCaller", ("uint64", "address"), ("bool",))
IS_OPERATOR_REGISTERED = Function("isOperatorRegistered", ("uint64", "address"), ("bool",))
GET_OPERATOR_PREFERENCES = Function("getOperatorPreferences", ("uint64", "address"), ("(bytes,string)",))
GET_JOB_EVENT_RATE = Function("getJobEventRate", ("uint64", "uint8"), ("uint256",))
GET_JOB_QUOTED_OPERATORS = Function("getJobQuotedOperators", ("uint64", "uint64"), ("address[]",))
BLUEPRINT_COUNT = Function("blueprintCount", (), ("uint64",))
SERVICE_COUNT = Function("serviceCount", (), ("uint64",))
OPERATOR_STATUS_REGISTRY = Function("operatorStatusRegistry", (), ("address",))
TNT_TOKEN = Function("tntToken", (), ("address",))

JOB_SUBMITTED = Event("JobSubmitted", ("uint64", "uint64", "uint8", "address", "bytes"), (0, 1))
JOB_SUBMITTED_FROM_QUOTE = Event(
    "JobSubmittedFromQuote",
    ("uint64", "uint64", "uint8", "address", "address[]", "uint256", "bytes"),
    (0, 1),
)
JOB_RESULT_SUBMITTED = Event("JobResultSubmitted", ("uint64", "uint64", "address", "bytes"), (0, 1, 2))
JOB_COMPLETED = Event("JobCompleted", ("uint64", "uint64"), (0, 1))
SERVICE_REQUESTED = Event("ServiceRequested", ("uint64", "uint64", "address", "uint8"), (0, 1, 2))
SERVICE_ACTIVATED = Event("ServiceActivated", ("uint64", "uint64", "uint64", "uint8"), (0, 1, 2))
SERVICE_TERMINATED = Event("ServiceTerminated", ("uint64",), (0,))
OPERATOR_REGISTERED = Event("OperatorRegistered", ("uint64", "address", "bytes", "string"), (0, 1))
OPERATOR_PREFERENCES_UPDATED = Event(
    "OperatorPreferencesUpdated", ("uint64", "address", "bytes", "string"), (0, 1)
)
SLASH_PROPOSED = Event(
    "SlashProposed",
    ("uint64", "uint64", "address", "address", "uint16", "uint16", "bytes32", "uint64"),
    (0, 1, 2),
)
REWARDS_CLAIMED = Event("RewardsClaimed", ("address", "address", "uint256"), (0, 1))
PAYMENT_DISTRIBUTED = Event(
    "PaymentDistributed",
    (
        *("uint64", "uint64", "address", "uint256", "address"),
        *("uint256", "uint256", "uint256", "uint256"),
    ),
    (0, 1, 2),
)


def submit_job(service_id: int, job_index: int, inputs: bytes) -> bytes:
    """Call data; the value to send is the job's event rate, zero unless the service is event-driven."""
    return SUBMIT_JOB.encode(service_id, job_index, inputs)


def submit_result(service_id: int, call_id: int, output: bytes) -> bytes:
    """Call data; to be sent by an operator of the service itself."""
    return SUBMIT_RESULT.encode(service_id, call_id, output)


def decode_submit_job(data: bytes) -> tuple[int, int, bytes]:
    """Service id, job index, inputs. Raises InvalidRequest when it is another call."""
    return cast("tuple[int, int, bytes]", SUBMIT_JOB.decode_arguments(data))


def decode_submit_result(data: bytes) -> tuple[int, int, bytes]:
    """Service id, call id, output. Raises InvalidRequest when it is another call."""
    return cast("tuple[int, int, bytes]", SUBMIT_RESULT.decode_arguments(data))


def register_operator(blueprint_id: int, public_key: bytes, rpc_address: str) -> bytes:
    """Call data; `public_key` is the uncompressed gossip key, 65 bytes from 0x04."""
    return REGISTER_OPERATOR.encode(blueprint_id, public_key, rpc_address)


def request_service(
    blueprint_id: int,
    operators: tuple[Address, ...],
    permitted_callers: tuple[Address, ...],
    ttl: int = 0,
    configuration: bytes = b"",
) -> bytes:
    """Call data of a request with no payment up front; ttl in seconds, 0 for ever."""
    return REQUEST_SERVICE.encode(
        blueprint_id, operators, configuration, permitted_callers, ttl, "0x" + "00" * 20, 0, 0
    )


def facet_for_selector(selector: bytes) -> Read[Address]:
    """Where the router sends a selector; the zero address when nowhere."""
    return FACET_FOR_SELECTOR.read(as_address, selector)


def service(service_id: int) -> Read[Service]:
    """A service; zeros when there is none."""
    return GET_SERVICE.read(_service, service_id)


def service_operators(service_id: int) -> Read[tuple[Address, ...]]:
    """The active operators of a service."""
    return GET_SERVICE_OPERATORS.read(as_addresses, service_id)


def is_service_operator(service_id: int, operator: Address) -> Read[bool]:
    """Whether an operator serves a service."""
    return IS_SERVICE_OPERATOR.read(as_bool, service_id, operator)


def is_service_active(service_id: int) -> Read[bool]:
    """By status alone: an expired service still reads as active, see `Service.is_open`."""
    return IS_SERVICE_ACTIVE.read(as_bool, service_id)


def is_permitted_caller(service_id: int, caller: Address) -> Read[bool]:
    """Whether an account may submit jobs to a service."""
    return IS_PERMITTED_CALLER.read(as_bool, service_id, caller)


def is_operator_registered(blueprint_id: int, operator: Address) -> Read[bool]:
    """Whether an operator is registered for a blueprint."""
    return IS_OPERATOR_REGISTERED.read(as_bool, blueprint_id, operator)


def operator_address(blueprint_id: int, operator: Address) -> Read[str]:
    """Where an operator says that it can be reached; empty in ABI epochs that tell it in events only."""
    return GET_OPERATOR_PREFERENCES.read(
        lambda values: cast("tuple[tuple[bytes, str]]", values)[0][1], blueprint_id, operator
    )


def job_event_rate(blueprint_id: int, job_index: int) -> Read[int]:
    """The price of one call, in the smallest unit of the service's payment asset."""
    return GET_JOB_EVENT_RATE.read(as_int, blueprint_id, job_index)


def quoted_operators(service_id: int, call_id: int) -> Read[tuple[Address, ...]]:
    """Who may answer a job from quotes."""
    return GET_JOB_QUOTED_OPERATORS.read(as_addresses, service_id, call_id)


def blueprint_count() -> Read[int]:
    """The next blueprint id."""
    return BLUEPRINT_COUNT.read(as_int)


def service_count() -> Read[int]:
    """The next service id."""
    return SERVICE_COUNT.read(as_int)


def operator_status_registry() -> Read[Address]:
    """Where heartbeats go."""
    return OPERATOR_STATUS_REGISTRY.read(as_address)


def tnt_token() -> Read[Address]:
    """The token whose stake is behind services; some epochs do not tell."""
    return TNT_TOKEN.read(as_address)


def decode_job_submitted(log: Log) -> JobSubmitted:
    """A job call from either of its two events. Raises ChainUnavailable for any other log."""
    if JOB_SUBMITTED_FROM_QUOTE.matches(log):
        service_id, call_id, job, caller, quoted, price, inputs = JOB_SUBMITTED_FROM_QUOTE.decode(log)
        operators = tuple(cast("tuple[Address, ...]", quoted))
        return _job_submitted((service_id, call_id, job, caller, inputs), operators, cast(int, price))
    return _job_submitted(JOB_SUBMITTED.decode(log), None, None)


def decode_job_result_submitted(log: Log) -> JobResultSubmitted:
    """Raises ChainUnavailable for any other log."""
    service_id, call_id, operator, output = JOB_RESULT_SUBMITTED.decode(log)
    return JobResultSubmitted(
        cast(int, service_id), cast(int, call_id), cast(Address, operator), cast(bytes, output)
    )


def decode_service_activated(log: Log) -> ServiceActivated:
    """Raises ChainUnavailable for any other log."""
    service_id, request_id, blueprint_id, _ = cast("tuple[int, ...]", SERVICE_ACTIVATED.decode(log))
    return ServiceActivated(service_id, request_id, blueprint_id)


def decode_service_requested(log: Log) -> ServiceRequested:
    """Raises ChainUnavailable for any other log."""
    request_id, blueprint_id, requester, _ = SERVICE_REQUESTED.decode(log)
    return ServiceRequested(cast(int, request_id), cast(int, blueprint_id), cast(Address, requester))


def decode_operator_address(log: Log) -> OperatorAddress:
    """From either event that holds one. Raises ChainUnavailable for other logs, and where it is no text."""
    event = OPERATOR_REGISTERED if OPERATOR_REGISTERED.matches(log) else OPERATOR_PREFERENCES_UPDATED
    try:
        blueprint_id, operator, _, rpc_address = event.decode(log)
    except UnicodeDecodeError as error:
        raise ChainUnavailable("an operator's address is no text") from error
    return OperatorAddress(cast(int, blueprint_id), cast(Address, operator), cast(str, rpc_address))


def _job_submitted(
    values: tuple[Value, ...], quoted: tuple[Address, ...] | None, price: int | None
) -> JobSubmitted:
    service_id, call_id, job_index, caller, inputs = values
    return JobSubmitted(
        cast(int, service_id),
        cast(int, call_id),
        cast(int, job_index),
        cast(Address, caller),
        cast(bytes, inputs),
        quoted,
        price,
    )


def _service(values: tuple[Value, ...]) -> Service:
    (blueprint_id, owner, created_at, ttl, terminated_at, _, operators, _, _, _, pricing, status, policy) = (
        cast("tuple[int, Address, int, int, int, int, int, int, int, int, int, int, int]", values[0])
    )
    if status not in ServiceStatus._value2member_map_:
        raise ChainUnavailable(f"service status {status} is unknown")
    return Service(
        blueprint_id,
        owner,
        created_at,
        ttl,
        terminated_at,
        operators,
        pricing,
        ServiceStatus(status),
        policy,
    )
