"""Following without a key, and following one service only, on the real protocol."""

from __future__ import annotations

import pytest
from eth_account import Account

from faas_blueprint.errors import ResultRefused
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.receipt import CallReference
from faas_operator.chain.dry import DryAdapter
from faas_operator.chain.evm import EvmAdapter
from faas_operator.chain.interface import CallStanding

pytestmark = pytest.mark.chain

JOB = encode_job(make_job("python", "print(1)"))


async def connect(kind, chain, **options):
    deployment = chain.deployment
    return await kind.connect(
        deployment.rpc_url, deployment.tangle, deployment.blueprint_id, Account.create(), **options
    )


async def test_a_dry_node_may_run_everything_and_post_nothing(chain):
    call = await chain.submit(JOB)
    async with await connect(EvmAdapter, chain) as stranger:
        assert await stranger.standing(call) is CallStanding.CLOSED
    async with await connect(DryAdapter, chain) as dry:
        assert await dry.standing(call) is CallStanding.OPEN
        nowhere = CallReference(call.chain_id, call.tangle, 999_999, 0)
        assert await dry.standing(nowhere) is CallStanding.CLOSED
        with pytest.raises(ResultRefused, match="dry run"):
            await dry.post_result(call, b"result")
        assert await dry.balance() == 0
    async with await chain.adapter() as operator:
        assert await operator.standing(call) is CallStanding.OPEN
        assert await operator.balance() > 0


async def test_jobs_of_one_service(chain):
    first = (await chain.rpc.head()).block.number + 1
    call = await chain.submit(JOB)
    last = (await chain.rpc.head()).block.number
    for service_id, seen in ((None, [call]), (call.service_id, [call]), (call.service_id + 1, [])):
        async with await connect(DryAdapter, chain, service_id=service_id) as adapter:
            assert [job.call for job in await adapter.submitted_jobs(first, last)] == seen
