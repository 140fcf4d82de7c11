"""The calls of our own service manager contract, see `contracts/src/FaaSServiceManager.sol`."""

from __future__ import annotations

from typing import cast

from faas_blueprint.digests import Digest
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.abi import Event, Function, Read, Value, as_bool, as_int

REGISTER_PROFILE = Function("registerProfile", ("bytes32",))
RETIRE_PROFILE = Function("retireProfile", ("bytes32",))
REGISTER_SNAPSHOT = Function("registerSnapshot", ("bytes32", "bytes32"))
RETIRE_SNAPSHOT = Function("retireSnapshot", ("bytes32",))
SET_REQUIRED_RESULTS = Function("setRequiredResults", ("uint64", "uint32"))
IS_PROFILE = Function("isProfile", ("bytes32",), ("bool",))
IS_SNAPSHOT = Function("isSnapshot", ("bytes32",), ("bool",))
GET_REQUIRED_RESULT_COUNT = Function("getRequiredResultCount", ("uint64", "uint8"), ("uint32",))
RESULT_HASH = Function("resultHash", ("uint64", "uint64", "address"), ("bytes32",))
HAS_POSTED = Function("hasPosted", ("uint64", "uint64", "address", "bytes"), ("bool",))

RESULT_RECORDED = Event("ResultRecorded", ("uint64", "uint64", "address", "uint8", "bytes32"), (0, 1, 2))


def register_profile(profile_id: Digest) -> bytes:
    """Call data for the manager's owner."""
    return REGISTER_PROFILE.encode(profile_id)


def register_snapshot(measurement: Digest, profile_id: Digest) -> bytes:
    """Call data for the manager's owner; the profile must be registered."""
    return REGISTER_SNAPSHOT.encode(measurement, profile_id)


def set_required_results(service_id: int, count: int) -> bytes:
    """Call data for the manager's owner; 1 to 128."""
    return SET_REQUIRED_RESULTS.encode(service_id, count)


def is_profile(profile_id: Digest) -> Read[bool]:
    """Whether receipts may name a machine profile."""
    return IS_PROFILE.read(as_bool, profile_id)


def is_snapshot(measurement: Digest) -> Read[bool]:
    """Whether receipts may name a base snapshot."""
    return IS_SNAPSHOT.read(as_bool, measurement)


def required_results(service_id: int, job_index: int) -> Read[int]:
    """How many results complete a job."""
    return GET_REQUIRED_RESULT_COUNT.read(as_int, service_id, job_index)


def result_hash(service_id: int, call_id: int, operator: Address) -> Read[Digest]:
    """Keccak-256 of an operator's posted result; zeros when there is none."""
    return RESULT_HASH.read(_digest, service_id, call_id, operator)


def has_posted(service_id: int, call_id: int, operator: Address, result: bytes) -> Read[bool]:
    """Whether an operator posted exactly these bytes."""
    return HAS_POSTED.read(as_bool, service_id, call_id, operator, result)


def _digest(values: tuple[Value, ...]) -> Digest:
    return Digest(cast(bytes, values[0]))
