"""Signed quotes on the real contracts: taken as they were signed, once, and not otherwise."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from eth_account import Account

from faas_blueprint.digests import keccak256
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.receipt import Address, address
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.quotes import (
    MAX_AGE_SECONDS,
    QUOTES,
    JobQuote,
    ResourceCommitment,
    SecurityCommitment,
    ServiceQuote,
    SignedJobQuote,
    SignedServiceQuote,
)
from faas_operator.chain.endpoint import Reverted
from faas_operator.signer import Signer

pytestmark = pytest.mark.chain

INPUTS = encode_job(make_job("python", "print(1)"))
PRICE = 12_345


def job_quote(chain, **fields) -> JobQuote:
    deployment, now = chain.deployment, int(time.time()) - 60
    inputs_hash = keccak256(INPUTS)
    quote = JobQuote(deployment.customer, deployment.service_id, 0, PRICE, now, now + 600, 0, inputs_hash)
    return replace(quote, **fields)


def signed_job(chain, quote: JobQuote) -> SignedJobQuote:
    deployment = chain.deployment
    types = QUOTES[deployment.epoch]
    signer = Signer.from_account(chain.operator())
    signature = signer.quote_job(types, quote, deployment.chain_id, deployment.tangle)
    return SignedJobQuote(quote, signature, deployment.operator)


async def refusal(chain, data: bytes, value: int = 0) -> str:
    with pytest.raises(Reverted) as refused:
        await chain.rpc.call(chain.deployment.tangle, data, sender=chain.deployment.customer, value=value)
    return str(refused.value.error.name)


async def test_a_jobs_quote_is_taken_once(chain) -> None:
    types = QUOTES[chain.deployment.epoch]
    signed = signed_job(chain, job_quote(chain, price=PRICE + 1))
    call = types.submit_job(INPUTS, [signed])
    receipt = await chain.send(call, PRICE + 1)
    [job] = [
        protocol.decode_job_submitted(log)
        for log in receipt.logs
        if protocol.JOB_SUBMITTED_FROM_QUOTE.matches(log)
    ]
    assert (job.inputs, job.quoted_operators, job.total_price) == (
        INPUTS,
        (chain.deployment.operator,),
        PRICE + 1,
    )
    assert await refusal(chain, call, PRICE + 1) == "QuoteAlreadyUsed"


async def test_a_jobs_quote_is_taken_as_it_was_signed(chain) -> None:
    types = QUOTES[chain.deployment.epoch]
    quote = job_quote(chain)
    signed = signed_job(chain, quote)
    tampered = {
        "price": PRICE - 1,
        "expiry": quote.expiry + 1,
        "timestamp": quote.timestamp + 1,
    }
    for name, value in tampered.items():
        other = replace(signed, quote=replace(quote, **{name: value}))
        call = types.submit_job(INPUTS, [other])
        assert await refusal(chain, call, other.quote.price) == "InvalidQuoteSignature", name
    stranger = replace(signed, operator=address(Account.create().address))
    assert await refusal(chain, types.submit_job(INPUTS, [stranger]), PRICE) == "OperatorNotInService"
    assert await refusal(chain, types.submit_job(INPUTS, [signed]), PRICE - 1) == "InvalidMsgValue"
    now = int(time.time())
    late = signed_job(chain, job_quote(chain, timestamp=now - 600, expiry=now - 300))
    assert await refusal(chain, types.submit_job(INPUTS, [late]), PRICE) == "QuoteExpired"
    old = signed_job(chain, job_quote(chain, timestamp=now - MAX_AGE_SECONDS - 300, expiry=now + 300))
    assert await refusal(chain, types.submit_job(INPUTS, [old]), PRICE) == "QuoteTimestampTooOld"


async def test_a_services_quote_makes_a_service(chain) -> None:
    deployment, types = chain.deployment, QUOTES[chain.deployment.epoch]
    now = int(time.time()) - 60
    commitments = (SecurityCommitment(1, Address(deployment.bond_token), 1000),)
    quote = ServiceQuote(
        deployment.customer,
        deployment.blueprint_id,
        7200,
        0,
        now,
        now + 600,
        0,
        commitments,
        (ResourceCommitment(0, 1), ResourceCommitment(1, 512)),
    )
    signer = Signer.from_account(chain.operator())

    def signed(terms: ServiceQuote) -> SignedServiceQuote:
        signature = signer.quote_service(types, terms, deployment.chain_id, deployment.tangle)
        return SignedServiceQuote(terms, signature, deployment.operator)

    good = signed(quote)
    less = replace(quote, security=(SecurityCommitment(1, Address(deployment.bond_token), 999),))
    for other in (less, replace(quote, expiry=quote.expiry + 1), replace(quote, resources=())):
        call = types.create_service([replace(good, quote=other)], [deployment.customer])
        assert await refusal(chain, call) == "InvalidQuoteSignature"
    unpaid = types.create_service([signed(replace(quote, total_cost=500))], [deployment.customer])
    assert await refusal(chain, unpaid, 499) == "InsufficientPaymentForQuotes"

    call = types.create_service([good], [deployment.customer])
    receipt = await chain.send(call)
    [activated] = [
        protocol.decode_service_activated(log)
        for log in receipt.logs
        if protocol.SERVICE_ACTIVATED.matches(log)
    ]
    assert activated.blueprint_id == deployment.blueprint_id
    service = await chain.rpc.read(deployment.tangle, protocol.service(activated.service_id))
    assert (service.owner, service.ttl) == (deployment.customer, 7200)
    serves = protocol.is_service_operator(activated.service_id, deployment.operator)
    assert await chain.rpc.read(deployment.tangle, serves)
    assert await refusal(chain, call) == "QuoteAlreadyUsed"
