"""Reading a chain over JSON-RPC, as far as a verifier must; of an EVM chain: views, blocks, logs.

What a Substrate chain answers is `substrate`'s to read. The client is imported when one is made: that takes
longer than all else of a command that asks no chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, cast

from faas_blueprint.errors import ChainUnavailable
from faas_blueprint.receipt import Address, address
from faas_blueprint.tangle.abi import Log, Read

if TYPE_CHECKING:
    from web3.types import RPCEndpoint

T = TypeVar("T")

ATTEMPTS = 3

Json = Mapping[str, object]


class Refused(ChainUnavailable):
    """The endpoint answered with an error: a revert, or a question that it does not take."""


@dataclass(frozen=True, slots=True)
class PlacedLog:
    """A log, and where it stands."""

    log: Log
    block: int
    transaction_hash: str


class Rpc:
    """One endpoint; an async context manager."""

    def __init__(self, url: str, timeout: float = 20.0) -> None:
        import aiohttp
        from web3 import AsyncHTTPProvider

        if not url.startswith(("http://", "https://", "ws://", "wss://")):
            raise ChainUnavailable(f"--rpc takes an http(s):// or ws(s):// address, not {url!r}")
        self.url = url = "http" + url.removeprefix("ws") if url.startswith("ws") else url
        self._provider = AsyncHTTPProvider(
            url,
            request_kwargs={"timeout": aiohttp.ClientTimeout(timeout)},
            exception_retry_configuration=None,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._provider.disconnect()

    async def request(self, method: str, *parameters: object) -> object:
        """A method's result. Raises Refused, and ChainUnavailable when nothing that fits answers."""
        from aiohttp import ClientError

        for attempt in range(ATTEMPTS):
            try:
                answer = await self._provider.make_request(cast("RPCEndpoint", method), list(parameters))
                break
            except (ClientError, OSError, TimeoutError, ValueError) as error:
                if attempt == ATTEMPTS - 1:
                    reason = str(error) or type(error).__name__
                    raise ChainUnavailable(f"{self.url} does not answer: {reason}") from error
        fault = answer.get("error")
        if fault is not None:
            raise Refused(f"{method}: {fault.get('message', '') if isinstance(fault, Mapping) else fault}")
        return answer.get("result")

    async def number(self, method: str, *parameters: object) -> int:
        """A result that is a number."""
        return _int(await self.request(method, *parameters))

    async def read(self, contract: Address, read: Read[T], block: str = "latest") -> T:
        """A view's answer."""
        call = {"to": contract, "data": "0x" + read.data.hex()}
        return read.decode(_bytes(await self.request("eth_call", call, block)))

    async def timestamp(self, block: int) -> int:
        """A block's time in Unix seconds."""
        header = await self.request("eth_getBlockByNumber", hex(block), False)
        if not isinstance(header, Mapping):
            raise ChainUnavailable(f"the endpoint has no block {block}")
        return _int(header.get("timestamp"))

    async def block_at(self, timestamp: int, head: int) -> int:
        """The last block before `timestamp`, so that a search from it misses nothing."""
        low, high = 0, head
        while low < high:
            middle = (low + high + 1) // 2
            if await self.timestamp(middle) < timestamp:
                low = middle
            else:
                high = middle - 1
        return low

    async def logs(
        self, contract: Address, topics: Sequence[bytes | Sequence[bytes]], first: int, last: int
    ) -> list[PlacedLog]:
        """One contract's logs in chain order; a list of topics means any of them."""
        query = {
            "address": contract,
            "topics": [_topic(topic) for topic in topics],
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }
        items = await self.request("eth_getLogs", query)
        if not isinstance(items, list):
            raise ChainUnavailable("the endpoint's logs cannot be read")
        return [_placed(item) for item in items]


def _topic(topic: bytes | Sequence[bytes]) -> object:
    return "0x" + topic.hex() if isinstance(topic, bytes) else ["0x" + item.hex() for item in topic]


def _placed(item: object) -> PlacedLog:
    fields = cast(Json, item) if isinstance(item, Mapping) else {}
    topics = fields.get("topics")
    if not isinstance(topics, list):
        raise ChainUnavailable("the endpoint's logs cannot be read")
    log = Log(address(str(fields.get("address"))), tuple(map(_bytes, topics)), _bytes(fields.get("data")))
    return PlacedLog(log, _int(fields.get("blockNumber")), str(fields.get("transactionHash")))


def _int(value: object) -> int:
    try:
        return value if isinstance(value, int) else int(str(value), 16)
    except ValueError as error:
        raise ChainUnavailable(f"the endpoint answered {value!r} for a number") from error


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return bytes(value)
    try:
        return bytes.fromhex(str(value).removeprefix("0x"))
    except ValueError as error:
        raise ChainUnavailable(f"the endpoint answered {str(value)[:60]!r} for bytes") from error
