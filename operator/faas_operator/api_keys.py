"""The store's record of API keys: made, listed, revoked, and recognised when one is presented.

A key is `faas_<12 hexadecimal digits>_<43 characters>`. The digits name it and are no secret; the rest are
256 random bits. So its plain SHA-256 is enough to keep: there is no dictionary to try, as there is for
passwords, and nothing slow is needed to hold up who tries. The key itself is answered once and forgotten.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine, func
from sqlmodel import Session, col, select

from faas_blueprint.errors import InvalidRequest, NotFound
from faas_operator import audit
from faas_operator.account_record import Account, ApiKey, Scope
from faas_operator.account_tables import ApiKeyRow
from faas_operator.accounts import ACCOUNT_COLUMNS, account_in, checked_name, row_of
from faas_operator.execution_record import Conflict
from faas_operator.kept_connections import transaction
from faas_operator.key_changes import KeyChanges
from faas_operator.settings import hash_api_key
from faas_operator.statement import Statement
from faas_operator.transactions import on_disk_later, reading

KEYS_AT_MOST = 100
"""Valid ones of one account."""

LONGEST_SECONDS = 10 * 366 * 86_400
"""The farthest that an expiry may lie ahead."""

USE_SECONDS = 60.0
"""How exactly the last use of a key is stored; more would be a write for every request."""

_KEY = re.compile(rb"faas_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")

_NOBODY = hash_api_key(b"")

_BY_ID = Statement(
    "SELECT api_key.id, api_key.account, api_key.digest, api_key.name, api_key.scopes, api_key.created_at, "
    f"api_key.expires_at, api_key.revoked_at, api_key.last_used_at, {ACCOUNT_COLUMNS} "
    "FROM api_key JOIN account ON account.id = api_key.account "
    "LEFT JOIN account_address ON account_address.account = account.id "
    "WHERE api_key.id = :id ORDER BY account_address.created_at"
)
_NOTE_USE = Statement("UPDATE api_key SET last_used_at = :now WHERE id = :id")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made."""

    key: ApiKey
    secret: str
    """What its holder sends. Nobody can be told again."""


class KeyStore:
    """Keys by id. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float], changes: KeyChanges) -> None:
        self._engine = engine
        self._clock = clock
        self._changes = changes

    def create(
        self,
        account: str,
        actor: str,
        scopes: Collection[Scope],
        name: str = "",
        lifetime_seconds: float | None = None,
    ) -> NewKey:
        """A new key of an account; None as its lifetime is for good.

        Raises NotFound, InvalidRequest, and Conflict if the account has too many or is closed.
        """
        if not scopes:
            raise InvalidRequest("a key has at least one scope", {"field": "scopes"})
        if lifetime_seconds is not None and not 0 < lifetime_seconds <= LONGEST_SECONDS:
            raise InvalidRequest("a key lives for 1 second to 10 years", {"field": "expires_in_seconds"})
        now = self._clock()
        identity = secrets.token_hex(6)
        secret = f"faas_{identity}_{secrets.token_urlsafe(32)}"
        row = ApiKeyRow(
            id="key_" + identity,
            account=account,
            digest=hash_api_key(secret.encode()),
            name=checked_name(name),
            scopes=" ".join(sorted(scopes)),
            created_at=now,
            expires_at=None if lifetime_seconds is None else now + lifetime_seconds,
        )
        with Session(self._engine) as session:
            if row_of(session, account, for_update=True).closed_at is not None:
                raise Conflict(f"account {account} is closed")
            self._require_room(session, account)
            session.add(row)
            session.flush()
            audit.record(
                session, self._clock, actor, "key.created", account, row.id,
                scopes=sorted(scopes), expires_at=row.expires_at,
            )  # fmt: skip
            key = _key_of(row)
            session.commit()
        return NewKey(key, secret)

    def page(self, account: str, limit: int, offset: int) -> tuple[Sequence[ApiKey], int]:
        """Keys of an account, newest first, revoked and expired ones too, and how many there are in all.

        Raises NotFound for an account that is not there.
        """
        query = select(ApiKeyRow).filter_by(account=account)
        with Session(reading(self._engine)) as session:
            row_of(session, account)
            total = session.exec(select(func.count()).select_from(query.subquery())).one()
            rows = session.exec(query.order_by(col(ApiKeyRow.number).desc()).limit(limit).offset(offset))
            return [_key_of(row) for row in rows], total

    def revoke(self, account: str | None, key_id: str, actor: str) -> ApiKey:
        """Make a key invalid at once and for good; None is any account. Raises NotFound."""
        given = {} if account is None else {"account": account}
        with self._changes.noted(), Session(self._engine) as session:
            row = session.exec(
                select(ApiKeyRow).filter_by(id=key_id, **given).with_for_update()
            ).one_or_none()
            if row is None:
                raise NotFound(f"no key {key_id!r}")
            if row.revoked_at is None:
                row.revoked_at = self._clock()
                session.add(row)
                audit.record(session, self._clock, actor, "key.revoked", row.account, row.id)
            key = _key_of(row)
            session.commit()
        return key

    def recognise(self, presented: bytes) -> tuple[ApiKey, Account] | None:
        """The valid key that was presented, and its open account; None for any other.

        The digest is compared in constant time, also where there is no such key.
        """
        parts = _KEY.fullmatch(presented)
        digest = hash_api_key(presented)
        now = self._clock()
        name = "" if parts is None else "key_" + parts[1].decode()
        with transaction(reading(self._engine)) as connection:
            rows = _BY_ID.run(connection, id=name)
        found = rows[0] if rows else None
        matches = hmac.compare_digest(digest, _NOBODY if found is None else found.digest)
        if found is None or not matches or not _is_current(found, now):
            return None
        account = account_in(rows)
        if account.closed_at is not None:
            return None
        key = _key_of(found)
        if key.last_used_at is None or key.last_used_at < now - USE_SECONDS:
            key = replace(key, last_used_at=now)
            with transaction(on_disk_later(self._engine)) as connection:
                _NOTE_USE.run(connection, id=key.id, now=now)
        return key, account

    def _require_room(self, session: Session, account: str) -> None:
        query = select(ApiKeyRow).filter_by(account=account, revoked_at=None)
        valid = [row for row in session.exec(query) if _is_current(row, self._clock())]
        if len(valid) >= KEYS_AT_MOST:
            raise Conflict(f"an account has {KEYS_AT_MOST} valid keys at the most; revoke one first")


def _is_current(row: ApiKeyRow | Any, now: float) -> bool:
    return row.revoked_at is None and (row.expires_at is None or now < row.expires_at)


def _key_of(row: ApiKeyRow | Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        account=row.account,
        name=row.name,
        scopes=frozenset(map(Scope, row.scopes.split())),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
