"""A receipt: one operator's signed word that job J on snapshot S gave outcome O.

`receipt = f(snapshot, job)`: but for the place where the job was asked for (chain, contract,
service, call) and who says so (operator), every field is a function of snapshot and job.
Signed as EIP-712 typed data with secp256k1; this module makes the digest, `faas_operator` signs it,
`recover_signer` finds who did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NewType

from eth_keys.exceptions import BadSignature
from eth_keys.main import KeyAPI
from eth_utils.exceptions import ValidationError

from faas_blueprint.digests import ZERO_DIGEST, Digest, digest_from_hex, keccak256, to_hex
from faas_blueprint.errors import InvalidRequest, UnknownVersion
from faas_blueprint.outcome import Outcome

RECEIPT_VERSION = 3

Address = NewType("Address", str)
"""`0x` and 40 lower-case hexadecimal digits."""

ZERO_ADDRESS = Address("0x" + "00" * 20)

SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@dataclass(frozen=True, slots=True)
class CallReference:
    """Where a job was asked for. An execution over HTTP has chain 0 and the zero address."""

    chain_id: int
    tangle: Address
    service_id: int
    call_id: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """The fields that are signed, in the order of the EIP-712 type."""

    version: int
    profile_id: Digest
    snapshot: Digest
    """Measurement of the snapshot that the job started from."""
    toolchain: Digest
    """Measurement of the snapshot that compiled the program; zero for languages that are not compiled."""
    job_digest: Digest
    outcome_digest: Digest
    state_root: Digest
    virtual_ns: int
    chain_id: int
    tangle: Address
    service_id: int
    call_id: int
    operator: Address


_TYPES: Mapping[str, str] = {
    "version": "uint16",
    "profile_id": "bytes32",
    "snapshot": "bytes32",
    "toolchain": "bytes32",
    "job_digest": "bytes32",
    "outcome_digest": "bytes32",
    "state_root": "bytes32",
    "virtual_ns": "uint64",
    "chain_id": "uint256",
    "tangle": "address",
    "service_id": "uint64",
    "call_id": "uint64",
    "operator": "address",
}


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


RECEIPT_TYPE = "Receipt(" + ",".join(f"{kind} {_camel(name)}" for name, kind in _TYPES.items()) + ")"
"""The EIP-712 type string."""

DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
DOMAIN_NAME = "FaaS Receipt"
DOMAIN_VERSION = "3"

_DOMAIN_HEAD = b"".join(keccak256(text.encode()) for text in (DOMAIN_TYPE, DOMAIN_NAME, DOMAIN_VERSION))
_STRUCT_HEAD = keccak256(RECEIPT_TYPE.encode())


def address(text: str) -> Address:
    """A checked address. Raises InvalidRequest."""
    lowered = text.lower()
    if len(lowered) != 42 or not lowered.startswith("0x") or set(lowered[2:]) - set("0123456789abcdef"):
        raise InvalidRequest(f"{text!r} is not an address")
    return Address(lowered)


def make_receipt(
    *,
    profile_id: Digest,
    snapshot: Digest,
    job_digest: Digest,
    outcome: Outcome,
    call: CallReference,
    operator: Address,
    toolchain: Digest = ZERO_DIGEST,
) -> Receipt:
    """The receipt of an outcome."""
    return Receipt(
        RECEIPT_VERSION,
        profile_id,
        snapshot,
        toolchain,
        job_digest,
        outcome.digest(),
        outcome.state_root,
        outcome.virtual_ns,
        call.chain_id,
        call.tangle,
        call.service_id,
        call.call_id,
        operator,
    )


def check_version(version: int) -> None:
    """Raises UnknownVersion for receipts from before or yet to come: their outcomes have another form."""
    if version != RECEIPT_VERSION:
        raise UnknownVersion(f"receipt version {version} is not known here, {RECEIPT_VERSION} is")


def signing_digest(receipt: Receipt) -> Digest:
    """The 32 bytes that an operator signs: `keccak(0x1901 ‖ domain ‖ struct)`."""
    domain = keccak256(_DOMAIN_HEAD + _word(receipt.chain_id) + _word(receipt.tangle))
    values = (getattr(receipt, name) for name in _TYPES)
    struct = keccak256(_STRUCT_HEAD + b"".join(map(_word, values)))
    return keccak256(b"\x19\x01" + domain + struct)


def recover_signer(receipt: Receipt, signature: bytes) -> Address:
    """Who signed a receipt; see `recover_address`."""
    return recover_address(signing_digest(receipt), signature)


def recover_address(digest: Digest, signature: bytes) -> Address:
    """Who signed 32 bytes: r ‖ s ‖ v, v being 27 or 28, s in the lower half. Raises InvalidRequest."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise InvalidRequest("a signature has 65 bytes and ends in 27 or 28")
    if int.from_bytes(signature[32:64], "big") > SECP256K1_ORDER // 2:
        raise InvalidRequest("the signature's s is in the upper half")
    keys = KeyAPI()
    try:
        parsed = keys.Signature(signature[:64] + bytes([signature[64] - 27]))
        public_key = parsed.recover_public_key_from_msg_hash(digest)
    except (BadSignature, ValidationError) as error:
        raise InvalidRequest(f"the signature is not valid: {error}") from error
    return address(public_key.to_address())


def receipt_to_json(receipt: Receipt) -> dict[str, str | int]:
    """Hashes and addresses as `0x…`, numbers as numbers."""
    return {
        field.name: to_hex(value) if isinstance(value := getattr(receipt, field.name), bytes) else value
        for field in fields(receipt)
    }


def receipt_from_json(data: Mapping[str, object]) -> Receipt:
    """The inverse of `receipt_to_json`. Raises InvalidRequest naming the field."""
    return Receipt(**{name: _parse(name, kind, data.get(name)) for name, kind in _TYPES.items()})  # type: ignore[arg-type]


def _parse(name: str, kind: str, value: object) -> Digest | Address | int:
    if kind.startswith("uint"):
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << int(kind[4:]):
            return value
    elif isinstance(value, str):
        try:
            return address(value) if kind == "address" else digest_from_hex(value)
        except (ValueError, InvalidRequest) as error:
            raise InvalidRequest(f"receipt: {name}: {error}", {"field": name}) from error
    raise InvalidRequest(f"receipt: {name} must be {kind}, got {value!r}", {"field": name})


def _word(value: bytes | int | str) -> bytes:
    if isinstance(value, int):
        return value.to_bytes(32, "big")
    if isinstance(value, str):
        return bytes(12) + bytes.fromhex(value[2:])
    return value
