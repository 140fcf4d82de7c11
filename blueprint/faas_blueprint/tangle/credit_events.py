"""What the credits contracts say in their logs, in one form: ours (`FaaSCredits`) and the protocol's own
(`Credits`, which grants what was earned by staking). What Substrate's pallet says is no log: its follower
makes the same `CreditEvent` of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from faas_blueprint.digests import Digest
from faas_blueprint.errors import ChainUnavailable, InvalidRequest
from faas_blueprint.receipt import ZERO_ADDRESS, Address
from faas_blueprint.tangle import credits
from faas_blueprint.tangle.abi import Event, Log

CREDITS_CLAIMED = Event("CreditsClaimed", ("address", "uint256", "bytes32"), (0,))
"""Of the protocol's `Credits`: who, how many, for which account of a node."""


class CreditEventKind(StrEnum):
    """What happened to a purse."""

    DEPOSITED = "deposited"
    SETTLED = "settled"
    REFUND_ANNOUNCED = "refund_announced"
    REFUND_CANCELLED = "refund_cancelled"
    REFUNDED = "refunded"
    CLAIMED = "claimed"
    """Granted by the protocol; no money stands behind it."""
    BURNED = "burned"
    """Granted by the protocol's pallet for burned tokens; names no account, and the money is not ours."""


@dataclass(frozen=True, slots=True)
class CreditEvent:
    """One log. `amount` is in the token's smallest unit, and 0 where none moved."""

    kind: CreditEventKind
    account_id: Digest
    payer: Address
    token: Address
    amount: int


_OF_PURSES: Mapping[Event, CreditEventKind] = {
    credits.DEPOSITED: CreditEventKind.DEPOSITED,
    credits.SETTLED: CreditEventKind.SETTLED,
    credits.REFUND_ANNOUNCED: CreditEventKind.REFUND_ANNOUNCED,
    credits.REFUND_CANCELLED: CreditEventKind.REFUND_CANCELLED,
    credits.REFUNDED: CreditEventKind.REFUNDED,
}
_MOVING = {CreditEventKind.DEPOSITED, CreditEventKind.SETTLED, CreditEventKind.REFUNDED}

TOPICS: tuple[Digest, ...] = (*(event.topic for event in _OF_PURSES), CREDITS_CLAIMED.topic)
"""Topic 0 of every log that is read here."""


def decode_credit_event(log: Log) -> CreditEvent:
    """Raises ChainUnavailable for any other log."""
    if CREDITS_CLAIMED.matches(log):
        payer, amount, account_id = cast("tuple[Address, int, Digest]", CREDITS_CLAIMED.decode(log))
        return CreditEvent(CreditEventKind.CLAIMED, account_id, payer, ZERO_ADDRESS, amount)
    for event, kind in _OF_PURSES.items():
        if event.matches(log):
            values = event.decode(log)
            account_id, payer, token = cast("tuple[Digest, Address, Address]", values[:3])
            amount = cast(int, values[3]) if kind in _MOVING else 0
            return CreditEvent(kind, account_id, payer, token, amount)
    raise ChainUnavailable("a log that is of no credits contract")


def account_id_of(account: str) -> Digest:
    """How a deposit names an account: its id in ASCII, filled up with zeros. Raises InvalidRequest."""
    data = account.encode("ascii", "replace")
    if len(data) > 32 or account_named(Digest(data.ljust(32, b"\0"))) != account:
        raise InvalidRequest(
            f"{account!r} cannot be named in a deposit: up to 32 letters, digits, '_', '-', '.'"
        )
    return Digest(data.ljust(32, b"\0"))


def account_named(account_id: Digest) -> str | None:
    """The account that a deposit names, None when it names none in this form."""
    name = account_id.rstrip(b"\0")
    allowed = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."
    return name.decode() if name and not set(name) - set(allowed) else None
