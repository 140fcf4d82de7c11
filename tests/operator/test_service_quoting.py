"""Quotes for services: what they cost, who gets them, and that the real contract takes each once."""

from __future__ import annotations

import itertools
import time
from contextlib import closing
from dataclasses import replace

import httpx
import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from faas_api.app import create_app
from faas_blueprint.digests import to_hex
from faas_blueprint.errors import (
    InvalidRequest,
    NotServed,
    RateLimitExceeded,
)
from faas_blueprint.job import Mode
from faas_blueprint.prices import (
    GIB,
    MONTH_SECONDS,
    NANOCREDITS_PER_CREDIT,
    PRICES,
    Reserved,
    Use,
    execution_cost,
    reserved_cost,
    storage_cost,
)
from faas_blueprint.receipt import ZERO_ADDRESS, Address, address
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.abi import Function
from faas_blueprint.tangle.quotes import (
    QUOTES,
    ResourceCommitment,
    SecurityCommitment,
    ServiceQuote,
    SignedServiceQuote,
)
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.evm import EvmAdapter
from faas_operator.executions import ExecutionService
from faas_operator.quote_store import QuoteStore
from faas_operator.quoting import Quoting
from faas_operator.service_quoting import ServiceQuoting, ServiceRequest
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store
from faas_operator.tariff import Tariff

RATE = 10**15
TARIFF = Tariff(PRICES, {ZERO_ADDRESS: RATE}, 10, 100)
TANGLE = Address("0x" + "ab" * 20)
NOW = 1_800_000_000
QUOTE = ServiceQuote(TANGLE, 1, 7200, 500, NOW - 60, NOW + 300)
HOUR = Reserved(3600, 1, 512)
GET_SERVICE_OPERATOR = Function("getServiceOperator", ("uint64", "address"), ("(uint16,uint64,uint64,bool)",))
PAY_ONCE_BLUEPRINT = 0
"""The recorded deployment's own: its jobs are free, and it has no manager."""

_lifetimes = itertools.count(7200)
"""Each test asks for another one: on the chain, stores of the same key must not meet."""


def digest_of(quote: ServiceQuote):
    return QUOTES["0.19"].service_digest(quote, 31337, TANGLE)


# -- what it costs


@given(
    seconds=st.integers(3600, 365 * 86400),
    machines=st.integers(1, 256),
    memory_mb=st.integers(16, 512),
    storage_mb=st.integers(0, 1 << 20),
    egress_mb=st.integers(0, 1 << 20),
    mode=st.sampled_from(Mode),
    markup=st.integers(0, 1000),
)
def test_a_service_is_never_quoted_below_what_its_use_costs(
    seconds, machines, memory_mb, storage_mb, egress_mb, mode, markup
) -> None:
    """Whatever part of it runs in whatever mode."""
    reserved = Reserved(seconds, machines, memory_mb, storage_mb, egress_mb)
    used = execution_cost(
        PRICES, mode, Use(machines * seconds * 10**9, memory_mb, 1000, egress_mb << 20)
    ).total
    used += storage_cost(PRICES, (storage_mb << 20) * seconds)
    price = replace(TARIFF, markup_percent=markup).service_price(reserved, ZERO_ADDRESS)
    assert price * NANOCREDITS_PER_CREDIT * 100 >= used * RATE * (100 + markup)


def test_the_cost_of_a_service_by_hand() -> None:
    month = Reserved(MONTH_SECONDS, 2, 512, 1024, 2048)
    machine = MONTH_SECONDS * (24_000 + 3_000 // 2) * 2
    assert reserved_cost(PRICES, month) == 2 * machine + 100_000_000 + 2 * 90_000_000
    assert reserved_cost(PRICES, replace(month, machines=1, storage_mb=0, egress_mb=0)) == machine
    assert GIB == 1024 << 20
    assert TARIFF.service_price(replace(HOUR, seconds=0), ZERO_ADDRESS) == TARIFF.floor
    with pytest.raises(NotServed, match="takes no payment in"):
        TARIFF.service_price(HOUR, TANGLE)


# -- kept


def test_service_quotes_are_stored_and_each_is_another(database: str) -> None:
    now = [float(NOW)]
    with closing(Store.open(database)) as store:
        quotes = QuoteStore(store._engine, lambda: now[0])
        made = [quotes.add_service("alice", QUOTE, digest_of, 3, None) for _ in range(3)]
        assert [quote.expiry - QUOTE.expiry for quote in made] == [0, 1, 2]
        with pytest.raises(RateLimitExceeded, match="3 quotes"):
            quotes.add_service("alice", QUOTE, digest_of, 3, None)
        with pytest.raises(NotServed, match="as many services"):
            quotes.add_service("bob", QUOTE, digest_of, 3, 3)
        assert quotes.add_service("bob", QUOTE, digest_of, 3, 4).expiry == QUOTE.expiry + 3
        now[0] += 400  # all have expired
        later = replace(QUOTE, expiry=QUOTE.expiry + 500)
        assert quotes.add_service("alice", later, digest_of, 3, 1) == later
        with store._engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT digest, terms FROM service_quote").all()
    assert {digest for digest, _ in rows} >= {to_hex(digest_of(quote)) for quote in made}
    assert all('"total_cost": 500' in terms for _, terms in rows)


# -- on the devnet


def quoting_of(chain, adapter, signer, store, tmp_path, **settings) -> ServiceQuoting:
    chosen = Settings(home=tmp_path, **{"open_quotes": 50, **settings})
    return ServiceQuoting(adapter, signer, store.quotes, TARIFF, chosen, time.time)


@pytest.fixture
async def opened(chain, tmp_path):
    """An adapter, a signer and a store of the devnet's operator."""
    with closing(Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")) as store:
        async with await chain.adapter() as adapter:
            yield adapter, Signer.from_account(chain.operator()), store


@pytest.fixture
async def pay_once(chain, tmp_path):
    """Quoting for the recorded blueprint, whose operator is a known account of the chain."""
    Account.enable_unaudited_hdwallet_features()
    phrase = "test test test test test test test test test test test junk"
    operator = Account.from_mnemonic(phrase, account_path="m/44'/60'/0'/0/1")
    place = (chain.deployment.rpc_url, chain.deployment.tangle, PAY_ONCE_BLUEPRINT)
    with closing(Store.open(f"sqlite:///{tmp_path / 'other.sqlite'}")) as store:
        async with await EvmAdapter.connect(*place, operator) as adapter:
            signer = Signer.from_account(operator)
            yield quoting_of(chain, adapter, signer, store, tmp_path, quote_flat_services=True)


def request_of(chain, **fields) -> ServiceRequest:
    reserved = replace(HOUR, **{"seconds": next(_lifetimes), **fields})
    return ServiceRequest(chain.deployment.customer, reserved)


async def created(chain, quoting: ServiceQuoting, signed: SignedServiceQuote) -> int:
    """The service that a quote makes, for exactly its cost."""
    customer = chain.deployment.customer
    call = quoting.types.create_service([signed], [customer])
    receipt = await chain.send(call, signed.quote.total_cost)
    with pytest.raises(Reverted, match="QuoteAlreadyUsed"):
        await chain.rpc.call(chain.deployment.tangle, call, sender=customer, value=signed.quote.total_cost)
    logs = [log for log in receipt.logs if protocol.SERVICE_ACTIVATED.matches(log)]
    return protocol.decode_service_activated(logs[0]).service_id


async def exposure(chain, service_id: int, operator: Address) -> int:
    read = GET_SERVICE_OPERATOR.read(lambda values: values[0][0], service_id, operator)
    return await chain.rpc.read(chain.deployment.tangle, read)


@pytest.mark.chain
async def test_a_service_whose_jobs_are_paid_costs_nothing(chain, opened, tmp_path) -> None:
    quoting = quoting_of(chain, *opened, tmp_path)
    asked = request_of(chain, machines=2, storage_mb=10)
    signed = [await quoting.quote(asked, "here") for _ in range(2)]
    assert [item.quote.total_cost for item in signed] == [0, 0]
    assert signed[0].quote.resources == (
        ResourceCommitment(0, 2),
        ResourceCommitment(1, 1024),
        ResourceCommitment(2, 10),
    )
    services = [await created(chain, quoting, item) for item in signed]
    assert services[0] != services[1]
    service = await chain.rpc.read(chain.deployment.tangle, protocol.service(services[0]))
    assert (service.owner, service.ttl) == (chain.deployment.customer, asked.reserved.seconds)
    assert await exposure(chain, services[0], chain.deployment.operator) == 1000


@pytest.mark.chain
async def test_a_quote_without_a_commitment_would_put_all_of_the_stake_behind_it(
    chain, opened, tmp_path
) -> None:
    """What the protocol does, and what quotes say instead."""
    _, signer, _ = opened
    quoting = quoting_of(chain, *opened, tmp_path, quote_exposure_bps=1234)
    signed = await quoting.quote(request_of(chain), "here")
    [commitment] = signed.quote.security
    assert isinstance(commitment, SecurityCommitment)
    assert await exposure(chain, await created(chain, quoting, signed), signer.address) == 1234
    bare = replace(signed.quote, security=())
    place = (chain.deployment.chain_id, chain.deployment.tangle)
    whole = SignedServiceQuote(bare, signer.quote_service(quoting.types, bare, *place), signer.address)
    assert await exposure(chain, await created(chain, quoting, whole), signer.address) == 10_000


@pytest.mark.chain
async def test_a_service_whose_jobs_are_free_pays_for_all_that_it_may_use(chain, pay_once) -> None:
    """Two machines are all that the node runs at once, and that it may fill."""
    asked = request_of(chain, egress_mb=5, memory_mb=16)
    signed = await pay_once.quote(asked, "here")
    whole = replace(asked.reserved, machines=2, memory_mb=512)
    assert signed.quote.resources[:2] == (ResourceCommitment(0, 2), ResourceCommitment(1, 1024))
    cost = reserved_cost(PRICES, whole)
    assert signed.quote.total_cost * NANOCREDITS_PER_CREDIT * 100 >= cost * RATE * 110
    assert (signed.quote.total_cost - 1) * NANOCREDITS_PER_CREDIT * 100 < cost * RATE * 110
    for other in (signed.quote.total_cost - 1, signed.quote.total_cost + 1):
        call = pay_once.types.create_service([signed], [])
        with pytest.raises(Reverted):
            await chain.rpc.call(chain.deployment.tangle, call, sender=chain.deployment.customer, value=other)
    service_id = await created(chain, pay_once, signed)
    service = await chain.rpc.read(chain.deployment.tangle, protocol.service(service_id))
    assert service.blueprint_id == PAY_ONCE_BLUEPRINT
    pay_once._settings = pay_once._settings.model_copy(update={"quote_flat_services": False})
    with pytest.raises(NotServed, match="paid one by one"):
        await pay_once.quote(asked, "here")


@pytest.mark.chain
async def test_what_is_not_quoted(chain, opened, tmp_path) -> None:
    quoting = quoting_of(chain, *opened, tmp_path)
    for field, value in {
        "seconds": 3599,
        "machines": 3,  # the node runs two at once
        "memory_mb": 513,
        "storage_mb": (1 << 20) + 1,
        "egress_mb": -1,
    }.items():
        name = {"seconds": "ttl_seconds"}.get(field, field)
        with pytest.raises(InvalidRequest, match=f"{name} must be from") as refused:
            await quoting.quote(request_of(chain, **{field: value}), "here")
        assert refused.value.details == {"field": name}
    full = quoting_of(chain, *opened, tmp_path, services_at_most=0)
    with pytest.raises(NotServed, match="as many services"):
        await full.quote(request_of(chain), "here")
    picky = quoting_of(chain, *opened, tmp_path, approved_requesters=(chain.deployment.customer,))
    with pytest.raises(NotServed, match="name no requester"):
        await picky.quote(request_of(chain), "here")
    adapter, _, store = opened
    stranger = quoting_of(chain, adapter, Signer(b"\x03" * 32), store, tmp_path)
    with pytest.raises(NotServed, match="not registered"):
        await stranger.quote(request_of(chain), "here")


@pytest.mark.chain
async def test_only_approved_requesters_where_quotes_name_them(chain, opened, tmp_path) -> None:
    """No contracts of the newer epoch run here: its typed data alone are used."""

    class InNewerTypes(ServiceQuoting):
        types = QUOTES["0.19"]

    adapter, signer, store = opened
    settings = Settings(home=tmp_path, approved_requesters=(chain.deployment.customer,))
    newer = InNewerTypes(adapter, signer, store.quotes, TARIFF, settings, time.time)
    signed = await newer.quote(request_of(chain), "here")
    digest = newer.types.service_digest(signed.quote, chain.deployment.chain_id, chain.deployment.tangle)
    assert address(Account._recover_hash(digest, signature=signed.signature)) == signer.address
    with pytest.raises(NotServed, match="FAAS_APPROVED_REQUESTERS"):
        await newer.quote(replace(request_of(chain), requester=TANGLE), "here")


@pytest.mark.chain
async def test_service_quotes_over_http(chain, opened, tmp_path) -> None:
    adapter, signer, store = opened
    settings = Settings(home=tmp_path, open_quotes=2)
    quoting = Quoting(adapter, signer, store.quotes, TARIFF, settings, time.time)
    service = ExecutionService(None, Signer(b"\x01" * 32), store)
    app = create_app(service, settings, Secrets.with_api_keys("alice"), quoting=quoting)
    body = {"requester": chain.deployment.customer, "ttl_seconds": next(_lifetimes)}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        path = "/api/v1/quotes/services"
        answer = (await client.post(path, json=body)).raise_for_status().json()
        terms = answer["quote"]
        quote = ServiceQuote(
            **{
                **terms,
                "total_cost": int(terms["total_cost"]),
                "security": tuple(SecurityCommitment(**item) for item in terms["security"]),
                "resources": tuple(ResourceCommitment(**item) for item in terms["resources"]),
            }
        )
        types = QUOTES[answer["epoch"]]
        digest = types.service_digest(quote, answer["chain_id"], answer["tangle"])
        assert to_hex(digest) == answer["digest"]
        signed = SignedServiceQuote(quote, bytes.fromhex(answer["signature"][2:]), answer["operator"])
        await created(chain, quoting.services, signed)
        for wrong in (
            {"ttl_seconds": 60},
            {"requester": "0x12"},
            {"machines": -1},
            {"machines": 200},
            {"egress_mb": "much"},
        ):
            refused = await client.post(path, json={**body, **wrong})
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "INVALID_REQUEST"), wrong
        (await client.post(path, json=body)).raise_for_status()
        assert (await client.post(path, json=body)).status_code == 429
