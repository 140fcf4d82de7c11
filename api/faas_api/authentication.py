"""Who is asking: API keys in `Authorization: Bearer` or `X-API-Key`, known by their SHA-256 only."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from typing import NewType

from fastapi import Request

from faas_blueprint.errors import Unauthorized
from faas_operator.settings import hash_api_key

Account = NewType("Account", str)
"""Whose executions: named after its API key's hash."""


class ApiKeys:
    """A FastAPI dependency that answers the caller's account. Raises Unauthorized."""

    def __init__(self, hashes: Collection[str]) -> None:
        self._hashes = tuple(hashes)

    async def __call__(self, request: Request) -> Account:
        """The account of a request."""
        key = presented_key(request)
        if key is None:
            raise Unauthorized("send an API key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")
        presented = hash_api_key(key)
        known = [hmac.compare_digest(presented, stored) for stored in self._hashes]
        if not any(known):
            raise Unauthorized("the API key is not valid")
        return Account(presented.removeprefix("sha256:")[:16])


def presented_key(request: Request) -> bytes | None:
    """The key that a request carries; a Bearer token comes first."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "").strip()
    return key.encode("latin-1") if key else None
