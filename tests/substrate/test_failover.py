"""A Substrate chain behind several endpoints, of which one dies, lags, or is of another chain: one result."""

from __future__ import annotations

import asyncio
import itertools
import os
from contextlib import asynccontextmanager
from functools import partial

import pytest
from genesis import BLUEPRINT_ID
from people import OPERATOR
from substrate_double import RpcFailure
from test_adapter import PAYLOAD, call_of, post, submit

from faas_blueprint.errors import ChainUnavailable
from faas_operator.chain.interface import CallStanding
from faas_operator.chain.substrate.adapter import SubstrateAdapter
from faas_operator.chain.substrate.endpoint import Refused
from faas_operator.chain.substrate.key import AccountKey
from faas_operator.chain.substrate.rpc import SubstrateRpc, is_substrate_node
from faas_operator.logs import KeyValueFormatter

pytestmark = pytest.mark.slow


@asynccontextmanager
async def adapter_over(*nodes, **options):
    key = AccountKey.from_seed(OPERATOR.seed, OPERATOR.scheme)
    urls = ",".join(node.websocket_url for node in nodes)
    options = {"attempts": 1, "patience": 60.0, "poll": 0.01} | options
    async with await SubstrateAdapter.connect(
        urls, BLUEPRINT_ID, key, OPERATOR.receipt_key, **options
    ) as adapter:
        yield adapter


def rpc_over(*nodes):
    return SubstrateRpc(" ".join(node.http_url for node in nodes), attempts=2, backoff=0.01)


def operators_nonce(double):
    return double.tree.best.state.get("System", "Account", "0x" + OPERATOR.account.hex())["nonce"]


def told(caplog):
    return "\n".join(KeyValueFormatter().format(record) for record in caplog.records)


def any_answer(first):
    """After how many answers a test's fault comes: of three tests each takes a third, or all if told so."""
    every = os.environ.get("FAAS_TEST_EVERY_ANSWER") == "1"
    return enumerate(itertools.count() if every else itertools.count(first, 3))


@pytest.mark.parametrize("hears", [False, True])
async def test_an_endpoint_that_fails_after_any_answer(double, hears):
    """Also one that hands on what it is given and does not say so: the same bytes are handed to the other."""
    for number, answers in any_answer(int(hears)):
        before = operators_nonce(double)
        included = await submit(double, PAYLOAD)
        call = call_of(double, 40 + number)
        with double.peer() as failing:
            failing.answers_left, failing.hears = answers, hears
            async with adapter_over(failing, double) as adapter:
                posted = await post(double, adapter, call)
                assert await adapter.standing(call) is CallStanding.ANSWERED
                assert await adapter.posted_result(call, included.block.number) == posted
            silent = failing.answers_left == 0
        assert operators_nonce(double) == before + 1
        if not silent:
            break
    assert answers > 10


async def test_an_answer_that_has_not_the_form_of_one_is_an_outage(double):
    """Of whatever method: it ends no node."""
    here = double.tree.best.hash
    with double.peer() as wrong:
        async with SubstrateRpc(wrong.http_url, attempts=1) as rpc:
            for nonsense in ("0xzz", "nonsense", 7, -1, [], [[]], {}, {"number": 7}, {"block": {}}):
                for ask in (
                    rpc.best,
                    rpc.finalised,
                    partial(rpc.block_hash, 1),
                    partial(rpc.extrinsics, here),
                    partial(rpc.storage, b"key", here),
                    partial(rpc.request, "state_getRuntimeVersion"),
                    partial(rpc.request, "state_getMetadata"),
                ):
                    wrong.answers_left, wrong.nonsense = 0, nonsense
                    with pytest.raises(ChainUnavailable, match="has not the form"):
                        await ask()
                wrong.answers_left, wrong.nonsense = 0, nonsense
                if nonsense != 7:
                    with pytest.raises(ChainUnavailable, match="has not the form"):
                        await rpc.request("system_accountNextIndex", "0x" + OPERATOR.account.hex())


async def test_an_endpoint_that_answers_nonsense_once(double):
    """Whichever answer it is, with no other endpoint to ask: one result, by one extrinsic."""
    for number, answers in any_answer(2):
        before = operators_nonce(double)
        included = await submit(double, PAYLOAD)
        call = call_of(double, 40 + number)
        with double.peer() as wrong:
            wrong.answers_left, wrong.nonsense = answers, {"number": 7}
            async with adapter_over(wrong, attempts=2) as adapter:
                posted = await post(double, adapter, call)
                assert await adapter.standing(call) is CallStanding.ANSWERED
                assert await adapter.posted_result(call, included.block.number) == posted
            right = wrong.answers_left is not None
        assert operators_nonce(double) == before + 1
        if right:
            break
    assert answers > 10


async def test_an_endpoint_of_another_chain_is_never_asked(double, other_chain, caplog):
    await submit(double, PAYLOAD)
    call = call_of(double)
    with double.peer() as failing:
        async with adapter_over(failing, other_chain) as adapter:
            head = await adapter.head()
            failing.answers_left = 0
            with pytest.raises(ChainUnavailable):
                await adapter.standing(call)
            assert "its first block is " + other_chain.tree.genesis.hash in told(caplog)
            failing.answers_left = None
            assert await adapter.head() == head
    assert set(other_chain.requests) == {"chain_getBlockHash"}


async def test_an_endpoint_that_lags_is_asked_once_it_has_caught_up(double, monkeypatch, caplog):
    """It would say that nobody has answered, or that there is no such call."""
    with double.peer(lags=True) as lagging, double.peer() as failing:
        await submit(double, PAYLOAD)
        call = call_of(double)
        async with adapter_over(failing, lagging) as adapter:
            head = await adapter.head()
            assert head.number == 2
            failing.answers_left = 0
            with pytest.raises(ChainUnavailable):
                await adapter.submitted_jobs(1, 2)
            assert "it is at block 1, block 2 was read before" in told(caplog)
            lagging.catch_up(double)
            assert len(await adapter.submitted_jobs(1, 2)) == 1
            assert await adapter.standing(call) is CallStanding.OPEN
            assert await adapter.head() == head


async def test_final_blocks_are_not_taken_back(double, monkeypatch):
    """Behind one URL there may be several nodes: an answer that is older than another is not taken."""
    with double.peer(lags=True) as behind:
        double.make_block()
        async with rpc_over(double, double) as rpc:
            assert (await rpc.finalised()).number == 2
            newest, double.tree = double.tree, behind.tree
            with pytest.raises(ChainUnavailable, match="it is at block 1, block 2 was read before"):
                await rpc.finalised()
            monkeypatch.setattr("faas_operator.chain.substrate.rpc.CATCH_UP_SECONDS", 0.0)
            assert (await rpc.finalised()).number == 1, "the chain itself has gone back"
            double.tree = newest


async def test_an_endpoint_that_stands_still_is_left_for_one_that_goes_on(double, monkeypatch, caplog):
    """It answers, and knows nothing new."""
    monkeypatch.setattr("faas_operator.chain.substrate.rpc.STILL_SECONDS", 0.1)
    with double.peer(lags=True) as still, double.peer(lags=True) as as_still:
        async with rpc_over(still, as_still, double) as rpc:
            await rpc.genesis()
            assert (await rpc.finalised()).number == 1
            await asyncio.sleep(0.15)
            assert (await rpc.finalised()).number == 1, "nobody has anything newer"
            double.make_block()
            await asyncio.sleep(0.15)
            assert (await rpc.finalised()).number == 2
            asked = len(still.requests)
            assert (await rpc.best()).number == 2
            assert len(still.requests) == asked
    assert "final block 1 has been the newest for 0.1 s" in told(caplog)


async def test_another_fork_is_not_believed(double):
    """Two endpoints that disagree on a final block do not show one chain."""
    with double.peer(lags=True) as forked, double.peer() as failing:
        async with rpc_over(failing, forked) as rpc:
            await rpc.genesis()
            await submit(double, PAYLOAD)
            final = await rpc.finalised()
            for _ in range(2):
                forked.make_block()  # without the call that the others have
            assert forked.tree.at(final.number).hash != final.block_hash
            failing.answers_left = 0
            with pytest.raises(ChainUnavailable):
                await rpc.storage(double.tree.best.state.key("Services", "JobCalls", 7, 40), final.block_hash)
    assert "state_getStorage" not in forked.requests


async def test_what_one_node_has_forgotten_another_is_asked_for(double):
    """As when only one of them is an archive."""
    key = double.tree.best.state.key("Services", "Instances", 7)
    block = double.tree.best.hash
    with double.peer() as pruned:

        def discarded(*_):
            raise RpcFailure(4003, "Client error: UnknownBlock: State already discarded")

        pruned.rpc_state_getStorage = discarded
        async with rpc_over(pruned, double) as rpc:
            assert await rpc.storage(key, block) == double.tree.best.state.entries[key]


async def test_what_the_endpoints_are_is_said_by_the_first_that_answers(double):
    with double.peer() as dead:
        dead.answers_left = 0
        assert await is_substrate_node(f"{dead.websocket_url}, {double.websocket_url}")
        with pytest.raises(ChainUnavailable):
            await is_substrate_node(dead.websocket_url)


async def test_a_refusal_is_an_answer(double):
    with double.peer() as second:
        async with rpc_over(double, second) as rpc:
            with pytest.raises(Refused, match="Method not found"):
                await rpc.request("no_such_method")
    assert second.requests == []
