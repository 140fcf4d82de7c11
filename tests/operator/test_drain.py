"""What a node that is told to stop finishes, and what it leaves."""

from __future__ import annotations

import asyncio

import pytest

from faas_operator.pipeline import State


async def test_what_is_on_a_machine_is_finished_and_the_rest_is_left(node):
    node.set(parallel_jobs=1)
    node.engine.open.clear()
    calls = {code: node.submit(n, code) for n, code in enumerate(("one", "two"))}
    operator = node.operator()
    task = asyncio.create_task(operator.run())
    await node.engine.is_running(1)
    first = calls.pop(node.engine.runs[0].code)
    [second] = calls.values()
    operator.stop()
    late = node.submit(2)
    await asyncio.sleep(0.05)
    assert operator.stopping
    assert not task.done()
    node.engine.open.set()
    async with asyncio.timeout(60):
        await task
    assert node.state(first) is State.POSTED
    assert node.state(second) in (State.CONFIRMED, State.ACCEPTED)
    assert node.state(late) is None
    assert len(node.engine.runs) == 1
    await node.live_until_states(dict.fromkeys((first, second, late), State.FINAL))


async def test_what_does_not_end_in_time_is_put_back(node):
    node.set(drain_seconds=0.05)
    node.engine.open.clear()
    call = node.submit(0)
    operator = node.operator()
    task = asyncio.create_task(operator.run())
    await node.engine.is_running(1)
    operator.stop()
    async with asyncio.timeout(60):
        await task
    record = node.store.job_of_call(call)
    assert (record.state, record.attempts) == (State.ACCEPTED, 0)


async def is_soon_over(task: asyncio.Task[None]) -> None:
    """Without waiting for what `drain_seconds` would give it."""
    await asyncio.wait({task}, timeout=30)
    assert task.done()


async def test_a_second_word_ends_it_at_once(node):
    node.set(drain_seconds=60)
    node.engine.open.clear()
    call = node.submit(0)
    operator = node.operator()
    task = asyncio.create_task(operator.run())
    await node.engine.is_running(1)
    operator.stop()
    await asyncio.sleep(0.02)
    task.cancel()
    await is_soon_over(task)
    assert node.state(call) is State.ACCEPTED


async def test_a_second_word_amid_a_look_at_the_chain_ends_it_at_once(node, monkeypatch):
    node.set(drain_seconds=60, poll_seconds=0.01)
    node.engine.open.clear()
    call = node.submit(0)
    operator = node.operator()
    task = asyncio.create_task(operator.run())
    await node.engine.is_running(1)
    looking = asyncio.Event()

    async def look_without_end():
        looking.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(operator, "_look", look_without_end)
    async with asyncio.timeout(30):
        await looking.wait()
    operator.stop()
    task.cancel()
    await is_soon_over(task)
    assert node.state(call) is State.ACCEPTED


async def test_an_idle_node_stops_without_waiting_for_its_next_look(node):
    node.set(poll_seconds=60)
    operator = node.operator()
    task = asyncio.create_task(operator.run())
    while not operator.follows:
        await asyncio.sleep(0.001)
    operator.stop()
    async with asyncio.timeout(60):
        await task


async def test_a_fault_while_stopping_is_not_lost(node, caplog):
    """A bug in a job's step ends the drain all the same: raised where it came first, else logged."""
    node.engine.open.clear()
    node.submit(0)
    operator = node.operator()
    task = asyncio.create_task(operator.run())
    await node.engine.is_running(1)
    node.engine.failures.append(RuntimeError("a bug"))
    operator.stop()
    node.engine.open.set()
    async with asyncio.timeout(60):
        [ended] = await asyncio.gather(task, return_exceptions=True)
    assert "a bug" in f"{ended} {caplog.text}"


@pytest.mark.parametrize("seconds", [0.0, 60.0])
async def test_following(node, monkeypatch, seconds):
    operator = node.operator()
    assert not operator.follows
    assert operator.seconds_since_look() is None
    task = asyncio.create_task(operator.run())
    while not operator.follows:
        await asyncio.sleep(0.001)
    monkeypatch.setattr("faas_operator.service.FOLLOWED_SECONDS", seconds)
    node.chain.unavailable = 1_000_000
    await asyncio.sleep(0.1)
    assert operator.follows == (seconds > 0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
