"""The calls of our prepaid credits contract, see `contracts/src/FaaSCredits.sol`, and what its payers sign.

It has nothing to do with the protocol's own contract of that name, which only publishes earned grants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from faas_blueprint.digests import Digest, keccak256
from faas_blueprint.receipt import DOMAIN_TYPE, ZERO_ADDRESS, Address
from faas_blueprint.tangle.abi import Event, Function, Log, Read, Value, address_word, as_int, word

_PURSE = "(bytes32,address,address)"

DEPOSIT = Function("deposit", ("bytes32",))
DEPOSIT_TOKEN = Function("depositToken", ("bytes32", "address", "uint256"))
ANNOUNCE_REFUND = Function("announceRefund", ("bytes32", "address"))
CANCEL_REFUND = Function("cancelRefund", ("bytes32", "address"))
REFUND = Function("refund", ("bytes32", "address"))
WITHDRAW = Function("withdraw", ("address", "address"))
SETTLE_WITHIN_LIMIT = Function(
    "settleWithinLimit", (_PURSE, "uint128", "uint64", "bytes", "uint128", "bytes32")
)
SETTLE_USAGE = Function("settleUsage", (_PURSE, "uint128", "bytes32", "bytes"))
ALLOW_TOKEN = Function("allowToken", ("address", "bool"))
ACCOUNT_OF = Function("accountOf", (_PURSE,), ("(uint128,uint128,uint64,uint64)",))
OWED = Function("owed", ("address", "address"), ("uint256",))
LIABILITIES = Function("liabilities", ("address",), ("uint256",))
NOTICE = Function("notice", (), ("uint64",))

DEPOSITED = Event("Deposited", ("bytes32", "address", "address", "uint256", "uint64"), (0, 1, 2))
SETTLED = Event("Settled", ("bytes32", "address", "address", "uint256", "uint256", "bytes32"), (0, 1, 2))
REFUND_ANNOUNCED = Event("RefundAnnounced", ("bytes32", "address", "address", "uint64"), (0, 1, 2))
REFUND_CANCELLED = Event("RefundCancelled", ("bytes32", "address", "address"), (0, 1, 2))
REFUNDED = Event("Refunded", ("bytes32", "address", "address", "uint256", "uint64"), (0, 1, 2))
WITHDRAWN = Event("Withdrawn", ("address", "address", "address", "uint256"), (0, 1, 2))

_SIGNED = "bytes32 accountId,address payer,address token,uint64 series,uint128 total"
LIMIT_TYPE = f"SpendingLimit({_SIGNED},uint64 expiry)"
USAGE_TYPE = f"UsageStatement({_SIGNED},bytes32 usage)"


@dataclass(frozen=True, slots=True)
class Purse:
    """Whose money it is, for which account of the node, in which token."""

    account_id: Digest
    payer: Address
    token: Address = ZERO_ADDRESS
    """The zero address is the native token."""


@dataclass(frozen=True, slots=True)
class PurseAccount:
    """What a purse holds, in the token's smallest unit."""

    balance: int
    settled: int
    """So far in this series."""
    series: int
    """Signatures must name it; it goes up with every refund."""
    refundable_at: int
    """Unix seconds; 0 when no refund is announced."""


@dataclass(frozen=True, slots=True)
class Deposited:
    """A deposit, for the ledger."""

    account_id: Digest
    payer: Address
    token: Address
    amount: int
    series: int


@dataclass(frozen=True, slots=True)
class SpendingLimit:
    """What a payer allows to be settled: `total` from the start of the series, until `expiry`."""

    purse: Purse
    series: int
    total: int
    expiry: int
    """Unix seconds."""


def deposit(account_id: Digest) -> bytes:
    """Call data for a payer; the value sent along is deposited."""
    return DEPOSIT.encode(account_id)


def deposit_token(account_id: Digest, token: Address, amount: int) -> bytes:
    """Call data for a payer who has approved the amount."""
    return DEPOSIT_TOKEN.encode(account_id, token, amount)


def announce_refund(purse: Purse) -> bytes:
    """Call data for the payer."""
    return ANNOUNCE_REFUND.encode(purse.account_id, purse.token)


def refund(purse: Purse) -> bytes:
    """Call data for the payer, after the notice."""
    return REFUND.encode(purse.account_id, purse.token)


def withdraw(recipient: Address, token: Address = ZERO_ADDRESS) -> bytes:
    """Call data for whoever is owed something."""
    return WITHDRAW.encode(token, recipient)


def settle_within_limit(limit: SpendingLimit, signature: bytes, total: int, usage: Digest) -> bytes:
    """Call data for the operator; `total` counts from the start of the series."""
    purse = _purse_values(limit.purse)
    return SETTLE_WITHIN_LIMIT.encode(purse, limit.total, limit.expiry, signature, total, usage)


def settle_usage(purse: Purse, total: int, usage: Digest, signature: bytes) -> bytes:
    """Call data for the operator."""
    return SETTLE_USAGE.encode(_purse_values(purse), total, usage, signature)


def account_of(purse: Purse) -> Read[PurseAccount]:
    """What a purse holds."""
    return ACCOUNT_OF.read(_account, _purse_values(purse))


def owed(creditor: Address, token: Address = ZERO_ADDRESS) -> Read[int]:
    """What somebody can withdraw."""
    return OWED.read(as_int, creditor, token)


def liabilities(token: Address = ZERO_ADDRESS) -> Read[int]:
    """What the contract must hold."""
    return LIABILITIES.read(as_int, token)


def notice_seconds() -> Read[int]:
    """Between a refund's announcement and the refund."""
    return NOTICE.read(as_int)


def decode_deposited(log: Log) -> Deposited:
    """Raises ChainUnavailable for any other log."""
    return Deposited(*cast("tuple[Digest, Address, Address, int, int]", DEPOSITED.decode(log)))


def limit_digest(limit: SpendingLimit, chain_id: int, contract: Address) -> Digest:
    """The 32 bytes that a payer signs to allow settlements."""
    return _typed_data_digest(
        LIMIT_TYPE, limit.purse, limit.series, limit.total, limit.expiry, chain_id, contract
    )


def usage_digest(
    purse: Purse, series: int, total: int, usage: Digest, chain_id: int, contract: Address
) -> Digest:
    """The 32 bytes that a payer signs to acknowledge usage."""
    last = int.from_bytes(usage, "big")
    return _typed_data_digest(USAGE_TYPE, purse, series, total, last, chain_id, contract)


def _typed_data_digest(
    kind: str, purse: Purse, series: int, total: int, last: int, chain_id: int, contract: Address
) -> Digest:
    domain = keccak256(
        keccak256(DOMAIN_TYPE.encode())
        + keccak256(b"FaaS Credits")
        + keccak256(b"1")
        + word(chain_id)
        + address_word(contract)
    )
    struct = keccak256(
        keccak256(kind.encode())
        + purse.account_id
        + address_word(purse.payer)
        + address_word(purse.token)
        + b"".join(map(word, (series, total, last)))
    )
    return keccak256(b"\x19\x01" + domain + struct)


def _purse_values(purse: Purse) -> tuple[Digest, Address, Address]:
    return purse.account_id, purse.payer, purse.token


def _account(values: tuple[Value, ...]) -> PurseAccount:
    return PurseAccount(*cast("tuple[int, int, int, int]", values[0]))
