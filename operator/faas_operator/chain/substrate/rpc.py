"""A Substrate chain over JSON-RPC: what may pass by itself is tried again, elsewhere when an endpoint fails.

Another endpoint is believed only with the same first block, and once it has come as far as what was read
before, by the same final blocks. One whose final block stands still is left for one that has gone on. Knows
methods, not what bytes mean.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from faas_blueprint.errors import ChainUnavailable
from faas_operator.chain.failover import CATCH_UP_SECONDS, Failover, endpoint_urls
from faas_operator.chain.interface import Block
from faas_operator.chain.substrate.endpoint import Refused, SubstrateEndpoint

STILL_SECONDS = 30.0
"""How long the newest final block may stay the same before other endpoints are asked for a newer one; some
four blocks become final in that time."""


class SubstrateRpc:
    """A chain through one endpoint or several, the one that answered last first. Tries all of them `attempts`
    times, waiting `backoff` seconds in between, doubled each time."""

    def __init__(self, urls: str, *, timeout: float = 20.0, attempts: int = 4, backoff: float = 0.1) -> None:
        """`urls` are separated by commas or blanks."""
        endpoints = [SubstrateEndpoint(url, timeout) for url in endpoint_urls(urls)]
        self._failover = Failover(endpoints, self._believe, attempts, backoff)
        self._genesis: str | None = None
        self._best = 0
        """The number of the newest block that was read."""
        self._final: Block | None = None
        """The newest final block that was read; when it was read first, and when last."""
        self._final_since = self._final_seen = time.monotonic()
        self._compared_at = self._final_since
        """When other endpoints were last asked for a newer one."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        for endpoint in self._failover.endpoints:
            await endpoint.close()

    async def request(self, method: str, *parameters: object) -> Any:
        """The result of a method. Raises Refused, and ChainUnavailable when there is no answer."""
        return await self._failover.ask(lambda endpoint: endpoint.request(method, *parameters))

    async def genesis(self) -> str:
        """The hash of the first block. From then on no endpoint with another one is believed."""
        if self._genesis is None:
            self._genesis = await self._failover.ask(SubstrateEndpoint.genesis)
        return self._genesis

    async def block_hash(self, number: int) -> str | None:
        """Of the block with a number on the best chain, None when there is none."""
        return await self._failover.ask(lambda endpoint: endpoint.block_hash(number))

    async def best(self) -> Block:
        """The newest block; it may yet be replaced."""
        block = await self._failover.ask(SubstrateEndpoint.best)
        self._best = max(self._best, block.number)
        return block

    async def finalised(self) -> Block:
        """The newest block that stays."""
        block = await self._failover.ask(self._finalised)
        if await self._has_gone_on(block):
            block = await self._failover.ask(self._finalised)
        self._final_seen = time.monotonic()
        if self._final is None or block.number != self._final.number:
            self._final, self._final_since = block, self._final_seen
        return block

    async def extrinsics(self, block_hash: str) -> list[bytes]:
        """A block's body."""
        return await self._failover.ask(lambda endpoint: endpoint.extrinsics(block_hash))

    async def storage(self, key: bytes, block_hash: str) -> bytes | None:
        """What stands under a key at a block. Raises ChainUnavailable when all nodes forgot its state."""
        return await self._failover.ask(lambda endpoint: endpoint.storage(key, block_hash))

    async def _finalised(self, endpoint: SubstrateEndpoint) -> Block:
        """The endpoint's newest final block. Final blocks are not taken back: an older one is of an endpoint
        that lags."""
        block = await endpoint.finalised()
        if self._final is not None and block.number < self._final.number and self._is_waited_for():
            raise ChainUnavailable(_lags(block, self._final), {"retry": True})
        return block

    async def _has_gone_on(self, block: Block) -> bool:
        """Whether another endpoint is asked from now on, since its final block is newer than this one, which
        has been the newest for long."""
        still = self._final is not None and block.number == self._final.number
        now = time.monotonic()
        if not still or min(now - self._final_since, now - self._compared_at) < STILL_SECONDS:
            return False
        self._compared_at = now

        async def is_further(endpoint: SubstrateEndpoint) -> None:
            await self._believe(endpoint)
            if (await endpoint.finalised()).number <= block.number:
                raise ChainUnavailable("it has no newer final block either")

        error = ChainUnavailable(f"final block {block.number} has been the newest for {STILL_SECONDS:g} s")
        return await self._failover.leave(error, is_further)

    async def _believe(self, endpoint: SubstrateEndpoint) -> None:
        """Raises ChainUnavailable."""
        try:
            genesis = await endpoint.genesis()
            if self._genesis not in (None, genesis):
                raise ChainUnavailable(f"its first block is {genesis}, not {self._genesis}")
            best, final = await endpoint.best(), await endpoint.finalised()
            if self._final is None:
                return
            if self._is_waited_for() and best.number < self._best:
                raise ChainUnavailable(_lags(best, Block(self._best, "")))
            if self._is_waited_for() and final.number < self._final.number:
                raise ChainUnavailable(_lags(final, self._final))
            if await endpoint.block_hash(self._final.number) not in (None, self._final.block_hash):
                raise ChainUnavailable(f"its block {self._final.number} is not the one that is final")
        except Refused as error:
            raise ChainUnavailable(f"it is no Substrate node: {error}") from error

    def _is_waited_for(self) -> bool:
        """Whether an endpoint may still come to the newest final block; else the chain has gone back."""
        return time.monotonic() - self._final_seen < CATCH_UP_SECONDS


def _lags(block: Block, read: Block) -> str:
    return f"it is at block {block.number}, block {read.number} was read before"


async def is_substrate_node(urls: str) -> bool:
    """Whether the first of these endpoints that answers is a Substrate node. Raises ChainUnavailable when
    none does."""
    for url in endpoint_urls(urls):
        async with SubstrateRpc(url, attempts=2) as rpc:
            try:
                await rpc.request("state_getRuntimeVersion")
            except Refused:
                return False
            except ChainUnavailable as error:
                last = error
                continue
            return True
    raise last
