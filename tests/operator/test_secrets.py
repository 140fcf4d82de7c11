"""Secrets are planted in every place that takes one, and looked for in all that comes out."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
import traceback
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from eth_account import Account
from pydantic import SecretStr

from faas_blueprint.errors import ChainUnavailable, MissingPrerequisite
from faas_operator.chain.rpc import Rpc
from faas_operator.node import gas_account
from faas_operator.settings import Secrets, Settings

PLANTED = {
    "keystore_password": "planted-keystore-5d1f",
    "account_password": "planted-account-77e0",
    "rpc_url": "planted-endpoint-77a0",
    "database_url": "planted-database-c3e9",
    "api_keys": "planted-apikey-09be",
    "admin_keys": "planted-adminkey-1c77",
    "x402_key": "planted-payments-b86c",
    "redis_url": "planted-redis-e210",
}
AWS = "planted-bucket-44d2"
FAAS = [sys.executable, "-m", "faas_cli.main"]


def environment(tmp_path, rpc="http://127.0.0.1:9", database="postgresql://faas:{}@127.0.0.1:9/faas"):
    key = PLANTED["rpc_url"]
    planted = {
        "FAAS_KEYSTORE_PASSWORD": PLANTED["keystore_password"],
        "FAAS_ACCOUNT_PASSWORD": PLANTED["account_password"],
        "FAAS_RPC_URL": f"{rpc}/v3/{key}?key={key}",
        "FAAS_DATABASE_URL": database.format(PLANTED["database_url"]),
        "FAAS_API_KEYS": PLANTED["api_keys"],
        "FAAS_ADMIN_KEYS": PLANTED["admin_keys"],
        "FAAS_X402_KEY": PLANTED["x402_key"],
        "FAAS_REDIS_URL": f"redis://:{PLANTED['redis_url']}@127.0.0.1:9/0",
        "AWS_SECRET_ACCESS_KEY": AWS,
        "FAAS_TANGLE": "0x" + "33" * 20,
        "FAAS_BLUEPRINT_ID": "1",
        "FAAS_HOME": str(tmp_path),
        "FAAS_API_PORT": "0",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAAS_")}
    return kept | planted


def secrets_in(text: str) -> list[str]:
    return [value for value in (*PLANTED.values(), AWS) if value in text]


def faas(environment, *arguments):
    done = subprocess.run([*FAAS, *arguments], env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_a_secret_is_planted_in_every_setting_that_is_one():
    assert set(PLANTED) == set(Secrets.model_fields)


def test_show_config_says_what_is_set(tmp_path):
    planted = environment(tmp_path)
    code, text = faas(planted, "operator", "show-config", "--json")
    assert code == 0
    assert secrets_in(text) == []
    told = json.loads(text)
    assert told["secrets"] == {
        "keystore_password": "set",
        "account_password": "set",
        "rpc_url": "set",
        "database_url": "set",
        "api_keys": "1 set",
        "admin_keys": "1 set",
        "x402_key": "set",
        "redis_url": "set",
    }
    assert told["settings"]["blueprint_id"] == 1
    code, text = faas(planted, "operator", "show-config")
    assert code == 0
    assert secrets_in(text) == []
    assert "FAAS_BLUEPRINT_ID" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("operator", "doctor", "--no-job"),
        ("operator", "doctor", "--no-job", "--json"),
        ("operator", "status"),
        ("operator", "register", "--staking", "0x" + "44" * 20),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("trace", ["", "1"], ids=["plain", "traceback"])
@pytest.mark.slow  # together
def test_commands_that_fail_keep_them(tmp_path, arguments, trace):
    code, text = faas(environment(tmp_path) | {"FAAS_TRACEBACK": trace}, *arguments)
    assert code != 0
    assert secrets_in(text) == []


TOKEN = "0x" + "44" * 20
PAYABLE = {"x402_token": TOKEN, "billing": True, "credit_rates": {TOKEN: 1}}
OPERATOR = Account.from_key("0x" + "01" * 32)


@pytest.mark.parametrize(
    ("settings", "key", "problem"),
    [
        ({}, PLANTED["x402_key"], "both FAAS_X402_TOKEN and FAAS_X402_KEY"),
        (PAYABLE, None, "both FAAS_X402_TOKEN and FAAS_X402_KEY"),
        (PAYABLE, PLANTED["x402_key"], "no private key"),
        (PAYABLE, PLANTED["x402_key"] + "0" * 43, "no private key"),
        (PAYABLE, "0x" + "00" * 32, "no private key"),
        (PAYABLE, OPERATOR.key.hex(), "another account"),
        (PAYABLE | {"billing": False}, "0x" + "02" * 32, "FAAS_BILLING"),
        (PAYABLE | {"credit_rates": {}}, "0x" + "02" * 32, "FAAS_CREDIT_RATES"),
    ],
)
def test_settings_of_payments_that_do_not_fit(tmp_path, settings, key, problem):
    given = Secrets(x402_key=None if key is None else SecretStr(key))
    with pytest.raises(MissingPrerequisite) as caught:
        gas_account(Settings(home=tmp_path, **settings), given, OPERATOR)
    assert problem in caught.value.message
    shown = "".join(traceback.format_exception(caught.value))
    assert key is None or key not in shown


def test_settings_of_payments(tmp_path):
    account = gas_account(
        Settings(home=tmp_path, **PAYABLE), Secrets(x402_key=SecretStr("02" * 32)), OPERATOR
    )
    assert account == Account.from_key("0x" + "02" * 32)
    assert gas_account(Settings(home=tmp_path), Secrets(), OPERATOR) is None


@pytest.mark.parametrize(
    "database",
    ["no url at all {}", "sqlite:////proc/{}/x", "nosuch://u:{}@h/d", "postgresql://u:{}@127.0.0.1:1/d"],
)
@pytest.mark.slow  # together
def test_databases_that_do_not_open_keep_them(tmp_path, database):
    code, text = faas(environment(tmp_path, database=database), "operator", "status")
    assert code != 0
    leaked = secrets_in(text)
    if "proc" in database:  # a path is no secret
        leaked = [secret for secret in leaked if secret != PLANTED["database_url"]]
    assert leaked == []


@contextmanager
def endpoint(status, body):
    """A provider that fails in its own words, and repeats what it was asked."""

    class Provider(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            answer = body.replace("PATH", self.path).encode()
            self.send_response(status, f"no {self.path}")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


FAULT = '{"jsonrpc": "2.0", "id": 0, "error": {"code": -32000, "message": "bad key in PATH"}}'


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, "{}"), (500, "PATH"), (200, "not json PATH"), (200, FAULT), (200, '{"error": "PATH"}'), (302, "")],
)
async def test_whatever_a_provider_says(status, body, caplog):
    key = PLANTED["rpc_url"]
    with endpoint(status, body) as url:
        async with Rpc(f"{url}/v3/{key}?key={key}", attempts=1) as rpc:
            with pytest.raises(ChainUnavailable) as caught, caplog.at_level(logging.WARNING):
                await rpc.chain_id()
            logging.getLogger("faas_operator").warning("failed", exc_info=caught.value)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + str(caught.value.details)
    assert "eth_chainId" in shown
    assert secrets_in(shown) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://{}.example.invalid/",
        "http://user:{}@127.0.0.1:9/",
        "http://127.0.0.1:9/?apikey={}",
        "http://127.0.0.1:9/a%20{}",
        "no url {}",
        "ftp://127.0.0.1/{}",
        "http://[{}/",
    ],
)
async def test_wherever_in_the_url_the_key_is(url):
    key = PLANTED["rpc_url"]
    async with Rpc(url.format(key), attempts=1, timeout=2) as rpc:
        with pytest.raises(ChainUnavailable) as caught:
            await asyncio.wait_for(rpc.chain_id(), 20)
    assert secrets_in("".join(traceback.format_exception(caught.value))) == []
