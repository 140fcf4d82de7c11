"""Usage, credits and prices: `/usage`, `/usage/current`, their breakdowns, and `/pricing`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from faas_api.authentication import Access, AccountId
from faas_api.limits import STATE, Standing
from faas_api.platform.paging import DEFAULT_LIMIT, Limit, Offset
from faas_api.platform.times import timestamp
from faas_api.platform.usage_bodies import (
    CurrentUsage,
    Pricing,
    Statement,
    Usage,
    UsageList,
    current_answer,
    list_answer,
    pricing_answer,
    statement_answer,
    usage_answer,
)
from faas_blueprint.errors import InvalidRequest
from faas_operator.account_record import Scope
from faas_operator.store import Store
from faas_operator.usage import Period

StartDate = Annotated[
    str | None,
    Query(
        description="ISO 8601, UTC unless it says otherwise; default: the first of the month",
        json_schema_extra={"format": "date-time"},
    ),
]
EndDate = Annotated[
    str | None,
    Query(
        description="Likewise, not included itself; default: now", json_schema_extra={"format": "date-time"}
    ),
]


def router(store: Store, access: Access) -> APIRouter:
    """The routes over one store."""
    routes = APIRouter(tags=["usage"])
    reader = access.account_to(Scope.READ)
    usage, ledger = store.usage, store.ledger

    @routes.get("/usage")
    async def get_usage(
        account: AccountId = reader, start_date: StartDate = None, end_date: EndDate = None
    ) -> Usage:
        """What the caller has used in a period, and what it has cost. Runs count when they end."""
        period = _period(start_date, end_date, usage.now())
        return usage_answer(period, await asyncio.to_thread(usage.summary, account, period), usage.charged)

    @routes.get("/usage/current")
    async def get_current_usage(request: Request, account: AccountId = reader) -> CurrentUsage:
        """The caller's balance, and what goes on at the moment."""
        current = await asyncio.to_thread(usage.current, account)
        standing: Standing = getattr(request.state, STATE)
        return current_answer(current, usage.charged, standing.remaining)

    @routes.get("/usage/executions")
    async def list_usage(
        account: AccountId = reader,
        start_date: StartDate = None,
        end_date: EndDate = None,
        limit: Limit = DEFAULT_LIMIT,
        offset: Offset = 0,
    ) -> UsageList:
        """Each run of a period with what it used and what it cost, latest first.

        The figures are those of its receipt; `faas verify FILE --mode MODE --charged NANOCREDITS` works the
        cost out again.
        """
        period = _period(start_date, end_date, usage.now())
        lines, total = await asyncio.to_thread(usage.lines, account, period, limit, offset)
        return list_answer(lines, total, limit, offset)

    @routes.get("/usage/ledger")
    async def get_statement(
        account: AccountId = reader, limit: Limit = DEFAULT_LIMIT, offset: Offset = 0
    ) -> Statement:
        """Every move of the caller's credits with its cause, newest first; the balance is their sum."""
        lines, total = await asyncio.to_thread(ledger.statement, account, limit, offset)
        return statement_answer(lines, total, limit, offset)

    @routes.get("/pricing", dependencies=[Depends(access.anyone)])
    async def get_pricing(
        version: Annotated[int | None, Query(ge=0, le=1 << 40, description="An earlier table")] = None,
    ) -> Pricing:
        """The price table in force. Open to everyone."""
        return pricing_answer(await asyncio.to_thread(usage.prices, version), usage.charged)

    return routes


def _period(start: str | None, end: str | None, now: float) -> Period:
    today = datetime.fromtimestamp(now, UTC)
    first = today.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    period = Period(
        first.timestamp() if start is None else _time(start, "start_date"),
        now if end is None else _time(end, "end_date"),
    )
    if period.start > period.end:
        raise InvalidRequest("start_date must not be after end_date", {"field": "start_date"})
    return period


def _time(text: str, field: str) -> float:
    try:
        parsed = datetime.fromisoformat(text.replace(" ", "+"))  # a plus that was not escaped
        seconds = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
        timestamp(seconds)  # which the answer says: not all of the years 1 and 9999 can be said in UTC
        return seconds
    except (ValueError, OverflowError) as error:
        message = f"{field} must be a date or time in ISO 8601, of the years 1 to 9999 in UTC"
        raise InvalidRequest(message, {"field": field}) from error
