"""Where Tangle takes a customer's money for nothing: what the real contracts do, and that the client refuses.

Of each trap both halves are shown. Time is moved only on a chain of the test's own.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, replace

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from faas_blueprint.definition import BlueprintDefinition, Pricing, faas_blueprint_definition
from faas_blueprint.digests import ZERO_DIGEST, keccak256
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_blueprint.receipt import Address, CallReference, address, make_receipt
from faas_blueprint.result import encode_result, make_result
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.abi import Function
from faas_blueprint.tangle.quotes import (
    QUOTES,
    JobQuote,
    SecurityCommitment,
    ServiceQuote,
    SignedJobQuote,
    SignedServiceQuote,
)
from faas_operator import keystore
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.epochs import probe_epoch
from faas_operator.devnet.provision import software_digest
from faas_operator.signer import Signer
from faas_sdk import AsyncTangleFaaSClient, FundsAtRisk, SubmissionRefused
from faas_sdk.quote_files import (
    job_quote_from_json,
    job_quote_to_json,
    service_quote_from_json,
    service_quote_to_json,
)

pytestmark = pytest.mark.chain

INPUTS = encode_job(make_job("python", "print(1)"))
TYPES = QUOTES["0.10"]
SET_JOB_EVENT_RATES = Function("setJobEventRates", ("uint64", "uint8[]", "uint256[]"))
GET_SERVICE_OPERATOR = Function("getServiceOperator", ("uint64", "address"), ("(uint16,uint64,uint64,bool)",))
REQUIRED_RESULTS = keccak256(b"getRequiredResultCount(uint64,uint8)")[:4]
AGGREGATION = keccak256(b"requiresAggregation(uint64,uint8)")[:4]
_extra_seconds = itertools.count()
"""Each quote is another: Tangle takes none twice."""


# -- what it takes to step into a trap


def answering_manager(answers: dict[bytes, int], otherwise: int) -> bytes:
    """Code of a manager double that answers calls by their selector with a number, all others with one."""
    table, bodies = b"", b""
    start = 6 + 11 * len(answers) + 11
    for selector, value in answers.items():
        at = start + len(bodies)
        table += b"\x80\x63" + selector + b"\x14\x61" + at.to_bytes(2, "big") + b"\x57"
        bodies += b"\x5b\x60" + bytes([value]) + b"\x60\x00\x52\x61\x01\x00\x60\x00\xf3"
    head = bytes.fromhex("60003560e01c")
    rest = b"\x60" + bytes([otherwise]) + bytes.fromhex("600052610100") + b"\x60\x00\xf3"
    code = head + table + rest + bodies
    assert len(head + table + rest) == start
    # copies what follows it, and returns that as the contract
    return bytes.fromhex("61") + len(code).to_bytes(2, "big") + bytes.fromhex("80600c6000396000f3") + code


@dataclass
class Trap:
    """A chain, and a blueprint of the test's own on it which the devnet's operator serves."""

    chain: object
    blueprint_id: int

    @property
    def place(self) -> tuple[int, Address]:
        return self.chain.deployment.chain_id, self.chain.deployment.tangle

    async def service(self, *, cost: int = 0, ttl: int = 7200, **fields) -> int:
        """One from a quote, taken past the client."""
        signed = self.service_quote(cost=cost, ttl=ttl, **fields)
        call = TYPES.create_service([signed], [self.chain.deployment.customer])
        receipt = await self.chain.send(call, cost)
        logs = [log for log in receipt.logs if protocol.SERVICE_ACTIVATED.matches(log)]
        return protocol.decode_service_activated(logs[0]).service_id

    def service_quote(self, *, cost: int, ttl: int, **fields) -> SignedServiceQuote:
        deployment, now = self.chain.deployment, int(time.time()) - 60
        security = (SecurityCommitment(1, deployment.bond_token, 1000),)
        expiry = now + 600 + next(_extra_seconds)
        quote = ServiceQuote(
            deployment.customer, self.blueprint_id, ttl, cost, now, expiry, security=security
        )
        quote = replace(quote, **fields)
        signer = Signer.from_account(self.chain.operator())
        return SignedServiceQuote(quote, signer.quote_service(TYPES, quote, *self.place), deployment.operator)

    def job_quote(self, service_id: int, price: int = 5000, **fields) -> SignedJobQuote:
        deployment, now = self.chain.deployment, int(time.time()) - 60
        expiry = now + 600 + next(_extra_seconds)
        terms = (deployment.customer, service_id, 0, price, now, expiry, 0, keccak256(INPUTS))
        quote = replace(JobQuote(*terms), **fields)
        signer = Signer.from_account(self.chain.operator())
        return SignedJobQuote(quote, signer.quote_job(TYPES, quote, *self.place), deployment.operator)

    def client(self, service_id: int | None = None, **fields) -> AsyncTangleFaaSClient:
        deployment = self.chain.deployment
        given = {
            "service_id": service_id,
            "blueprint_id": self.blueprint_id,
            "private_key": deployment.customer_key,
            "tangle": deployment.tangle,
            "poll_interval": 0.02,
        }
        return AsyncTangleFaaSClient(deployment.rpc_url, **{**given, **fields})

    async def refusal(self, service_id: int, **fields) -> SubmissionRefused:
        """What the client says to a job, of which nothing may have been sent."""
        sent = await self.sent()
        given = fields or {"code": "print(1)", "language": "python"}
        async with self.client(service_id) as client:
            with pytest.raises(SubmissionRefused) as refused:
                await client.submit_job(**given)
        assert await self.sent() == sent
        return refused.value

    async def service_refusal(self, signed: SignedServiceQuote, **fields) -> SubmissionRefused:
        sent = await self.sent()
        async with self.client() as client:
            with pytest.raises(SubmissionRefused) as refused:
                await client.create_service(
                    [service_quote_of(signed, self.place)], **{"max_cost_wei": 10**18, **fields}
                )
        assert await self.sent() == sent
        return refused.value

    async def sent(self) -> int:
        """How many transactions the customer has made."""
        customer = self.chain.deployment.customer
        return int(await self.chain.rpc.request("eth_getTransactionCount", customer, "pending"), 16)

    async def held(self, account: str | None = None) -> int:
        """Wei, of the contract unless told otherwise."""
        who = account or self.chain.deployment.tangle
        return int(await self.chain.rpc.request("eth_getBalance", who, "latest"), 16)

    async def pay(self, service_id: int, value: int, inputs: bytes = INPUTS) -> int:
        """Submit a job past the client; its call id."""
        receipt = await self.chain.send(protocol.submit_job(service_id, 0, inputs), value)
        logs = [log for log in receipt.logs if protocol.JOB_SUBMITTED.matches(log)]
        return protocol.decode_job_submitted(logs[0]).call_id

    async def completed(self, service_id: int, call_id: int) -> bool:
        epoch = await probe_epoch(self.chain.rpc, self.chain.deployment.tangle)
        call = await self.chain.rpc.read(self.chain.deployment.tangle, epoch.job_call(service_id, call_id))
        return call.completed

    async def reverts(self, data: bytes, sender: str, value: int = 0) -> str:
        with pytest.raises(Reverted) as refused:
            await self.chain.rpc.call(self.chain.deployment.tangle, data, sender=sender, value=value)
        return str(refused.value.error.name)


def service_quote_of(signed: SignedServiceQuote, place: tuple[int, Address]):
    """As the client has it."""
    quote = signed.quote
    terms = {
        **{name: getattr(quote, name) for name in ("requester", "blueprint_id", "ttl", "timestamp")},
        **{"expiry": quote.expiry, "confidentiality": quote.confidentiality},
        "total_cost": str(quote.total_cost),
        "security": [
            {"kind": item.kind, "token": item.token, "exposure_bps": item.exposure_bps}
            for item in quote.security
        ],
        "resources": [{"kind": item.kind, "count": item.count} for item in quote.resources],
    }
    return service_quote_from_json({"quote": terms, **envelope(signed, place)})


def job_quote_of(signed: SignedJobQuote, place: tuple[int, Address], inputs: bytes = INPUTS):
    quote = signed.quote
    names = ("requester", "service_id", "job_index", "timestamp", "expiry", "confidentiality")
    terms = {name: getattr(quote, name) for name in names}
    terms |= {"price": str(quote.price), "inputs_hash": "0x" + quote.inputs_hash.hex()}
    return job_quote_from_json({"quote": terms, **envelope(signed, place)}, inputs)


def envelope(signed, place: tuple[int, Address]) -> dict[str, object]:
    chain_id, tangle = place
    signature = "0x" + signed.signature.hex()
    where = {"chain_id": chain_id, "tangle": tangle, "epoch": "0.10"}
    return {"operator": signed.operator, "signature": signature, **where}


async def blueprint(chain, definition: BlueprintDefinition, manager: bytes | None = None) -> Trap:
    """A new blueprint, with a manager double of some code, which the devnet's operator is registered for."""
    deployment, owner = chain.deployment, chain.account(chain.deployment.owner_key)
    epoch = await probe_epoch(chain.rpc, deployment.tangle)
    at = Address("0x" + "00" * 20)
    if manager is not None:
        made = await chain.sender(owner).send(None, manager)
        at = made.contract
    call = epoch.create_blueprint(definition, at, software_digest(definition))
    created = await chain.send(call, account=owner)
    blueprint_id = epoch.created_blueprint(created.logs)
    key = keystore.public_key(chain.operator())
    await chain.send(
        protocol.register_operator(blueprint_id, key, "http://127.0.0.1:1"), account=chain.operator()
    )
    return Trap(chain, blueprint_id)


PAID_BY_JOB = faas_blueprint_definition(1000)
PAID_ONCE = replace(PAID_BY_JOB, pricing=Pricing.PAY_ONCE, event_rate_wei=0)


@pytest.fixture
def ours(chain) -> Trap:
    """The devnet's own blueprint."""
    return Trap(chain, chain.deployment.blueprint_id)


# -- value where none is taken


async def test_value_sent_to_a_service_whose_jobs_are_free(chain) -> None:
    trap = await blueprint(chain, PAID_ONCE)
    service_id = await trap.service(cost=5000)
    before = await trap.held()
    call_id = await trap.pay(service_id, 777)
    await chain.send(
        protocol.submit_result(service_id, call_id, result(trap, service_id, call_id)),
        account=chain.operator(),
    )
    assert await trap.completed(service_id, call_id)
    assert await trap.held() - before == 777, "Tangle keeps it"

    refused = await trap.refusal(service_id, code="1", language="python", value_wei=777)
    assert (type(refused), refused.reason) == (FundsAtRisk, "value_swallowed")
    async with trap.client(service_id) as client:
        assert (await client.submit_job(code="1", language="python")).price_wei == 0
    assert await trap.held() - before == 777


async def test_a_quoted_price_for_a_job_that_is_free(chain) -> None:
    trap = await blueprint(chain, PAID_ONCE)
    service_id = await trap.service(cost=5000)
    before = await trap.held()
    signed = trap.job_quote(service_id)
    receipt = await chain.send(TYPES.submit_job(INPUTS, [signed]), 5000)
    logs = [log for log in receipt.logs if protocol.JOB_SUBMITTED_FROM_QUOTE.matches(log)]
    call_id = protocol.decode_job_submitted(logs[0]).call_id
    await chain.send(
        protocol.submit_result(service_id, call_id, result(trap, service_id, call_id)),
        account=chain.operator(),
    )
    assert await trap.completed(service_id, call_id)
    assert await trap.held() - before == 5000, "Tangle keeps it, the operator has nothing"

    quote = job_quote_of(trap.job_quote(service_id), trap.place)
    refused = await trap.refusal(service_id, quote=quote)
    assert (type(refused), refused.reason) == (FundsAtRisk, "value_swallowed")


async def test_a_new_service_whose_jobs_are_paid_one_by_one_costs_nothing(ours, chain) -> None:
    """The older epoch takes what is quoted all the same; jobs are paid besides."""
    customer = chain.deployment.customer
    service_id = await ours.service(cost=5000)
    before = await ours.held(customer)
    data = protocol.submit_job(service_id, 0, INPUTS)
    assert await ours.reverts(data, customer) == "InvalidMsgValue"
    await ours.pay(service_id, chain.deployment.event_rate_wei)
    assert before - await ours.held(customer) >= chain.deployment.event_rate_wei

    refused = await ours.service_refusal(ours.service_quote(cost=5000, ttl=7200))
    assert (type(refused), refused.reason) == (FundsAtRisk, "upfront_swallowed")


async def test_money_for_an_address_without_a_contract(ours, chain) -> None:
    nobody = address(Account.create().address)
    await chain.send(protocol.submit_job(1, 0, INPUTS), 1234, to=nobody)
    assert await ours.held(nobody) == 1234, "it is gone"
    async with ours.client(1, tangle=nobody) as client:
        with pytest.raises(FundsAtRisk) as refused:
            await client.submit_job(code="1", language="python")
    assert refused.value.reason == "no_contract"
    assert await ours.held(nobody) == 1234


# -- the exact amount


async def test_another_value_than_the_price(ours, chain) -> None:
    rate, service_id = chain.deployment.event_rate_wei, chain.deployment.service_id
    data = protocol.submit_job(service_id, 0, INPUTS)
    for value in (0, rate - 1, rate + 1):
        assert await ours.reverts(data, chain.deployment.customer, value) == "InvalidMsgValue"
        refused = await ours.refusal(service_id, code="1", language="python", value_wei=value)
        assert refused.reason == "wrong_value"
    async with ours.client(service_id) as client:
        job = await client.submit_job(code="1", language="python", value_wei=rate)
    assert job.price_wei == rate


async def test_a_job_has_its_own_rate(chain) -> None:
    """Set by the blueprint's owner, over the general one."""
    trap = await blueprint(chain, PAID_BY_JOB)
    owner = chain.account(chain.deployment.owner_key)
    await chain.send(SET_JOB_EVENT_RATES.encode(trap.blueprint_id, [1], [4321]), account=owner)
    service_id = await trap.service()
    before = await trap.held()
    async with trap.client(service_id) as client:
        plain = await client.submit_job(code="1", language="python")
        cached = await client.submit_job(code="1", language="python", mode="cached")
    assert (plain.price_wei, cached.price_wei) == (1000, 4321)
    assert await trap.held() - before == 5321


# -- jobs that nobody can complete


async def test_a_job_that_takes_more_results_than_there_are_operators(chain) -> None:
    manager = answering_manager({REQUIRED_RESULTS: 3, AGGREGATION: 0}, 1)
    trap = await blueprint(chain, PAID_BY_JOB, manager)
    service_id = await trap.service()
    before = await trap.held()
    call_id = await trap.pay(service_id, 1000)
    await chain.send(
        protocol.submit_result(service_id, call_id, result(trap, service_id, call_id)),
        account=chain.operator(),
    )
    assert not await trap.completed(service_id, call_id)
    assert await trap.held() - before == 1000, "nobody is paid, nothing comes back"

    refused = await trap.refusal(service_id)
    assert (type(refused), refused.reason) == (FundsAtRisk, "too_few_operators")
    assert refused.details == {"needed": 3, "answering": 1}
    quote = job_quote_of(trap.job_quote(service_id), trap.place)
    assert (await trap.refusal(service_id, quote=quote)).reason == "too_few_operators"


async def test_a_job_whose_results_must_be_aggregated(chain) -> None:
    trap = await blueprint(chain, PAID_BY_JOB, answering_manager({}, 1))
    service_id = await trap.service()
    call_id = await trap.pay(service_id, 1000)
    answer = protocol.submit_result(service_id, call_id, result(trap, service_id, call_id))
    assert await trap.reverts(answer, chain.deployment.operator) == "AggregationRequired"

    refused = await trap.refusal(service_id)
    assert (type(refused), refused.reason) == (FundsAtRisk, "aggregated")


async def test_a_job_of_a_service_that_ends(fresh_chain) -> None:
    """What was paid for is not answered any more, or for, and not paid back."""
    trap = await blueprint(fresh_chain, PAID_BY_JOB)
    service_id = await trap.service()
    call_id = await trap.pay(service_id, 1000)
    before = await trap.held()
    await fresh_chain.send(protocol.TERMINATE_SERVICE.encode(service_id))
    assert await trap.held() == before, "terminating gives nothing back"
    assert not await trap.completed(service_id, call_id)
    assert (await trap.refusal(service_id)).reason == "service_ended"

    short = await trap.service(ttl=7200)
    await fresh_chain.rpc.request("evm_increaseTime", 7150)
    await fresh_chain.rpc.request("evm_mine")
    before = await trap.held()
    await trap.pay(short, 1000)
    assert await trap.held() - before == 1000, "Tangle takes jobs to the last second"
    refused = await trap.refusal(short)
    assert (type(refused), refused.reason) == (FundsAtRisk, "ends_soon")
    await fresh_chain.rpc.request("evm_increaseTime", 120)
    await fresh_chain.rpc.request("evm_mine")
    data = protocol.submit_job(short, 0, INPUTS)
    assert await trap.reverts(data, fresh_chain.deployment.customer, 1000) == "ServiceExpired"
    assert (await trap.refusal(short)).reason == "service_expired"


async def test_a_service_that_is_paid_for_and_over_at_once(fresh_chain) -> None:
    """Quotes are not held to the least time of requests."""
    trap = await blueprint(fresh_chain, PAID_ONCE)
    short = await trap.service(cost=5000, ttl=60)
    await fresh_chain.rpc.request("evm_increaseTime", 62)
    await fresh_chain.rpc.request("evm_mine")
    data = protocol.submit_job(short, 0, INPUTS)
    assert await trap.reverts(data, fresh_chain.deployment.customer) == "ServiceExpired"

    trap = Trap(fresh_chain, trap.blueprint_id)
    refused = await trap.service_refusal(trap.service_quote(cost=5000, ttl=60))
    assert (type(refused), refused.reason) == (FundsAtRisk, "ends_soon")


async def test_times_of_a_service_that_are_no_time(chain) -> None:
    trap = await blueprint(chain, PAID_ONCE)
    for ttl in (0, 2 * 365 * 86400):
        assert await trap.service(cost=5000, ttl=ttl)  # the contract takes both
        refused = await trap.service_refusal(trap.service_quote(cost=5000, ttl=ttl))
        assert refused.reason == "never_ends"


async def test_operators_with_nothing_at_stake(ours, chain) -> None:
    for exposure in (0, 20_000):
        security = (SecurityCommitment(1, chain.deployment.bond_token, exposure),)
        service_id = await ours.service(security=security)
        read = GET_SERVICE_OPERATOR.read(lambda values: values[0][0], service_id, chain.deployment.operator)
        assert await chain.rpc.read(chain.deployment.tangle, read) == exposure, "the contract takes both"
        signed = ours.service_quote(cost=0, ttl=7200, security=security)
        assert (await ours.service_refusal(signed)).reason == "unsecured"


async def test_inputs_that_are_not_of_the_schema(ours, chain) -> None:
    """The chain refuses what its schema does not know, and sells what the operators will not run."""
    service_id, customer = chain.deployment.service_id, chain.deployment.customer
    rate = chain.deployment.event_rate_wei
    data = protocol.submit_job(service_id, 0, b"\x01")
    assert await ours.reverts(data, customer, rate) == "SchemaValidationFailed"
    cobol = INPUTS.replace(b"\x06python", b"\x06cobol!")
    assert cobol != INPUTS
    before = await ours.held()
    await ours.pay(service_id, rate, cobol)
    assert await ours.held() - before == rate, "paid, and it will fail"
    refused = await ours.refusal(service_id, code="1", language="cobol!")
    assert refused.reason == "invalid_inputs"

    # another blueprint's job: the client does not send its inputs there
    other = replace(
        PAID_BY_JOB,
        jobs=(
            replace(PAID_BY_JOB.jobs[0], parameters=PAID_BY_JOB.jobs[0].parameters[:-1]),
            *PAID_BY_JOB.jobs[1:],
        ),
    )
    trap = await blueprint(chain, other)
    foreign = await trap.service()
    assert (
        await trap.reverts(protocol.submit_job(foreign, 0, INPUTS), customer, 1000)
        == "SchemaValidationFailed"
    )
    assert (await trap.refusal(foreign)).reason == "schema_mismatch"


async def test_a_stranger(ours, chain) -> None:
    stranger: LocalAccount = Account.create()
    service_id = chain.deployment.service_id
    data = protocol.submit_job(service_id, 0, INPUTS)
    name = await ours.reverts(data, address(stranger.address))
    assert name == "NotPermittedCaller"
    async with ours.client(service_id, private_key="0x" + stranger.key.hex()) as client:
        with pytest.raises(SubmissionRefused) as refused:
            await client.submit_job(code="1", language="python")
    assert refused.value.reason == "not_permitted"


async def test_the_typescript_client_refuses_the_same(chain, ours, quote_cases) -> None:
    """The same traps, laid out as above; those that take time are scripted in its own tests."""
    deployment = chain.deployment
    rate, devnet_service = deployment.event_rate_wei, deployment.service_id
    free = await blueprint(chain, PAID_ONCE)
    free_service = await free.service(cost=5000)
    many = await blueprint(chain, PAID_BY_JOB, answering_manager({REQUIRED_RESULTS: 3, AGGREGATION: 0}, 1))
    many_service = await many.service()
    joined = await blueprint(chain, PAID_BY_JOB, answering_manager({}, 1))
    first, *others = PAID_BY_JOB.jobs
    shorter = replace(first, parameters=first.parameters[:-1])
    foreign = await blueprint(chain, replace(PAID_BY_JOB, jobs=(shorter, *others)))

    def job(service_id: int, **fields) -> dict[str, object]:
        return {"options": {"serviceId": service_id}, **fields}

    def quoted(trap: Trap, service_id: int, **fields) -> dict[str, object]:
        quote = job_quote_of(trap.job_quote(service_id, **fields), trap.place)
        return job(service_id, jobQuotes=[job_quote_to_json(quote)])

    def service(trap: Trap, **fields) -> dict[str, object]:
        signed = trap.service_quote(**{"cost": 5000, "ttl": 7200, **fields})
        quote = service_quote_to_json(service_quote_of(signed, trap.place))
        return job(devnet_service, serviceQuotes=[quote])

    weak = (SecurityCommitment(1, deployment.bond_token, 0),)
    nobody = address(Account.create().address)
    cases = {
        "value_swallowed, at risk": [job(free_service, valueWei="777"), quoted(free, free_service)],
        "upfront_swallowed, at risk": [service(ours)],
        "no_contract, at risk": [{"options": {"serviceId": 1, "tangle": nobody}}],
        "wrong_value": [job(devnet_service, valueWei=str(rate + 1)), job(devnet_service, valueWei="0")],
        "too_few_operators, at risk": [job(many_service), quoted(many, many_service)],
        "aggregated, at risk": [job(await joined.service())],
        "ends_soon, at risk": [service(free, ttl=60)],
        "never_ends": [service(free, ttl=0), service(free, ttl=2 * 365 * 86400)],
        "unsecured": [service(ours, cost=0, security=weak)],
        "schema_mismatch": [job(await foreign.service())],
        "quote_expired": [quoted(ours, devnet_service, expiry=int(time.time()) - 1)],
        "wrong_quote price": [quoted(ours, devnet_service, price=99)],
        "wrong_quote requester": [quoted(ours, devnet_service, requester=nobody)],
    }
    sent = await ours.sent()
    client = {
        "rpcUrl": deployment.rpc_url,
        "tangle": deployment.tangle,
        "privateKey": deployment.customer_key,
        "serviceId": devnet_service,
    }
    named = {f"{reason} {n}": item for reason, items in cases.items() for n, item in enumerate(items)}
    answers = await quote_cases({"client": client, "cases": named})
    assert answers == {name: name.rpartition(" ")[0] for name in named}
    assert await ours.sent() == sent
    paid = {
        "exact": job(devnet_service, valueWei=str(rate)),
        "quoted": quoted(ours, devnet_service, price=6000),
        "service": service(free, cost=7000),
        "free": job(free_service),
    }
    answers = await quote_cases({"client": client, "cases": paid})
    assert answers == {
        "exact": f"job for {rate}",
        "quoted": "job for 6000",
        "service": "service for 7000",
        "free": "job for 0",
    }


def result(trap: Trap, service_id: int, call_id: int) -> bytes:
    """A result that the chain's schema takes; nobody here looks into it."""
    chain_id, tangle = trap.place
    outcome = Outcome(Status.EXITED, 0, 0, 1, Stream(b"1\n"), Stream(b""), ZERO_DIGEST)
    digest = keccak256(b"anything")
    receipt = make_receipt(
        profile_id=digest,
        snapshot=digest,
        job_digest=digest,
        outcome=outcome,
        call=CallReference(chain_id, tangle, service_id, call_id),
        operator=trap.chain.deployment.operator,
    )
    return encode_result(make_result(receipt, outcome, bytes(65)))
