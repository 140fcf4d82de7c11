"""The clients' account: signing in, keys and limits, against the real API. No machine is asked for."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import cast

import pytest
from eth_account import Account

import faas_sdk
from faas_api.app import create_app
from faas_api.serve import listen, serve
from faas_microvm.engine import Engine
from faas_operator.account_record import AccountLimits
from faas_operator.executions import ExecutionService
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store
from faas_sdk import AsyncFaaSClient, FaaSClient
from faas_sdk.signing_in import EthereumSigner

PRIVATE_KEY = "0x" + "01" * 32
ADDRESS = Account.from_key(PRIVATE_KEY).address


@pytest.fixture
def store(tmp_path):
    with closing(Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")) as made:
        yield made


@pytest.fixture
async def endpoint(store, tmp_path):
    with closing(listen("127.0.0.1", 0)) as listener:
        at = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = Settings(home=tmp_path, chain_id=31337, api_public_url=at, api_open_sign_in=True)
        service = ExecutionService(cast(Engine, None), Signer(b"\x01" * 32), store)
        serving = asyncio.create_task(serve(create_app(service, settings, Secrets.with_api_keys()), listener))
        yield at
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def use(client):
    """What a customer does, blocking."""
    made = client.sign_in(PRIVATE_KEY, name="laptop", scopes=["read", "keys"], expires_in_seconds=60)
    account = client.account()
    assert client.usage.ledger().total == 0
    further = client.create_key("ci", ["read"], 30)
    with FaaSClient(str(further["api_key"]), client._api.endpoint) as reader:
        assert reader.account()["key_id"] == further["key_id"]
        with pytest.raises(faas_sdk.Forbidden) as refused:
            reader.create_key()
        assert refused.value.details == {"scope": "keys"}
        client.revoke_key(str(further["key_id"]))
        with pytest.raises(faas_sdk.Unauthorized):
            reader.account()
    return made, account, client.list_keys()


async def test_a_customer_signs_in_and_manages_keys(endpoint):
    with FaaSClient(endpoint=endpoint, api_key=None) as client:
        made, account, keys = await asyncio.to_thread(use, client)
    assert account["account_id"] == made["account_id"]
    assert account["addresses"] == [{"network": "ethereum", "address": ADDRESS.lower()}]
    assert account["scopes"] == ["keys", "read"]
    assert [key["name"] for key in keys["keys"]] == ["ci", "laptop"]


async def test_the_async_twin(endpoint):
    async with AsyncFaaSClient(endpoint=endpoint + "/api/v1") as client:
        made = await client.sign_in(PRIVATE_KEY)
        assert (await client.account())["key_id"] == made["key_id"]
        assert (await client.usage.ledger()).total == 0
        further = await client.create_key()
        await client.revoke_key(further["key_id"])
        assert (await client.list_keys(limit=1))["total"] == 2


async def test_a_limit_says_when_to_come_back(endpoint, store):
    account = store.accounts.create("test", limits=AccountLimits(requests_per_minute=1)).id
    key = store.keys.create(account, "test", {"read"}).secret
    async with AsyncFaaSClient(key, endpoint) as client:
        await client.account()
        with pytest.raises(faas_sdk.RateLimitError) as raised:
            await client.account()
    assert 1 <= raised.value.retry_after <= 60
    assert raised.value.reset_at is not None


@pytest.mark.parametrize(
    "challenge",
    [
        {"nonce": "n", "message": "evil.example wants you to sign in with your Ethereum account:\n0x"},
        {"nonce": "n", "message": "transfer everything"},
        {"nonce": "n", "message": ""},
        {"nonce": 1, "message": "127.0.0.1:1 wants you to sign in with your Ethereum account:\n"},
        {},
    ],
)
def test_a_text_for_another_place_is_not_signed(challenge):
    with pytest.raises(faas_sdk.ConnectionFailed):
        EthereumSigner(PRIVATE_KEY).answer(challenge, "http://127.0.0.1:1")
