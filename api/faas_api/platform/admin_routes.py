"""Every account and its keys, and the audit log, for keys with the scope `admin`. Nobody's objects."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from faas_api.authentication import Access, Caller
from faas_api.json_bodies import JsonRoute
from faas_api.platform import account_bodies as bodies
from faas_api.platform.account_bodies import account_answer, audit_answer, created_answer, key_answer
from faas_api.platform.paging import DEFAULT_LIMIT, Limit, Offset
from faas_operator.account_record import Scope, parse_scopes
from faas_operator.settings import Settings
from faas_operator.store import Store

_ACCOUNT = "/admin/accounts/{account_id}"


def router(store: Store, settings: Settings, access: Access) -> APIRouter:
    """The routes over one store."""
    routes = APIRouter(tags=["admin"], route_class=JsonRoute)
    admin = access.caller_to(Scope.ADMIN)
    accounts, keys = store.accounts, store.keys

    @routes.get("/admin/accounts")
    async def list_accounts(
        _caller: Caller = admin, limit: Limit = DEFAULT_LIMIT, offset: Offset = 0
    ) -> bodies.AccountList:
        """All accounts, newest first."""
        found, total = await asyncio.to_thread(accounts.page, limit, offset)
        answers = [account_answer(account, settings) for account in found]
        return bodies.AccountList(accounts=answers, total=total, limit=limit, offset=offset)

    @routes.post("/admin/accounts", status_code=201)
    async def create_account(body: bodies.AccountRequest, caller: Caller = admin) -> bodies.Account:
        """A new account, without keys."""
        made = await asyncio.to_thread(accounts.create, caller.key_id, body.name, body.limits.limits())
        return account_answer(made, settings)

    @routes.get(_ACCOUNT)
    async def get_any_account(account_id: str, _caller: Caller = admin) -> bodies.Account:
        """An account."""
        return account_answer(await asyncio.to_thread(accounts.get, account_id), settings)

    @routes.patch(_ACCOUNT)
    async def change_account(
        account_id: str, body: bodies.AccountChange, caller: Caller = admin
    ) -> bodies.Account:
        """Rename an account, set its limits, close it or open it again."""
        limits = None if body.limits is None else body.limits.limits()
        changed = await asyncio.to_thread(
            accounts.change, account_id, caller.key_id, body.name, limits, body.closed
        )
        return account_answer(changed, settings)

    @routes.get(f"{_ACCOUNT}/keys")
    async def list_any_keys(
        account_id: str, _caller: Caller = admin, limit: Limit = DEFAULT_LIMIT, offset: Offset = 0
    ) -> bodies.KeyList:
        """An account's keys, newest first."""
        found, total = await asyncio.to_thread(keys.page, account_id, limit, offset)
        answers = [key_answer(key) for key in found]
        return bodies.KeyList(keys=answers, total=total, limit=limit, offset=offset)

    @routes.post(f"{_ACCOUNT}/keys", status_code=201)
    async def create_any_key(
        account_id: str, body: bodies.KeyRequest, caller: Caller = admin
    ) -> bodies.CreatedKey:
        """A key of any account, with any scopes."""
        scopes = parse_scopes(body.scopes)
        made = await asyncio.to_thread(
            keys.create, account_id, caller.key_id, scopes, body.name, body.expires_in_seconds
        )
        return created_answer(made)

    @routes.delete(f"{_ACCOUNT}/keys/{{key_id}}")
    async def revoke_any_key(account_id: str, key_id: str, caller: Caller = admin) -> bodies.Key:
        """Make a key invalid, at once and for good."""
        return key_answer(await asyncio.to_thread(keys.revoke, account_id, key_id, caller.key_id))

    @routes.get("/admin/audit")
    async def read_audit_log(
        _caller: Caller = admin,
        account_id: str | None = None,
        limit: Limit = DEFAULT_LIMIT,
        offset: Offset = 0,
    ) -> bodies.AuditList:
        """Who did what to which account or key, newest first."""
        found, total = await asyncio.to_thread(store.audit.page, limit, offset, account_id)
        entries = [audit_answer(entry) for entry in found]
        return bodies.AuditList(entries=entries, total=total, limit=limit, offset=offset)

    return routes
