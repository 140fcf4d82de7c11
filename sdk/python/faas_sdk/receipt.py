"""The receipt that an operator signs (EIP-712), and who signed it."""

from __future__ import annotations

from collections.abc import Mapping

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

RECEIPT_TYPES: Mapping[str, str] = {
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
"""Fields in order; the signed type has their names in camel case."""

HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Of secp256k1; a signature's s is not above it."""

Receipt = Mapping[str, str | int]
"""A receipt as JSON has it: hashes and addresses as `0x…`, numbers as numbers."""


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def recover_signer(receipt: Receipt, signature: bytes) -> str | None:
    """The address that signed, in lower case; None when the signature is not valid."""
    typed = encode_typed_data(
        domain_data={
            "name": "FaaS Receipt",
            "version": "3",
            "chainId": receipt["chain_id"],
            "verifyingContract": receipt["tangle"],
        },
        message_types={
            "Receipt": [{"name": _camel(name), "type": kind} for name, kind in RECEIPT_TYPES.items()]
        },
        message_data={_camel(name): receipt[name] for name in RECEIPT_TYPES},
    )
    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    if int.from_bytes(signature[32:64], "big") > HALF_ORDER:
        return None  # another spelling of a valid one
    try:
        return str(Account.recover_message(typed, signature=signature)).lower()
    except (BadSignature, ValidationError, ValueError):
        return None
