"""A Substrate node over JSON-RPC: retries what may pass by itself. Knows methods, not what bytes mean."""

from __future__ import annotations

import asyncio
import itertools
from types import TracebackType
from typing import Any, Self

import aiohttp

from faas_blueprint.errors import ChainUnavailable
from faas_operator.chain.interface import Block
from faas_operator.happenings import RPC_ERRORS


class Refused(Exception):
    """The node understood a request and says no."""

    def __init__(self, method: str, code: int, message: str, reason: str) -> None:
        super().__init__(f"{method}: {message}: {reason}" if reason else f"{method}: {message}")
        self.code = code
        self.reason = reason or message


class SubstrateRpc:
    """One endpoint, asked over HTTP: nodes serve it on the port of their WebSocket, so either URL will do.

    Tries `attempts` times, waiting `backoff` seconds in between, doubled each time.
    """

    def __init__(self, url: str, *, timeout: float = 20.0, attempts: int = 4, backoff: float = 0.1) -> None:
        self._url = "http" + url.removeprefix("ws") if url.startswith(("ws://", "wss://")) else url
        self._attempts = attempts
        self._backoff = backoff
        self._ids = itertools.count(1)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def request(self, method: str, *parameters: object) -> Any:
        """The result of a method. Raises Refused, and ChainUnavailable when there is no answer."""
        wait = self._backoff
        for attempt in range(self._attempts):
            if attempt:
                await asyncio.sleep(wait)
                wait *= 2
            try:
                return await self._once(method, parameters)
            except ChainUnavailable as error:
                last = error
        raise last

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

    async def _once(self, method: str, parameters: tuple[object, ...]) -> Any:
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(parameters)}
        try:
            async with self._session.post(self._url, json=body) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            RPC_ERRORS.labels(method).inc()
            raise ChainUnavailable(f"{method}: no answer: {type(error).__name__}") from error
        if not isinstance(answer, dict) or not ("result" in answer or "error" in answer):
            RPC_ERRORS.labels(method).inc()
            raise ChainUnavailable(f"{method}: the answer is no JSON-RPC")
        if (said := answer.get("error")) is not None:
            raise Refused(method, int(said["code"]), str(said["message"]), str(said.get("data") or ""))
        return answer["result"]


async def is_substrate_node(url: str) -> bool:
    """Whether an endpoint answers as a Substrate node. Raises ChainUnavailable when it does not answer."""
    async with SubstrateRpc(url, attempts=2) as rpc:
        try:
            await rpc.request("state_getRuntimeVersion")
        except Refused:
            return False
        return True
