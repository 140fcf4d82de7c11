"""Who is asking: API keys in `Authorization: Bearer` or `X-API-Key`, known by their SHA-256 only."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from typing import NewType

from fastapi import Security
from fastapi.requests import HTTPConnection
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from faas_blueprint.errors import Unauthorized
from faas_operator.settings import hash_api_key

Account = NewType("Account", str)
"""Whose objects: named after its API key's hash."""

QUERY_NAMES = ("api_key", "token")
"""Where a browser's WebSocket or EventSource, which cannot set headers, puts the key."""


# These say in the OpenAPI description where a key goes; reading it is `presented_key`'s.
_BEARER = Security(HTTPBearer(auto_error=False, scheme_name="bearer"))
_HEADER = Security(APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="api_key"))


class ApiKeys:
    """A FastAPI dependency that answers the caller's account. Raises Unauthorized."""

    def __init__(self, hashes: Collection[str]) -> None:
        self._hashes = tuple(hashes)

    async def __call__(
        self,
        connection: HTTPConnection,
        _bearer: HTTPAuthorizationCredentials | None = _BEARER,
        _header: str | None = _HEADER,
    ) -> Account:
        """The account of a request."""
        return self._account(presented_key(connection))

    async def of_stream(
        self,
        connection: HTTPConnection,
        _bearer: HTTPAuthorizationCredentials | None = _BEARER,
        _header: str | None = _HEADER,
    ) -> Account:
        """The account of a request for a stream, which may name its key in the query."""
        in_query = next((connection.query_params[name] for name in QUERY_NAMES
                         if name in connection.query_params), None)  # fmt: skip
        return self._account(presented_key(connection) or (in_query.encode() if in_query else None))

    def _account(self, key: bytes | None) -> Account:
        if key is None:
            raise Unauthorized("send an API key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")
        presented = hash_api_key(key)
        known = [hmac.compare_digest(presented, stored) for stored in self._hashes]
        if not any(known):
            raise Unauthorized("the API key is not valid")
        return Account(presented.removeprefix("sha256:")[:16])


def presented_key(connection: HTTPConnection) -> bytes | None:
    """The key that a request carries in its headers; a Bearer token comes first."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else connection.headers.get("x-api-key", "").strip()
    return key.encode("latin-1") if key else None
