"""One endpoint of a Substrate chain over JSON-RPC: a request, once; tells a refusal from an outage.

Trying again, or elsewhere, is `rpc`'s. Nodes serve HTTP on the port of their WebSocket: either URL will do.
"""

from __future__ import annotations

import itertools
from typing import Any

import aiohttp

from faas_blueprint.errors import ChainUnavailable
from faas_operator.chain.answers import is_answer
from faas_operator.chain.interface import Block
from faas_operator.happenings import RPC_ERRORS

_LIMIT_EXCEEDED = frozenset({-32005, -32016, 429})


class Refused(Exception):
    """The node understood a request and says no."""

    def __init__(self, method: str, code: int, message: str, reason: str) -> None:
        super().__init__(f"{method}: {message}: {reason}" if reason else f"{method}: {message}")
        self.code = code
        self.reason = reason or message


class SubstrateEndpoint:
    """Where a chain can be asked. Its URL may hold a provider's key, and is never told."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = "http" + url.removeprefix("ws") if url.startswith(("ws://", "wss://")) else url
        self._ids = itertools.count(1)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(timeout))

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def request(self, method: str, *parameters: object) -> Any:
        """The result of a method. Raises Refused, and ChainUnavailable when there is no answer."""
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(parameters)}
        try:
            async with self._session.post(self._url, json=body) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise _unavailable(method, f"no answer: {type(error).__name__}") from error
        if not isinstance(answer, dict) or not ("result" in answer or "error" in answer):
            raise _unavailable(method, "the answer is no JSON-RPC")
        if (said := answer.get("error")) is None:
            if not is_answer(method, answer.get("result")):
                raise _unavailable(method, "the answer has not the form of one")
            return answer.get("result")
        if not isinstance(said, dict) or not isinstance(code := said.get("code"), int):
            raise _unavailable(method, "the answer is no JSON-RPC")
        message = str(said.get("message", ""))
        if response.status == 429 or response.status >= 500 or code in _LIMIT_EXCEEDED:
            raise _unavailable(method, message)
        raise Refused(method, code, message, str(said.get("data") or ""))

    async def genesis(self) -> str:
        """The hash of the first block: the chain's identity. Raises ChainUnavailable, Refused."""
        found = await self.block_hash(0)
        if found is None:
            raise ChainUnavailable("the node has no first block yet")
        return found

    async def block_hash(self, number: int) -> str | None:
        """Of the block with a number on the best chain, None when there is none."""
        found = await self.request("chain_getBlockHash", number)
        return None if found is None else str(found)

    async def best(self) -> Block:
        """The newest block; it may yet be replaced."""
        return await self._header(None)

    async def finalised(self) -> Block:
        """The newest block that stays."""
        return await self._header(str(await self.request("chain_getFinalizedHead")))

    async def extrinsics(self, block_hash: str) -> list[bytes]:
        """A block's body."""
        block = await self.request("chain_getBlock", block_hash)
        if block is None:
            raise ChainUnavailable(f"the node does not know block {block_hash}")
        return [bytes.fromhex(raw[2:]) for raw in block["block"]["extrinsics"]]

    async def storage(self, key: bytes, block_hash: str) -> bytes | None:
        """What stands under a key at a block. Raises ChainUnavailable when the node forgot its state."""
        try:
            value = await self.request("state_getStorage", "0x" + key.hex(), block_hash)
        except Refused as error:
            raise ChainUnavailable(f"the state of block {block_hash} cannot be read: {error}") from error
        return None if value is None else bytes.fromhex(value[2:])

    async def _header(self, block_hash: str | None) -> Block:
        arguments = () if block_hash is None else (block_hash,)
        header = await self.request("chain_getHeader", *arguments)
        if header is None:
            raise ChainUnavailable(f"the node does not know block {block_hash}")
        number = int(header["number"], 16)
        known = block_hash or await self.block_hash(number)
        if known is None:
            raise ChainUnavailable(f"block {number} has gone meanwhile")
        return Block(number, known)


def _unavailable(method: str, what: str) -> ChainUnavailable:
    RPC_ERRORS.labels(method).inc()
    return ChainUnavailable(f"{method}: {what}", {"retry": True})
