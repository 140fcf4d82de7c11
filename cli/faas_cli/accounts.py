"""`faas accounts …` and `faas keys …`: who may use this node, in its database.

They work beside a running node. A node on another machine is managed over its API, below `/admin`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from faas_blueprint.errors import InvalidRequest
from faas_cli.console import console, print_json

if TYPE_CHECKING:
    from faas_operator.account_record import Account, AccountLimits, ApiKey
    from faas_operator.store import Store

Result = TypeVar("Result")

accounts = typer.Typer(
    help="Accounts of this node: FAAS_DATABASE_URL, or the database in the home folder.", no_args_is_help=True
)
keys = typer.Typer(help="API keys of this node's accounts.", no_args_is_help=True)

ACTOR = "command line"

_WIDE = 1000
"""Columns: an id is never cut short."""

_LIFETIME = re.compile(r"([0-9]{1,9})([smhdy])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "y": 365 * 86_400}

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", help="acct_…")]
Name = Annotated[str, typer.Option(help="A name for people.")]
PerMinute = Annotated[int | None, typer.Option(help="Requests a minute; default: the node's settings.")]
PerHour = Annotated[int | None, typer.Option(help="Requests an hour; likewise.")]
AtOnce = Annotated[int | None, typer.Option(help="Unfinished executions at once; likewise.")]
Most = Annotated[int, typer.Option("--limit", min=1, help="Lines at the most, newest first.")]


@accounts.command("create")
def create_account(
    name: Name = "",
    requests_per_minute: PerMinute = None,
    requests_per_hour: PerHour = None,
    concurrent_executions: AtOnce = None,
    as_json: Json = False,
) -> None:
    """Make an account; `faas keys create` gives it a key."""
    limits = _limits(requests_per_minute, requests_per_hour, concurrent_executions)
    _show_account(_with_store(lambda store: store.accounts.create(ACTOR, name, limits)), as_json)


@accounts.command("list")
def list_accounts(limit: Most = 100, as_json: Json = False) -> None:
    """List accounts."""
    found, total = _with_store(lambda store: store.accounts.page(limit, 0))
    if as_json:
        print_json({"accounts": [_account_json(account) for account in found], "total": total})
        return
    rows = (
        (account.id, account.name, _time(account.created_at), "closed" if account.closed_at else "open")
        for account in found
    )
    _print_table(("account", "name", "created", "state"), rows, total)


@accounts.command("show")
def show_account(account: AccountId, as_json: Json = False) -> None:
    """Show an account with its limits and addresses."""
    _show_account(_with_store(lambda store: store.accounts.get(account)), as_json)


@accounts.command("limit")
def limit_account(
    account: AccountId,
    requests_per_minute: PerMinute = None,
    requests_per_hour: PerHour = None,
    concurrent_executions: AtOnce = None,
    as_json: Json = False,
) -> None:
    """Set all three limits of an account; one that is not given is the settings' again."""
    limits = _limits(requests_per_minute, requests_per_hour, concurrent_executions)
    _show_account(_with_store(lambda store: store.accounts.change(account, ACTOR, limits=limits)), as_json)


@accounts.command("close")
def close_account(account: AccountId, as_json: Json = False) -> None:
    """Make all keys of an account invalid, until it is opened again. What it has stays."""
    _show_account(_with_store(lambda store: store.accounts.change(account, ACTOR, closed=True)), as_json)


@accounts.command("open")
def open_account(account: AccountId, as_json: Json = False) -> None:
    """Open a closed account again."""
    _show_account(_with_store(lambda store: store.accounts.change(account, ACTOR, closed=False)), as_json)


@accounts.command("audit")
def audit(
    account: Annotated[str | None, typer.Option(help="Of one account only.")] = None,
    limit: Most = 100,
    as_json: Json = False,
) -> None:
    """Show who did what to which account or key."""
    found, total = _with_store(lambda store: store.audit.page(limit, 0, account))
    if as_json:
        from faas_api.platform.account_bodies import audit_answer

        entries = [audit_answer(entry).model_dump(mode="json") for entry in found]
        print_json({"entries": entries, "total": total})
        return
    rows = ((_time(entry.at), entry.actor, entry.action, entry.subject) for entry in found)
    _print_table(("time", "who", "what", "to"), rows, total)


@keys.command("create")
def create_key(
    account: Annotated[str | None, typer.Option(help="acct_…; default: a new account.")] = None,
    name: Name = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="May be given several times: read, execute, snapshots, keys, admin; "
            "default: all of them but admin."
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="After so long, such as 12h, 30d or 1y; default: never.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an API key and print it, this once: only its hash is kept."""
    from faas_operator.account_record import CUSTOMER_SCOPES, parse_scopes
    from faas_operator.api_keys import NewKey

    scopes = CUSTOMER_SCOPES if not scope else parse_scopes(scope)
    seconds = None if expires is None else _seconds(expires)

    def create(store: Store) -> NewKey:
        owner = account or store.accounts.create(ACTOR, name).id
        return store.keys.create(owner, ACTOR, scopes, name, seconds)

    made = _with_store(create)
    if as_json:
        print_json({**_key_json(made.key), "api_key": made.secret})
        return
    _print_fields(_key_json(made.key))
    console.print("\nthe key, which is not shown again:")
    print(made.secret)


@keys.command("list")
def list_keys(
    account: Annotated[str, typer.Option(help="acct_…")], limit: Most = 100, as_json: Json = False
) -> None:
    """List the keys of an account."""
    found, total = _with_store(lambda store: store.keys.page(account, limit, 0))
    if as_json:
        print_json({"keys": [_key_json(key) for key in found], "total": total})
        return
    rows = (
        (key.id, key.name, " ".join(sorted(key.scopes)), _state(key), _time(key.last_used_at))
        for key in found
    )
    _print_table(("key", "name", "scopes", "state", "last used"), rows, total)


@keys.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="key_…")], as_json: Json = False) -> None:
    """Make a key invalid, at once and for good."""
    revoked = _with_store(lambda store: store.keys.revoke(None, key, ACTOR))
    if as_json:
        print_json(_key_json(revoked))
    else:
        _print_fields(_key_json(revoked))


def _with_store(work: Callable[[Store], Result]) -> Result:
    from faas_operator.settings import Secrets, Settings, database_url
    from faas_operator.store import Store

    with closing(Store.open(database_url(Settings(), Secrets()))) as store:
        return work(store)


def _limits(per_minute: int | None, per_hour: int | None, at_once: int | None) -> AccountLimits:
    from faas_operator.account_record import AccountLimits

    return AccountLimits(per_minute, per_hour, at_once)


def _seconds(text: str) -> float:
    from faas_operator.api_keys import LONGEST_SECONDS

    parts = _LIFETIME.fullmatch(text)
    seconds = 0 if parts is None else int(parts[1]) * _SECONDS[parts[2]]
    if not 0 < seconds <= LONGEST_SECONDS:
        raise InvalidRequest(f"{text!r} is no span of time such as 12h, 30d or 1y, up to 10y")
    return float(seconds)


def _show_account(account: Account, as_json: bool) -> None:
    if as_json:
        print_json(_account_json(account))
        return
    fields = _account_json(account)
    in_force = fields["limits"]
    assert isinstance(in_force, dict)
    fields["limits"] = ", ".join(f"{name} {value}" for name, value in in_force.items())
    fields["addresses"] = ", ".join(f"{network} {address}" for network, address in account.addresses)
    _print_fields(fields)


def _account_json(account: Account) -> dict[str, object]:
    """As the API answers it."""
    from faas_api.platform.account_bodies import account_answer
    from faas_operator.settings import Settings

    return account_answer(account, Settings()).model_dump(mode="json", exclude={"id"})


def _key_json(key: ApiKey) -> dict[str, object]:
    from faas_api.platform.account_bodies import key_answer

    return key_answer(key).model_dump(mode="json", exclude={"id"})


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "valid"
    if key.expires_at <= time.time():
        return "expired"
    return f"valid until {_time(key.expires_at)}"


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))


def _print_fields(fields: dict[str, object]) -> None:
    for name, value in fields.items():
        shown = " ".join(map(str, value)) if isinstance(value, list) else value
        print(f"{name:14} {shown or '-'}")


def _print_table(titles: Iterable[str], rows: Iterable[Iterable[str]], total: int) -> None:
    table = Table(box=None, header_style="bold")
    for title in titles:
        table.add_column(title, no_wrap=True)
    for row in rows:
        table.add_row(*(value.replace("[", "\\[") for value in row))
    Console(width=_WIDE, highlight=False).print(table)
    if total > table.row_count:
        console.print(f"{total - table.row_count} more; give a larger --limit")
