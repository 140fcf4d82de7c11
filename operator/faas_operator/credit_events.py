"""What the credits contracts said, stored log by log, and what each does to the ledger.

A log is known by its block, its place in it and its contract, so one that a reorganisation moves is another
log. `pending` waits for confirmations; `applied` is in the ledger; `final` too, and was seen so deep that it
is looked at no more; `dropped` was in a block that is gone, and what it did has been taken back; `ignored`
cannot be turned into credits. Each change of state and what it does to the ledger are one transaction, so it
does not matter where the node dies.

What a contract holds for a payer is a *purse*; the ledger has an account for each, which owes the customer
what was deposited and neither settled nor refunded. An announced refund sets unused credits aside, so that
they cannot be spent while the notice runs; what the operator did not settle by its end leaves with the
refund, and is the customer's debt if it was spent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from faas_blueprint.digests import Digest
from faas_blueprint.prices import NANOCREDITS_PER_CREDIT
from faas_blueprint.receipt import ZERO_ADDRESS, Address
from faas_blueprint.tangle.credit_events import CreditEvent, CreditEventKind
from faas_operator import payers
from faas_operator.chain.interface import Block
from faas_operator.cursors import move_cursor, read_cursor
from faas_operator.ledger import LARGEST, PROCEEDS, Cause, Posting, available, balance, post, reverse
from faas_operator.ledger_tables import CreditEventRow
from faas_operator.logs import about
from faas_operator.transactions import lock, reading

log = logging.getLogger(__name__)

DEFAULT_RATES: Mapping[Address, int] = {ZERO_ADDRESS: 10**15}
"""A thousandth of the native token for a credit."""


class EventState(StrEnum):
    """What has become of a log."""

    PENDING = "pending"
    APPLIED = "applied"
    FINAL = "final"
    DROPPED = "dropped"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """A credit event and where it stands."""

    event: CreditEvent
    chain_id: int
    contract: Address
    block: Block
    transaction_hash: str
    log_index: int


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A log as far as following blocks needs it."""

    id: int
    block: Block
    state: EventState


@dataclass(frozen=True, slots=True)
class Rates:
    """What a credit costs on-chain."""

    units: Mapping[Address, int] = field(default_factory=lambda: dict(DEFAULT_RATES))
    """A token's smallest units for one credit; a token that is not here buys none."""
    claimed: int = 0
    """Nanocredits for one of the protocol's credits; 0: they buy none."""
    burned: int | None = None
    """Smallest units of a Substrate chain's token that are burned for one credit; None: they buy none."""


class CreditEventStore:
    """Credit events of one store. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    def cursor(self, name: str) -> Block | None:
        """The last block whose logs are stored."""
        with Session(reading(self._engine)) as session:
            return read_cursor(session, name)

    def record(self, name: str, events: Iterable[ChainEvent], last: Block) -> int:
        """Store the logs of a range of blocks and move the cursor to its last block, in one commit. Answers
        how many were new, or are back."""
        with Session(self._engine) as session:
            lock(session, payers.LOCK)
            new = sum([_record(session, event) for event in events])
            move_cursor(session, name, last)
            session.commit()
        return new

    def waiting(self, chain_id: int) -> list[StoredEvent]:
        """Pending logs in chain order."""
        return self._in(chain_id, EventState.PENDING)

    def applied(self, chain_id: int) -> list[StoredEvent]:
        """Applied logs that are not final, in chain order."""
        return self._in(chain_id, EventState.APPLIED)

    def apply(self, number: int, rates: Rates) -> EventState:
        """Put a pending log into the ledger, once. Answers its state then."""
        with Session(self._engine) as session:
            lock(session, payers.LOCK)
            row = session.get_one(CreditEventRow, number)
            if row.state == EventState.PENDING:
                postings = _postings(session, row, rates)
                if postings is None:
                    log.warning("credit event ignored", extra=_about(row))
                    row.state = EventState.IGNORED
                else:
                    row.applications += 1
                    row.state = EventState.APPLIED
                    post(session, self._clock(), _cause(row), *postings)
                session.add(row)
            state = EventState(row.state)
            session.commit()
        return state

    def drop(self, number: int) -> None:
        """A log's block is gone: take back what it did, if it did anything."""
        with Session(self._engine) as session:
            lock(session, payers.LOCK)
            row = session.get_one(CreditEventRow, number)
            if row.state == EventState.APPLIED:
                cause = _cause(row)
                reverse(
                    session, self._clock(), cause, Cause("reorganisation", f"{cause.kind} {cause.reference}")
                )
            row.state = EventState.DROPPED
            session.add(row)
            session.commit()

    def finalise(self, number: int) -> None:
        """An applied log is so deep that its block is not expected to go."""
        with Session(self._engine) as session:
            lock(session, payers.LOCK)
            row = session.get_one(CreditEventRow, number)
            if row.state == EventState.APPLIED:
                row.state = EventState.FINAL
            session.add(row)
            session.commit()

    def _in(self, chain_id: int, state: EventState) -> list[StoredEvent]:
        query = (
            select(CreditEventRow)
            .where(
                CreditEventRow.chain_id == chain_id,
                CreditEventRow.state == state,
            )
            .order_by(col(CreditEventRow.block_number), col(CreditEventRow.log_index))
        )
        with Session(reading(self._engine)) as session:
            return [
                StoredEvent(row.id or 0, Block(row.block_number, row.block_hash), EventState(row.state))
                for row in session.exec(query)
            ]


def _record(session: Session, seen: ChainEvent) -> bool:
    query = select(CreditEventRow).filter_by(
        chain_id=seen.chain_id,
        contract=seen.contract,
        block_hash=seen.block.block_hash,
        log_index=seen.log_index,
    )
    row = session.exec(query).one_or_none()
    if row is not None and row.state != EventState.DROPPED:
        return False
    if row is None:
        event = seen.event
        row = CreditEventRow(
            chain_id=seen.chain_id,
            contract=seen.contract,
            block_number=seen.block.number,
            block_hash=seen.block.block_hash,
            log_index=seen.log_index,
            transaction_hash=seen.transaction_hash,
            kind=event.kind,
            account_id=event.account_id,
            payer=event.payer,
            token=event.token,
            amount=str(event.amount),
            state=EventState.PENDING,
        )
    row.state = EventState.PENDING
    session.add(row)
    session.flush()
    return True


def _cause(row: CreditEventRow) -> Cause:
    """Transaction and log index, with the block, since a transaction can be moved into another."""
    again = f" again {row.applications}" if row.applications > 1 else ""
    place = f"{row.chain_id}/{row.transaction_hash}/{row.log_index} in {row.block_hash}{again}"
    return Cause(row.kind, place)


def _postings(session: Session, row: CreditEventRow, rates: Rates) -> list[Posting] | None:
    """What a log moves; None when it cannot be turned into credits."""
    purse = purse_account(row)
    own = available(payers.account_of(session, Digest(row.account_id), Address(row.payer)))
    left = -balance(session, purse, keep=True)
    set_aside = balance(session, f"refunding:{purse}", keep=True)
    match CreditEventKind(row.kind):
        case CreditEventKind.DEPOSITED:
            return _credit(purse, own, _nanocredits(int(row.amount), rates.units.get(Address(row.token))))
        case CreditEventKind.CLAIMED:
            granted = int(row.amount) * rates.claimed
            return _credit(f"claims:{row.chain_id}:{row.contract}", own, granted)
        case CreditEventKind.BURNED:
            granted = _nanocredits(int(row.amount), rates.burned)
            return _credit(f"burns:{row.chain_id}:{row.contract}", own, granted)
        case CreditEventKind.SETTLED:
            amount = _share(session, row, left)
            return [Posting(purse, amount), Posting(PROCEEDS, -amount)]
        case CreditEventKind.REFUND_ANNOUNCED:
            more = max(0, min(balance(session, own, keep=True), left - set_aside))
            return [Posting(own, -more), Posting(f"refunding:{purse}", more)]
        case CreditEventKind.REFUND_CANCELLED:
            return [Posting(f"refunding:{purse}", -set_aside), Posting(own, set_aside)]
        case CreditEventKind.REFUNDED:
            return [
                Posting(purse, left),
                Posting(f"refunding:{purse}", -set_aside),
                Posting(own, set_aside - left),
            ]


def purse_account(row: CreditEventRow) -> str:
    """The ledger account of what a contract holds for a payer."""
    return f"purse:{row.chain_id}:{row.contract}:{row.account_id.hex()}:{row.payer}:{row.token}"


def _credit(source: str, own: str, nanocredits: int) -> list[Posting] | None:
    if not 0 < nanocredits <= LARGEST:
        return None
    return [Posting(source, -nanocredits), Posting(own, nanocredits)]


def _nanocredits(amount: int, units: int | None) -> int:
    return 0 if units is None else amount * NANOCREDITS_PER_CREDIT // units


def _share(session: Session, row: CreditEventRow, left: int) -> int:
    """The credits of a settled amount: the same share of what is left as the amount is of the tokens left.

    So a change of rates between deposit and settlement changes nothing.
    """
    query = select(CreditEventRow).filter_by(
        chain_id=row.chain_id, contract=row.contract, account_id=row.account_id, payer=row.payer,
        token=row.token,
    ).where(col(CreditEventRow.state).in_((EventState.APPLIED, EventState.FINAL)))  # fmt: skip
    signs = {CreditEventKind.DEPOSITED: 1, CreditEventKind.SETTLED: -1, CreditEventKind.REFUNDED: -1}
    tokens = sum(
        signs.get(CreditEventKind(other.kind), 0) * int(other.amount) for other in session.exec(query)
    )
    return left if int(row.amount) >= tokens else left * int(row.amount) // tokens


def _about(row: CreditEventRow) -> dict[str, object]:
    return about(
        kind=row.kind, tx=row.transaction_hash, log=row.log_index, token=row.token, amount=row.amount
    )
