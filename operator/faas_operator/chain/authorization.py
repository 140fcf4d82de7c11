"""EIP-3009: a transfer of tokens that their owner has signed, and anyone may send, once, within its time.

Values, their signature and their ABI. What a chain says of them is `chain.payment_token`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from faas_blueprint.receipt import Address, address
from faas_blueprint.tangle.abi import Event, Function, Read, Value, as_bool, as_int

_FIELDS = (
    ("from", "address"),
    ("to", "address"),
    ("value", "uint256"),
    ("validAfter", "uint256"),
    ("validBefore", "uint256"),
    ("nonce", "bytes32"),
)
_TYPE = "TransferWithAuthorization"

_TRANSFER = Function(
    "transferWithAuthorization", (*(kind for _, kind in _FIELDS), "uint8", "bytes32", "bytes32")
)
_STATE = Function("authorizationState", ("address", "bytes32"), ("bool",))
_BALANCE = Function("balanceOf", ("address",), ("uint256",))
_NAME = Function("name", (), ("string",))
_VERSION = Function("version", (), ("string",))

TRANSFER = Event("Transfer", ("address", "address", "uint256"), (0, 1))
USED = Event("AuthorizationUsed", ("address", "bytes32"), (0, 1))
CANCELED = Event("AuthorizationCanceled", ("address", "bytes32"), (0, 1))


@dataclass(frozen=True, slots=True)
class TokenDomain:
    """What signatures for a token are bound to."""

    chain_id: int
    token: Address
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Authorization:
    """A signed transfer. A payer uses a nonce once, for a transfer or to cancel it."""

    payer: Address
    to: Address
    value: int
    """In the token's smallest unit."""
    valid_after: int
    """Unix seconds; the transfer may be sent later than this,"""
    valid_before: int
    """and earlier than this."""
    nonce: bytes
    """32 bytes of the payer's choice."""
    signature: bytes
    """r, s and v: 65 bytes."""


def signer_of(domain: TokenDomain, authorization: Authorization) -> Address | None:
    """Whose key has signed a transfer; None when nobody's can have."""
    fields = zip((name for name, _ in _FIELDS), _values(authorization), strict=True)
    signed = encode_typed_data(
        {
            "name": domain.name,
            "version": domain.version,
            "chainId": domain.chain_id,
            "verifyingContract": domain.token,
        },
        {_TYPE: [{"name": name, "type": kind} for name, kind in _FIELDS]},
        dict(fields),
    )
    try:
        return address(Account.recover_message(signed, signature=authorization.signature))
    except (BadSignature, ValidationError, ValueError):
        return None


def transfer_call(authorization: Authorization) -> bytes:
    """The call data that moves what was signed. Raises InvalidRequest when a number does not fit."""
    signature = authorization.signature
    recovery = signature[64] + 27 if signature[64] < 27 else signature[64]
    return _TRANSFER.encode(*_values(authorization), recovery, signature[:32], signature[32:64])


def is_used(payer: Address, nonce: bytes) -> Read[bool]:
    """Whether a nonce was used or cancelled."""
    return _STATE.read(as_bool, payer, nonce)


def balance_of(holder: Address) -> Read[int]:
    """In the token's smallest unit."""
    return _BALANCE.read(as_int, holder)


def token_name() -> Read[str]:
    """Of the domain of its signatures, by convention the token's own."""
    return _NAME.read(_as_text)


def token_version() -> Read[str]:
    """Of the domain of its signatures."""
    return _VERSION.read(_as_text)


def _values(authorization: Authorization) -> tuple[Value, ...]:
    return (
        authorization.payer,
        authorization.to,
        authorization.value,
        authorization.valid_after,
        authorization.valid_before,
        authorization.nonce,
    )


def _as_text(values: tuple[Value, ...]) -> str:
    return cast(str, values[0])
