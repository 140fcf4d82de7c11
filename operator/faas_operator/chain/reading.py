"""Reading a chain's logs up to its newest block, range by range, and again after a reorganisation.

The cursor is the last block whose logs are stored, with its hash: when that block is no longer on the chain,
a stretch before it is read again, which is harmless since a log is stored once. The hash is read before
the logs, so that a reorganisation in between shows at the next look. What logs mean is for their takers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from faas_blueprint.errors import ChainUnavailable
from faas_operator.chain.interface import Block
from faas_operator.logs import about
from faas_operator.settings import Settings

log = logging.getLogger(__name__)


class Blocks(Protocol):
    """What is needed of a chain."""

    async def block_hash(self, number: int) -> str | None:
        """The hash of a block by number, None when there is none."""
        ...


class LogReader:
    """Keeps one cursor. What is given for it blocks for a few milliseconds and is called in a thread."""

    def __init__(
        self,
        chain: Blocks,
        settings: Settings,
        cursor: Callable[[], Block | None],
        rewind: Callable[[Block], object],
        take: Callable[[int, int, Block], Awaitable[None]],
    ) -> None:
        """`cursor` reads and `rewind` sets the cursor; `take` gets the first and the last number of a range
        with its last block, stores the range's logs and moves the cursor to that block, in one commit."""
        self._chain = chain
        self._settings = settings
        self._cursor = cursor
        self._rewind = rewind
        self._take = take

    async def read_to(self, head: Block) -> None:
        """Take in everything up to the newest block. Raises ChainUnavailable."""
        await self._rewind_if_reorganised(head)
        cursor = await asyncio.to_thread(self._cursor) or self._before_start()
        while cursor.number < head.number:
            last = min(head.number, cursor.number + self._settings.scan_blocks)
            block = head if last == head.number else await self._block(last)
            await self._take(cursor.number + 1, last, block)
            cursor = block

    async def _rewind_if_reorganised(self, head: Block) -> None:
        cursor = await asyncio.to_thread(self._cursor)
        if cursor is None or not cursor.block_hash:
            return
        if await self._chain.block_hash(cursor.number) == cursor.block_hash:
            return
        number = min(cursor.number, head.number) - self._settings.rewind_blocks
        target = await self._block(number) if number >= self._settings.start_block else self._before_start()
        log.warning("reorganisation: reading again", extra=about(cursor=cursor.number, after=target.number))
        await asyncio.to_thread(self._rewind, target)

    async def _block(self, number: int) -> Block:
        found = await self._chain.block_hash(number)
        if found is None:
            raise ChainUnavailable(f"block {number} is missing though the chain is longer")
        return Block(number, found)

    def _before_start(self) -> Block:
        return Block(self._settings.start_block - 1, "")
