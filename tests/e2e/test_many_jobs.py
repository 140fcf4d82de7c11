"""Many jobs at once on the real chain and machine: all come back, each once, in order of price and age."""

from __future__ import annotations

import asyncio
import os

import pytest

from faas_blueprint.job import encode_job, make_job
from faas_blueprint.tangle import protocol
from faas_cli.running import in_background, running_node
from faas_microvm.engine import Engine
from faas_operator.pipeline import State
from faas_operator.service import JOBS_IN_LINE

pytestmark = [pytest.mark.machine, pytest.mark.chain, pytest.mark.slow, pytest.mark.timeout(3600)]

JOBS = int(os.environ.get("FAAS_TEST_MANY_JOBS", "60"))
"""1,000 for the long form."""


async def test_all_jobs_that_were_submitted_at_once_come_back_in_order(fresh_chain):
    """They are there before the node starts, so all of them wait at the same moment. The later half is bought
    by quotes, for one price or another: three prices in all."""
    deployment = fresh_chain.deployment
    prices: dict[int, int] = {}
    for number in range(JOBS):
        inputs = encode_job(make_job("bash", f"echo job {number}"))
        if number < JOBS // 2:
            call, price = await fresh_chain.submit(inputs), deployment.event_rate_wei
        else:
            price = deployment.event_rate_wei * (2 if number % 2 else 3)
            call = await fresh_chain.submit_quoted(inputs, price)
        prices[call.call_id] = price
    calls = sorted(prices, key=lambda call_id: (-prices[call_id], call_id))
    async with await Engine.open() as engine, running_node(deployment, engine) as node:
        operator = node.operator()
        async with in_background(operator.run()) as running, asyncio.timeout(60 + 2 * JOBS):
            while node.store.count_by_state() != {State.FINAL: JOBS}:
                assert not running.done()
                await fresh_chain.rpc.request("evm_mine")
                await asyncio.sleep(0.2)
        assert all(node.store.job(number).attempts == 0 for number in node.store.numbers_in({State.FINAL}))
    logs = await fresh_chain.rpc.request(
        "eth_getLogs",
        {
            "address": deployment.tangle,
            "topics": [protocol.JOB_RESULT_SUBMITTED.topic],
            "fromBlock": "0x0",
            "toBlock": "latest",
        },
    )
    answered = [int(str(log["topics"][2]), 16) for log in logs]
    assert sorted(answered) == sorted(calls)
    distance = max(abs(place - calls.index(call_id)) for place, call_id in enumerate(answered))
    assert distance <= JOBS_IN_LINE + node.settings.parallel_jobs
