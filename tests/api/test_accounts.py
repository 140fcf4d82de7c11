"""Accounts, keys and signing in over REST, as their holders and an administrator meet them."""

from __future__ import annotations

import time
from datetime import datetime

import httpx
import pytest
import sr25519
from eth_account import Account
from eth_account.messages import encode_defunct
from scalecodec.utils.ss58 import ss58_encode

from faas_api.app import create_app
from faas_operator.account_record import CUSTOMER_SCOPES
from faas_operator.settings import Secrets, Settings

WALLET = Account.from_key(b"\x01" * 32)


@pytest.fixture
def app(app_service, tmp_path):
    settings = Settings(
        home=tmp_path, chain_id=31337, api_public_url="https://api.example.org/", api_open_sign_in=True
    )
    return create_app(app_service, settings, Secrets.with_api_keys("alice", admin=["boss"]))


@pytest.fixture
async def http(app):
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as made:
        yield made


def holding(key):
    return {"headers": {"Authorization": f"Bearer {key}"}}


def error_of(response, status, code):
    assert response.status_code == status, response.text
    assert response.json()["error"]["code"] == code
    return response.json()["error"]


async def sign_in(http, **fields):
    asked = {"scheme": "ethereum", "address": WALLET.address}
    challenge = (await http.post("/sign-in/challenges", json=asked)).json()
    signature = WALLET.sign_message(encode_defunct(text=challenge["message"])).signature
    body = {"nonce": challenge["nonce"], "signature": "0x" + bytes(signature).hex(), **fields}
    return await http.post("/sign-in", json=body)


# -- signing in


async def test_an_ethereum_wallet_signs_in(http):
    made = await sign_in(http, name="laptop", scopes=["read", "keys"], expires_in_seconds=3600)
    assert made.status_code == 201
    key = made.json()
    assert (key["name"], key["scopes"]) == ("laptop", ["keys", "read"])
    lifetime = datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"])
    assert lifetime.total_seconds() == 3600
    shown = (await http.get("/account", **holding(key["api_key"]))).json()
    assert shown["account_id"] == key["account_id"]
    assert shown["key_id"] == key["key_id"]
    assert shown["addresses"] == [{"network": "ethereum", "address": WALLET.address.lower()}]
    assert (await sign_in(http)).json()["account_id"] == key["account_id"]


async def test_what_a_wallet_shows_names_this_service(http):
    asked = {"scheme": "ethereum", "address": WALLET.address}
    challenge = (await http.post("/sign-in/challenges", json=asked)).json()
    lines = challenge["message"].split("\n")
    assert lines[0] == "api.example.org wants you to sign in with your Ethereum account:"
    assert {"URI: https://api.example.org", "Chain ID: 31337", f"Nonce: {challenge['nonce']}"} <= set(lines)
    assert 0 < datetime.fromisoformat(challenge["expires_at"]).timestamp() - time.time() <= 300


async def test_a_substrate_wallet_signs_in(http):
    pair = sr25519.pair_from_seed(b"\x02" * 32)
    asked = {"scheme": "sr25519", "address": ss58_encode(pair[0], 5845)}
    challenge = (await http.post("/sign-in/challenges", json=asked)).json()
    signature = sr25519.sign(pair, f"<Bytes>{challenge['message']}</Bytes>".encode())
    body = {"nonce": challenge["nonce"], "signature": "0x" + signature.hex()}
    made = await http.post("/sign-in", json=body)
    assert made.status_code == 201
    shown = (await http.get("/account", **holding(made.json()["api_key"]))).json()
    assert shown["addresses"] == [{"network": "substrate", "address": "0x" + pair[0].hex()}]
    error_of(await http.post("/sign-in", json=body), 401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/sign-in/challenges", {"scheme": "bitcoin", "address": "x"}, "scheme"),
        ("/sign-in/challenges", {"scheme": "sr25519", "address": "0"}, "address"),
        ("/sign-in/challenges", {"scheme": "ethereum", "address": "0x12"}, "address"),
        ("/sign-in/challenges", {"scheme": "ethereum", "address": "0x" + "1" * 200}, "address"),
        ("/sign-in", {"nonce": "n", "signature": "0x12"}, "signature"),
        ("/sign-in", {"nonce": "n", "signature": "0x" + "0" * 130, "scopes": ["all"]}, "scopes"),
        ("/sign-in", {"nonce": "n", "signature": "0x" + "0" * 130, "scopes": ["admin"]}, "scopes"),
        ("/sign-in", {"nonce": "n", "signature": "0x" + "0" * 130, "expires_in_seconds": 0},
         "expires_in_seconds"),
    ],
)  # fmt: skip
async def test_what_cannot_be_signed_in_with(http, path, body, field):
    error = error_of(await http.post(path, json=body), 400, "INVALID_REQUEST")
    assert error["details"]["field"] == field


async def test_an_address_is_bound_to_an_account_that_is_there(http):
    mine = (await http.get("/account", **holding("alice"))).json()
    assert mine["addresses"] == []
    asked = {"scheme": "ethereum", "address": WALLET.address}
    challenge = (await http.post("/sign-in/challenges", json=asked)).json()
    signature = WALLET.sign_message(encode_defunct(text=challenge["message"])).signature
    proof = {"nonce": challenge["nonce"], "signature": "0x" + bytes(signature).hex()}
    bound = await http.post("/account/addresses", json=proof, **holding("alice"))
    assert bound.status_code == 201
    assert bound.json()["addresses"] == [{"network": "ethereum", "address": WALLET.address.lower()}]
    assert (await sign_in(http)).json()["account_id"] == mine["account_id"]


# -- keys


async def test_a_key_is_told_once_used_and_revoked(http):
    made = (await http.post("/keys", json={"name": "ci", "scopes": ["read"]}, **holding("alice"))).json()
    key = made.pop("api_key")
    assert key.startswith(made["prefix"] + "_")
    listed = (await http.get("/keys", **holding("alice"))).json()
    assert listed["total"] == 1
    assert listed["keys"] == [made]
    assert key not in str(listed)
    for header in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        assert (await http.get("/executions", headers=header)).status_code == 200
    assert (await http.get("/keys", **holding("alice"))).json()["keys"][0]["last_used_at"] is not None
    gone = await http.delete(f"/keys/{made['key_id']}", **holding("alice"))
    assert gone.json()["revoked_at"] is not None
    error_of(await http.get("/executions", **holding(key)), 401, "UNAUTHORIZED")


async def test_what_is_made_with_one_key_is_found_with_all_of_the_account(http, store):
    made = [
        (await http.post("/keys", json={"scopes": ["read"]}, **holding("alice"))).json() for _ in range(2)
    ]
    assert made[0]["account_id"] == made[1]["account_id"]
    account = (await http.get("/account", **holding("alice"))).json()["account_id"]
    assert {key["account_id"] for key in made} == {account}


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": []},
        {"scopes": ["all"]},
        {"scopes": "read"},
        {"name": "x" * 101},
        {"name": "\u0007"},
        {"expires_in_seconds": 0},
        {"expires_in_seconds": 1e12},
        {"surprise": 1},
    ],
)
async def test_keys_that_cannot_be(http, body):
    error_of(await http.post("/keys", json=body, **holding("alice")), 400, "INVALID_REQUEST")
    assert (await http.get("/keys", **holding("alice"))).json()["total"] == 0


# -- administration


async def test_an_administrator_manages_accounts_and_reads_who_did_what(http):
    boss = holding("boss")
    body = {"name": "acme", "limits": {"requests_per_minute": 7}}
    account = (await http.post("/admin/accounts", json=body, **boss)).json()
    assert account["limits"] == {
        "requests_per_minute": 7, "requests_per_hour": 1000, "concurrent_executions": 10,
    }  # fmt: skip
    place = f"/admin/accounts/{account['account_id']}"
    made = (await http.post(f"{place}/keys", json={"name": "first"}, **boss)).json()
    assert made["scopes"] == sorted(CUSTOMER_SCOPES)
    own = holding(made["api_key"])
    assert (await http.get("/account", **own)).headers["X-RateLimit-Limit"] == "7"
    assert (await http.get(f"{place}/keys", **boss)).json()["total"] == 1

    changed = await http.patch(place, json={"closed": True, "name": "acme, gone"}, **boss)
    assert changed.json()["closed_at"] is not None
    error_of(await http.get("/account", **own), 401, "UNAUTHORIZED")
    reopened = await http.patch(place, json={"closed": False}, **boss)
    assert (reopened.json()["closed_at"], reopened.json()["name"]) == (None, "acme, gone")
    assert (await http.get("/account", **own)).status_code == 200
    await http.delete(f"{place}/keys/{made['key_id']}", **boss)
    error_of(await http.get("/account", **own), 401, "UNAUTHORIZED")

    listed = (await http.get("/admin/accounts", **boss)).json()
    assert listed["total"] == 3
    assert listed["accounts"][0]["account_id"] == account["account_id"]
    log = (await http.get("/admin/audit", params={"account_id": account["account_id"]}, **boss)).json()
    assert [(line["actor"], line["action"]) for line in reversed(log["entries"])] == [
        ("settings", "account.created"),
        ("settings", "key.created"),
        ("settings", "account.changed"),
        ("settings", "account.changed"),
        ("settings", "key.revoked"),
    ]
    assert (await http.get("/admin/audit", **boss)).json()["total"] > log["total"]


async def test_what_an_administrator_cannot_do(http):
    boss = holding("boss")
    for method, path in (("GET", ""), ("PATCH", ""), ("GET", "/keys"), ("POST", "/keys")):
        body = None if method == "GET" else {}
        response = await http.request(method, f"/admin/accounts/acct_none{path}", json=body, **boss)
        error_of(response, 404, "NOT_FOUND")
    error_of(
        await http.post("/admin/accounts", json={"limits": {"requests_per_minute": 0}}, **boss),
        400,
        "INVALID_REQUEST",
    )


async def test_a_closed_account_of_the_settings_is_refused(http, store):
    account = (await http.get("/account", **holding("alice"))).json()["account_id"]
    await http.patch(f"/admin/accounts/{account}", json={"closed": True}, **holding("boss"))
    error_of(await http.get("/account", **holding("alice")), 401, "UNAUTHORIZED")
