"""The adapter on real contracts: what it finds, what it posts, what it makes of refusals and outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account

from faas_blueprint.digests import keccak256
from faas_blueprint.errors import ChainUnavailable, FatalError, ResultRefused
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.operation import JobKind, MergeBranches, Strategy
from faas_blueprint.operation_payload import encode_operation
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_blueprint.receipt import ZERO_ADDRESS, CallReference, address, make_receipt
from faas_blueprint.result import encode_result, make_result
from faas_blueprint.tangle import protocol, rewards, service_manager
from faas_blueprint.tangle.abi import Event, Function
from faas_operator import keystore
from faas_operator.chain.dry import DryAdapter
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.epochs import probe_epoch
from faas_operator.chain.evm import EvmAdapter
from faas_operator.chain.interface import CallStanding
from faas_operator.devnet.devnet import Devnet
from faas_operator.registration import Registration

pytestmark = pytest.mark.chain

MERGE = encode_operation(MergeBranches(None, (b"\1" * 32, b"\2" * 32), Strategy.OURS))
INPUTS = encode_job(make_job("python", "print(1)"))


def result_payload(call: CallReference, text: bytes = b"1\n") -> bytes:
    digest = keccak256(b"anything")
    outcome = Outcome(Status.EXITED, 0, 0, 1000, Stream(text), Stream(), digest)
    receipt = make_receipt(
        profile_id=digest,
        snapshot=digest,
        job_digest=digest,
        outcome=outcome,
        call=call,
        operator=address("0x" + "01" * 20),
    )
    return encode_result(make_result(receipt, outcome, bytes(65)))


@pytest.fixture
async def adapter(chain):
    async with await chain.adapter() as adapter:
        yield adapter


async def test_a_job_from_submission_to_result(chain, adapter: EvmAdapter) -> None:
    first = (await adapter.head()).number
    call = await chain.submit(INPUTS)
    head = await adapter.head()
    (job,) = await adapter.submitted_jobs(first + 1, head.number)
    assert (job.call, job.job_index, job.inputs, job.quoted_operators) == (call, 0, INPUTS, None)
    assert job.caller == chain.deployment.customer
    assert await adapter.block_hash(job.block.number) == job.block.block_hash
    assert await adapter.standing(call) is CallStanding.OPEN
    assert await adapter.posted_result(call, first) is None

    payload = result_payload(call)
    posted = await adapter.post_result(call, payload)
    assert await adapter.standing(call) is CallStanding.ANSWERED
    assert await adapter.posted_result(call, first) == posted
    place = (call.service_id, call.call_id, chain.deployment.operator)
    manager = chain.deployment.manager
    assert await chain.rpc.read(manager, service_manager.has_posted(*place, payload))
    assert await chain.rpc.read(manager, service_manager.result_hash(*place)) == keccak256(payload)


async def test_what_was_paid_for_a_call(fresh_chain) -> None:
    """The rate at its time, though another holds when it is read, or what was quoted; nothing where calls are
    not paid one by one, whatever the protocol has kept of what came along."""
    deployment = fresh_chain.deployment
    owner = fresh_chain.account(deployment.owner_key)
    first = await fresh_chain.submit(INPUTS)
    rates = Function("setJobEventRates", ("uint64", "uint8[]", "uint256[]"), ())
    rate = 3 * deployment.event_rate_wei
    await fresh_chain.send(rates.encode(deployment.blueprint_id, [0], [rate]), account=owner)
    second = await fresh_chain.submit(INPUTS, rate)
    third = await fresh_chain.submit_quoted(INPUTS, 12_345)
    async with await fresh_chain.adapter() as adapter:
        jobs = await adapter.submitted_jobs(deployment.first_block, (await adapter.head()).number)
        paid = {job.call: (job.price, job.quoted_operators) for job in jobs}
    assert paid == {
        first: (deployment.event_rate_wei, None),
        second: (rate, None),
        third: (12_345, (deployment.operator,)),
    }
    recorded = (deployment.rpc_url, deployment.tangle, 0)  # the recorded deployment's blueprint: pay once
    receipt = await fresh_chain.send(protocol.submit_job(0, 0, b"anything"), 777, account=owner)
    async with await DryAdapter.connect(*recorded, fresh_chain.operator()) as other:
        [job] = await other.submitted_jobs(receipt.block.number, receipt.block.number)
        assert job.price == 0


async def test_posting_again_posts_nothing(chain, adapter: EvmAdapter) -> None:
    call = await chain.submit(INPUTS)
    posted = await adapter.post_result(call, result_payload(call))
    nonce = await chain.rpc.request("eth_getTransactionCount", adapter.operator, "latest")
    assert await adapter.post_result(call, result_payload(call)) == posted
    async with await chain.adapter() as restarted:
        assert await restarted.post_result(call, result_payload(call, b"other\n")) == posted
    assert await chain.rpc.request("eth_getTransactionCount", adapter.operator, "latest") == nonce


async def test_results_at_once_each_get_their_nonce(chain, adapter: EvmAdapter) -> None:
    calls = [await chain.submit(INPUTS) for _ in range(8)]
    posted = await asyncio.gather(*(adapter.post_result(call, result_payload(call)) for call in calls))
    assert len({result.transaction_hash for result in posted}) == 8
    assert {await adapter.standing(call) for call in calls} == {CallStanding.ANSWERED}


@pytest.mark.parametrize("job_index", [0, JobKind.MERGE_BRANCHES, JobKind.STOP_INSTANCE])
async def test_a_result_must_fit_the_schema(job_index, chain, adapter: EvmAdapter) -> None:
    inputs = {0: INPUTS, JobKind.MERGE_BRANCHES: MERGE, JobKind.STOP_INSTANCE: b"\0" + bytes(8)}[job_index]
    call = await chain.submit(inputs, job_index=job_index)
    with pytest.raises(ResultRefused) as caught:
        await adapter.post_result(call, b"not a result")
    assert caught.value.details["reason"] == "SchemaValidationFailed"
    assert await adapter.standing(call) is CallStanding.OPEN
    await adapter.post_result(call, result_payload(call))
    assert await adapter.standing(call) is CallStanding.ANSWERED


async def test_the_protocol_takes_one_result(chain, adapter: EvmAdapter) -> None:
    call = await chain.submit(INPUTS)
    await adapter.post_result(call, result_payload(call))
    operator = chain.operator()
    again = protocol.submit_result(call.service_id, call.call_id, result_payload(call))
    with pytest.raises(Reverted, match=r"JobAlreadyCompleted|ResultAlreadySubmitted"):
        await chain.send(again, account=operator)


async def test_someone_else_may_not_answer(chain) -> None:
    call = await chain.submit(INPUTS)
    async with await chain.adapter(chain.account()) as stranger:
        assert await stranger.standing(call) is CallStanding.CLOSED
        with pytest.raises(ResultRefused) as caught:
            await stranger.post_result(call, result_payload(call))
        assert caught.value.details["reason"] == "OperatorNotInService"


async def test_a_call_completed_by_another(chain, adapter: EvmAdapter) -> None:
    call = await chain.submit(INPUTS)
    await adapter.post_result(call, result_payload(call))
    async with await chain.adapter(chain.account()) as other:
        assert await other.standing(call) is CallStanding.COMPLETED
        with pytest.raises(ResultRefused):
            await other.post_result(call, result_payload(call))


async def test_calls_that_are_not_there(chain, adapter: EvmAdapter) -> None:
    call = await chain.submit(INPUTS)
    unknown = replace(call, call_id=10**6)
    assert await adapter.standing(unknown) is CallStanding.CLOSED
    with pytest.raises(ResultRefused):
        await adapter.post_result(unknown, result_payload(call))
    with pytest.raises(FatalError):
        await adapter.standing(replace(call, chain_id=1))


async def test_a_terminated_service_is_closed(fresh_chain) -> None:
    call = await fresh_chain.submit(INPUTS)
    await fresh_chain.send(protocol.TERMINATE_SERVICE.encode(call.service_id))
    async with await fresh_chain.adapter() as adapter:
        assert await adapter.standing(call) is CallStanding.CLOSED


async def test_an_expired_service_is_closed(fresh_chain) -> None:
    """Tangle still calls it active, and of this version takes its results; its time is over all the same."""
    deployment, hour = fresh_chain.deployment, 3600
    account = fresh_chain.operator()
    request = protocol.request_service(
        deployment.blueprint_id, (deployment.operator,), (deployment.customer,), ttl=hour
    )
    requested = await fresh_chain.send(request)
    log = next(log for log in requested.logs if protocol.SERVICE_REQUESTED.matches(log))
    epoch = await probe_epoch(fresh_chain.rpc, deployment.tangle)
    sender = fresh_chain.sender(account)
    registration = Registration(fresh_chain.rpc, sender, epoch, deployment.tangle, deployment.staking)
    approved = await registration.approve(protocol.decode_service_requested(log).request_id)
    log = next(log for log in approved.logs if protocol.SERVICE_ACTIVATED.matches(log))
    service_id = protocol.decode_service_activated(log).service_id
    submitted = await fresh_chain.send(protocol.submit_job(service_id, 0, INPUTS), deployment.event_rate_wei)
    log = next(log for log in submitted.logs if protocol.JOB_SUBMITTED.matches(log))
    call_id = protocol.decode_job_submitted(log).call_id
    call = CallReference(deployment.chain_id, deployment.tangle, service_id, call_id)
    async with await fresh_chain.adapter() as adapter:
        assert await adapter.standing(call) is CallStanding.OPEN
        await fresh_chain.rpc.request("evm_increaseTime", hour + 1)
        await fresh_chain.rpc.request("evm_mine")
        assert await adapter.standing(call) is CallStanding.CLOSED


async def test_jobs_of_other_blueprints_are_not_ours(chain) -> None:
    """Service 0 is the recorded deployment's own, with account 0 as its permitted caller."""
    owner = chain.account(chain.deployment.owner_key)
    receipt = await chain.send(protocol.submit_job(0, 0, b"anything"), account=owner)
    assert any(protocol.JOB_SUBMITTED.matches(log) for log in receipt.logs)
    async with await chain.adapter() as adapter:
        number = receipt.block.number
        assert await adapter.submitted_jobs(number, number) == []


async def test_the_operator_is_paid(fresh_chain) -> None:
    deployment = fresh_chain.deployment
    pending = rewards.pending_rewards_in(deployment.operator, ZERO_ADDRESS)
    call = await fresh_chain.submit(INPUTS)
    async with await fresh_chain.adapter() as adapter:
        await adapter.post_result(call, result_payload(call))
    earned = await fresh_chain.rpc.read(deployment.tangle, pending)
    assert earned >= deployment.event_rate_wei * 40 // 100


async def only_pending(chain, but: str = "") -> dict[str, str]:
    """The account's one transaction that waits: replaced ones are not queued behind it. Not the one with
    the hash `but`, which a node may also drop when it is too cheap."""
    async with asyncio.timeout(60):
        while True:
            pool = (await chain.rpc.request("txpool_content"))["pending"]
            waiting = [transaction for of_one in pool.values() for transaction in of_one.values()]
            assert len(waiting) <= 1
            if waiting and waiting[0]["hash"] != but:
                return waiting[0]
            await asyncio.sleep(0.05)


@asynccontextmanager
async def posting_while_nothing_is_mined(chain) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Yields what checks that the result is posted in the end."""
    call = await chain.submit(INPUTS)
    place = (chain.deployment.rpc_url, chain.deployment.tangle, chain.deployment.blueprint_id)
    async with await EvmAdapter.connect(*place, chain.operator(), patience=2) as adapter:
        await chain.rpc.request("evm_setAutomine", False)
        posting = asyncio.create_task(adapter.post_result(call, result_payload(call)))

        async def posted() -> None:
            assert await adapter.posted_result(call, 0) == await posting

        yield posted


async def test_a_stuck_transaction_is_replaced(fresh_chain) -> None:
    async with posting_while_nothing_is_mined(fresh_chain) as posted:
        await only_pending(fresh_chain, but=(await only_pending(fresh_chain))["hash"])
        await fresh_chain.rpc.request("evm_setAutomine", True)
        await fresh_chain.rpc.request("evm_mine")
        await posted()


async def test_a_transaction_follows_the_fees_when_they_leap(fresh_chain) -> None:
    async with posting_while_nothing_is_mined(fresh_chain) as posted:
        first = await only_pending(fresh_chain)
        leapt = int(first["maxFeePerGas"], 16) * 20
        await fresh_chain.rpc.request("anvil_setNextBlockBaseFeePerGas", hex(leapt))
        await fresh_chain.rpc.request("evm_mine")
        assert (await fresh_chain.rpc.head()).base_fee == leapt
        second = await only_pending(fresh_chain, but=first["hash"])  # the usual step would not do
        assert int(second["maxFeePerGas"], 16) > leapt
        assert second["nonce"] == first["nonce"]
        await fresh_chain.rpc.request("evm_mine")
        await posted()


async def test_a_transaction_that_the_nodes_have_dropped_is_sent_again(fresh_chain) -> None:
    async with posting_while_nothing_is_mined(fresh_chain) as posted:
        first = await only_pending(fresh_chain)
        await fresh_chain.rpc.request("anvil_dropTransaction", first["hash"])
        second = await only_pending(fresh_chain, but=first["hash"])
        assert second["nonce"] == first["nonce"]
        await fresh_chain.rpc.request("evm_mine")
        await posted()


async def test_a_gap_of_nonces_is_closed(fresh_chain) -> None:
    """Of three results that wait for a block the first is dropped: the others could never be included."""
    calls = [await fresh_chain.submit(INPUTS) for _ in range(3)]
    deployment, rpc = fresh_chain.deployment, fresh_chain.rpc
    place = (deployment.rpc_url, deployment.tangle, deployment.blueprint_id)
    before = int(await rpc.request("eth_getTransactionCount", deployment.operator, "latest"), 16)
    async with await EvmAdapter.connect(*place, fresh_chain.operator(), patience=2) as adapter:
        await rpc.request("evm_setAutomine", False)
        posting = [asyncio.create_task(adapter.post_result(call, result_payload(call))) for call in calls]
        async with asyncio.timeout(60):
            while len(waiting := await waiting_transactions(fresh_chain)) < 3:
                await asyncio.sleep(0.02)
        nonces = sorted(int(transaction["nonce"], 16) for transaction in waiting)
        assert nonces == list(range(before, before + 3))
        first = next(item for item in waiting if int(item["nonce"], 16) == before)
        await rpc.request("anvil_dropTransaction", first["hash"])
        async with asyncio.timeout(60):
            while not all(task.done() for task in posting):
                await rpc.request("evm_mine")
                await asyncio.sleep(0.1)
        for call, task in zip(calls, posting, strict=True):
            assert await adapter.posted_result(call, 0) == task.result()
    after = int(await rpc.request("eth_getTransactionCount", deployment.operator, "latest"), 16)
    assert after == before + 3


async def waiting_transactions(chain) -> list[dict[str, str]]:
    """All that are in the pool, also those behind a gap."""
    pool = await chain.rpc.request("txpool_content")
    groups = (*pool["pending"].values(), *pool["queued"].values())
    return [transaction for of_one in groups for transaction in of_one.values()]


async def test_a_transaction_that_is_never_included(fresh_chain) -> None:
    call = await fresh_chain.submit(INPUTS)
    deployment = fresh_chain.deployment
    operator = fresh_chain.operator()
    connect = EvmAdapter.connect(
        deployment.rpc_url, deployment.tangle, deployment.blueprint_id, operator, patience=0.1
    )
    async with await connect as adapter:
        await fresh_chain.rpc.request("evm_setAutomine", False)
        with pytest.raises(ChainUnavailable):
            await adapter.post_result(call, result_payload(call))
        with pytest.raises(ChainUnavailable, match="pending"):
            await adapter.post_result(call, result_payload(call))
        await fresh_chain.rpc.request("evm_setAutomine", True)
        await fresh_chain.rpc.request("evm_mine")
        posted = await adapter.post_result(call, result_payload(call))
        assert await adapter.posted_result(call, 0) == posted


async def test_the_wrong_chain_is_fatal(chain) -> None:
    deployment = chain.deployment
    account = Account.create()
    with pytest.raises(FatalError, match="serves chain"):
        await EvmAdapter.connect(
            deployment.rpc_url, deployment.tangle, deployment.blueprint_id, account, chain_id=1
        )


async def test_an_outage_is_unavailable_and_passes(faas_home: Path) -> None:
    devnet = Devnet(faas_home)
    deployment = await devnet.start()
    port = int(deployment.rpc_url.rsplit(":", 1)[1])
    operator = keystore.load(Path(deployment.operator_keystore), deployment.operator_password)
    connect = EvmAdapter.connect(
        deployment.rpc_url, deployment.tangle, deployment.blueprint_id, operator, attempts=2
    )
    try:
        async with await connect as adapter:
            before = await adapter.head()
            assert devnet.anvil is not None
            call = CallReference(deployment.chain_id, deployment.tangle, deployment.service_id, 0)
            posting = asyncio.create_task(adapter.post_result(call, b""))
            await asyncio.sleep(0)
            devnet.stop()
            with pytest.raises(ChainUnavailable):
                await posting
            with pytest.raises(ChainUnavailable):
                await adapter.standing(call)
            devnet = Devnet(faas_home, port=port)
            await devnet.start()
            assert await adapter.head() == before
    finally:
        devnet.stop()


async def test_the_owner_registers_snapshots(chain) -> None:
    deployment = chain.deployment
    profile, measurement = keccak256(b"profile"), keccak256(b"measurement")
    owner = chain.account(deployment.owner_key)
    for call in (
        service_manager.register_profile(profile),
        service_manager.register_snapshot(measurement, profile),
    ):
        await chain.send(call, account=owner, to=deployment.manager)
    assert await chain.rpc.read(deployment.manager, service_manager.is_profile(profile))
    assert await chain.rpc.read(deployment.manager, service_manager.is_snapshot(measurement))
    assert not await chain.rpc.read(deployment.manager, service_manager.is_snapshot(profile))


async def test_no_hook_of_our_manager_fails(chain, adapter: EvmAdapter) -> None:
    """Tangle swallows such failures and only logs them: from the blueprint's creation to a paid result."""
    call = await chain.submit(INPUTS)
    await adapter.post_result(call, result_payload(call))
    head = (await adapter.head()).number
    manager = bytes(12) + bytes.fromhex(chain.deployment.manager[2:])
    failed = Event("ManagerHookFailed", ("address", "bytes4", "bytes"), (0, 1))
    assert failed.topic.hex().startswith("212b3bea")
    assert await chain.rpc.logs(chain.deployment.tangle, (failed.topic, manager), 0, head) == []
    assert await chain.rpc.logs(chain.deployment.manager, (service_manager.RESULT_RECORDED.topic,), 0, head)
