"""The JSON-RPC client against a node that misbehaves in the ways that real ones do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest
from aiohttp import web

from faas_blueprint.digests import keccak256
from faas_blueprint.errors import ChainUnavailable, MissingPrerequisite
from faas_blueprint.receipt import Address
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.rpc import LOG_RANGE, Rpc
from faas_operator.logs import KeyValueFormatter

TANGLE = Address("0x" + "7a" * 20)
REFUSAL = "0x" + (keccak256(b"ServiceNotActive(uint64)")[:4] + bytes(31) + b"\7").hex()

Answer = Callable[[str, list[Any]], web.Response]


@asynccontextmanager
async def endpoint(answer: Answer) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.Response:
        call = await request.json()
        return answer(call["method"], call["params"])

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def node(*answers: Answer) -> AsyncIterator[Rpc]:
    """A client of so many endpoints."""
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(endpoint(answer)) for answer in answers]
        yield await stack.enter_async_context(Rpc(", ".join(urls), attempts=3, backoff=0.01, timeout=20))


def result(value: object) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "id": 1, "result": value})


def fault(code: int, message: str, data: object = None) -> web.Response:
    return web.json_response(
        {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message, "data": data}}
    )


@pytest.mark.parametrize(
    "first",
    [
        lambda: web.Response(status=429),
        lambda: web.Response(status=502),
        lambda: web.Response(text="<html>"),
        lambda: fault(-32005, "limit exceeded"),
    ],
)
async def test_what_passes_by_itself_is_tried_again(first: Callable[[], web.Response]) -> None:
    answers = iter([first(), result("0x7a69")])
    async with node(lambda method, parameters: next(answers)) as rpc:
        assert await rpc.chain_id() == 31337


NONSENSE = [7, -1, True, "0xzz", "nonsense", ["0xzz"], [{}], {}, {"number": "0x1"}, [[[]]]]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
async def test_an_answer_that_has_not_the_form_of_one_is_an_outage(nonsense: object) -> None:
    """Of whatever method: it ends no node, and is asked for again."""
    asked: list[str] = []

    def answer(method: str, parameters: list[Any]) -> web.Response:
        asked.append(method)
        return result(nonsense)

    async with node(answer) as rpc:
        for ask in (rpc.chain_id, rpc.head, partial(rpc.call, TANGLE, b""), partial(rpc.block_at, 1)):
            with pytest.raises(ChainUnavailable, match="has not the form"):
                await ask()
        with pytest.raises(ChainUnavailable, match="has not the form"):
            await rpc.logs(TANGLE, (b"\1" * 32,), 0, 1)
    assert len(asked) == 5 * 3


@pytest.mark.parametrize("body", [[], 7, "text", None, {}, {"error": 7}, {"error": []}], ids=repr)
async def test_a_body_that_is_no_answer_is_an_outage(body: object) -> None:
    async with node(lambda method, parameters: web.json_response(body)) as rpc:
        with pytest.raises(ChainUnavailable):
            await rpc.head()


async def test_an_answer_that_comes_too_late_is_none_and_the_next_counts() -> None:
    late = iter([True, False])

    async def handle(request: web.Request) -> web.Response:
        if next(late):
            await asyncio.sleep(0.5)
            return result("0x1")
        return result("0x7a69")

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with Rpc(url, timeout=0.1, attempts=2, backoff=0.01) as rpc:
            assert await rpc.chain_id() == 31337
    finally:
        await runner.cleanup()


def log_entry(**changes: object) -> dict[str, object]:
    entry = {
        "address": TANGLE,
        "topics": ["0x" + "01" * 32],
        "data": "0x",
        "blockNumber": "0x5",
        "blockHash": "0x" + "bb" * 32,
        "transactionHash": "0x" + "cc" * 32,
        "logIndex": "0x0",
    }
    return entry | changes


@pytest.mark.parametrize(
    "change",
    [
        {"address": "0x" + "7b" * 20},
        {"topics": ["0x" + "02" * 32]},
        {"topics": []},
        {"blockNumber": "0x9"},
        {"blockHash": None},
        {"logIndex": "first"},
    ],
)
async def test_logs_that_were_not_asked_for_are_no_answer(change: dict[str, object]) -> None:
    """Of another contract or event, of other blocks, or not whole: the next endpoint is asked."""

    def right(method: str, parameters: list[Any]) -> web.Response:
        return result("0x9") if method != "eth_getLogs" else result([log_entry()])

    def wrong(method: str, parameters: list[Any]) -> web.Response:
        return result("0x9") if method != "eth_getLogs" else result([log_entry(), log_entry(**change)])

    async with node(wrong, right) as rpc:
        (entry,) = await rpc.logs(TANGLE, (b"\1" * 32,), 1, 8)
        assert entry.block.number == 5
    async with node(wrong) as rpc:
        with pytest.raises(ChainUnavailable, match="eth_getLogs"):
            await rpc.logs(TANGLE, (b"\1" * 32,), 1, 8)


async def test_it_gives_up_in_the_end() -> None:
    tries: list[str] = []

    def answer(method: str, parameters: list[Any]) -> web.Response:
        tries.append(method)
        return web.Response(status=503)

    async with node(answer) as rpc:
        with pytest.raises(ChainUnavailable, match="eth_chainId"):
            await rpc.chain_id()
    assert len(tries) == 3


async def test_a_lasting_fault_is_not_tried_again() -> None:
    answers = iter([fault(-32601, "method not found")])
    async with node(lambda method, parameters: next(answers)) as rpc:
        with pytest.raises(ChainUnavailable, match="method not found"):
            await rpc.request("eth_nothing")


@pytest.mark.parametrize(
    ("code", "data"), [(3, REFUSAL), (-32000, {"data": REFUSAL}), (-32015, {"result": REFUSAL})]
)
async def test_a_revert_has_its_name_from_every_node(code: int, data: object) -> None:
    async with node(lambda method, parameters: fault(code, "execution reverted", data)) as rpc:
        with pytest.raises(Reverted) as caught:
            await rpc.call(TANGLE, b"")
    assert str(caught.value) == "ServiceNotActive(7)"


async def test_nobody_listens() -> None:
    async with Rpc("http://127.0.0.1:1", attempts=2, backoff=0.01) as rpc:
        with pytest.raises(ChainUnavailable):
            await rpc.head()


async def test_logs_are_asked_for_in_pieces_and_come_in_order() -> None:
    ranges: list[tuple[int, int]] = []

    def answer(method: str, parameters: list[Any]) -> web.Response:
        first, last = int(parameters[0]["fromBlock"], 16), int(parameters[0]["toBlock"], 16)
        ranges.append((first, last))
        entry = {
            "address": TANGLE,
            "topics": ["0x" + "11" * 32],
            "data": "0x",
            "blockNumber": hex(first),
            "blockHash": "0x" + "22" * 32,
            "transactionHash": "0x" + "33" * 32,
        }
        return result([{**entry, "logIndex": "0x1"}, {**entry, "logIndex": "0x0"}])

    async with node(answer) as rpc:
        entries = await rpc.logs(TANGLE, [b"\x11" * 32], 5, 5 + LOG_RANGE)
        assert await rpc.logs(TANGLE, [], 5, 4) == []
    assert ranges == [(5, 4 + LOG_RANGE), (5 + LOG_RANGE, 5 + LOG_RANGE)]
    assert [(entry.block.number, entry.index) for entry in entries] == [
        (5, 0),
        (5, 1),
        (5 + LOG_RANGE, 0),
        (5 + LOG_RANGE, 1),
    ]


@pytest.mark.parametrize(("timestamp", "block"), [(0, 0), (1000, 0), (1001, 0), (1012, 5), (9999, 99)])
async def test_the_block_before_a_time(timestamp: int, block: int) -> None:
    def answer(method: str, parameters: list[Any]) -> web.Response:
        number = 99 if parameters[0] == "latest" else int(parameters[0], 16)
        stamp = hex(1000 + 2 * number)
        return result({"number": hex(number), "hash": "0x" + "22" * 32, "timestamp": stamp})

    async with node(answer) as rpc:
        assert await rpc.block_at(timestamp) == block


class ChainDouble:
    """A node of a chain of empty blocks; fails while `down`."""

    def __init__(self, chain_id: int = 31337, height: int = 100) -> None:
        self.chain_id = chain_id
        self.height = height
        self.down: web.Response | None = None
        self.asked: list[str] = []

    def __call__(self, method: str, parameters: list[Any]) -> web.Response:
        self.asked.append(method)
        if self.down is not None:
            return web.Response(status=self.down.status, text=self.down.text)
        match method:
            case "eth_chainId":
                return result(hex(self.chain_id))
            case "eth_blockNumber":
                return result(hex(self.height))
            case "eth_getBlockByNumber":
                return result({"number": hex(self.height), "hash": "0x" + "22" * 32, "timestamp": "0x1"})
            case _:
                return result([])


FAILURES = [
    web.Response(status=503),
    web.Response(status=429),
    web.Response(text="<html>"),
    fault(-32601, "method not found"),
    fault(-32000, "missing trie node"),
]


@pytest.mark.parametrize("failure", FAILURES)
async def test_another_endpoint_is_asked_at_once(
    failure: web.Response, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = ChainDouble(), ChainDouble(height=101)
    async with node(first, second) as rpc:
        assert await rpc.chain_id() == 31337
        assert (await rpc.head()).block.number == 100
        first.down = failure
        assert (await rpc.head()).block.number == 101
        asked = len(first.asked)
        assert await rpc.logs(TANGLE, [], 1, 101) == []
        assert len(first.asked) == asked, "the one that answered last is asked first"
        second.down, first.down, first.height = failure, None, 102
        assert (await rpc.head()).block.number == 102
    told = [KeyValueFormatter().format(record) for record in caplog.records]
    assert sum("another endpoint is asked" in line for line in told) == 2
    assert not any("127.0.0.1" in line for line in told)


async def test_an_endpoint_of_another_chain_is_never_asked(caplog: pytest.LogCaptureFixture) -> None:
    first, second = ChainDouble(), ChainDouble(chain_id=1)
    async with node(first, second) as rpc:
        await rpc.chain_id()
        first.down = FAILURES[0]
        with pytest.raises(ChainUnavailable):
            await rpc.head()
        first.down = None
        assert (await rpc.head()).block.number == 100
    assert set(second.asked) == {"eth_chainId"}
    assert "it serves chain 1, not 31337" in KeyValueFormatter().format(caplog.records[-1])


async def test_an_endpoint_that_lags_is_asked_when_it_has_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would say that there are no logs in blocks that it does not know."""
    first, second = ChainDouble(height=100), ChainDouble(height=99)
    async with node(first, second) as rpc:
        await rpc.head()
        first.down = FAILURES[0]
        with pytest.raises(ChainUnavailable):
            await rpc.logs(TANGLE, [], 1, 100)
        assert set(second.asked) == {"eth_chainId", "eth_blockNumber"}
        second.height = 100
        assert await rpc.logs(TANGLE, [], 1, 100) == []
        second.down, first.down, first.height = FAILURES[0], None, 50
        with pytest.raises(ChainUnavailable):
            await rpc.head()
        monkeypatch.setattr("faas_operator.chain.rpc.CATCH_UP_SECONDS", 0.0)
        assert (await rpc.head()).block.number == 50, "the chain itself has gone back"


async def test_all_endpoints_are_away() -> None:
    doubles = [ChainDouble() for _ in range(3)]
    for double in doubles:
        double.down = FAILURES[0]
    async with node(*doubles) as rpc:
        with pytest.raises(ChainUnavailable, match="eth_chainId"):
            await rpc.chain_id()
        doubles[2].down = None
        assert await rpc.chain_id() == 31337
    assert len(doubles[0].asked) <= 4


async def test_a_revert_is_an_answer() -> None:
    first, second = ChainDouble(), ChainDouble()
    first.down = fault(3, "execution reverted", REFUSAL)
    async with node(first, second) as rpc:
        with pytest.raises(Reverted):
            await rpc.call(TANGLE, b"")
    assert second.asked == []


@pytest.mark.parametrize("urls", ["", " , "])
def test_no_endpoint(urls: str) -> None:
    with pytest.raises(MissingPrerequisite, match="FAAS_RPC_URL"):
        Rpc(urls)


async def test_cancelled_requests_hold_up_no_others() -> None:
    """Many at once, half of them cancelled at one step or another of theirs."""
    async with node(lambda method, _: result("0x1")) as rpc, asyncio.timeout(60):
        for steps in range(8):
            asking = [asyncio.create_task(rpc.chain_id()) for _ in range(8)]
            for _ in range(steps):
                await asyncio.sleep(0)
            for task in asking[::2]:
                task.cancel()
            answers = await asyncio.gather(*asking, return_exceptions=True)
            assert answers[1::2] == [1] * 4
