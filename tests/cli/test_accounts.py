"""`faas accounts` and `faas keys`, on a database of their own."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from faas_blueprint.errors import FaaSError
from faas_cli.main import app
from faas_operator.store import Store


@pytest.fixture
def url(tmp_path, monkeypatch):
    database = f"sqlite:///{tmp_path / 'node.sqlite'}"
    monkeypatch.setenv("FAAS_DATABASE_URL", database)
    return database


@pytest.fixture
def faas(url):
    """Runs a command; gives what it printed on stdout."""

    def run(*arguments: str, refused: str | None = None) -> str:
        result = CliRunner().invoke(app, arguments)
        if refused is not None:
            assert isinstance(result.exception, FaaSError)
            assert re.search(refused, result.exception.message)
        else:
            assert result.exit_code == 0, result.output
        return result.stdout

    return run


def test_a_key_is_made_with_an_account_recognised_and_revoked(faas, url):
    made = json.loads(faas("keys", "create", "--name", "for ci", "--expires", "30d", "--json"))
    assert made["prefix"] == made["api_key"][:17]
    assert made["scopes"] == ["execute", "keys", "read", "snapshots"]
    assert made["expires_at"] > made["created_at"]
    store = Store.open(url)
    key, account = store.keys.recognise(made["api_key"].encode())
    assert (key.id, account.id, account.name) == (made["key_id"], made["account_id"], "for ci")
    assert json.loads(faas("keys", "revoke", made["key_id"], "--json"))["revoked_at"]
    assert store.keys.recognise(made["api_key"].encode()) is None
    store.close()


def test_what_people_read_has_whole_ids_and_the_key_once(faas):
    shown = faas("keys", "create", "--scope", "read", "--scope", "admin")
    key = shown.splitlines()[-1]
    assert re.fullmatch(r"faas_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", key)
    account = re.search(r"acct_[0-9a-f]{24}", shown)[0]
    lines = faas("keys", "list", "--account", account)
    assert f"key_{key[5:17]}" in lines
    assert "admin read" in lines
    assert "valid" in lines
    for text in (
        lines,
        faas("accounts", "audit"),
        faas("accounts", "list"),
        faas("accounts", "show", account),
    ):
        assert key not in text
        assert account in text or text is lines


def test_limits_closing_and_the_log(faas):
    account = json.loads(faas("accounts", "create", "--name", "acme", "--json"))
    assert account["limits"] == {
        "requests_per_minute": 100, "requests_per_hour": 1000, "concurrent_executions": 10,
    }  # fmt: skip
    limited = json.loads(
        faas("accounts", "limit", account["account_id"], "--requests-per-minute", "5", "--json")
    )
    assert limited["limits"]["requests_per_minute"] == 5
    assert json.loads(faas("accounts", "close", account["account_id"], "--json"))["closed_at"]
    faas("keys", "create", "--account", account["account_id"], refused="closed")
    assert json.loads(faas("accounts", "open", account["account_id"], "--json"))["closed_at"] is None
    log = json.loads(faas("accounts", "audit", "--account", account["account_id"], "--json"))
    assert [entry["action"] for entry in log["entries"]] == ["account.changed"] * 3 + ["account.created"]
    assert {entry["actor"] for entry in log["entries"]} == {"command line"}


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        (("--account", "acct_none"), "no account 'acct_none'"),
        (("--scope", "all"), "no scope 'all'; choose of: read"),
        (("--expires", "soon"), "'soon' is no span of time"),
        (("--expires", "11y"), "'11y' is no span of time"),
        (("--expires", "0d"), "'0d' is no span of time"),
        (("--name", "a\nb"), "printable"),
    ],
)
def test_what_cannot_be_made_leaves_nothing_behind(faas, arguments, refused):
    faas("keys", "create", *arguments, refused=refused)
    assert json.loads(faas("accounts", "list", "--json"))["total"] == 0
