"""The caller's own account: what it is, its keys, the addresses that it pays from."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from faas_api.authentication import Access, AccountId, Caller
from faas_api.json_bodies import JsonRoute
from faas_api.platform import account_bodies as bodies
from faas_api.platform.account_bodies import account_answer, created_answer, key_answer
from faas_api.platform.paging import DEFAULT_LIMIT, Limit, Offset
from faas_blueprint.errors import Forbidden
from faas_operator.account_record import Scope, parse_scopes
from faas_operator.settings import Settings
from faas_operator.sign_in import SignIn
from faas_operator.store import Store


def router(store: Store, settings: Settings, sign_in: SignIn, access: Access) -> APIRouter:
    """The routes over one store."""
    routes = APIRouter(tags=["account"], route_class=JsonRoute)
    reader = access.caller_to(Scope.READ)
    keeper = access.caller_to(Scope.KEYS)
    lister = access.account_to(Scope.KEYS)
    keys = store.keys

    @routes.get("/account")
    async def get_account(caller: Caller = reader) -> bodies.OwnAccount:
        """Whose key this is, and what it may do."""
        account = await asyncio.to_thread(store.accounts.get, caller.account)
        answer = account_answer(account, settings)
        return bodies.OwnAccount(**answer.model_dump(), key_id=caller.key_id, scopes=sorted(caller.scopes))

    @routes.get("/keys")
    async def list_keys(
        account: AccountId = lister, limit: Limit = DEFAULT_LIMIT, offset: Offset = 0
    ) -> bodies.KeyList:
        """The account's keys, newest first."""
        found, total = await asyncio.to_thread(keys.page, account, limit, offset)
        return bodies.KeyList(
            keys=[key_answer(key) for key in found], total=total, limit=limit, offset=offset
        )

    @routes.post("/keys", status_code=201)
    async def create_key(body: bodies.KeyRequest, caller: Caller = keeper) -> bodies.CreatedKey:
        """A further key of the account, with scopes that the key which asks has itself."""
        scopes = parse_scopes(body.scopes)
        beyond = sorted(scopes - caller.scopes)
        if beyond:
            raise Forbidden(f"this key has no scope {str(beyond[0])!r} to hand on", {"scope": beyond[0]})
        made = await asyncio.to_thread(
            keys.create, caller.account, caller.key_id, scopes, body.name, body.expires_in_seconds
        )
        return created_answer(made)

    @routes.delete("/keys/{key_id}")
    async def revoke_key(key_id: str, caller: Caller = keeper) -> bodies.Key:
        """Make a key of the account invalid, at once and for good."""
        return key_answer(await asyncio.to_thread(keys.revoke, caller.account, key_id, caller.key_id))

    @routes.post("/account/addresses", status_code=201)
    async def bind_address(body: bodies.ProofRequest, caller: Caller = keeper) -> bodies.Account:
        """Bind the address that signed a challenge to the account. Another account's is refused with 409."""
        account = await asyncio.to_thread(
            sign_in.bind,
            *(caller.account, caller.key_id, body.nonce, body.signature_bytes(), body.message),
        )
        return account_answer(account, settings)

    return routes
