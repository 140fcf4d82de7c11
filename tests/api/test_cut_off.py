"""Work that is given up when its caller goes away."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request

from faas_api.cut_off import while_connected


@pytest.fixture
def caller():
    """A request whose body was read, and the event of its caller's leaving."""
    left = asyncio.Event()

    async def receive():
        await left.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive), left


class Work:
    """Goes on until it is told to end."""

    def __init__(self) -> None:
        self.begun, self.ended, self.cancelled = asyncio.Event(), asyncio.Event(), False

    async def run(self) -> str:
        self.begun.set()
        try:
            await self.ended.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            await asyncio.sleep(0)  # it may have something to put away
            raise
        return "done"


async def test_work_that_ends_is_answered_and_nobody_waits_for_the_caller_any_more(caller):
    request, _ = caller
    before = asyncio.all_tasks()
    work = Work()
    work.ended.set()
    assert await while_connected(request, work.run()) == "done"
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_what_work_raises_is_raised(caller):
    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await while_connected(caller[0], fails())


async def test_work_is_cancelled_when_its_caller_leaves(caller):
    request, left = caller
    work = Work()
    answering = asyncio.create_task(while_connected(request, work.run()))
    await work.begun.wait()
    left.set()
    with pytest.raises(ClientDisconnect):
        await answering
    assert work.cancelled
    assert answering.cancelling() == 0


async def test_who_cancels_the_answer_cancels_the_work_and_is_told(caller):
    request, _ = caller
    work = Work()
    answering = asyncio.create_task(while_connected(request, work.run()))
    await work.begun.wait()
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    assert work.cancelled


async def test_one_who_is_cancelled_goes_on_after_a_caller_has_left(caller):
    """The cancelling was ours, and is over."""
    request, left = caller
    work = Work()

    async def answer() -> str:
        try:
            await while_connected(request, work.run())
        except ClientDisconnect:
            await asyncio.sleep(0)
            return "closed"
        return "answered"

    answering = asyncio.create_task(answer())
    await work.begun.wait()
    left.set()
    assert await answering == "closed"
