"""Ethereum JSON-RPC as plans. Reads are repeated when the endpoint does not answer."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from faas_sdk.effects import Lost, Plan, Request, pause, send
from faas_sdk.errors import ConnectionFailed, FaaSError
from faas_sdk.retry import FIRST_PAUSE

LOG_WINDOW = 9_000
"""Blocks in one `eth_getLogs` where an endpoint refuses a longer range; most allow 10,000."""


class RpcError(FaaSError):
    """The endpoint answered with an error; `data` is a revert's."""

    def __init__(self, message: str, data: str | None) -> None:
        super().__init__(message)
        self.data = data


@dataclass(frozen=True, slots=True)
class Log:
    """An event as an endpoint reports it."""

    topics: tuple[str, ...]
    data: bytes
    block: int
    transaction_hash: str


@dataclass(frozen=True, slots=True)
class Rpc:
    """One endpoint. Holds no connection."""

    url: str
    max_retries: int = 3
    _ids: itertools.count[int] = field(default_factory=itertools.count, repr=False)

    def call(self, method: str, *params: object) -> Plan[object]:
        """The result. Raises ConnectionFailed, and RpcError when the endpoint says no.

        Every method used here may be repeated: sending the same signed transaction twice is one.
        """
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        request = Request("POST", self.url, {"Content-Type": "application/json"}, json.dumps(body).encode())
        for attempt in range(self.max_retries + 1):
            reply = yield from send(request)
            if not isinstance(reply, Lost) and reply.status < 500 and reply.status != 429:
                return _result(self.url, reply.content)
            if attempt < self.max_retries:
                yield from pause(FIRST_PAUSE * 2**attempt)
        reason = reply.message if isinstance(reply, Lost) else f"status {reply.status}"
        raise ConnectionFailed(f"the chain's endpoint {self.url} does not answer: {reason}")

    def number(self, method: str, *params: object) -> Plan[int]:
        """A result that is a number in hexadecimal."""
        value = yield from self.call(method, *params)
        if not isinstance(value, str):
            raise ConnectionFailed(f"{self.url} answered {method} with {value!r}")
        return int(value, 16)

    def logs(
        self, address: str, topics: Sequence[str | None], first_block: int, newest_first: bool = False
    ) -> Plan[list[Log]]:
        """All logs from a block on, in chain order.

        An endpoint that refuses the range is asked in windows; with `newest_first` the search then
        ends at the first window, from the newest on, that holds any.
        """
        try:
            return (yield from self._logs(address, topics, first_block, "latest"))
        except RpcError:
            head = yield from self.number("eth_blockNumber")
            if head - first_block <= LOG_WINDOW:
                raise
        starts = list(range(first_block, head + 1, LOG_WINDOW))
        found: list[Log] = []
        for start in reversed(starts) if newest_first else starts:
            found += yield from self._logs(address, topics, start, hex(start + LOG_WINDOW - 1))
            if found and newest_first:
                break
        return found

    def _logs(self, address: str, topics: Sequence[str | None], first: int, last: str) -> Plan[list[Log]]:
        query = {"address": address, "topics": list(topics), "fromBlock": hex(first), "toBlock": last}
        result = yield from self.call("eth_getLogs", query)
        return [log_from_json(item) for item in cast("list[dict[str, object]]", result)]


def log_from_json(item: dict[str, object]) -> Log:
    """A log of `eth_getLogs` or of a transaction's receipt."""
    return Log(
        tuple(str(topic) for topic in cast("list[object]", item["topics"])),
        bytes.fromhex(str(item["data"])[2:]),
        int(str(item["blockNumber"]), 16),
        str(item["transactionHash"]),
    )


def _result(url: str, content: bytes) -> object:
    try:
        answer: object = json.loads(content)
    except ValueError as error:
        raise ConnectionFailed(f"{url} does not answer in JSON: is it a chain's endpoint?") from error
    if not isinstance(answer, dict) or not ("result" in answer or "error" in answer):
        raise ConnectionFailed(f"{url} does not speak JSON-RPC")
    error_part = answer.get("error")
    if isinstance(error_part, dict):
        data = error_part.get("data")
        raise RpcError(str(error_part.get("message")), data if isinstance(data, str) else None)
    return answer.get("result")
