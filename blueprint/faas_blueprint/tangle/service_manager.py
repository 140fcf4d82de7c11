"""The calls of our own service manager contract, see `contracts/src/FaaSServiceManager.sol`.

What a slash is proposed on is in `evidence`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import cast

from faas_blueprint.agreement import Claim, claim
from faas_blueprint.digests import Digest
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import RECEIPT_VERSION, Address, CallReference, Receipt, address
from faas_blueprint.statement import Statement
from faas_blueprint.tangle.abi import Event, Function, Log, Read, Value, as_addresses, as_bool, as_int

PLACE = "(uint64,uint64,address)"
CLAIM = "(bytes32,bytes32,bytes32,bytes32,bytes32,bytes32,uint64)"
_ASSURANCE = "(uint8,uint8,uint32,bool)"
_CALL = "(uint8,uint8,uint8,bool,uint8,uint8,uint32,uint64,uint32,bytes32,bytes32)"

REGISTER_PROFILE = Function("registerProfile", ("bytes32",))
RETIRE_PROFILE = Function("retireProfile", ("bytes32",))
REGISTER_SNAPSHOT = Function("registerSnapshot", ("bytes32", "bytes32"))
RETIRE_SNAPSHOT = Function("retireSnapshot", ("bytes32",))
REGISTER_TOOLCHAIN = Function("registerToolchain", ("bytes32", "bytes32"))
RETIRE_TOOLCHAIN = Function("retireToolchain", ("bytes32",))
IS_PROFILE = Function("isProfile", ("bytes32",), ("bool",))
IS_SNAPSHOT = Function("isSnapshot", ("bytes32",), ("bool",))
IS_TOOLCHAIN = Function("isToolchain", ("bytes32",), ("bool",))
IS_REGISTERED = Function("isRegistered", (CLAIM,), ("bool",))
SET_ASSURANCE = Function("setAssurance", ("uint64", _ASSURANCE))
ADMIT_OPERATOR = Function("admitOperator", ("uint64", "address", "bool"))
ASSURANCE_OF = Function("assuranceOf", ("uint64",), (_ASSURANCE,))
GET_REQUIRED_RESULT_COUNT = Function("getRequiredResultCount", ("uint64", "uint8"), ("uint32",))
BRING_RECEIPT = Function("bringReceipt", (PLACE, CLAIM, "bytes"))
SETTLE = Function("settle", ("uint64", "uint64"))
REQUEST_CALLBACK = Function("requestCallback", ("uint64", "uint64", "uint32"))
DELIVER_CALLBACK = Function("deliverCallback", ("uint64", "uint64"))
CALL_OF = Function("callOf", ("uint64", "uint64"), (_CALL,))
ANSWERERS_OF = Function("answerersOf", ("uint64", "uint64"), ("address[]",))
AGREEMENT_OF = Function("agreementOf", ("uint64", "uint64", "address"), ("bytes32",))
IS_ODD_ONE_OUT = Function("isOddOneOut", ("uint64", "uint64", "address"), ("bool",))
IS_ESTABLISHED = Function("isEstablished", ("uint64", "uint64", CLAIM), ("bool",))
RESULT_HASH = Function("resultHash", ("uint64", "uint64", "address"), ("bytes32",))
HAS_POSTED = Function("hasPosted", ("uint64", "uint64", "address", "bytes"), ("bool",))

RESULT_RECORDED = Event("ResultRecorded", ("uint64", "uint64", "address", "uint8", "bytes32"), (0, 1, 2))
ASSURANCE_SET = Event("AssuranceSet", ("uint64", _ASSURANCE), (0,))
ANSWERED = Event("Answered", ("uint64", "uint64", "address", "bytes32"), (0, 1, 2))
RESULT_PROPOSED = Event("ResultProposed", ("uint64", "uint64", "bytes32", "uint64"), (0, 1, 2))
RESULT_DISPUTED = Event("ResultDisputed", ("uint64", "uint64", "bytes32", "uint64"), (0, 1, 2))
CALL_FINALISED = Event("CallFinalised", ("uint64", "uint64", "bytes32", "uint8"), (0, 1, 2))
CALL_UNDECIDED = Event("CallUndecided", ("uint64", "uint64"), (0, 1))
ODD_ONE_OUT = Event("OddOneOut", ("uint64", "uint64", "address", "bytes32"), (0, 1, 2))
CALLBACK_REQUESTED = Event("CallbackRequested", ("uint64", "uint64", "uint32"), (0, 1))
CALLBACK_ATTEMPTED = Event("CallbackAttempted", ("uint64", "uint64", "address", "bool"), (0, 1, 2))


class Standing(IntEnum):
    """Where a call stands with the manager."""

    UNKNOWN = 0
    OPEN = 1
    PROPOSED = 2
    """One answer, which can be challenged until the deadline."""
    DISPUTED = 3
    FINAL = 4
    UNDECIDED = 5


@dataclass(frozen=True, slots=True)
class Assurance:
    """How sure a service wants to be of a result. The first valid answer is final by default."""

    agreeing: int = 1
    """So many equal answers make a result final; from 2 on, more than half of `answers`."""
    answers: int = 16
    """After so many without agreement a call is undecided; 16 at the most."""
    window_seconds: int = 0
    """For which one answer can be challenged before it is final; 0 for no window."""
    registered_only: bool = False
    """Whether only answers on registered profile, snapshot and toolchain count."""


@dataclass(frozen=True, slots=True)
class ManagedCall:
    """What the manager keeps of a call."""

    standing: Standing
    assurance: Assurance
    answers: int
    votes: int
    """Of a final call: the equal answers that made it so."""
    deadline: int
    """Unix seconds; until when a proposed or disputed call takes receipts."""
    callback_gas: int
    job_digest: Digest
    agreement: Digest


@dataclass(frozen=True, slots=True)
class Finalised:
    """The operators agree."""

    service_id: int
    call_id: int
    agreement: Digest
    votes: int


@dataclass(frozen=True, slots=True)
class OddOneOut:
    """An operator's answer is not the final one; its agreement is zero when it did not count at all."""

    service_id: int
    call_id: int
    operator: Address
    agreement: Digest


def register_profile(profile_id: Digest) -> bytes:
    """Call data for the manager's owner."""
    return REGISTER_PROFILE.encode(profile_id)


def register_snapshot(measurement: Digest, profile_id: Digest) -> bytes:
    """Call data for the manager's owner; the profile must be registered."""
    return REGISTER_SNAPSHOT.encode(measurement, profile_id)


def register_toolchain(measurement: Digest, profile_id: Digest) -> bytes:
    """Call data for the manager's owner; the profile must be registered."""
    return REGISTER_TOOLCHAIN.encode(measurement, profile_id)


def set_assurance(service_id: int, assurance: Assurance) -> bytes:
    """Call data for the service's owner; holds for calls submitted from then on."""
    return SET_ASSURANCE.encode(service_id, _assurance_values(assurance))


def admit_operator(service_id: int, operator: Address, admitted: bool = True) -> bytes:
    """Call data for the service's owner: who may join the running service."""
    return ADMIT_OPERATOR.encode(service_id, operator, admitted)


def service_configuration(assurance: Assurance) -> bytes:
    """The configuration of a service request that asks for an assurance."""
    return SET_ASSURANCE.encode(0, _assurance_values(assurance))[36:]


def bring_receipt(receipt: Receipt, signature: bytes) -> bytes:
    """Call data for anyone: an operator's signed receipt as its answer."""
    return BRING_RECEIPT.encode(place(receipt), claim(receipt), signature)


def brought_receipt(data: bytes, call: CallReference) -> Statement:
    """What call data of `bringReceipt` says about a call. Raises InvalidRequest when it is of another
    function or call."""
    named, said, signature = BRING_RECEIPT.decode_arguments(data)
    service_id, call_id, operator = cast("tuple[int, int, str]", named)
    if (service_id, call_id) != (call.service_id, call.call_id):
        raise InvalidRequest("the receipt is for another call")
    profile_id, snapshot, toolchain, job_digest, outcome_digest, state_root, virtual_ns = cast(Claim, said)
    receipt = Receipt(
        RECEIPT_VERSION,
        Digest(profile_id),
        Digest(snapshot),
        Digest(toolchain),
        Digest(job_digest),
        Digest(outcome_digest),
        Digest(state_root),
        virtual_ns,
        call.chain_id,
        call.tangle,
        service_id,
        call_id,
        address(operator),
    )
    return Statement(receipt, cast(bytes, signature))


def settle(service_id: int, call_id: int) -> bytes:
    """Call data for anyone, once the deadline of a proposed or disputed call has passed."""
    return SETTLE.encode(service_id, call_id)


def request_callback(service_id: int, call_id: int, gas_limit: int) -> bytes:
    """Call data for the contract that submitted the job; gas at most 100,000."""
    return REQUEST_CALLBACK.encode(service_id, call_id, gas_limit)


def deliver_callback(service_id: int, call_id: int) -> bytes:
    """Call data for anyone: a callback that is due still."""
    return DELIVER_CALLBACK.encode(service_id, call_id)


def place(receipt: Receipt) -> tuple[int, int, Address]:
    """Service, call and operator of a receipt."""
    return receipt.service_id, receipt.call_id, receipt.operator


def is_profile(profile_id: Digest) -> Read[bool]:
    """Whether receipts may name a machine profile."""
    return IS_PROFILE.read(as_bool, profile_id)


def is_snapshot(measurement: Digest) -> Read[bool]:
    """Whether receipts may name a base snapshot."""
    return IS_SNAPSHOT.read(as_bool, measurement)


def is_toolchain(measurement: Digest) -> Read[bool]:
    """Whether receipts may name a toolchain."""
    return IS_TOOLCHAIN.read(as_bool, measurement)


def is_registered(receipt: Receipt) -> Read[bool]:
    """Whether all that a receipt starts from is registered: profile, snapshot and, if any, toolchain."""
    return IS_REGISTERED.read(as_bool, claim(receipt))


def assurance_of(service_id: int) -> Read[Assurance]:
    """The assurance of calls that are submitted now."""
    return ASSURANCE_OF.read(_assurance, service_id)


def required_results(service_id: int, job_index: int) -> Read[int]:
    """How many equal answers complete a job."""
    return GET_REQUIRED_RESULT_COUNT.read(as_int, service_id, job_index)


def call_of(service_id: int, call_id: int) -> Read[ManagedCall]:
    """What the manager keeps of a call; standing UNKNOWN when it knows none."""
    return CALL_OF.read(_managed_call, service_id, call_id)


def answerers_of(service_id: int, call_id: int) -> Read[tuple[Address, ...]]:
    """The operators that have answered, in order."""
    return ANSWERERS_OF.read(as_addresses, service_id, call_id)


def agreement_of(service_id: int, call_id: int, operator: Address) -> Read[Digest]:
    """The agreement digest of an operator's answer; zeros when it gave none that counts."""
    return AGREEMENT_OF.read(_digest, service_id, call_id, operator)


def is_odd_one_out(service_id: int, call_id: int, operator: Address) -> Read[bool]:
    """Whether an operator answered a final call otherwise than it ended."""
    return IS_ODD_ONE_OUT.read(as_bool, service_id, call_id, operator)


def is_established(receipt: Receipt) -> Read[bool]:
    """Whether what a receipt says is the final answer of its call."""
    return IS_ESTABLISHED.read(as_bool, receipt.service_id, receipt.call_id, claim(receipt))


def result_hash(service_id: int, call_id: int, operator: Address) -> Read[Digest]:
    """Keccak-256 of an operator's posted result; zeros when there is none."""
    return RESULT_HASH.read(_digest, service_id, call_id, operator)


def has_posted(service_id: int, call_id: int, operator: Address, result: bytes) -> Read[bool]:
    """Whether an operator posted exactly these bytes."""
    return HAS_POSTED.read(as_bool, service_id, call_id, operator, result)


def decode_finalised(log: Log) -> Finalised:
    """Raises ChainUnavailable for any other log."""
    return Finalised(*cast("tuple[int, int, Digest, int]", CALL_FINALISED.decode(log)))


def decode_odd_one_out(log: Log) -> OddOneOut:
    """Raises ChainUnavailable for any other log."""
    return OddOneOut(*cast("tuple[int, int, Address, Digest]", ODD_ONE_OUT.decode(log)))


def _assurance_values(assurance: Assurance) -> tuple[int, int, int, bool]:
    return assurance.agreeing, assurance.answers, assurance.window_seconds, assurance.registered_only


def _assurance(values: tuple[Value, ...]) -> Assurance:
    return Assurance(*cast("tuple[int, int, int, bool]", values[0]))


def _managed_call(values: tuple[Value, ...]) -> ManagedCall:
    (standing, agreeing, awaited, registered_only, answers, votes, window, *rest) = cast(
        "tuple[int, int, int, bool, int, int, int, int, int, Digest, Digest]", values[0]
    )
    deadline, callback_gas, job_digest, agreement = cast("tuple[int, int, Digest, Digest]", tuple(rest))
    assurance = Assurance(agreeing, awaited, window, registered_only)
    return ManagedCall(
        Standing(standing), assurance, answers, votes, deadline, callback_gas, job_digest, agreement
    )


def _digest(values: tuple[Value, ...]) -> Digest:
    return Digest(cast(bytes, values[0]))
