"""The operator against a chain and an engine that misbehave: no job is lost, none is answered twice."""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faas_blueprint.digests import keccak256
from faas_blueprint.errors import (
    InsufficientResources,
    InvalidRequest,
    MachineFailure,
    MissingPrerequisite,
    NotFound,
)
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.outcome import Status, decode_manifest
from faas_blueprint.receipt import Address, recover_signer
from faas_blueprint.result import decode_result
from faas_operator.chain.interface import CallStanding
from faas_operator.pipeline import Event, State
from faas_operator.service import JOBS_IN_LINE


def checked_result(node, call):
    """The decoded result on the chain; its signature must be the node's over the very call."""
    result = decode_result(node.chain.results()[call])
    assert recover_signer(result.receipt(call, node.signer.address), result.signature) == node.signer.address
    return result


async def test_jobs_are_answered_with_signed_results(node):
    calls = [node.submit(n, f"job {n}") for n in range(5)]
    await node.live_until_states(dict.fromkeys(calls, State.FINAL))
    for n, call in enumerate(calls):
        assert checked_result(node, call).output.stdout == b"job %d" % n
    assert node.chain.attempted_posts == len(node.engine.runs) == 5


async def test_large_output_is_posted_by_hash_and_kept(node):
    call = node.submit(0, "x" * 5000)
    await node.live_until_states({call: State.FINAL})
    result = checked_result(node, call)
    assert result.output is None
    assert node.store.blobs.read(result.outcome.stdout.sha256) == b"x" * 5000


async def test_output_files_are_posted_by_hash_and_kept(node):
    files = {"a/b": b"one", "c": b"x" * 5000}
    call = node.submit(0, files=files)
    await node.live_until_states({call: State.FINAL})
    result = checked_result(node, call)
    assert (result.outcome.files.count, result.outcome.files.size) == (2, 5003)
    listed = decode_manifest(node.store.blobs.read(result.outcome.files.sha256))
    assert {line.path: node.store.blobs.read(line.sha256) for line in listed} == files


async def test_a_compiled_jobs_receipt_names_the_toolchain(node):
    calls = [node.submit(n, language=language) for n, language in enumerate(("rust", "python"))]
    await node.live_until_states(dict.fromkeys(calls, State.FINAL))
    toolchains = [checked_result(node, call).toolchain for call in calls]
    assert toolchains == [node.engine.toolchain, bytes(32)]


async def test_the_logs_may_say_everything_twice(node):
    node.chain.says_jobs_twice = True
    call = node.submit(0)
    await node.live_until_states({call: State.FINAL})
    assert node.chain.attempted_posts == len(node.engine.runs) == 1


async def test_ranges_are_read_in_pieces(node):
    node.set(scan_blocks=3)
    calls = [node.submit(n) for n in range(20)]
    await node.live_until_states(dict.fromkeys(calls, State.FINAL))


async def test_an_undecodable_job_gets_an_error_result(node):
    call = node.chain.submit(0, b"not a job").call
    await node.live_until_states({call: State.FINAL})
    result = checked_result(node, call)
    assert result.outcome.status is Status.FAILED
    assert result.output.stderr.startswith(b"INVALID_REQUEST: ")
    assert node.engine.runs == []


async def test_a_job_that_the_engine_refuses_gets_an_error_result(node):
    node.engine.failures = [InvalidRequest("no such thing")]
    call = node.submit(0)
    await node.live_until_states({call: State.FINAL})
    assert checked_result(node, call).output.stderr == b"INVALID_REQUEST: no such thing\n"


async def test_another_job_index_is_left_alone_and_said_so(node, caplog):
    def said_so() -> bool:
        return any(
            record.message == "job abandoned" and record.faas_fields["call"] == 0 for record in caplog.records
        )

    with caplog.at_level(logging.INFO):
        call = node.chain.submit(0, b"", job_index=12).call
        await node.live_until(said_so)
    assert node.state(call) is State.ABANDONED
    assert node.store.job_of_call(call).error == "job index 12 is not served"
    assert node.chain.attempted_posts == 0


async def test_a_job_bought_from_others_is_left_alone(node):
    inputs = encode_job(make_job("python", "x"))
    theirs = node.chain.submit(0, inputs, quoted=(Address("0x" + "11" * 20),)).call
    ours = node.chain.submit(1, inputs, quoted=(node.signer.address,)).call
    await node.live_until_states({theirs: State.ABANDONED, ours: State.FINAL})


@pytest.mark.parametrize("standing", [CallStanding.COMPLETED, CallStanding.CLOSED])
async def test_a_call_that_is_over_is_not_run(node, standing):
    node.chain.closed = standing
    call = node.submit(0)
    await node.live_until_states({call: State.ABANDONED})
    assert node.engine.runs == []


async def test_a_call_that_ends_during_the_run_is_abandoned(node):
    node.engine.open.clear()
    call = node.submit(0)

    async def close_while_running():
        await node.engine.is_running(1)
        node.chain.closed = CallStanding.COMPLETED
        node.engine.open.set()

    await node.live_until(lambda: node.state(call) is State.ABANDONED, close_while_running())
    assert node.chain.attempted_posts == 0


async def test_lost_machines_are_replaced(node):
    node.engine.failures = [MachineFailure("died")] * 4
    call = node.submit(0)
    await node.live_until_states({call: State.FINAL})
    assert checked_result(node, call).outcome.status is Status.EXITED
    assert len(node.engine.runs) == 5
    assert node.store.job_of_call(call).attempts == 4


async def test_a_host_that_can_start_no_machine_waits_and_blames_no_job(node):
    node.engine.failures = [InsufficientResources("full")] * 7
    call = node.submit(0)
    await node.live_until_states({call: State.FINAL})
    assert checked_result(node, call).outcome.status is Status.EXITED
    assert len(node.engine.runs) == 8
    assert node.store.job_of_call(call).attempts == 0


async def test_a_job_that_loses_every_machine_gets_an_error_result(node):
    node.engine.failures = [MachineFailure("/secret/path died")] * 5
    call = node.submit(0)
    await node.live_until_states({call: State.FINAL})
    result = checked_result(node, call)
    assert result.outcome.status is Status.FAILED
    assert result.output.stderr == b"INTERNAL_ERROR: no machine could run this job in 5 attempts\n"


async def test_a_fatal_error_stops_the_node_and_loses_nothing(node):
    node.engine.failures = [MissingPrerequisite("no image")]
    call = node.submit(0)
    with pytest.raises(MissingPrerequisite):
        async with asyncio.timeout(60):
            await node.operator().run()
    await node.live_until_states({call: State.FINAL})


async def test_the_chain_may_be_away_for_long(node):
    call = node.submit(0)
    node.chain.unavailable = 40
    await node.live_until_states({call: State.FINAL})
    assert node.chain.attempted_posts == 1


async def test_a_transaction_that_was_included_unnoticed_is_not_sent_again(node):
    node.chain.post_late = 1
    call = node.submit(0)
    await node.live_until_states({call: State.FINAL})
    assert node.chain.attempted_posts == 1


async def test_a_lost_transaction_is_sent_again_with_the_same_payload(node):
    node.chain.post_never = 3
    call = node.submit(0)
    await node.live_until_states({call: State.FINAL})
    assert node.chain.attempted_posts == 4
    assert node.chain.results()[call] == node.store.job_of_call(call).signed.payload
    assert len(node.engine.runs) == 1


async def test_our_own_earlier_transaction_in_the_way_is_no_refusal(node):
    """Between asking for the standing and posting, an earlier transaction of ours got in."""
    call = node.submit(0)
    standing = node.chain.standing

    async def late_standing(which):
        answer = await standing(which)
        record = node.store.job_of_call(call)
        if record.state is State.POSTING and not node.chain.results():
            await node.chain.post_result(call, record.signed.payload)
        return answer

    node.chain.standing = late_standing
    await node.live_until_states({call: State.FINAL})
    assert node.chain.attempted_posts == 2
    assert list(node.chain.results()) == [call]


async def test_confirmations_are_waited_for(node):
    node.set(confirmations=3)
    call = node.submit(0)
    await node.live_until_states({call: State.SEEN})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await node.live_until_states({call: State.CONFIRMED})
    assert node.state(call) is State.SEEN
    node.chain.mine(), node.chain.mine()
    await node.live_until_states({call: State.POSTED})
    node.chain.mine(), node.chain.mine()
    await node.live_until_states({call: State.FINAL})


async def test_a_job_whose_block_vanishes_before_confirmation_is_dropped(node):
    node.set(confirmations=3)
    gone = node.submit(0)
    await node.live_until(lambda: node.state(gone) is State.SEEN)
    node.chain.reorganise(1)
    await node.live_until_states({gone: State.DROPPED})
    node.chain.mine(), node.chain.mine(), node.chain.mine()
    other = node.submit(0, "other")  # the same call id, with another job in it
    assert other == gone
    node.chain.mine(), node.chain.mine()
    await node.live_until_states({other: State.POSTED})
    assert checked_result(node, other).output.stdout == b"other"
    assert len(node.engine.runs) == 1


async def test_a_job_that_moves_to_another_block_is_answered_once(node):
    node.set(confirmations=3)
    call = node.submit(0)
    await node.live_until(lambda: node.state(call) is State.SEEN)
    node.chain.reorganise(1, keep_jobs=True)
    node.chain.mine(), node.chain.mine()
    await node.live_until_states({call: State.POSTED})
    assert len(node.engine.runs) == node.chain.attempted_posts == 1


async def test_a_result_that_is_reorganised_away_is_posted_again_as_it_is(node):
    node.set(confirmations=3)
    call = node.submit(0)
    node.chain.mine(), node.chain.mine()
    await node.live_until_states({call: State.POSTED})
    payload = node.chain.results()[call]
    node.chain.reorganise(1)
    assert call not in node.chain.results()
    await node.live_until(lambda: node.chain.results().get(call) == payload)
    node.chain.mine(), node.chain.mine(), node.chain.mine()
    await node.live_until_states({call: State.FINAL})
    assert len(node.engine.runs) == 1


async def test_jobs_of_a_deep_reorganisation_are_found_and_answered_again(node):
    call = node.submit(0)
    await node.live_until_states({call: State.FINAL})
    node.chain.reorganise(2, keep_jobs=True)
    new = node.submit(1)
    await node.live_until_states({call: State.FINAL, new: State.FINAL})
    assert set(node.chain.results()) == {call, new}


async def test_a_result_is_not_posted_to_another_chains_call(node):
    """The chain is started afresh while a result waits to be posted; the new call has the same number."""
    node.chain.post_never = 1
    node.set(retry_seconds=0.2, retry_seconds_at_most=0.2)
    call = node.submit(0, "old")

    async def start_afresh_between_posts():
        while not node.chain.attempted_posts:
            await asyncio.sleep(0.002)
        node.chain.start_afresh()
        node.submit(0, "new")

    await node.live_until(lambda: node.state(call) is State.FINAL, start_afresh_between_posts())
    assert checked_result(node, call).output.stdout == b"new"


async def test_a_call_that_vanishes_for_good_is_dropped(node):
    node.chain.post_never = 1
    call = node.submit(0)

    async def vanish():
        while not node.chain.attempted_posts:
            await asyncio.sleep(0)
        node.chain.reorganise(1)

    await node.live_until(lambda: node.state(call) is State.DROPPED, vanish())


async def test_a_shorter_chain_is_read_again(node):
    """A local chain that was started afresh."""
    for n in range(12):
        node.submit(n)
    last = node.submit(12)
    await node.live_until_states({last: State.FINAL})
    node.chain.start_afresh()
    again = node.submit(0, "after")
    await node.live_until(lambda: again in node.chain.results())
    assert checked_result(node, again).output.stdout == b"after"


async def test_a_node_that_forgot_everything_answers_nothing_twice(node, new_database):
    """An empty store over a chain that holds this operator's results already."""
    call = node.submit(0)
    await node.live_until_states({call: State.FINAL})
    posts = node.chain.attempted_posts
    node.store.close()
    node.store = type(node.store).open(new_database("new"))
    await node.live_until_states({call: State.FINAL})
    assert node.chain.attempted_posts == posts
    assert node.store.job_of_call(call).signed is not None


async def test_no_more_jobs_run_at_once_than_allowed(node):
    node.set(parallel_jobs=3)
    node.engine.open.clear()
    calls = [node.submit(n) for n in range(12)]

    async def let_go_when_full():
        await node.engine.is_running(3)
        await asyncio.sleep(0.05)
        node.engine.open.set()

    final = dict.fromkeys(calls, State.FINAL)
    await node.live_until(lambda: all(node.state(c) is s for c, s in final.items()), let_go_when_full())
    assert node.engine.most_at_once == 3


async def test_a_clean_stop_puts_running_jobs_back(node):
    node.engine.open.clear()
    call = node.submit(0)
    await node.live_until(lambda: node.engine.at_once == 1)
    record = node.store.job_of_call(call)
    assert (record.state, record.attempts) == (State.ACCEPTED, 0)
    node.engine.open.set()
    await node.live_until_states({call: State.FINAL})


async def test_a_clean_stop_posts_what_is_signed(node):
    """The stop comes while the post is under way."""
    call = node.submit(0)
    posting, go_on, post = asyncio.Event(), asyncio.Event(), node.chain.post_result

    async def slow_post(which, payload):
        posting.set()
        await go_on.wait()
        return await post(which, payload)

    node.chain.post_result = slow_post
    task = asyncio.create_task(node.operator().run())
    await posting.wait()
    task.cancel()
    await asyncio.sleep(0.02)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert node.state(call) is State.POSTED


async def test_a_stop_does_not_wait_for_ever(node):
    node.set(drain_seconds=0.05)
    call = node.submit(0)
    posting = asyncio.Event()

    async def endless_post(which, payload):
        posting.set()
        await asyncio.Event().wait()

    node.chain.post_result = endless_post
    task = asyncio.create_task(node.operator().run())
    await posting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(60):
            await task
    assert node.state(call) is State.POSTING


async def test_a_job_found_running_at_a_start_has_lost_a_machine(node):
    call = node.submit(0)
    head = await node.chain.head()
    [record] = node.store.record_blocks("test", await node.chain.submitted_jobs(0, head.number), head)
    for event in (Event.CONFIRM, Event.ACCEPT, Event.START):
        record = node.store.apply(record, event)
    await node.live_until_states({call: State.FINAL})
    assert node.store.job_of_call(call).attempts == 1


fault = st.sampled_from(
    ["submit", "away", "lost", "late", "machine", "reorganise", "reorganise away", "mine", "restart"]
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(fault, min_size=1, max_size=25))
async def test_whatever_happens_every_call_on_the_chain_is_answered_once(
    tmp_path_factory, new_database, node, faults
):
    folder = tmp_path_factory.mktemp("node")
    fresh = type(node)(folder, new_database(folder.name))
    with closing(fresh.store):
        await suffer(fresh, faults)


async def suffer(node, faults):
    """Faults in a row, then quiet; in the end the chain holds one right result for each of its calls."""
    task = asyncio.create_task(node.operator().run())
    for n, what in enumerate(faults):
        match what:
            case "submit":
                node.submit(n, f"job {n}")
            case "away":
                node.chain.unavailable += 5
            case "lost":
                node.chain.post_never += 1
            case "late":
                node.chain.post_late += 1
            case "machine":
                node.engine.failures.append(MachineFailure("died"))
            case "reorganise":
                node.chain.reorganise(1, keep_jobs=True)
            case "reorganise away":
                node.chain.reorganise(1)
            case "mine":
                node.chain.mine()
            case "restart":
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                task = asyncio.create_task(node.operator().run())
        await asyncio.sleep(0.003)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    calls = {job.call: job for _, jobs, _ in node.chain._blocks for job in jobs}
    await node.live_until(lambda: set(calls) <= set(node.chain.results()))
    posted = [call for _, _, results in node.chain._blocks for call in results]
    assert len(posted) == len(set(posted))
    for call, job in calls.items():
        result = checked_result(node, call)
        assert result.job_digest == keccak256(job.inputs)


async def test_a_snapshot_that_an_earlier_call_is_making_is_waited_for(node):
    """The engine's double finds nothing until the first call has run."""
    node.set(parallel_jobs=2)
    first = node.submit(0, "makes it")
    node.engine.open.clear()
    perform, made = node.engine.perform, []

    async def misses(operation, contents, keeper=None):
        if operation.program.job.code == "needs it" and not node.store.job_of_call(first).executed:
            made.append("missed")
            raise NotFound("there is no snapshot here")
        return await perform(operation, contents, keeper)

    node.engine.perform = misses
    second = node.submit(1, "needs it")

    async def release():
        while not made:
            await asyncio.sleep(0.002)
        node.engine.open.set()

    states = {first: State.FINAL, second: State.FINAL}
    await node.live_until(lambda: all(node.state(call) is state for call, state in states.items()), release())
    assert checked_result(node, second).output.stdout == b"needs it"
    assert made, "it was missed at first"


async def test_a_snapshot_that_is_made_while_it_is_looked_for_is_found(node):
    """The earlier call ends between the engine's look and the question whether there is one."""
    node.set(parallel_jobs=2)
    first = node.submit(0, "makes it")
    node.engine.open.clear()
    second = node.submit(1, "needs it")
    perform, missed = node.engine.perform, []

    async def misses(operation, contents, keeper=None):
        if operation.program.job.code == "needs it" and not missed:
            missed.append(True)
            node.engine.open.set()
            while not node.store.job_of_call(first).executed:
                await asyncio.sleep(0.002)
            raise NotFound("there is no snapshot here")
        return await perform(operation, contents, keeper)

    node.engine.perform = misses
    await node.live_until_states({first: State.FINAL, second: State.FINAL})
    assert checked_result(node, second).output.stdout == b"needs it"
    assert missed == [True]


@pytest.mark.slow
async def test_what_is_awaited_is_run_though_it_pays_less_than_all_that_wait_for_it(node):
    """More jobs than the node takes in hand start on what the first one makes, and pay more than it."""
    first = node.submit(0, "makes it", price=1)
    calls = [node.submit(number, "needs it", price=2) for number in range(1, 2 * JOBS_IN_LINE)]
    perform = node.engine.perform

    async def misses(operation, contents, keeper=None):
        if operation.program.job.code == "needs it" and not node.store.job_of_call(first).executed:
            raise NotFound("there is no snapshot here")
        return await perform(operation, contents, keeper)

    node.engine.perform = misses
    await node.live_until_states(dict.fromkeys([first, *calls], State.FINAL))
    assert {checked_result(node, call).output.stdout for call in calls} == {b"needs it"}
    assert any(node.store.job_of_call(call).waits for call in calls), "they came before it"


async def test_a_snapshot_that_nobody_makes_gets_an_error_result(node):
    node.engine.failures = [NotFound("there is no snapshot here")] * 2  # each time that it is looked for
    call = node.submit(0)
    await node.live_until_states({call: State.FINAL})
    assert checked_result(node, call).output.stderr == b"NOT_FOUND: there is no snapshot here\n"
