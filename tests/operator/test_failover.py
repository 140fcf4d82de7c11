"""A chain behind several endpoints, one of which fails at any moment: on real contracts, one result."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web
from tests.operator.test_evm_adapter import result_payload

from faas_blueprint.job import encode_job, make_job
from faas_operator.chain.evm import EvmAdapter
from faas_operator.chain.interface import CallStanding

pytestmark = pytest.mark.chain

INPUTS = encode_job(make_job("python", "print(1)"))


class FailingEndpoint:
    """Passes requests on to a real node; after so many answers it fails for good."""

    def __init__(self, upstream: str, answers: int, passes_on: bool) -> None:
        self._upstream = upstream
        self.answers = answers
        self._passes_on = passes_on
        """Whether the node gets also what is not answered."""
        self.failed = False

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with httpx.AsyncClient() as self._client:
            try:
                yield f"http://127.0.0.1:{runner.addresses[0][1]}"
            finally:
                await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.failed = self.failed or self.answers == 0
        if not self.failed:
            self.answers -= 1
        elif not self._passes_on:
            return web.Response(status=503)
        answer = await self._client.post(
            self._upstream, content=body, headers={"Content-Type": "application/json"}
        )
        return web.Response(status=503) if self.failed else web.Response(body=answer.content)


class WrongOnceEndpoint(FailingEndpoint):
    """Passes requests on to a real node; one answer is something else, though the node did what was asked."""

    def __init__(self, upstream: str, answers: int, nonsense: object) -> None:
        super().__init__(upstream, answers, True)
        self._nonsense = nonsense

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {"Content-Type": "application/json"}
        answer = await self._client.post(self._upstream, content=body, headers=headers)
        self.answers -= 1
        if self.answers == -1:
            self.failed = True
            return web.json_response({"jsonrpc": "2.0", "id": answer.json()["id"], "result": self._nonsense})
        return web.Response(body=answer.content)


@pytest.mark.parametrize("nonsense", ["0xzz", {"number": "0x1"}, [{}], 7], ids=repr)
async def test_an_endpoint_that_answers_nonsense_once(chain, nonsense: object) -> None:
    """Whichever answer it is, with no other endpoint to ask: one result, by one transaction."""
    deployment = chain.deployment
    for answers in itertools.count():
        wrong = WrongOnceEndpoint(deployment.rpc_url, answers, nonsense)
        call = await chain.submit(INPUTS)
        before = await chain.rpc.request("eth_getTransactionCount", deployment.operator, "latest")
        async with (
            wrong.served() as url,
            await EvmAdapter.connect(
                url, deployment.tangle, deployment.blueprint_id, chain.operator(), attempts=2
            ) as adapter,
        ):
            posted = await adapter.post_result(call, result_payload(call))
            assert await adapter.standing(call) is CallStanding.ANSWERED
            assert await adapter.posted_result(call, 0) == posted
        after = await chain.rpc.request("eth_getTransactionCount", deployment.operator, "latest")
        assert int(after, 16) == int(before, 16) + 1
        if not wrong.failed:
            break
    assert answers > 10


@pytest.mark.parametrize("passes_on", [False, True])
async def test_an_endpoint_that_fails_after_any_answer(chain, passes_on: bool) -> None:
    deployment = chain.deployment
    for answers in itertools.count():
        failing = FailingEndpoint(deployment.rpc_url, answers, passes_on)
        call = await chain.submit(INPUTS)
        before = await chain.rpc.request("eth_getTransactionCount", deployment.operator, "latest")
        async with (
            failing.served() as url,
            await EvmAdapter.connect(
                f"{url},{deployment.rpc_url}",
                deployment.tangle,
                deployment.blueprint_id,
                chain.operator(),
                attempts=1,
            ) as adapter,
        ):
            posted = await adapter.post_result(call, result_payload(call))
            assert await adapter.standing(call) is CallStanding.ANSWERED
            assert await adapter.posted_result(call, 0) == posted
        after = await chain.rpc.request("eth_getTransactionCount", deployment.operator, "latest")
        assert int(after, 16) == int(before, 16) + 1
        if not failing.failed:
            break
    assert answers > 10
