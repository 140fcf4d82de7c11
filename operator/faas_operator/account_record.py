"""Accounts and API keys as values. Storing them: `accounts`, `api_keys`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from faas_blueprint.errors import InvalidRequest


class Scope(StrEnum):
    """What a key may do, to its own account's objects unless it is said otherwise."""

    READ = "read"
    """Look at everything that the account has."""
    EXECUTE = "execute"
    """Run code in any mode, cancel runs, end sessions."""
    SNAPSHOTS = "snapshots"
    """Take, restore and delete snapshots; begin, merge and delete branches."""
    KEYS = "keys"
    """Make and revoke the account's keys, bind addresses to it."""
    ADMIN = "admin"
    """Manage every account and its keys, read the audit log. Shows nobody's objects."""


CUSTOMER_SCOPES = frozenset(Scope) - {Scope.ADMIN}
"""All that a customer can do."""


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """An account's own limits; None is what the node's settings say."""

    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    concurrent_executions: int | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Who owns objects and, once it has proven an address, pays from there."""

    id: str
    """`acct_…`"""
    name: str
    limits: AccountLimits
    addresses: tuple[tuple[str, str], ...]
    """Network and address, such as `("ethereum", "0x…")`."""
    created_at: float
    closed_at: float | None
    """From then on none of its keys is valid."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the service knows it: all but the key."""

    id: str
    """`key_…`; the key itself begins with `faas_` and the same characters."""
    account: str
    name: str
    scopes: frozenset[Scope]
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None
    """To the minute."""

    @property
    def prefix(self) -> str:
        """The readable beginning of the key, by which its holder recognises it."""
        return "faas_" + self.id.removeprefix("key_")


def parse_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Raises InvalidRequest for a name that is none, and for none at all."""
    known = {str(scope): scope for scope in Scope}
    wanted = list(names)
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        problem = f"there is no scope {unknown[0]!r}" if unknown else "a key has at least one scope"
        raise InvalidRequest(
            f"{problem}; choose of: {', '.join(known)}", {"field": "scopes", "served": list(known)}
        )
    return frozenset(known[name] for name in wanted)
