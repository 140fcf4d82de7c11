"""What an operator can be slashed for, as calls of our service manager: see `contracts/src/Evidence.sol`."""

from __future__ import annotations

from collections.abc import Sequence

from faas_blueprint.agreement import agreement_digest, claim
from faas_blueprint.digests import Digest, keccak256
from faas_blueprint.receipt import DOMAIN_TYPE, Address, Receipt
from faas_blueprint.tangle.abi import Event, Function, Read, as_bool
from faas_blueprint.tangle.service_manager import CLAIM, PLACE, place

PROVE_EQUIVOCATION = Function("proveEquivocation", (PLACE, CLAIM, "bytes", CLAIM, "bytes"), ("uint64",))
PROVE_REFUTED = Function("proveRefuted", (PLACE, CLAIM, "bytes", CLAIM, "bytes32", "bytes[]"), ("uint64",))
IS_PROPOSED = Function("isProposed", ("uint64", "uint64", "address"), ("bool",))

EQUIVOCATION_PROVEN = Event(
    "EquivocationProven", ("uint64", "uint64", "address", "bytes32", "uint64"), (0, 1, 2)
)
REFUTATION_PROVEN = Event(
    "RefutationProven", ("uint64", "uint64", "address", "bytes32", "bytes32", "uint64"), (0, 1, 2)
)

REFUTATION_TYPE = (
    "Refutation(uint64 serviceId,uint64 callId,address operator,bytes32 established,bytes32 refuted,"
    "bytes32 report)"
)
"""What operators sign who have refuted another's receipt, as EIP-712 type."""


def is_proposed(service_id: int, call_id: int, operator: Address) -> Read[bool]:
    """Whether a slash has been proposed for an operator's answer to a call."""
    return IS_PROPOSED.read(as_bool, service_id, call_id, operator)


def prove_equivocation(
    first: Receipt, first_signature: bytes, second: Receipt, second_signature: bytes
) -> bytes:
    """Call data for anyone: two receipts of one operator and call that contradict each other."""
    return PROVE_EQUIVOCATION.encode(
        place(first), claim(first), first_signature, claim(second), second_signature
    )


def prove_refuted(
    refuted: Receipt, signature: bytes, established: Receipt, report: Digest, witnesses: Sequence[bytes]
) -> bytes:
    """Call data for anyone: a receipt, the final answer that it contradicts, the bisection report's hash,
    and the signatures of `refutation_digest`, ascending by their signers' addresses."""
    return PROVE_REFUTED.encode(
        place(refuted), claim(refuted), signature, claim(established), report, tuple(witnesses)
    )


def refutation_digest(manager: Address, refuted: Receipt, established: Receipt, report: Digest) -> Digest:
    """The 32 bytes that a witness signs, for the manager at this address."""
    domain = keccak256(
        keccak256(DOMAIN_TYPE.encode())
        + keccak256(b"FaaS Refutation")
        + keccak256(b"1")
        + refuted.chain_id.to_bytes(32, "big")
        + bytes.fromhex(manager[2:]).rjust(32, b"\0")
    )
    struct = keccak256(
        keccak256(REFUTATION_TYPE.encode())
        + refuted.service_id.to_bytes(32, "big")
        + refuted.call_id.to_bytes(32, "big")
        + bytes.fromhex(refuted.operator[2:]).rjust(32, b"\0")
        + agreement_digest(established)
        + agreement_digest(refuted)
        + report
    )
    return keccak256(b"\x19\x01" + domain + struct)
