"""What payers have signed that may be settled, and how much of it is due.

Runs are charged in the ledger at once; the money behind them lies in a contract until the operator fetches it
within what the payer has signed. Due is what a purse's credits were used for: everything that the account's
purses hold, less what it has not spent. Credits that no money stands behind are used first by that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eth_keys.exceptions import BadSignature
from eth_keys.main import KeyAPI
from eth_utils.exceptions import ValidationError
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from faas_blueprint.digests import Digest
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import Address, address
from faas_blueprint.tangle.credit_events import CreditEventKind
from faas_blueprint.tangle.credits import Purse, PurseAccount, SpendingLimit, limit_digest
from faas_operator import payers
from faas_operator.credit_events import EventState, purse_account
from faas_operator.ledger import available, balance, held
from faas_operator.ledger_tables import CreditEventRow, SpendingLimitRow
from faas_operator.transactions import lock, read_together, reading

_LARGEST_TOTAL = (1 << 128) - 1


@dataclass(frozen=True, slots=True)
class Due:
    """What can be fetched from a purse."""

    limit: SpendingLimit
    signature: bytes
    known: PurseAccount
    """The purse as the ledger knows it; `refundable_at` is left out."""
    amount: int
    """In the token's smallest unit."""


class SpendingLimits:
    """The limits for one store and one contract. Blocks for a few milliseconds."""

    def __init__(self, engine: Engine, clock: Callable[[], float], chain_id: int, contract: Address) -> None:
        self._engine = engine
        self._clock = clock
        self._chain_id = chain_id
        self._contract = contract

    def add(self, limit: SpendingLimit, signature: bytes) -> None:
        """Keep a limit, the higher one where there is one already. Raises InvalidRequest unless the purse's
        payer, an account with a key, has signed it and it has not expired."""
        if not 0 < limit.total <= _LARGEST_TOTAL:
            raise InvalidRequest("total must be positive and fit 128 bits", {"field": "total"})
        if limit.expiry <= self._clock():
            raise InvalidRequest("the limit has expired", {"field": "expiry"})
        if _signer(limit_digest(limit, self._chain_id, self._contract), signature) != limit.purse.payer:
            raise InvalidRequest(
                f"the signature is not {limit.purse.payer}'s for this limit", {"field": "signature"}
            )
        with Session(self._engine) as session:
            lock(session, f"spending limits of {limit.purse.payer}")
            row = session.exec(select(SpendingLimitRow).filter_by(**self._key(limit))).one_or_none()
            if row is None or int(row.total) <= limit.total:
                row = row or SpendingLimitRow.model_validate(
                    {**self._key(limit), "total": "0", "expiry": 0, "signature": b""}
                )
                row.total, row.expiry, row.signature = str(limit.total), limit.expiry, signature
                session.add(row)
            session.commit()

    def due(self) -> list[Due]:
        """What can be fetched now, by the ledger; purses whose logs still wait are left out."""
        place = {"chain_id": self._chain_id, "contract": self._contract}
        with Session(reading(self._engine)) as session:
            read_together(session)
            rows = session.exec(
                select(CreditEventRow)
                .filter_by(**place)
                .where(col(CreditEventRow.state).in_(_THERE))
                .order_by(col(CreditEventRow.block_number), col(CreditEventRow.log_index))
            ).all()
            limits = session.exec(
                select(SpendingLimitRow).filter_by(**place).order_by(col(SpendingLimitRow.id))
            )
            unsettled: dict[str, int] = {}
            found = []
            for row in limits:
                if row.expiry > self._clock():
                    found += self._due_of(session, row, rows, unsettled)
        return found

    def _due_of(
        self,
        session: Session,
        row: SpendingLimitRow,
        events: Sequence[CreditEventRow],
        unsettled: dict[str, int],
    ) -> list[Due]:
        own = [event for event in events if _purse(event) == _purse(row)]
        if not own or any(event.state == EventState.PENDING for event in own):
            return []
        known, left = _known(own), -balance(session, purse_account(own[0]))
        account = payers.account_of(session, Digest(row.account_id), Address(row.payer))
        if account not in unsettled:
            unsettled[account] = _unsettled(session, account, events)
        share = max(0, min(unsettled[account], left))
        bought = _known([event for event in own if event.state != EventState.IGNORED]).balance
        amount = min(share * bought // left if left > 0 else 0, int(row.total) - known.settled)
        if known.series != row.series or amount <= 0:
            return []
        unsettled[account] -= share
        purse = Purse(Digest(row.account_id), Address(row.payer), Address(row.token))
        limit = SpendingLimit(purse, row.series, int(row.total), row.expiry)
        return [Due(limit, row.signature, known, amount)]

    def _key(self, limit: SpendingLimit) -> dict[str, object]:
        return {
            "chain_id": self._chain_id,
            "contract": self._contract,
            "account_id": limit.purse.account_id,
            "payer": limit.purse.payer,
            "token": limit.purse.token,
            "series": limit.series,
        }


_THERE = (EventState.PENDING, EventState.APPLIED, EventState.FINAL, EventState.IGNORED)
"""Logs that are on the chain, whether they bought credits or not."""


def _purse(row: CreditEventRow | SpendingLimitRow) -> tuple[bytes, str, str]:
    return row.account_id, row.payer, row.token


def _known(events: Sequence[CreditEventRow]) -> PurseAccount:
    """A purse from its logs, in chain order."""
    tokens = settled = series = 0
    for event in events:
        match CreditEventKind(event.kind):
            case CreditEventKind.DEPOSITED:
                tokens += int(event.amount)
            case CreditEventKind.SETTLED:
                tokens, settled = tokens - int(event.amount), settled + int(event.amount)
            case CreditEventKind.REFUNDED:
                tokens, settled, series = 0, 0, series + 1
    return PurseAccount(tokens, settled, series, 0)


def _unsettled(session: Session, account: str, events: Sequence[CreditEventRow]) -> int:
    """Nanocredits that an account has spent of what its purses hold."""
    names = {
        purse_account(event)
        for event in events
        if payers.account_of(session, Digest(event.account_id), Address(event.payer)) == account
    }
    there = sum(-balance(session, name) for name in names)
    aside = sum(balance(session, f"refunding:{name}") for name in names)
    return there - aside - balance(session, available(account)) - balance(session, held(account))


def _signer(digest: Digest, signature: bytes) -> Address | None:
    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    keys = KeyAPI()
    try:
        parsed = keys.Signature(signature[:64] + bytes([signature[64] - 27]))
        return address(parsed.recover_public_key_from_msg_hash(digest).to_address())
    except (BadSignature, ValidationError):
        return None
