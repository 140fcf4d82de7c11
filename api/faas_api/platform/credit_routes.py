"""Buying credits: how to deposit for the caller's account, and spending limits that a payer has signed."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from faas_api.authentication import Access, AccountId
from faas_api.json_bodies import JsonRoute
from faas_blueprint.digests import to_hex
from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.receipt import ZERO_ADDRESS, Address, address
from faas_blueprint.tangle.credit_events import account_id_of
from faas_blueprint.tangle.credits import Purse, SpendingLimit
from faas_operator.account_record import Scope
from faas_operator.settings import Settings
from faas_operator.store import Store

Digits = Annotated[str, Field(pattern=r"^[0-9]{1,39}$", description="Decimal digits")]


class Credits(BaseModel):
    """What a deposit takes: `deposit(account_id)` of the contract, with the value; see docs/billing.md."""

    chain_id: int
    contract: str
    account_id: str = Field(description="The caller's account, as a deposit names it")
    units_per_credit: dict[str, str] = Field(
        description="Smallest units of each token that buy a credit; the zero address is the native token"
    )


class LimitBody(BaseModel):
    """A `SpendingLimit` for the caller's account, signed by its payer as EIP-712 typed data."""

    model_config = {"extra": "forbid"}

    payer: str
    token: str = ZERO_ADDRESS
    series: int = Field(ge=0, lt=1 << 63, description="Of the purse; it goes up with every refund")
    total: Digits = Field(description="What may be settled from the start of the series, in smallest units")
    expiry: int = Field(ge=0, lt=1 << 63, description="Unix seconds")
    signature: str = Field(pattern=r"^0x[0-9a-fA-F]{130}$")


class Limit(BaseModel):
    """A limit that was kept."""

    payer: str
    token: str
    series: int
    total: str
    expires_in: int = Field(description="Seconds")


def router(store: Store, settings: Settings, access: Access) -> APIRouter:
    """The routes over one store."""
    routes = APIRouter(tags=["usage"], route_class=JsonRoute)
    reader, keeper = access.account_to(Scope.READ), access.account_to(Scope.KEYS)

    @routes.get("/credits")
    async def get_credits(account: AccountId = reader) -> Credits:
        """Where to deposit for the caller's account, and what a credit costs there."""
        chain_id, contract = _place(settings)
        rates = {token: str(units) for token, units in settings.credit_rates.items()}
        account_id = to_hex(account_id_of(account))
        return Credits(chain_id=chain_id, contract=contract, account_id=account_id, units_per_credit=rates)

    @routes.post("/credits/limits", status_code=201)
    async def add_limit(body: LimitBody, account: AccountId = keeper) -> Limit:
        """Let the operator settle what the caller's account uses, up to a total. The highest one counts."""
        limits = store.spending_limits(*_place(settings))
        payer, token = _address(body.payer, "payer"), _address(body.token, "token")
        purse = Purse(account_id_of(account), payer, token)
        limit = SpendingLimit(purse, body.series, int(body.total), body.expiry)
        await asyncio.to_thread(limits.add, limit, bytes.fromhex(body.signature[2:]))
        return Limit(
            payer=payer,
            token=token,
            series=body.series,
            total=body.total,
            expires_in=body.expiry - int(time.time()),
        )

    return routes


def _place(settings: Settings) -> tuple[int, Address]:
    if settings.credits is None or settings.chain_id is None:
        raise NotFound("this service follows no credits contract")
    return settings.chain_id, settings.credits


def _address(text: str, field: str) -> Address:
    try:
        return address(text)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, {"field": field}) from error
