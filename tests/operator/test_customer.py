"""Submitting jobs as a customer: the price, and what is refused before anything is sent."""

from __future__ import annotations

import pytest

from faas_blueprint.errors import Forbidden, InvalidRequest, NotFound, PaymentRequired
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.probe import EPOCHS
from faas_operator.chain.customer import Customer

pytestmark = pytest.mark.chain

INPUTS = encode_job(make_job("javascript", "console.log(1)"))


def customer(chain, account=None) -> Customer:
    deployment = chain.deployment
    return Customer(chain.rpc, chain.sender(account), EPOCHS[deployment.epoch], deployment.tangle)


async def test_a_job_is_paid_exactly(chain) -> None:
    deployment = chain.deployment
    submission = await customer(chain).submit(deployment.service_id, 0, INPUTS)
    assert submission.price_wei == deployment.event_rate_wei
    async with await chain.adapter() as adapter:
        number = submission.block.number
        (job,) = await adapter.submitted_jobs(number, number)
    assert job.call == submission.call
    assert job.transaction_hash == submission.transaction_hash


async def test_a_free_service_is_sent_no_value(chain) -> None:
    """Service 0 is the recorded deployment's: paid once, so its jobs are free and value would be lost."""
    owner = chain.account(chain.deployment.owner_key)
    assert await customer(chain).price(0, 0) == 0
    submission = await customer(chain, owner).submit(0, 0, b"anything")
    transaction = await chain.rpc.request("eth_getTransactionByHash", submission.transaction_hash)
    assert int(transaction["value"], 16) == submission.price_wei == 0


async def test_what_is_refused_costs_nothing(chain) -> None:
    service_id = chain.deployment.service_id
    before = await chain.rpc.request("eth_getBalance", chain.deployment.customer, "latest")
    with pytest.raises(NotFound):
        await customer(chain).submit(10**6, 0, INPUTS)
    with pytest.raises(PaymentRequired):
        await customer(chain).submit(service_id, 0, INPUTS, most_wei=1)
    with pytest.raises(InvalidRequest, match="SchemaValidationFailed"):
        await customer(chain).submit(service_id, 0, INPUTS[1:])
    with pytest.raises(Forbidden):
        await customer(chain, chain.operator()).submit(service_id, 0, INPUTS)
    assert await chain.rpc.request("eth_getBalance", chain.deployment.customer, "latest") == before


async def test_a_terminated_service_takes_no_job(fresh_chain) -> None:
    service_id = fresh_chain.deployment.service_id
    await fresh_chain.send(protocol.TERMINATE_SERVICE.encode(service_id))
    with pytest.raises(InvalidRequest, match="terminated"):
        await customer(fresh_chain).submit(service_id, 0, INPUTS)
