"""An EVM chain over JSON-RPC: what may pass by itself is tried again, by another endpoint when one fails.

Another endpoint is believed only on the same chain, and once it has come as far as what was read before: a
node that lags would answer that there are no logs. Reads only; transactions are `sender`'s business.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from faas_blueprint.errors import ChainUnavailable
from faas_blueprint.receipt import Address, address
from faas_blueprint.tangle.abi import Log, Read
from faas_operator.chain.endpoint import Endpoint, Reverted, decode_hexadecimal
from faas_operator.chain.failover import CATCH_UP_SECONDS, Failover, endpoint_urls
from faas_operator.chain.interface import Block

T = TypeVar("T")

LOG_RANGE = 2_000
"""Blocks asked for in one eth_getLogs; many providers refuse more."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A log with its place in the chain."""

    log: Log
    block: Block
    transaction_hash: str
    index: int


@dataclass(frozen=True, slots=True)
class Header:
    """What is read of a block's header."""

    block: Block
    timestamp: int
    base_fee: int


class Rpc:
    """A chain through one endpoint or several, the one that answered last first. Tries all of them `attempts`
    times, waiting `backoff` seconds in between, doubled each time."""

    def __init__(self, urls: str, *, timeout: float = 10.0, attempts: int = 4, backoff: float = 0.1) -> None:
        """`urls` are separated by commas or blanks."""
        endpoints = [Endpoint(url, timeout) for url in endpoint_urls(urls)]
        self._failover = Failover(endpoints, self._believe, attempts, backoff)
        self._chain_id: int | None = None
        self._newest = 0
        """The number of the newest block that was read, and when that was."""
        self._newest_at = time.monotonic()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Where the chain is asked now; may hold a provider's key."""
        return self._failover.asked.url

    async def close(self) -> None:
        """Close the connections."""
        for endpoint in self._failover.endpoints:
            await endpoint.close()

    async def request(self, method: str, *parameters: object) -> Any:
        """The result of a method. Raises ChainUnavailable, or Reverted for a revert."""
        return await self._failover.ask(lambda endpoint: endpoint.request(method, parameters))

    async def _believe(self, endpoint: Endpoint) -> None:
        """Raises ChainUnavailable."""
        try:
            chain_id = _int(await endpoint.request("eth_chainId"))
            if self._chain_id not in (None, chain_id):
                raise ChainUnavailable(f"it serves chain {chain_id}, not {self._chain_id}")
            number = _int(await endpoint.request("eth_blockNumber"))
        except Reverted as error:
            raise ChainUnavailable(f"it answers as no node does: {error}") from error
        if number < self._newest and time.monotonic() - self._newest_at < CATCH_UP_SECONDS:
            raise ChainUnavailable(f"it is at block {number}, block {self._newest} was read before")

    async def call(
        self,
        to: Address,
        data: bytes,
        *,
        sender: Address | None = None,
        value: int = 0,
        block: str = "latest",
    ) -> bytes:
        """What a call returns, without a transaction. Raises Reverted, ChainUnavailable."""
        return decode_hexadecimal(await self.request("eth_call", call_fields(to, data, sender, value), block))

    async def read(self, to: Address, read: Read[T]) -> T:
        """A view's answer. Raises Reverted, ChainUnavailable."""
        return read.decode(await self.call(to, read.data))

    async def chain_id(self) -> int:
        """The chain's id."""
        self._chain_id = _int(await self.request("eth_chainId"))
        return self._chain_id

    async def head(self) -> Header:
        """The newest block."""
        header = await self.header("latest")
        if header is None:
            raise ChainUnavailable("the node has no newest block")
        if header.block.number >= self._newest:
            self._newest, self._newest_at = header.block.number, time.monotonic()
        return header

    async def header(self, number: int | str) -> Header | None:
        """A block by number or tag, None when there is none."""
        name = hex(number) if isinstance(number, int) else number
        raw = await self.request("eth_getBlockByNumber", name, False)
        if raw is None:
            return None
        return Header(
            Block(_int(raw["number"]), str(raw["hash"])),
            _int(raw["timestamp"]),
            _int(raw.get("baseFeePerGas") or "0x0"),
        )

    async def block_at(self, timestamp: int) -> int:
        """The last block before `timestamp` (Unix seconds), so that a search from it misses nothing."""
        low, high = 0, (await self.head()).block.number
        while low < high:
            middle = (low + high + 1) // 2
            header = await self.header(middle)
            if header is not None and header.timestamp < timestamp:
                low = middle
            else:
                high = middle - 1
        return low

    async def logs(
        self,
        source: Address,
        topics: Sequence[bytes | Sequence[bytes] | None],
        first_block: int,
        last_block: int,
    ) -> list[LogEntry]:
        """Logs of one contract in chain order; `topics` as eth_getLogs takes them, a list meaning any of."""
        found: list[LogEntry] = []
        for start in range(first_block, last_block + 1, LOG_RANGE):
            asked = _LogQuestion(source, topics, start, min(start + LOG_RANGE - 1, last_block))
            found += await self._failover.ask(asked.ask)
        return sorted(found, key=lambda entry: (entry.block.number, entry.index))


@dataclass(frozen=True, slots=True)
class _LogQuestion:
    """What logs are asked for."""

    source: Address
    topics: Sequence[bytes | Sequence[bytes] | None]
    first_block: int
    last_block: int

    async def ask(self, endpoint: Endpoint) -> list[LogEntry]:
        """The logs. Raises ChainUnavailable, also when there is one that was not asked for."""
        query = {
            "address": self.source,
            "topics": [_topic(topic) for topic in self.topics],
            "fromBlock": hex(self.first_block),
            "toBlock": hex(self.last_block),
        }
        raw = await endpoint.request("eth_getLogs", (query,))
        found = [_log_entry(entry) for entry in raw if not entry.get("removed")]
        if not all(map(self._is_meant, found)):
            raise ChainUnavailable("eth_getLogs: a log is there that was not asked for", {"retry": True})
        return found

    def _is_meant(self, entry: LogEntry) -> bool:
        return (
            entry.log.address == self.source
            and self.first_block <= entry.block.number <= self.last_block
            and len(entry.log.topics) >= len(self.topics)
            and all(map(_matches, self.topics, entry.log.topics))
        )


def _matches(asked: bytes | Sequence[bytes] | None, topic: bytes) -> bool:
    return asked is None or topic in ([asked] if isinstance(asked, bytes) else asked)


def call_fields(to: Address | None, data: bytes, sender: Address | None, value: int) -> dict[str, str]:
    """A call as JSON-RPC takes it."""
    fields = {"data": "0x" + data.hex(), "value": hex(value)}
    return fields | ({"to": to} if to else {}) | ({"from": sender} if sender else {})


def _topic(topic: bytes | Sequence[bytes] | None) -> object:
    if topic is None or isinstance(topic, bytes):
        return None if topic is None else "0x" + topic.hex()
    return ["0x" + one.hex() for one in topic]


def _log_entry(raw: Mapping[str, Any]) -> LogEntry:
    log = Log(
        address(str(raw["address"])),
        tuple(decode_hexadecimal(topic) for topic in cast("list[str]", raw["topics"])),
        decode_hexadecimal(str(raw["data"])),
    )
    block = Block(_int(raw["blockNumber"]), str(raw["blockHash"]))
    return LogEntry(log, block, str(raw["transactionHash"]), _int(raw["logIndex"]))


def _int(text: str) -> int:
    return int(text, 16)
