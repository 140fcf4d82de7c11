"""`client.usage`: what the account has used and what is left; the blocking client's and its async twin.

Decimal amounts are credits. Whole nanocredits, which add up exactly, are in the answers' `…_nanocredits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

import httpx

from faas_sdk.effects import Plan, run, run_async
from faas_sdk.errors import ConnectionFailed
from faas_sdk.rest import RestApi
from faas_sdk.snapshot import Page, page_from_json

Moment = datetime | str
"""A time; text is ISO 8601, and UTC unless it says otherwise."""

Line = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Usage:
    """A period of the account, in the fields that the API documents."""

    period_start: str
    period_end: str
    executions: Line
    storage: Line
    network: Line
    costs: Line
    raw: Line = field(repr=False)


@dataclass(frozen=True, slots=True)
class CurrentUsage:
    """The account at this moment."""

    current_balance: float | None
    """Credits, with the pending charges; None on a service that does not charge."""
    pending_charges: float
    rate_limit_remaining: int | None
    storage_used_bytes: int
    active_executions: int
    raw: Line = field(repr=False)


class UsageApi:
    """The requests, as plans."""

    def __init__(self, api: RestApi) -> None:
        self._api = api

    def metrics(self, start: Moment | None, end: Moment | None) -> Plan[Usage]:
        """`GET /usage`."""
        body = yield from self._api.get("/usage" + _query(_period(start, end)))
        return Usage(
            str(body.get("period_start")),
            str(body.get("period_end")),
            _line(body.get("executions")),
            _line(body.get("storage")),
            _line(body.get("network")),
            _line(body.get("costs")),
            body,
        )

    def current(self) -> Plan[CurrentUsage]:
        """`GET /usage/current`."""
        body = yield from self._api.get("/usage/current")
        balance, remaining = body.get("current_balance"), body.get("rate_limit_remaining")
        return CurrentUsage(
            None if balance is None else _number(balance),
            _number(body.get("pending_charges")),
            None if remaining is None else int(_number(remaining)),
            int(_number(body.get("storage_used_bytes"))),
            int(_number(body.get("active_executions"))),
            body,
        )

    def page(self, name: str, key: str, fields: Mapping[str, object]) -> Plan[Page[Line]]:
        """`GET /usage/{name}`."""
        return page_from_json((yield from self._api.get(f"/usage/{name}" + _query(fields))), key, _line)

    def pricing(self, version: int | None) -> Plan[dict[str, object]]:
        """`GET /pricing`."""
        return (yield from self._api.get("/pricing" + _query({"version": version})))


class UsageClient:
    """What the account has used."""

    def __init__(self, api: RestApi, http: httpx.Client) -> None:
        self._api = UsageApi(api)
        self._http = http

    def get_metrics(self, start_date: Moment | None = None, end_date: Moment | None = None) -> Usage:
        """A period: from the first of the month until now, unless told otherwise."""
        return run(self._api.metrics(start_date, end_date), self._http)

    def get_current(self) -> CurrentUsage:
        """Balance, pending charges and what goes on now."""
        return run(self._api.current(), self._http)

    def executions(
        self,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        limit: int = 20,
        offset: int = 0,
    ) -> Page[Line]:
        """Each run with what it used and cost, latest first."""
        fields = {**_period(start_date, end_date), "limit": limit, "offset": offset}
        return run(self._api.page("executions", "executions", fields), self._http)

    def ledger(self, limit: int = 20, offset: int = 0) -> Page[Line]:
        """Every move of the account's credits with its cause, newest first."""
        return run(self._api.page("ledger", "entries", {"limit": limit, "offset": offset}), self._http)

    def pricing(self, version: int | None = None) -> dict[str, object]:
        """The price table in force, or an earlier one."""
        return run(self._api.pricing(version), self._http)


class AsyncUsageClient:
    """`UsageClient` for async programs."""

    def __init__(self, api: RestApi, http: httpx.AsyncClient) -> None:
        self._api = UsageApi(api)
        self._http = http

    async def get_metrics(self, start_date: Moment | None = None, end_date: Moment | None = None) -> Usage:
        """See `UsageClient.get_metrics`."""
        return await run_async(self._api.metrics(start_date, end_date), self._http)

    async def get_current(self) -> CurrentUsage:
        """See `UsageClient.get_current`."""
        return await run_async(self._api.current(), self._http)

    async def executions(
        self,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        limit: int = 20,
        offset: int = 0,
    ) -> Page[Line]:
        """See `UsageClient.executions`."""
        fields = {**_period(start_date, end_date), "limit": limit, "offset": offset}
        return await run_async(self._api.page("executions", "executions", fields), self._http)

    async def ledger(self, limit: int = 20, offset: int = 0) -> Page[Line]:
        """See `UsageClient.ledger`."""
        plan = self._api.page("ledger", "entries", {"limit": limit, "offset": offset})
        return await run_async(plan, self._http)

    async def pricing(self, version: int | None = None) -> dict[str, object]:
        """See `UsageClient.pricing`."""
        return await run_async(self._api.pricing(version), self._http)


def _period(start: Moment | None, end: Moment | None) -> dict[str, object]:
    return {"start_date": _text(start), "end_date": _text(end)}


def _text(moment: Moment | None) -> str | None:
    return moment.isoformat() if isinstance(moment, datetime) else moment


def _query(fields: Mapping[str, object]) -> str:
    given = {name: value for name, value in fields.items() if value is not None}
    return "?" + urlencode(given) if given else ""


def _line(data: object) -> Line:
    if not isinstance(data, dict):
        raise ConnectionFailed("the answer is not a usage report: is this the API's address?")
    return data


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConnectionFailed("the answer is not a usage report: is this the API's address?")
    return value
