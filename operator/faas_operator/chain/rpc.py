"""An EVM node over JSON-RPC: retries what may pass by itself, tells a revert from an outage.

Reads only; transactions are `sender`'s business.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar, cast
from urllib.parse import unquote, urlsplit

import aiohttp
from web3 import AsyncHTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from faas_blueprint.errors import ChainUnavailable
from faas_blueprint.receipt import Address, address
from faas_blueprint.tangle.abi import Log, Read
from faas_blueprint.tangle.reverts import ContractError, decode_revert
from faas_operator.chain.interface import Block
from faas_operator.happenings import RPC_ERRORS

T = TypeVar("T")

LOG_RANGE = 2_000
"""Blocks asked for in one eth_getLogs; many providers refuse more."""

_SHORTEST_SECRET = 8
"""Shorter parts of a URL, such as `v3`, are no keys."""

_LIMIT_EXCEEDED = frozenset({-32005, -32016, 429})


class Reverted(Exception):
    """A call would revert, or a transaction did."""

    def __init__(self, error: ContractError) -> None:
        super().__init__(str(error))
        self.error = error


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
    """One endpoint. Tries `attempts` times, waiting `backoff` seconds in between, doubled each time."""

    def __init__(self, url: str, *, timeout: float = 10.0, attempts: int = 4, backoff: float = 0.1) -> None:
        self.url = url
        self._secrets = _secret_parts(url)
        self._attempts = attempts
        self._backoff = backoff
        self._provider = AsyncHTTPProvider(
            url,
            request_kwargs={"timeout": aiohttp.ClientTimeout(timeout)},
            exception_retry_configuration=None,
        )
        self._under_way: set[asyncio.Task[RPCResponse]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, once nothing is asked any more."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._provider.disconnect()

    async def request(self, method: str, *parameters: object) -> Any:
        """The result of a method. Raises ChainUnavailable, or Reverted for a revert."""
        wait = self._backoff
        for attempt in range(self._attempts):
            if attempt:
                await asyncio.sleep(wait)
                wait *= 2
            try:
                return await self._once(method, parameters)
            except ChainUnavailable as error:
                last = error
                if not error.details.get("retry"):
                    break
        raise last

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
        return _bytes(await self.request("eth_call", call_fields(to, data, sender, value), block))

    async def read(self, to: Address, read: Read[T]) -> T:
        """A view's answer. Raises Reverted, ChainUnavailable."""
        return read.decode(await self.call(to, read.data))

    async def chain_id(self) -> int:
        """The chain's id."""
        return _int(await self.request("eth_chainId"))

    async def head(self) -> Header:
        """The newest block."""
        header = await self.header("latest")
        if header is None:
            raise ChainUnavailable("the node has no newest block")
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
            raw = await self.request(
                "eth_getLogs",
                {
                    "address": source,
                    "topics": [_topic(topic) for topic in topics],
                    "fromBlock": hex(start),
                    "toBlock": hex(min(start + LOG_RANGE - 1, last_block)),
                },
            )
            found += [_log_entry(entry) for entry in raw if not entry.get("removed")]
        return sorted(found, key=lambda entry: (entry.block.number, entry.index))

    async def _once(self, method: str, parameters: Sequence[object]) -> Any:
        try:
            response = await asyncio.shield(self._asked(method, parameters))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            RPC_ERRORS.labels(method).inc()
            told = self._without_secrets(str(error) or type(error).__name__)
            # not `from error`: a traceback would show the URL that it names
            raise ChainUnavailable(f"{method}: {told}", {"retry": True}) from None
        fault = response.get("error")
        if fault is None:
            return response.get("result")
        failure = self._failure(method, fault)
        if isinstance(failure, ChainUnavailable):
            RPC_ERRORS.labels(method).inc()
        raise failure

    def _asked(self, method: str, parameters: Sequence[object]) -> asyncio.Task[RPCResponse]:
        """A request that goes on when its caller is cancelled: the provider, cancelled while it takes its
        lock, would never give it back."""
        asked = self._provider.make_request(RPCEndpoint(method), list(parameters))
        task = asyncio.ensure_future(asked)
        self._under_way.add(task)
        task.add_done_callback(self._answered)
        return task

    def _answered(self, task: asyncio.Task[RPCResponse]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # seen, should nobody wait any more

    def _failure(self, method: str, fault: object) -> Exception:
        if not isinstance(fault, Mapping):
            return ChainUnavailable(self._without_secrets(f"{method}: {fault}"))
        message = str(fault.get("message", ""))
        data = fault.get("data")
        if isinstance(data, Mapping):
            data = data.get("data", data.get("result"))
        if fault.get("code") == 3 or "revert" in message.lower():
            return Reverted(decode_revert(_bytes(data) if isinstance(data, str) else b""))
        retry = fault.get("code") in _LIMIT_EXCEEDED
        told = self._without_secrets(f"{method}: {message}")
        return ChainUnavailable(told, {"retry": retry, "code": fault.get("code")})

    def _without_secrets(self, text: str) -> str:
        """A provider's key is in the URL, and errors like to repeat it."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


def call_fields(to: Address | None, data: bytes, sender: Address | None, value: int) -> dict[str, str]:
    """A call as JSON-RPC takes it."""
    fields = {"data": "0x" + data.hex(), "value": hex(value)}
    return fields | ({"to": to} if to else {}) | ({"from": sender} if sender else {})


def _secret_parts(url: str) -> tuple[str, ...]:
    """The URL, and every word of it that may be a key: all but the end of the host's name; longest first."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    rest = url.replace(host, "", 1)
    subdomain, dot, _ = host.partition(".")
    words = [*re.findall(r"[\w~-]+", f"{rest} {unquote(rest)}"), subdomain if dot else ""]
    return tuple(sorted({url, *(word for word in words if len(word) >= _SHORTEST_SECRET)}, key=len)[::-1])


def _topic(topic: bytes | Sequence[bytes] | None) -> object:
    if topic is None or isinstance(topic, bytes):
        return None if topic is None else "0x" + topic.hex()
    return ["0x" + one.hex() for one in topic]


def _log_entry(raw: Mapping[str, Any]) -> LogEntry:
    log = Log(
        address(str(raw["address"])),
        tuple(_bytes(topic) for topic in cast("list[str]", raw["topics"])),
        _bytes(str(raw["data"])),
    )
    block = Block(_int(raw["blockNumber"]), str(raw["blockHash"]))
    return LogEntry(log, block, str(raw["transactionHash"]), _int(raw["logIndex"]))


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise ChainUnavailable(f"{text[:40]!r} is not hexadecimal") from error


def _int(text: str) -> int:
    return int(text, 16)
