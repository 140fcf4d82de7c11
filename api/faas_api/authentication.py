"""Who is asking, and what they may do: API keys in `Authorization: Bearer` or `X-API-Key`.

Keys are those of the store (`faas_operator.api_keys`) and those of the settings. A key that is unknown,
wrong, expired or revoked is refused in the same words.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NewType, NoReturn

from fastapi import Security
from fastapi.openapi.models import HTTPBearer
from fastapi.requests import HTTPConnection
from fastapi.security.base import SecurityBase

from faas_api.known_callers import KnownCallers
from faas_api.limits import STATE, RequestCounts
from faas_blueprint.errors import Forbidden, Unauthorized
from faas_operator.account_record import CUSTOMER_SCOPES, AccountLimits, Scope
from faas_operator.settings import Secrets, hash_api_key
from faas_operator.store import Store

log = logging.getLogger(__name__)

AccountId = NewType("AccountId", str)
"""Whose objects: `acct_…`."""

QUERY_NAMES = ("api_key", "token")
"""Where a browser's WebSocket or EventSource, which cannot set headers, puts the key."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever holds a valid key."""

    account: AccountId
    key_id: str
    """`key_…`, or `settings` for a key that the settings name."""
    scopes: frozenset[Scope]
    limits: AccountLimits
    expires_at: float | None
    """Unix seconds; None is never."""


class Access:
    """Admits callers to routes: `Depends`-like markers for what a route needs."""

    def __init__(self, store: Store, secrets: Secrets, counts: RequestCounts) -> None:
        """Accounts of the settings' keys are made where they are missing."""
        self._keys = store.keys
        self._accounts = store.accounts
        self._counts = counts
        self._known: KnownCallers[Caller] = KnownCallers(store.key_changes, store.clock)
        self._configured = dict.fromkeys(secrets.api_keys, CUSTOMER_SCOPES)
        self._configured |= dict.fromkeys(secrets.admin_keys, frozenset(Scope))
        self._accounts.ensure(
            [configured_account(digest) for digest in self._configured], "settings", "settings"
        )

    def account_to(self, scope: Scope) -> Any:
        """A route's parameter: the account of a caller whose key has the scope."""
        return Security(_ByKey(self._account, scope), scopes=[scope])

    def account_or_none_to(self, scope: Scope) -> Any:
        """The same, or None for a caller without any key, who is counted by where they come from."""
        return Security(_ByKey(self._account_or_none, scope), scopes=[scope])

    def caller_to(self, scope: Scope) -> Any:
        """The same, with all that is known of the caller."""
        return Security(_ByKey(self._caller, scope), scopes=[scope])

    def stream_to(self, scope: Scope) -> Any:
        """The account of a request for a stream, which may name its key in the query."""
        return Security(_ByKey(self._stream_account, scope), scopes=[scope])

    async def anyone(self, connection: HTTPConnection) -> None:
        """A dependency of routes that need no key: counts requests by where they come from."""
        await self._count(connection, _place(connection), None)

    async def require_key(self, connection: HTTPConnection) -> None:
        """Ahead of a large body. Raises Unauthorized, RateLimitExceeded; counts only who is refused."""
        key = presented_key(connection)
        if key is None or await self._caller_with(key) is None:
            await self._refuse(connection, key)

    async def stream_caller(self, connection: HTTPConnection, scope: Scope) -> Caller:
        """Also of a WebSocket. Raises Unauthorized, Forbidden, RateLimitExceeded."""
        in_query = next((connection.query_params[name] for name in QUERY_NAMES
                         if name in connection.query_params), None)  # fmt: skip
        key = presented_key(connection) or (in_query.encode(errors="replace") if in_query else None)
        return await self._admit(connection, key, scope)

    # -- dependencies

    async def _caller(self, connection: HTTPConnection, scope: Scope) -> Caller:
        return await self._admit(connection, presented_key(connection), scope)

    async def _account(self, connection: HTTPConnection, scope: Scope) -> AccountId:
        return (await self._caller(connection, scope)).account

    async def _stream_account(self, connection: HTTPConnection, scope: Scope) -> AccountId:
        return (await self.stream_caller(connection, scope)).account

    async def _account_or_none(self, connection: HTTPConnection, scope: Scope) -> AccountId | None:
        if presented_key(connection) is None:
            await self.anyone(connection)
            return None
        return await self._account(connection, scope)

    # -- parts

    async def _admit(self, connection: HTTPConnection, key: bytes | None, scope: Scope) -> Caller:
        caller = None if key is None else await self._caller_with(key)
        if caller is None:
            await self._refuse(connection, key)
        await self._count(connection, caller.account, caller.limits)
        if scope not in caller.scopes:
            raise Forbidden(f"this key has no scope {str(scope)!r}", {"scope": scope})
        return caller

    async def _refuse(self, connection: HTTPConnection, key: bytes | None) -> NoReturn:
        await self._count(connection, _place(connection), None)
        if key is None:
            raise Unauthorized("send an API key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")
        log.info("an invalid API key was presented")
        raise Unauthorized("the API key is not valid")

    async def _caller_with(self, key: bytes) -> Caller | None:
        presented = hash_api_key(key)
        caller = self._known.get(presented)
        if caller is None:
            mark = self._known.mark
            caller = await asyncio.to_thread(self._recognise, key, presented)
            if caller is not None:
                self._known.add(presented, caller, caller.expires_at, mark)
        return caller

    def _recognise(self, key: bytes, presented: str) -> Caller | None:
        matches = [digest for digest in self._configured if hmac.compare_digest(digest, presented)]
        if matches:
            account = self._accounts.get(configured_account(matches[0]))
            if account.closed_at is not None:
                return None
            scopes = self._configured[matches[0]]
            return Caller(AccountId(account.id), "settings", scopes, account.limits, expires_at=None)
        recognised = self._keys.recognise(key)
        if recognised is None:
            return None
        found, account = recognised
        return Caller(AccountId(account.id), found.id, found.scopes, account.limits, found.expires_at)

    async def _count(self, connection: HTTPConnection, who: str, limits: AccountLimits | None) -> None:
        standing = await self._counts.count(who, limits)
        connection.scope.setdefault("state", {})[STATE] = standing
        standing.require()


class _ByKey(SecurityBase):
    """A dependency that asks for a key, and is described as what it reads; `describe_key_header` adds the
    other header."""

    model = HTTPBearer()
    scheme_name = "bearer"

    def __init__(self, admit: Callable[[HTTPConnection, Scope], Awaitable[object]], scope: Scope) -> None:
        self._admit = admit
        self._scope = scope

    async def __call__(self, connection: HTTPConnection) -> object:
        return await self._admit(connection, self._scope)


def describe_key_header(description: dict[str, Any]) -> None:
    """Say in an OpenAPI description, wherever a key may be a Bearer token, that it may be in X-API-Key."""
    description["components"]["securitySchemes"]["api_key"] = {
        "type": "apiKey", "in": "header", "name": "X-API-Key",
    }  # fmt: skip
    for path in description["paths"].values():
        for operation in path.values():
            for required in list(operation.get("security", ())):
                operation["security"].append({"api_key": required[_ByKey.scheme_name]})


def configured_account(digest: str) -> AccountId:
    """The account of a key that the settings name, from the key's `sha256:<hex>`."""
    return AccountId("acct_" + digest.removeprefix("sha256:")[:24])


def presented_key(connection: HTTPConnection) -> bytes | None:
    """The key that a request carries in its headers; a Bearer token comes first."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else connection.headers.get("x-api-key", "").strip()
    return key.encode("latin-1") if key else None


def _place(connection: HTTPConnection) -> str:
    return f"from {connection.client.host if connection.client else 'nowhere'}"
