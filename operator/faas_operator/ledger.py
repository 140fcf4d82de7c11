"""The double-entry ledger: credits move between accounts, each move has a cause, and none is made twice.

An *entry* has postings that add up to zero. An account's balance is the sum of its postings. What a customer
has is in `available:` and `held:`; the other side of every move is the node's own: `revenue`, `grants`,
`purse:…` for what a contract holds, `proceeds` for what the operator has fetched from there.

`post` works inside the caller's transaction, so that an entry and what it is for are stored together or not
at all. It compares with the balance in the very statement that changes it: calls at the same time, of any
number of threads or processes, never take more than there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func
from sqlmodel import Session, col, select

from faas_blueprint.errors import FatalError
from faas_operator.kept_connections import transaction
from faas_operator.ledger_tables import LedgerBalanceRow, LedgerEntryRow, LedgerPostingRow
from faas_operator.statement import Statement, Transaction
from faas_operator.transactions import read_together, reading

LARGEST = 10**18
"""Of a posting, in nanocredits: thousands of millions of credits. Balances stay below four times that."""

_FULL = 4 * LARGEST

_ADD_ENTRY = Statement(
    "INSERT INTO ledger_entry (kind, cause, created_at) VALUES (:kind, :cause, :now) "
    "ON CONFLICT DO NOTHING RETURNING id"
)
_ADD_POSTING = Statement(
    "INSERT INTO ledger_posting (entry_id, account, amount) VALUES (:entry, :account, :amount)"
)
_CHANGE_BALANCE = Statement(
    "INSERT INTO ledger_balance (account, amount) VALUES (:account, :amount) "
    "ON CONFLICT (account) DO UPDATE SET amount = ledger_balance.amount + :amount "
    "WHERE ledger_balance.amount + :amount BETWEEN :floor AND :ceiling RETURNING amount"
)
_BALANCE = Statement("SELECT amount FROM ledger_balance WHERE account = :account")
_POSTINGS = Statement(
    "SELECT account, amount FROM ledger_posting WHERE entry_id = "
    "(SELECT id FROM ledger_entry WHERE kind = :kind AND cause = :cause) ORDER BY id"
)

REVENUE = "revenue"
GRANTS = "grants"
PROCEEDS = "proceeds"


def available(account: str) -> str:
    """The ledger account of what a customer can spend."""
    return f"available:{account}"


def held(account: str) -> str:
    """The ledger account of what is set aside for a customer's runs that are not over."""
    return f"held:{account}"


class LedgerBroken(FatalError):
    """The books do not add up: nothing may be charged before somebody has looked."""


class Insufficient(Exception):
    """A move would take an account below its floor. The transaction must be given up."""

    def __init__(self, account: str, there: int) -> None:
        """`there` is the account's balance before the move, in nanocredits."""
        super().__init__(account)
        self.there = there


@dataclass(frozen=True, slots=True)
class Cause:
    """What an entry is for. There is one entry for each."""

    kind: str
    reference: str


@dataclass(frozen=True, slots=True)
class Posting:
    """A change of one ledger account, in nanocredits."""

    account: str
    amount: int
    floor: int | None = None
    """The balance may not go below it; None: a debt is possible."""


@dataclass(frozen=True, slots=True)
class StatementLine:
    """A posting as its customer sees it."""

    kind: str
    cause: str
    account: str
    amount: int
    created_at: float


def post(within: Transaction, now: float, cause: Cause, *postings: Posting) -> bool:
    """Add an entry, within the caller's transaction; False, and nothing else, when its cause has one.

    Raises Insufficient when a balance would fall below its floor.
    """
    _require_balanced(postings)
    added = _ADD_ENTRY.run(within, kind=cause.kind, cause=cause.reference, now=now)
    if not added:
        return False
    moved = sorted((item for item in postings if item.amount), key=lambda item: item.account)
    for posting in moved:  # in one order everywhere: no deadlocks
        _change(within, posting)
    if moved:
        rows = [{"entry": added[0].id, "account": item.account, "amount": item.amount} for item in moved]
        _ADD_POSTING.run_many(within, rows)
    return True


def keep(within: Transaction, accounts: Iterable[str]) -> None:
    """Nobody else changes these ledger accounts in this transaction's time. To be called by one that posts to
    several customers', before it does: who posts to one of them may have it, and wait for `revenue`."""
    for account in sorted(accounts):  # in one order everywhere: no deadlocks
        _change(within, Posting(account, 0))


def reverse(session: Session, now: float, original: Cause, cause: Cause) -> bool:
    """Take an entry back by one of the opposite; a balance may become a debt by that."""
    postings = postings_of(session, original)
    return post(session, now, cause, *(Posting(item.account, -item.amount) for item in postings))


def postings_of(within: Transaction, cause: Cause) -> list[Posting]:
    """What the entry of a cause did; nothing when there is none."""
    rows = _POSTINGS.run(within, kind=cause.kind, cause=cause.reference)
    return [Posting(row.account, int(row.amount)) for row in rows]


def balance(within: Session | Connection, account: str, keep: bool = False) -> int:
    """Of a ledger account, in nanocredits; with `keep`, nobody else changes it in this transaction's time."""
    query = select(LedgerBalanceRow.amount).filter_by(account=account)
    amount = within.execute(query.with_for_update() if keep else query).scalar_one_or_none()
    return 0 if amount is None else int(amount)


class Ledger:
    """The books of one store, read. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    def post(self, cause: Cause, *postings: Posting) -> bool:
        """See `post`, in a transaction of its own."""
        with transaction(self._engine) as connection:
            return post(connection, self._clock(), cause, *postings)

    def balance(self, account: str) -> int:
        """Of a ledger account, in nanocredits."""
        with reading(self._engine).begin() as connection:
            return balance(connection, account)

    def statement(self, customer: str, limit: int, offset: int) -> tuple[list[StatementLine], int]:
        """What happened to a customer's credits, newest first, and how many lines there are in all."""
        own = col(LedgerPostingRow.account).in_([available(customer), held(customer)])
        query = (
            select(LedgerPostingRow, LedgerEntryRow)
            .join(LedgerEntryRow, col(LedgerEntryRow.id) == col(LedgerPostingRow.entry_id))
            .where(own)
            .order_by(col(LedgerPostingRow.id).desc())
        )
        with Session(reading(self._engine)) as session:
            total = session.exec(select(func.count()).select_from(LedgerPostingRow).where(own)).one()
            lines = [
                StatementLine(
                    entry.kind, entry.cause, row.account.partition(":")[0], row.amount, entry.created_at
                )
                for row, entry in session.exec(query.limit(limit).offset(offset))
            ]
        return lines, total

    def check(self) -> None:
        """Add everything up again. Raises LedgerBroken, which says what does not agree."""
        with Session(reading(self._engine)) as session:
            read_together(session)
            problems = [*_unbalanced(session), *_wrong_balances(session), *_held_below_zero(session)]
        if problems:
            raise LedgerBroken("the ledger does not add up: " + "; ".join(problems[:5]))


def _require_balanced(postings: Sequence[Posting]) -> None:
    if sum(posting.amount for posting in postings) != 0:
        raise ValueError(f"postings that do not add up to zero: {postings}")
    if len({posting.account for posting in postings}) != len(postings):
        raise ValueError(f"two postings to one account: {postings}")
    if any(abs(posting.amount) > LARGEST for posting in postings):
        raise ValueError(f"a posting over {LARGEST} nanocredits: {postings}")


def _change(within: Transaction, posting: Posting) -> None:
    """One statement compares and changes. A new account's first amount is compared here."""
    floor = -_FULL if posting.floor is None or posting.amount > 0 else posting.floor
    changed = _CHANGE_BALANCE.run(
        within, account=posting.account, amount=posting.amount, floor=floor, ceiling=_FULL
    )
    if not changed:
        rows = _BALANCE.run(within, account=posting.account)
        raise Insufficient(posting.account, int(rows[0].amount) if rows else 0)
    after = changed[0].amount
    if after < floor:
        raise Insufficient(posting.account, after - posting.amount)


def _unbalanced(session: Session) -> list[str]:
    total = func.sum(LedgerPostingRow.amount)
    query = (
        select(LedgerPostingRow.entry_id, total).group_by(col(LedgerPostingRow.entry_id)).having(total != 0)
    )
    return [f"the postings of entry {entry} add up to {amount}" for entry, amount in session.exec(query)]


def _wrong_balances(session: Session) -> list[str]:
    sums = {
        account: int(amount)
        for account, amount in session.exec(
            select(LedgerPostingRow.account, func.sum(LedgerPostingRow.amount)).group_by(
                col(LedgerPostingRow.account)
            )
        )
    }
    kept = {row.account: row.amount for row in session.exec(select(LedgerBalanceRow))}
    return [
        f"{account} has {kept.get(account, 0)}, its postings say {sums.get(account, 0)}"
        for account in sorted(sums.keys() | kept.keys())
        if sums.get(account, 0) != kept.get(account, 0)
    ]


def _held_below_zero(session: Session) -> list[str]:
    query = select(LedgerBalanceRow).where(
        col(LedgerBalanceRow.account).startswith("held:"), col(LedgerBalanceRow.amount) < 0
    )
    return [f"{row.account} holds {row.amount}" for row in session.exec(query)]
