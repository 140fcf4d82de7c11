"""Quotes as customers use them: got over HTTP from a real operator, checked, taken by the real contracts."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from faas_api.app import create_app
from faas_blueprint.digests import keccak256
from faas_blueprint.job import decode_job
from faas_blueprint.prices import PRICES
from faas_blueprint.receipt import ZERO_ADDRESS, address
from faas_blueprint.tangle import protocol, quotes
from faas_operator.executions import ExecutionService
from faas_operator.quoting import Quoting
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store
from faas_operator.tariff import Tariff
from faas_sdk import (
    ApiError,
    AsyncTangleFaaSClient,
    ConnectionFailed,
    SubmissionRefused,
    TangleFaaSClient,
)
from faas_sdk.quote_files import (
    job_quote_from_json,
    job_quote_to_json,
    service_quote_from_json,
    service_quote_to_json,
)
from faas_sdk.quotes import (
    JobQuote,
    ResourceCommitment,
    SecurityCommitment,
    ServiceQuote,
    Signed,
    create_service_call,
    signer_of,
    submit_job_call,
)

NUMBERS = st.integers(0, (1 << 64) - 1)
SMALL = st.integers(0, 255)
AMOUNTS = st.integers(0, (1 << 256) - 1)
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
KEY = b"\x05" * 32
OPERATOR = Account.from_key(KEY).address.lower()
PROGRAM = {"code": "print(1)", "language": "python"}


def signed(epoch: str, chain_id: int = 31337, tangle: str = "0x" + "ab" * 20) -> Signed:
    return Signed(OPERATOR, bytes(65), chain_id, tangle, epoch)


job_quotes = st.builds(
    lambda epoch, inputs, **fields: JobQuote(
        **fields, inputs=inputs, inputs_hash="0x" + keccak256(inputs).hex(), signed=signed(epoch)
    ),
    epoch=st.sampled_from(["0.10", "0.19"]),
    requester=ADDRESSES,
    service_id=NUMBERS,
    job_index=SMALL,
    price_wei=AMOUNTS,
    timestamp=NUMBERS,
    expiry=NUMBERS,
    confidentiality=SMALL,
    inputs=st.binary(max_size=40),
)
service_quotes = st.builds(
    lambda epoch, **fields: ServiceQuote(**fields, signed=signed(epoch)),
    epoch=st.sampled_from(["0.10", "0.19"]),
    requester=ADDRESSES,
    blueprint_id=NUMBERS,
    ttl=NUMBERS,
    total_cost_wei=AMOUNTS,
    timestamp=NUMBERS,
    expiry=NUMBERS,
    confidentiality=SMALL,
    security=st.lists(st.builds(SecurityCommitment, SMALL, ADDRESSES, st.integers(0, 65535)), max_size=3).map(
        tuple
    ),
    resources=st.lists(st.builds(ResourceCommitment, SMALL, NUMBERS), max_size=3).map(tuple),
)


@given(job_quotes)
def test_a_jobs_quote_is_what_operators_sign_and_the_contract_takes(quote: JobQuote) -> None:
    """The operators' own code, which is independent of this, makes the same digest and the same call."""
    types = quotes.QUOTES[quote.signed.epoch]
    terms = (quote.requester, quote.service_id, quote.job_index, quote.price_wei, quote.timestamp)
    theirs = quotes.JobQuote(*terms, quote.expiry, quote.confidentiality, keccak256(quote.inputs))
    assert quote.digest == types.job_digest(theirs, quote.signed.chain_id, quote.signed.tangle)
    made = quotes.SignedJobQuote(theirs, quote.signed.signature, quote.signed.operator)
    assert submit_job_call([quote]) == types.submit_job(quote.inputs, [made])
    assert job_quote_from_json(job_quote_to_json(quote)) == quote


@given(service_quotes)
def test_a_services_quote_likewise(quote: ServiceQuote) -> None:
    types = quotes.QUOTES[quote.signed.epoch]
    terms = (quote.requester, quote.blueprint_id, quote.ttl, quote.total_cost_wei, quote.timestamp)
    security = [quotes.SecurityCommitment(s.kind, s.token, s.exposure_bps) for s in quote.security]
    resources = [quotes.ResourceCommitment(r.kind, r.count) for r in quote.resources]
    theirs = quotes.ServiceQuote(
        *terms, quote.expiry, quote.confidentiality, tuple(security), tuple(resources)
    )
    assert quote.digest == types.service_digest(theirs, quote.signed.chain_id, quote.signed.tangle)
    made = quotes.SignedServiceQuote(theirs, quote.signed.signature, quote.signed.operator)
    expected = types.create_service([made], [quote.requester], b"config")
    assert create_service_call([quote], [quote.requester], b"config") == expected
    assert service_quote_from_json(service_quote_to_json(quote)) == quote


@pytest.mark.parametrize(
    "change",
    [
        {"operator": "0x12"},
        {"signature": "zz"},
        {"chain_id": None},
        {"epoch": "0.11"},
        {"quote": []},
        {"quote": {"price": -1}},
    ],
)
def test_what_is_no_quote(change) -> None:
    quote = JobQuote(OPERATOR, 1, 0, 100, 1, 2, 0, "0x" + "00" * 32, signed("0.10"), b"")
    data = job_quote_to_json(quote)
    if isinstance(change.get("quote"), dict):
        change = {"quote": {**data["quote"], **change["quote"]}}
    with pytest.raises(ConnectionFailed, match="no quote for a job"):
        job_quote_from_json({**data, **change})
    with pytest.raises(ConnectionFailed, match="no quote for a service"):
        service_quote_from_json({**data, **change})


# -- on the devnet


@asynccontextmanager
async def operator_of(chain, tmp_path, **settings) -> AsyncIterator[str]:
    """The API of the devnet's operator, which gives quotes; its URL."""
    chosen = Settings(home=tmp_path, **{"open_quotes": 100, **settings})
    with closing(Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")) as store:
        async with await chain.adapter() as adapter:
            signer = Signer.from_account(chain.operator())
            # each test's prices are its own: on the chain, stores of the same key must not meet
            tariff = Tariff(PRICES, {ZERO_ADDRESS: 10**15}, time.monotonic_ns() % 5000, 100)
            quoting = Quoting(adapter, signer, store.quotes, tariff, chosen, time.time)
            service = ExecutionService(None, signer, store)
            app = create_app(service, chosen, Secrets.with_api_keys("alice"), quoting=quoting)
            server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_level="error", lifespan="off"))
            running = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            try:
                yield f"http://127.0.0.1:{port}"
            finally:
                server.should_exit = True
                await running


def client_of(chain, endpoint: str | None, **fields) -> AsyncTangleFaaSClient:
    deployment = chain.deployment
    given = {
        "service_id": deployment.service_id,
        "private_key": deployment.customer_key,
        "tangle": deployment.tangle,
        "endpoint": endpoint,
        "poll_interval": 0.02,
    }
    return AsyncTangleFaaSClient(deployment.rpc_url, **{**given, **fields})


@pytest.mark.chain
async def test_a_job_is_submitted_from_its_quote_for_the_price_and_once(chain, tmp_path) -> None:
    async with operator_of(chain, tmp_path) as endpoint, client_of(chain, endpoint) as client:
        quote = await client.get_quote(**PROGRAM, stdin="in", seed=5)
        assert signer_of(quote) == quote.signed.operator == chain.deployment.operator
        job = await client.submit_job(quote=quote, value_wei=quote.price_wei)
        assert (job.price_wei, job.inputs) == (quote.price_wei, quote.inputs)
        assert (decode_job(job.inputs).code, decode_job(job.inputs).seed) == ("print(1)", 5)
        status = await client.show(job)
        assert (status.caller, status.transaction_hash) == (chain.deployment.customer, job.transaction_hash)
        with pytest.raises(SubmissionRefused, match="QuoteAlreadyUsed"):
            await client.submit_job(quote=quote)
        other = await client.get_quote(**PROGRAM, stdin="in", seed=5)
        assert other.digest != quote.digest
        with pytest.raises(ValueError, match="give it alone"):
            await client.submit_job(quote=other, code="print(2)", language="python")
        with pytest.raises(ValueError, match="or a quote"):
            await client.submit_job(code="print(2)")


@pytest.mark.chain
async def test_a_service_is_created_from_its_quote_and_takes_jobs(chain, tmp_path) -> None:
    async with operator_of(chain, tmp_path) as endpoint, client_of(chain, endpoint) as client:
        ttl = 7200 + time.monotonic_ns() % 10**6
        friend = address(Account.create().address)
        quote = await client.get_service_quote(ttl, storage_mb=5)
        assert (quote.total_cost_wei, quote.resources[-1]) == (0, ResourceCommitment(2, 5))
        made = await client.create_service([quote], permitted_callers=[friend])
        service = await chain.rpc.read(chain.deployment.tangle, protocol.service(made.service_id))
        assert (service.owner, service.ttl, made.cost_wei) == (chain.deployment.customer, ttl, 0)
        permitted = protocol.is_permitted_caller(made.service_id, friend)
        assert await chain.rpc.read(chain.deployment.tangle, permitted)
        async with client_of(chain, endpoint, service_id=made.service_id) as there:
            assert (await there.submit_job(**PROGRAM)).price_wei == chain.deployment.event_rate_wei
            quoted = await there.get_quote(**PROGRAM)
            assert (await there.submit_job(quote=quoted)).price_wei == quoted.price_wei
        with pytest.raises(SubmissionRefused, match="QuoteAlreadyUsed"):
            await client.create_service([quote])


@pytest.mark.chain
async def test_no_quote_is_paid_that_is_not_what_was_asked_for(chain, tmp_path) -> None:
    """Nothing of these is sent."""
    async with operator_of(chain, tmp_path) as endpoint, client_of(chain, endpoint) as client:
        quote = await client.get_quote(**PROGRAM)
        sent = await transactions(chain)

        async def refusal(*items: JobQuote, by: AsyncTangleFaaSClient = client, **fields) -> str:
            with pytest.raises(SubmissionRefused) as refused:
                await by.submit_job(quote=items, **fields)
            part = refused.value.details.get("part")
            return refused.value.reason if part is None else f"{refused.value.reason} {part}"

        def of(**fields) -> JobQuote:
            """Signed by the operator all the same."""
            changed = replace(quote, **fields)
            signature = chain.operator().unsafe_sign_hash(changed.digest).signature
            return replace(changed, signed=replace(changed.signed, signature=bytes(signature)))

        now, place = int(time.time()), quote.signed
        stranger = Account.create()
        foreign = replace(quote, signed=replace(place, operator=stranger.address.lower()))
        by_stranger = bytes(stranger.unsafe_sign_hash(foreign.digest).signature)
        assert {
            "service": await refusal(of(service_id=quote.service_id + 1)),
            "inputs": await refusal(replace(quote, inputs=quote.inputs + b"x")),
            "requester": await refusal(of(requester=OPERATOR)),
            "confidentiality": await refusal(of(confidentiality=1)),
            "chain": await refusal(of(signed=replace(place, chain_id=1))),
            "contract": await refusal(of(signed=replace(place, tangle=OPERATOR))),
            "epoch": await refusal(of(signed=replace(place, epoch="0.19"))),
            "twice": await refusal(quote, quote),
            "none": await refusal(),
            "price": await refusal(of(price_wei=99)),
        } == {
            "service": "wrong_quote service",
            "inputs": "wrong_quote inputs",
            "requester": "wrong_quote requester",
            "confidentiality": "wrong_quote confidentiality",
            "chain": "wrong_quote chain",
            "contract": "wrong_quote contract",
            "epoch": "wrong_quote epoch",
            "twice": "wrong_quote operator",
            "none": "wrong_quote",
            "price": "wrong_quote price",
        }
        assert await refusal(replace(quote, price_wei=quote.price_wei - 1)) == "bad_signature"
        assert await refusal(replace(quote, signed=replace(place, signature=b""))) == "bad_signature"
        assert await refusal(foreign) == "bad_signature"
        someone = replace(foreign, signed=replace(foreign.signed, signature=by_stranger))
        assert await refusal(someone) == "not_an_operator"
        assert await refusal(of(expiry=now - 1)) == "quote_expired"
        assert await refusal(of(timestamp=now - 3600)) == "quote_expired"
        assert await refusal(of(job_index=1)) != ""  # inputs of job 0: the chain refuses them
        assert await refusal(quote, value_wei=quote.price_wei + 1) == "wrong_value"
        async with client_of(chain, endpoint, max_price_wei=quote.price_wei - 1) as frugal:
            assert await refusal(quote, by=frugal) == "price_too_high"
        assert await transactions(chain) == sent
        async with client_of(chain, endpoint, max_price_wei=quote.price_wei) as frugal:
            assert (await frugal.submit_job(quote=quote)).price_wei == quote.price_wei


@pytest.mark.chain
async def test_no_service_is_paid_that_is_not_what_was_asked_for(chain, tmp_path) -> None:
    async with operator_of(chain, tmp_path) as endpoint, client_of(chain, endpoint) as client:
        quote = await client.get_service_quote(7200 + time.monotonic_ns() % 10**6)
        sent = await transactions(chain)

        async def refusal(*items: ServiceQuote, **fields) -> str:
            with pytest.raises(SubmissionRefused) as refused:
                await client.create_service(items, **fields)
            part = refused.value.details.get("part")
            return refused.value.reason if part is None else f"{refused.value.reason} {part}"

        def of(**fields) -> ServiceQuote:
            changed = replace(quote, **fields)
            signature = chain.operator().unsafe_sign_hash(changed.digest).signature
            return replace(changed, signed=replace(changed.signed, signature=bytes(signature)))

        weak = (replace(quote.security[0], exposure_bps=999),)
        assert await refusal() == "wrong_quote"
        assert await refusal(quote, of(ttl=quote.ttl + 1)) == "wrong_quote ttl"
        assert await refusal(quote, of(blueprint_id=0)) == "wrong_quote blueprint"
        assert await refusal(quote, of(expiry=quote.expiry + 1)) == "wrong_quote operator"
        assert await refusal(of(requester=OPERATOR)) == "wrong_quote requester"
        assert await refusal(of(signed=replace(quote.signed, epoch="0.19"))) == "wrong_quote epoch"
        assert await refusal(replace(quote, resources=())) == "bad_signature"
        assert await refusal(of(expiry=int(time.time()) - 1)) == "quote_expired"
        assert await refusal(of(blueprint_id=0)) == "not_an_operator"
        assert await refusal(of(security=weak)) == "unsecured"
        assert await refusal(quote, min_exposure_bps=1001) == "unsecured"
        assert await transactions(chain) == sent


@pytest.mark.chain
async def test_no_quote_without_an_operator_or_a_key(chain, tmp_path) -> None:
    async with client_of(chain, None) as client:
        for asked in (client.get_quote(**PROGRAM), client.get_service_quote(7200)):
            with pytest.raises(SubmissionRefused) as refused:
                await asked
            assert refused.value.reason == "no_endpoint"
    async with client_of(chain, "http://127.0.0.1:9", private_key=None) as client:
        for asked in (client.get_quote(**PROGRAM), client.create_service([])):
            with pytest.raises(SubmissionRefused) as refused:
                await asked
            assert refused.value.reason == "no_key"
    async with operator_of(chain, tmp_path) as endpoint, client_of(chain, endpoint) as client:
        with pytest.raises(ApiError, match="machines must be from 1 to 2") as error:
            await client.get_service_quote(7200, machines=200)
        assert error.value.code == "INVALID_REQUEST"


@pytest.mark.chain
async def test_the_blocking_twin(chain, tmp_path) -> None:
    async with operator_of(chain, tmp_path) as endpoint:

        def use() -> tuple[int, int]:
            deployment = chain.deployment
            with TangleFaaSClient(
                deployment.rpc_url,
                service_id=deployment.service_id,
                private_key=deployment.customer_key,
                tangle=deployment.tangle,
                endpoint=endpoint,
                poll_interval=0.02,
            ) as client:
                quote = client.get_quote(**PROGRAM)
                service = client.get_service_quote(7200 + time.monotonic_ns() % 10**6)
                made = client.create_service([service])
                return client.submit_job(quote=quote).price_wei - quote.price_wei, made.cost_wei

        assert await asyncio.to_thread(use) == (0, 0)


async def transactions(chain) -> int:
    customer = chain.deployment.customer
    return int(await chain.rpc.request("eth_getTransactionCount", customer, "pending"), 16)


# -- the command line


async def faas(chain, *words: str) -> tuple[int, dict[str, object]]:
    """Exit code, and the JSON of a command of the customer's."""
    deployment = chain.deployment
    place = ("--rpc", deployment.rpc_url, "--tangle", deployment.tangle)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "faas_cli.main", "quote", *words, *place),
        *("--blueprint", str(deployment.blueprint_id), "--json"),
        env={**os.environ, "FAAS_PRIVATE_KEY": deployment.customer_key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert output, errors.decode()
    return process.returncode, json.loads(output)


@pytest.mark.chain
async def test_quotes_on_the_command_line(chain, tmp_path) -> None:
    """Asked for, laid down as files, and taken, each once."""
    job, service = str(tmp_path / "job.json"), str(tmp_path / "service.json")
    async with operator_of(chain, tmp_path) as endpoint:
        asked = ("--endpoint", endpoint, "--service", str(chain.deployment.service_id), "--out", job)
        done, quote = await faas(chain, "job", "--code", "print(1)", "-l", "python", *asked)
        assert (done, quote) == (0, json.loads(Path(job).read_text()))
        ttl = str(7200 + time.monotonic_ns() % 10**6)
        done, found = await faas(chain, "service", "--ttl", ttl, "--endpoint", endpoint, "--out", service)
        assert (done, found["quote"]["total_cost"]) == (0, "0")
        done, refused = await faas(chain, "service", "--ttl", "60", "--endpoint", endpoint)
        assert (done, refused["error"]["code"]) == (1, "INVALID_REQUEST")
    price = int(quote["quote"]["price"])
    done, refused = await faas(chain, "take", job, "--max-price", str(price - 1))
    assert (done, refused["error"]["details"]["reason"]) == (1, "price_too_high")
    done, call = await faas(chain, "take", job, "--max-price", str(price))
    assert (done, call["service_id"]) == (0, chain.deployment.service_id)
    async with client_of(chain, None) as client:
        assert (await client.show(call["call_id"])).transaction_hash == call["transaction"]
    done, refused = await faas(chain, "take", job)
    assert (done, refused["error"]["details"]["reason"]) == (1, "reverts")
    done, made = await faas(chain, "take", service)
    assert (done, made["cost_wei"]) == (0, "0")
    stored = await chain.rpc.read(chain.deployment.tangle, protocol.service(made["service_id"]))
    assert str(stored.ttl) == ttl
    done, refused = await faas(chain, "take", job, service)
    assert (done, "take them apart" in refused["error"]["message"]) == (1, True)


# -- the TypeScript client


def typescript_client(chain, endpoint: str | None = None) -> dict[str, object]:
    deployment = chain.deployment
    return {
        "rpcUrl": deployment.rpc_url,
        "tangle": deployment.tangle,
        "privateKey": deployment.customer_key,
        "serviceId": deployment.service_id,
        "endpoint": endpoint,
    }


@pytest.mark.chain
async def test_the_typescript_client_uses_quotes_and_checks_them(chain, tmp_path, quote_cases) -> None:
    async with operator_of(chain, tmp_path) as endpoint:
        answers = await quote_cases({"client": typescript_client(chain, endpoint), "quotes": True})
    assert answers == {
        "signed": True,
        "serviceSigned": True,
        "paid": True,
        "again": "reverts",
        "cheaper": "bad_signature",
        "late": "bad_signature",
        "otherInputs": "wrong_quote inputs",
        "elsewhere": "wrong_quote service",
        "twice": "wrong_quote operator",
        "none": "wrong_quote",
        "frugal": "price_too_high",
        "otherValue": "wrong_value",
        "noEndpoint": "no_endpoint",
        "serviceAgain": "reverts",
        "insecure": "unsecured",
        "free": True,
        "there": True,
    }


@pytest.mark.chain
async def test_both_clients_sign_and_send_the_same(chain, quote_cases) -> None:
    """In both epochs; the Python one's are the operators' own, see above."""
    jobs, services = [], []
    for epoch in ("0.10", "0.19"):
        inputs = f"inputs {epoch}".encode()
        hashed = "0x" + keccak256(inputs).hex()
        by = signed(epoch, 1 << 60, "0x" + "cd" * 20)
        jobs.append(JobQuote(OPERATOR, 1 << 63, 7, 10**30, 1, (1 << 64) - 1, 2, hashed, by, inputs))
        security = (SecurityCommitment(1, OPERATOR, 1000), SecurityCommitment(0, ZERO_ADDRESS, 65535))
        resources = (ResourceCommitment(0, 2), ResourceCommitment(3, 1 << 60))
        for lists in ((security, resources), ((), ())):
            services.append(ServiceQuote(OPERATOR, 4, 1 << 40, 10**30, 5, 6, 1, *lists, by))
    asked = {
        "jobs": [job_quote_to_json(quote) for quote in jobs],
        "services": [service_quote_to_json(quote) for quote in services],
    }
    found = await quote_cases({"client": typescript_client(chain), "digests": asked})
    expected = [["0x" + quote.digest.hex(), "0x" + submit_job_call([quote]).hex()] for quote in jobs]
    for quote in services:
        call = create_service_call([quote], [quote.requester], b"\xc0")
        expected.append(["0x" + quote.digest.hex(), "0x" + call.hex()])
    assert found == expected
