"""The adapter against the double: what it reads and posts, and what it does when the chain misbehaves."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from genesis import BLUEPRINT_ID, SERVICE_ID
from people import CUSTOMER, OPERATOR, OTHER_CUSTOMER, REGISTERED_ONLY, SECOND_OPERATOR, STRANGER

from faas_blueprint.digests import digest_from_hex
from faas_blueprint.errors import ChainUnavailable, FatalError, ResultRefused
from faas_blueprint.job import EXECUTE_PARAMETERS, decode_job, encode_job, make_job
from faas_blueprint.receipt import CallReference
from faas_blueprint.tangle.fields import to_fields
from faas_blueprint.tangle.genesis import is_substrate, place_of
from faas_operator.chain.interface import CallStanding
from faas_operator.chain.substrate.adapter import SubstrateAdapter
from faas_operator.chain.substrate.extrinsic import compact
from faas_operator.chain.substrate.key import AccountKey
from faas_operator.chain.substrate.rpc import SubstrateRpc
from faas_operator.chain.substrate.runtime import SubstrateRuntime
from faas_operator.chain.substrate.sender import CallFailed, ExtrinsicSender

pytestmark = pytest.mark.slow

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/fields.json").read_text())
RESULT = bytes.fromhex(VECTORS["results"][1]["payload"])


@asynccontextmanager
async def adapter_of(double, person=OPERATOR, **options):
    key = AccountKey.from_seed(person.seed, person.scheme)
    options = {"attempts": 2, "patience": 60.0, "poll": 0.05} | options
    async with await SubstrateAdapter.connect(
        double.http_url, BLUEPRINT_ID, key, person.receipt_key, **options
    ) as adapter:
        yield adapter


async def submit(double, payload, person=CUSTOMER, *, job=0, finalise=True):
    """Submit a job as a customer, in a block of its own."""
    async with SubstrateRpc(double.websocket_url) as rpc:
        runtime = await SubstrateRuntime.connect(rpc)
        sender = ExtrinsicSender(runtime, AccountKey.from_seed(person.seed, person.scheme), poll=0.02)
        index = (await runtime.metadata()).call_index("Services", "call")
        fields = to_fields(EXECUTE_PARAMETERS, payload)
        sending = asyncio.create_task(sender.send(index + compact(SERVICE_ID) + compact(job) + fields))
        while not sending.done():
            if double.tree.pool:
                double.make_block(finalise)
            await asyncio.sleep(0.02)
        return await sending


async def block_with(double, finalise=True):
    """The next block, once something waits for it."""
    for _ in range(500):
        if double.tree.pool:
            return double.make_block(finalise)
        await asyncio.sleep(0.02)
    raise AssertionError("nothing was submitted")


def signed_extrinsics(double):
    return [raw for block in double.tree.by_hash.values() for raw in block.extrinsics[1:]]


def call_of(double, call_id=40):
    return CallReference(*place_of(digest_from_hex(double.tree.genesis.hash)), SERVICE_ID, call_id)


async def post(double, adapter, call, payload=RESULT, finalise=True):
    posting = asyncio.create_task(adapter.post_result(call, payload))
    await block_with(double, finalise)
    return await posting


PAYLOAD = encode_job(make_job("python", "print('é' * 3)\n" * 200, stdin=bytes(3000), arguments=("0x12",)))


@pytest.mark.parametrize("customer", [CUSTOMER, OTHER_CUSTOMER], ids=lambda person: person.scheme)
async def test_jobs_are_read_whole_from_final_blocks(double, customer):
    included = await submit(double, PAYLOAD, customer, finalise=False)
    async with adapter_of(double) as adapter:
        assert (await adapter.head()).number == 1
        assert await adapter.block_hash(2) is None
        double.finalise()
        assert await adapter.head() == included.block
        (job,) = await adapter.submitted_jobs(1, 2)
    assert job.inputs == PAYLOAD
    assert decode_job(job.inputs).stdin == bytes(3000)
    assert job.caller == "0x" + customer.account.hex()
    assert (job.call, job.job_index, job.block) == (call_of(double), 0, included.block)
    assert job.transaction_hash == included.extrinsic_hash
    assert is_substrate(job.call.chain_id)


async def test_other_services_jobs_are_not_seen(double):
    await submit(double, PAYLOAD)
    async with adapter_of(double, service_id=SERVICE_ID + 1) as adapter:
        assert await adapter.submitted_jobs(0, 2) == []
    async with adapter_of(double, service_id=SERVICE_ID) as adapter:
        assert len(await adapter.submitted_jobs(0, 2)) == 1


async def test_calls_are_an_operators_business_while_it_serves(double):
    await submit(double, PAYLOAD)
    async with adapter_of(double, REGISTERED_ONLY) as adapter:
        assert await adapter.submitted_jobs(0, 2) == []
        state = double.make_block().state
        service = state.get("Services", "Instances", SERVICE_ID)
        service = {name: (value,) if isinstance(value, list) else value for name, value in service.items()}
        serving = ([("0x" + REGISTERED_ONLY.account.hex(), ([],))],)
        joined = service | {"operator_security_commitments": serving}
        state.put("Services", "Instances", SERVICE_ID, joined)
        await submit(double, PAYLOAD)
        last = (await adapter.head()).number
        assert [job.call.call_id for job in await adapter.submitted_jobs(0, last)] == [41]


async def test_addresses_of_the_services_other_operators(double):
    state, account = double.tree.best.state, "0x" + SECOND_OPERATOR.account.hex()
    preferences = {"key": "0x" + SECOND_OPERATOR.receipt_key.hex(), "rpc_address": "https://second.example"}
    state.put("Services", "Operators", BLUEPRINT_ID, account, preferences)
    async with adapter_of(double) as adapter:
        assert await adapter.operator_addresses(SERVICE_ID, 0) == ["https://second.example"]
        assert await adapter.operator_addresses(SERVICE_ID + 1, 0) == []
    async with adapter_of(double, SECOND_OPERATOR) as adapter:
        assert await adapter.operator_addresses(SERVICE_ID, 0) == ["https://operator.example"]


async def test_only_permitted_callers_get_a_call(double):
    with pytest.raises(CallFailed, match="BadOrigin"):
        await submit(double, PAYLOAD, OPERATOR)
    with pytest.raises(CallFailed, match=r"Services\.JobDefinitionNotFound"):
        await submit(double, PAYLOAD, job=50)


@pytest.mark.parametrize("operator", [OPERATOR, SECOND_OPERATOR], ids=lambda person: person.scheme)
async def test_a_result_is_posted_once(double, operator):
    await submit(double, PAYLOAD)
    call = call_of(double)
    async with adapter_of(double, operator) as adapter:
        assert await adapter.standing(call) is CallStanding.OPEN
        posted = await post(double, adapter, call)
        assert await adapter.standing(call) is CallStanding.ANSWERED
        assert await adapter.post_result(call, RESULT) == posted
        assert await adapter.posted_result(call, 1) == posted
        assert await adapter.balance() < 10**21
    assert not double.tree.pool
    assert double.tree.best.number == 3


async def test_several_results_wait_for_one_block_and_survive_the_pool(double):
    for _ in range(3):
        await submit(double, PAYLOAD)
    async with adapter_of(double) as adapter:
        posting = [
            asyncio.create_task(adapter.post_result(call_of(double, 40 + n), RESULT)) for n in range(3)
        ]
        await _until(lambda: len(double.tree.pool) == 3)
        assert double.drop_pool() == 3
        await _until(lambda: len(double.tree.pool) == 3)
        block = double.make_block()
        assert {item.block.block_hash for item in await asyncio.gather(*posting)} == {block.hash}
    nonce = double.tree.best.state.get("System", "Account", "0x" + OPERATOR.account.hex())["nonce"]
    assert nonce == 3


async def test_an_overwritten_result_is_still_this_operators_answer(double):
    await submit(double, PAYLOAD)
    call = call_of(double)
    async with adapter_of(double) as adapter, adapter_of(double, REGISTERED_ONLY) as other:
        posted = await post(double, adapter, call)
        await post(double, other, call, RESULT[:-1] + b"\x07")  # the pallet takes it, and keeps it instead
        assert await adapter.posted_result(call, 1) == posted
        assert await adapter.standing(call) is CallStanding.ANSWERED
        assert await adapter.post_result(call, RESULT) == posted


async def test_another_operators_result_does_not_close_a_call(double):
    await submit(double, PAYLOAD)
    call = call_of(double)
    async with adapter_of(double) as adapter, adapter_of(double, SECOND_OPERATOR) as other:
        await post(double, other, call)
        assert await adapter.standing(call) is CallStanding.OPEN


async def test_who_does_not_serve_the_service_has_nothing_to_answer(double):
    await submit(double, PAYLOAD)
    async with adapter_of(double, REGISTERED_ONLY) as adapter:
        assert await adapter.standing(call_of(double)) is CallStanding.CLOSED
        assert await adapter.standing(call_of(double, 41)) is CallStanding.CLOSED
    async with adapter_of(double, STRANGER) as adapter:
        double.tree.best.state.put("System", "Account", "0x" + STRANGER.account.hex(), _rich())
        with pytest.raises(ResultRefused) as refused:
            await post(double, adapter, call_of(double))
        assert refused.value.details == {"reason": "Services.NotRegistered"}


def _rich():
    data = {"free": 10**20, "reserved": 0, "frozen": 0, "flags": 0}
    return {"nonce": 0, "consumers": 0, "providers": 1, "sufficients": 0, "data": data}


async def test_a_receipt_key_that_is_not_registered_stops_the_node(double):
    key = AccountKey.from_seed(OPERATOR.seed, OPERATOR.scheme)
    with pytest.raises(FatalError, match="registered for blueprint 3 with another key"):
        await SubstrateAdapter.connect(double.http_url, BLUEPRINT_ID, key, STRANGER.receipt_key)


async def test_a_dropped_extrinsic_is_handed_in_again(double):
    await submit(double, PAYLOAD)
    call = call_of(double)
    double.swallow = True
    async with adapter_of(double) as adapter:
        posting = asyncio.create_task(adapter.post_result(call, RESULT))
        for _ in range(3):
            before = double.requests.count("author_submitExtrinsic")
            double.make_block()
            await _until(lambda before=before: double.requests.count("author_submitExtrinsic") > before)
        double.swallow = False
        block = await block_with(double)
        assert (await posting).block.block_hash == block.hash
    assert len(signed_extrinsics(double)) == 2


async def test_an_extrinsic_whose_time_is_over_is_replaced_by_another(double):
    await submit(double, PAYLOAD)
    call = call_of(double)
    double.swallow = True
    async with adapter_of(double) as adapter:
        double.requests.clear()
        posting = asyncio.create_task(adapter.post_result(call, RESULT))
        await _until(lambda: "author_submitExtrinsic" in double.requests)
        for _ in range(66):
            double.make_block()
        with pytest.raises(ChainUnavailable):
            await posting
        double.swallow = False
        assert (await post(double, adapter, call)).block.number > 66


async def test_a_result_in_a_replaced_block_is_found_where_it_went(double):
    await submit(double, PAYLOAD)
    call = call_of(double)
    async with adapter_of(double) as adapter:
        first = await post(double, adapter, call, finalise=False)
        double.reorganise()
        assert await adapter.posted_result(call, 1) is None
        assert await adapter.standing(call) is CallStanding.OPEN
        double.make_block()  # a node hands on what was in blocks that it has left
        second = await adapter.posted_result(call, 1)
        assert second is not None
        assert second.transaction_hash == first.transaction_hash
        assert second.block != first.block


async def test_a_lost_result_is_posted_again_under_the_same_nonce(double):
    await submit(double, PAYLOAD)
    call = call_of(double)
    async with adapter_of(double) as adapter:
        await post(double, adapter, call, finalise=False)
        double.reorganise(lose=True)
        assert (await post(double, adapter, call)).block.number == 5
    nonce = double.tree.best.state.get("System", "Account", "0x" + OPERATOR.account.hex())["nonce"]
    assert nonce == 1


async def test_a_node_that_died_after_handing_in_posts_nothing_twice(double):
    await submit(double, PAYLOAD)
    call = call_of(double)
    async with adapter_of(double) as adapter:
        posting = asyncio.create_task(adapter.post_result(call, RESULT))
        await _until(lambda: bool(double.tree.pool))
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)
    async with adapter_of(double) as adapter:
        again = asyncio.create_task(adapter.post_result(call, RESULT))
        await asyncio.sleep(0.3)
        assert len(double.tree.pool) == 1
        double.make_block()
        posted = await again
        assert posted == await adapter.posted_result(call, 1)
    assert len(signed_extrinsics(double)) == 2


async def test_a_node_that_does_not_answer_is_unavailable(double):
    async with adapter_of(double) as adapter:
        double.refuse.add("state_getStorage")
        with pytest.raises(ChainUnavailable):
            await adapter.standing(call_of(double))


async def _until(condition, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)
