"""The store's record of accounts: made, limited, closed, and bound to the addresses that they pay from.

An account's keys are in `api_keys`; how an address is proven is in `sign_in`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence

from sqlalchemy import Engine, func
from sqlmodel import Session, col, select

from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.receipt import Address
from faas_operator import audit, payers
from faas_operator.account_record import Account, AccountLimits
from faas_operator.account_tables import AccountRow, AddressRow
from faas_operator.execution_record import Conflict
from faas_operator.key_changes import KeyChanges
from faas_operator.payers import PAYING_NETWORKS, hand_over
from faas_operator.statement import Rows, Statement
from faas_operator.transactions import lock, reading

NAME_CHARACTERS = 100

LIMIT_NAMES = ("requests_per_minute", "requests_per_hour", "concurrent_executions")

LARGEST_LIMIT = 1_000_000_000

ACCOUNT_COLUMNS = (
    "account.id AS account_id, account.name AS account_name, account.requests_per_minute, "
    "account.requests_per_hour, account.concurrent_executions, account.created_at AS account_created_at, "
    "account.closed_at AS account_closed_at, account_address.network, account_address.address"
)
"""What `account_in` takes: a row for each address of an account, or one, in order of their age."""

_BY_ID = Statement(
    f"SELECT {ACCOUNT_COLUMNS} FROM account "
    "LEFT JOIN account_address ON account_address.account = account.id "
    "WHERE account.id = :id ORDER BY account_address.created_at"
)


class AccountStore:
    """Accounts by id. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float], changes: KeyChanges) -> None:
        self._engine = engine
        self._clock = clock
        self._changes = changes

    def create(self, actor: str, name: str = "", limits: AccountLimits | None = None) -> Account:
        """A new account, without keys. Raises InvalidRequest."""
        with Session(self._engine) as session:
            row = self._add(session, new_account_id(), actor, name, limits or AccountLimits())
            account = account_of(session, row)
            session.commit()
        return account

    def ensure(self, account_ids: Collection[str], actor: str, name: str) -> None:
        """Make those accounts that are not there yet."""
        with Session(self._engine) as session:
            lock(session, "accounts")
            known = set(session.exec(select(AccountRow.id).where(col(AccountRow.id).in_(account_ids))))
            for account_id in sorted(set(account_ids) - known):
                self._add(session, account_id, actor, name, AccountLimits())
            session.commit()

    def get(self, account_id: str) -> Account:
        """Raises NotFound."""
        with reading(self._engine).begin() as connection:
            rows = _BY_ID.run(connection, id=account_id)
        if not rows:
            raise NotFound(f"no account {account_id!r}")
        return account_in(rows)

    def page(self, limit: int, offset: int) -> tuple[Sequence[Account], int]:
        """Accounts, newest first, and how many there are in all."""
        with Session(reading(self._engine)) as session:
            total = session.exec(select(func.count()).select_from(AccountRow)).one()
            query = select(AccountRow).order_by(col(AccountRow.number).desc()).limit(limit).offset(offset)
            return [account_of(session, row) for row in session.exec(query)], total

    def change(
        self,
        account_id: str,
        actor: str,
        name: str | None = None,
        limits: AccountLimits | None = None,
        closed: bool | None = None,
    ) -> Account:
        """Change what is given; a closed account's keys are valid no more, until it is opened again.

        Raises NotFound, InvalidRequest.
        """
        with self._changes.noted(), Session(self._engine) as session:
            row = row_of(session, account_id, for_update=True)
            changed: dict[str, object] = {}
            if name is not None:
                row.name = changed["name"] = checked_name(name)
            if limits is not None:
                _set_limits(row, limits)
                changed["limits"] = {field: getattr(limits, field) for field in LIMIT_NAMES}
            if closed is not None:
                row.closed_at = self._clock() if closed else None
                changed["closed"] = closed
            session.add(row)
            audit.record(session, self._clock, actor, "account.changed", account_id, account_id, **changed)
            account = account_of(session, row)
            session.commit()
        return account

    # -- addresses

    def of_address(self, network: str, address: str) -> str | None:
        """The account that an address is bound to."""
        with Session(reading(self._engine)) as session:
            row = session.get(AddressRow, (network, address))
            return None if row is None else row.account

    def bind(self, account_id: str, network: str, address: str, actor: str) -> None:
        """Bind an address to an account, for good, with what it has paid so far.

        Raises NotFound, and Conflict if it is another's.
        """
        with Session(self._engine) as session:
            _keep_binding(session, network, address)
            row_of(session, account_id, for_update=True)
            bound = session.get(AddressRow, (network, address))
            if bound is not None and bound.account != account_id:
                raise Conflict("the address is bound to another account", {"field": "address"})
            if bound is None:
                self._bind(session, account_id, network, address, actor)
                session.commit()

    def of_proven_address(self, network: str, address: str, actor: str) -> Account:
        """The account of an address, made if there is none."""
        with Session(self._engine) as session:
            account = account_of(session, self.row_of_proven_address(session, network, address, actor))
            session.commit()
        return account

    def row_of_proven_address(self, session: Session, network: str, address: str, actor: str) -> AccountRow:
        """The same within the session's transaction."""
        _keep_binding(session, network, address)
        bound = session.get(AddressRow, (network, address))
        if bound is not None:
            return row_of(session, bound.account)
        row = self._add(session, new_account_id(), actor, "", AccountLimits())
        self._bind(session, row.id, network, address, actor)
        return row

    # -- parts

    def _add(
        self, session: Session, account_id: str, actor: str, name: str, limits: AccountLimits
    ) -> AccountRow:
        row = AccountRow(id=account_id, name=checked_name(name), created_at=self._clock())
        _set_limits(row, limits)
        session.add(row)
        session.flush()
        audit.record(session, self._clock, actor, "account.created", account_id, account_id, name=name)
        return row

    def _bind(self, session: Session, account_id: str, network: str, address: str, actor: str) -> None:
        session.add(
            AddressRow(network=network, address=address, account=account_id, created_at=self._clock())
        )
        session.flush()
        if network in PAYING_NETWORKS:
            hand_over(session, self._clock(), Address(address), account_id)
        audit.record(session, self._clock, actor, "address.bound", account_id, address, network=network)


def new_account_id() -> str:
    """An id that nobody has."""
    return "acct_" + secrets.token_hex(12)


def row_of(session: Session, account_id: str, for_update: bool = False) -> AccountRow:
    """An account's row; with `for_update`, nobody else changes what hangs on it before this transaction ends.

    Raises NotFound.
    """
    query = select(AccountRow).filter_by(id=account_id)
    row = session.exec(query.with_for_update() if for_update else query).one_or_none()
    if row is None:
        raise NotFound(f"no account {account_id!r}")
    return row


def _keep_binding(session: Session, network: str, address: str) -> None:
    """Nobody else binds the address, or books what it has paid, before the transaction ends."""
    lock(session, payers.LOCK if network in PAYING_NETWORKS else f"address {network} {address}")


def checked_name(name: str) -> str:
    """A name for people. Raises InvalidRequest."""
    if len(name) > NAME_CHARACTERS or not name.isprintable():
        raise InvalidRequest(f"a name has up to {NAME_CHARACTERS} printable characters", {"field": "name"})
    return name


def _set_limits(row: AccountRow, limits: AccountLimits) -> None:
    for name in LIMIT_NAMES:
        value = getattr(limits, name)
        if value is not None and not 1 <= value <= LARGEST_LIMIT:
            raise InvalidRequest(f"{name} is 1 to {LARGEST_LIMIT}", {"field": f"limits.{name}"})
        setattr(row, name, value)


def account_of(session: Session, row: AccountRow) -> Account:
    """The account of a row, with its addresses."""
    query = select(AddressRow).filter_by(account=row.id).order_by(col(AddressRow.created_at))
    return Account(
        id=row.id,
        name=row.name,
        limits=AccountLimits(row.requests_per_minute, row.requests_per_hour, row.concurrent_executions),
        addresses=tuple((address.network, address.address) for address in session.exec(query)),
        created_at=row.created_at,
        closed_at=row.closed_at,
    )


def account_in(rows: Rows) -> Account:
    """The same from `ACCOUNT_COLUMNS` of one account."""
    row = rows[0]
    return Account(
        id=row.account_id,
        name=row.account_name,
        limits=AccountLimits(
            row.requests_per_minute,
            row.requests_per_hour,
            row.concurrent_executions,
        ),
        addresses=tuple((row.network, row.address) for row in rows if row.network is not None),
        created_at=row.account_created_at,
        closed_at=row.account_closed_at,
    )
