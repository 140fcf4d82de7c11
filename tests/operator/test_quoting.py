"""Quotes of an operator, on the real contracts and in the store."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import httpx
import pytest
from eth_account import Account
from fastapi import FastAPI

from faas_api.app import create_app
from faas_blueprint.digests import ZERO_DIGEST, digest_from_hex, keccak256
from faas_blueprint.errors import InvalidRequest, NotFound, NotServed, RateLimitExceeded
from faas_blueprint.job import LIMIT_RANGES, Limits, Mode, encode_job, make_job
from faas_blueprint.operation import CreateBranch, ForkRecord, JobKind
from faas_blueprint.operation_payload import encode_operation
from faas_blueprint.prices import NANOCREDITS_PER_CREDIT, PRICES, execution_cost, most_use_of
from faas_blueprint.receipt import ZERO_ADDRESS, Address, address
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.quotes import QUOTES, JobQuote, SignedJobQuote
from faas_operator import quote_store
from faas_operator.chain.dry import DryAdapter
from faas_operator.chain.evm import EvmAdapter
from faas_operator.executions import ExecutionService
from faas_operator.node import Node
from faas_operator.quote_store import EXTRA_SECONDS, QuoteStore
from faas_operator.quoting import JobRequest, Quoting
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store
from faas_operator.tariff import Tariff

JOB = make_job("python", "print(1)")
INPUTS = encode_job(JOB)
RATE = 10**15
TARIFF = Tariff(PRICES, {ZERO_ADDRESS: RATE}, 10, 100)
TYPES = QUOTES["0.19"]
TANGLE = Address("0x" + "ab" * 20)
NOW = 1_800_000_000
QUOTE = JobQuote(TANGLE, 3, 0, 5_000, NOW - 60, NOW + 300, 0, ZERO_DIGEST)


def digest_of(quote: JobQuote):
    return TYPES.job_digest(quote, 31337, TANGLE)


_markups = itertools.count(TARIFF.markup_percent)
"""Each test's quotes cost more than those before: on the chain, stores of the same key must not meet."""


class Clock:
    now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quotes(database: str, clock: Clock) -> Iterator[QuoteStore]:
    with closing(Store.open(database)) as store:
        yield QuoteStore(store._engine, clock)


def test_no_two_quotes_are_the_same(quotes: QuoteStore) -> None:
    """Also when they are asked for at once."""
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: quotes.add(f"caller {n % 4}", QUOTE, digest_of, 32), range(24)))
    assert len({digest_of(quote) for quote in made}) == 24
    assert {replace(quote, expiry=QUOTE.expiry) for quote in made} == {QUOTE}
    assert max(quote.expiry for quote in made) < QUOTE.expiry + EXTRA_SECONDS


def test_a_caller_has_so_many_until_they_expire(quotes: QuoteStore, clock: Clock) -> None:
    for _ in range(3):
        quotes.add("alice", QUOTE, digest_of, 3)
    with pytest.raises(RateLimitExceeded, match="3 quotes"):
        quotes.add("alice", QUOTE, digest_of, 3)
    assert quotes.add("bob", QUOTE, digest_of, 3).expiry == QUOTE.expiry + 3
    clock.now = QUOTE.expiry + 10
    later = replace(QUOTE, expiry=QUOTE.expiry + 310)
    assert quotes.add("alice", later, digest_of, 3) == later


def test_the_same_quote_for_too_many(quotes: QuoteStore, monkeypatch) -> None:
    monkeypatch.setattr(quote_store, "EXTRA_SECONDS", 5)
    for _ in range(5):
        quotes.add("alice", QUOTE, digest_of, 10**6)
    with pytest.raises(RateLimitExceeded, match="in a second"):
        quotes.add("alice", QUOTE, digest_of, 10**6)


def test_a_price_is_the_most_that_a_run_can_cost() -> None:
    cost = execution_cost(PRICES, Mode.EPHEMERAL, most_use_of(JOB)).total
    price = TARIFF.price(JOB, Mode.EPHEMERAL, ZERO_ADDRESS)
    assert price * NANOCREDITS_PER_CREDIT * 100 >= cost * RATE * 110
    assert (price - 1) * NANOCREDITS_PER_CREDIT * 100 < cost * RATE * 110
    assert TARIFF.price(JOB, Mode.PERSISTENT, ZERO_ADDRESS) > price
    assert replace(TARIFF, floor=price + 1).price(JOB, Mode.EPHEMERAL, ZERO_ADDRESS) == price + 1
    cheap = replace(TARIFF, credit_rates={ZERO_ADDRESS: 1}, floor=0)
    assert cheap.price(JOB, Mode.EPHEMERAL, ZERO_ADDRESS) == 1  # never for nothing
    with pytest.raises(NotServed, match="takes no payment in 0xabab"):
        TARIFF.price(JOB, Mode.EPHEMERAL, TANGLE)


# -- on the devnet


@pytest.fixture
async def quoting(chain, tmp_path):
    settings = Settings(home=tmp_path, open_quotes=5)
    with closing(Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")) as store:
        async with await chain.adapter() as adapter:
            signer = Signer.from_account(chain.operator())
            tariff = replace(TARIFF, markup_percent=next(_markups))
            yield Quoting(adapter, signer, store.quotes, tariff, settings, time.time)


def request_of(chain, **fields) -> JobRequest:
    made = JobRequest(chain.deployment.customer, chain.deployment.service_id, 0, INPUTS)
    return replace(made, **fields)


@pytest.mark.chain
async def test_a_quoted_job_is_taken_for_the_price_and_once(chain, quoting: Quoting) -> None:
    signed = [await quoting.quote_job(request_of(chain), "here") for _ in range(2)]
    quote = signed[0].quote
    now = time.time()
    assert now < quote.expiry <= now + 302
    assert quote.inputs_hash == keccak256(INPUTS)
    taken = []
    for item in signed:
        call = quoting.types.submit_job(INPUTS, [item])
        receipt = await chain.send(call, quote.price)
        [job] = [
            protocol.decode_job_submitted(log)
            for log in receipt.logs
            if protocol.JOB_SUBMITTED_FROM_QUOTE.matches(log)
        ]
        taken.append((job.total_price, job.quoted_operators))
        with pytest.raises(Exception, match="QuoteAlreadyUsed"):
            await chain.rpc.call(
                chain.deployment.tangle, call, sender=chain.deployment.customer, value=quote.price
            )
    assert taken == [(quote.price, (chain.deployment.operator,))] * 2


@pytest.mark.chain
async def test_a_quote_that_binds_no_inputs_pays_for_the_dearest_job(chain, quoting: Quoting) -> None:
    """Whoever has it may send other inputs along: the devnet's epoch lets them."""
    assert not quoting.types.binds_inputs
    most = Limits(**{name: high for name, (_, high) in LIMIT_RANGES.items()})
    dearest = replace(JOB, limits=most)
    signed = await quoting.quote_job(request_of(chain), "here")
    for mode in Mode:
        assert signed.quote.price >= TARIFF.price(dearest, mode, ZERO_ADDRESS)
    call = quoting.types.submit_job(encode_job(dearest), [signed])
    await chain.send(call, signed.quote.price)


@pytest.mark.chain
async def test_a_quote_that_binds_its_inputs_pays_for_them(chain, quoting: Quoting) -> None:
    """No contracts of the newer epoch run here: its typed data alone are used."""

    class InNewerTypes(Quoting):
        types = TYPES

    newer = InNewerTypes(quoting.chain, quoting._signer, quoting._store, TARIFF, quoting._settings, time.time)
    signed = await newer.quote_job(request_of(chain), "here")
    assert signed.quote.price == TARIFF.price(JOB, Mode.EPHEMERAL, ZERO_ADDRESS)
    place = (chain.deployment.chain_id, chain.deployment.tangle)
    digest = TYPES.job_digest(signed.quote, *place)
    assert address(Account._recover_hash(digest, signature=signed.signature)) == chain.deployment.operator


@pytest.mark.chain
async def test_what_is_not_quoted(chain, quoting: Quoting) -> None:
    stranger = address(Account.create().address)
    branch = encode_operation(CreateBranch(None, ForkRecord(1, JOB.epoch, b"twin")))
    refused = {
        "may not submit": (InvalidRequest, {"requester": stranger}),
        "does not serve service 0": (NotFound, {"service_id": 0}),
        "service 999": (NotFound, {"service_id": 999}),
        "inputs of job 0, sent to job 1": (InvalidRequest, {"job_index": 1}),
        "create_branch is not": (
            NotServed,
            {"job_index": int(JobKind.CREATE_BRANCH), "inputs": branch},
        ),
    }
    for words, (kind, fields) in refused.items():
        with pytest.raises(kind, match=words):
            await quoting.quote_job(request_of(chain, **fields), "here")
    with pytest.raises(InvalidRequest):
        await quoting.quote_job(request_of(chain, inputs=b"no job"), "here")


@pytest.mark.chain
async def test_nothing_is_quoted_where_the_chain_would_keep_the_money(chain, tmp_path) -> None:
    """The recorded deployment's service is paid once: a quoted job's price would be stuck there."""
    deployment = chain.deployment
    owner = chain.account(deployment.owner_key)
    service = await chain.rpc.read(deployment.tangle, protocol.service(0))
    [operator, *_] = await chain.rpc.read(deployment.tangle, protocol.service_operators(0))
    assert service.blueprint_id == 0
    settings = Settings(home=tmp_path)
    with closing(Store.open("sqlite://")) as store:
        adapter = await EvmAdapter.connect(deployment.rpc_url, deployment.tangle, 0, owner)
        async with adapter:
            signer = Signer(b"\x02" * 32)
            signer.address = operator
            quoting = Quoting(adapter, signer, store.quotes, TARIFF, settings, time.time)
            request = JobRequest(service.owner, 0, 0, INPUTS)
            with pytest.raises(InvalidRequest, match="would keep what is sent"):
                await quoting.quote_job(request, "here")


@pytest.fixture
def served(quoting: Quoting, tmp_path) -> Iterator[FastAPI]:
    with closing(Store.open("sqlite://")) as store:
        service = ExecutionService(None, Signer(b"\x01" * 32), store)
        yield create_app(service, Settings(home=tmp_path), Secrets.with_api_keys("alice"), quoting=quoting)


@pytest.mark.chain
async def test_quotes_over_http(chain, served: FastAPI) -> None:
    """Without a key; what is answered is all that it takes to submit."""
    deployment = chain.deployment
    body = {
        "requester": deployment.customer,
        "service_id": deployment.service_id,
        "job_index": 0,
        "inputs": "0x" + INPUTS.hex(),
    }
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://test") as client:
        path = "/api/v1/quotes/jobs"
        answer = (await client.post(path, json=body)).raise_for_status().json()
        terms = answer["quote"]
        quote = JobQuote(
            **{
                **terms,
                "price": int(terms["price"]),
                "inputs_hash": digest_from_hex(terms["inputs_hash"]),
            }
        )
        types = QUOTES[answer["epoch"]]
        digest = types.job_digest(quote, answer["chain_id"], answer["tangle"])
        assert "0x" + digest.hex() == answer["digest"]
        signed = SignedJobQuote(quote, bytes.fromhex(answer["signature"][2:]), answer["operator"])
        await chain.send(types.submit_job(INPUTS, [signed]), quote.price)

        for wrong in ({"inputs": "zz"}, {"requester": "0x12"}, {"job_index": -1}, {"service_id": 1 << 64}):
            refused = await client.post(path, json={**body, **wrong})
            assert refused.status_code == 400, wrong
            assert refused.json()["error"]["code"] == "INVALID_REQUEST"
        for _ in range(4):
            (await client.post(path, json=body)).raise_for_status()
        assert (await client.post(path, json=body)).status_code == 429


async def test_an_operator_that_gives_no_quotes_says_so(tmp_path) -> None:
    with closing(Store.open("sqlite://")) as store:
        service = ExecutionService(None, Signer(b"\x01" * 32), store)
        app = create_app(service, Settings(home=tmp_path), Secrets.with_api_keys("alice"))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            body = {"requester": TANGLE, "service_id": 1, "job_index": 0, "inputs": "0x"}
            answer = await client.post("/api/v1/quotes/jobs", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "NOT_FOUND")
    assert "gives no quotes" in error["message"]


@pytest.mark.chain
async def test_a_nodes_quotes_are_by_its_settings(chain, tmp_path) -> None:
    """None unless they are asked for, nor from a dry node."""
    deployment = chain.deployment
    signer = Signer.from_account(chain.operator())
    settings = Settings(home=tmp_path, quotes=True, quote_markup_percent=777, quote_seconds=1000)
    with closing(Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")) as store:
        async with await chain.adapter() as adapter:
            node = Node(adapter, None, signer, store, settings)
            assert replace(node, settings=Settings(home=tmp_path)).quoting() is None
            signed = await node.quoting().quote_job(request_of(chain), "here")
        place = (deployment.rpc_url, deployment.tangle, deployment.blueprint_id)
        async with await DryAdapter.connect(*place, chain.operator()) as dry:
            assert replace(node, chain=dry).quoting() is None
    assert 990 < signed.quote.expiry - time.time() < 1010
    most = Limits(**{name: high for name, (_, high) in LIMIT_RANGES.items()})
    tariff = Tariff(PRICES, settings.credit_rates, 777, 100)
    assert signed.quote.price == tariff.price(replace(JOB, limits=most), Mode.PERSISTENT, ZERO_ADDRESS)
