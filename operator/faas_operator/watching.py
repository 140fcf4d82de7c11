"""What the passing of blocks does to jobs: they appear, are confirmed, vanish, and become final.

Reads the chain, writes the store. The cursor is the last block whose logs are stored, with its hash:
when that block is no longer on the chain, a stretch before it is read again, which is harmless since a
call is stored once. The hash is read before the logs, so that a reorganisation in between shows at the
next look. Acting on jobs is in `answering`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from faas_blueprint.errors import ChainUnavailable
from faas_operator.chain.interface import Block, ChainAdapter
from faas_operator.job_record import NOTHING_NEW, Change, JobRecord
from faas_operator.logs import about
from faas_operator.pipeline import Event, State, is_deep_enough
from faas_operator.settings import Settings
from faas_operator.store import StaleRecord, Store

log = logging.getLogger(__name__)

BlockHash = Callable[[int], Awaitable[str | None]]


class Watcher:
    """Follows one deployment's blocks."""

    def __init__(self, chain: ChainAdapter, store: Store, settings: Settings, deployment: str) -> None:
        self._chain = chain
        self._store = store
        self._settings = settings
        self._deployment = deployment

    async def look(self) -> None:
        """Take in everything up to the newest block. Raises ChainUnavailable."""
        head = await self._chain.head()
        await self._rewind_if_reorganised(head)
        await self._read_logs(head)
        block_hash = _remembering(self._chain.block_hash)
        for record in await asyncio.to_thread(self._store.jobs_in, {State.SEEN}):
            await self._confirm(record, head, block_hash)
        for record in await asyncio.to_thread(self._store.jobs_in, {State.POSTED}):
            await self._finalise(record, head, block_hash)

    async def _rewind_if_reorganised(self, head: Block) -> None:
        cursor = await asyncio.to_thread(self._store.cursor, self._deployment)
        if cursor is None or not cursor.block_hash:
            return
        if await self._chain.block_hash(cursor.number) == cursor.block_hash:
            return
        number = min(cursor.number, head.number) - self._settings.rewind_blocks
        target = await self._block(number) if number >= self._settings.start_block else self._before_start()
        log.warning("reorganisation: reading again", extra=about(cursor=cursor.number, after=target.number))
        await asyncio.to_thread(self._store.rewind, self._deployment, target)

    async def _read_logs(self, head: Block) -> None:
        cursor = await asyncio.to_thread(self._store.cursor, self._deployment) or self._before_start()
        while cursor.number < head.number:
            last = min(head.number, cursor.number + self._settings.scan_blocks)
            block = head if last == head.number else await self._block(last)
            jobs = await self._chain.submitted_jobs(cursor.number + 1, last)
            new = await asyncio.to_thread(self._store.record_blocks, self._deployment, jobs, block)
            for record in new:
                log.info("job seen", extra=about(record.call, block=record.submitted.block.number))
            cursor = block

    async def _confirm(self, record: JobRecord, head: Block, block_hash: BlockHash) -> None:
        block = record.submitted.block
        found = await block_hash(block.number)
        if found is None:
            return
        if found != block.block_hash:
            await self._apply(record, Event.VANISH)
        elif is_deep_enough(block.number, head.number, self._settings.confirmations):
            await self._apply(record, Event.CONFIRM)

    async def _finalise(self, record: JobRecord, head: Block, block_hash: BlockHash) -> None:
        assert record.posted is not None, "a posted job has a transaction"
        block = record.posted.block
        found = await block_hash(block.number)
        if found is None:
            return
        if found != block.block_hash:
            await self._look_for_result(record)
        elif is_deep_enough(block.number, head.number, self._settings.confirmations):
            await self._apply(record, Event.FINALISE)

    async def _look_for_result(self, record: JobRecord) -> None:
        """The block with our result is gone: the result is in another one, or must be posted again."""
        posted = await self._chain.posted_result(record.call, record.submitted.block.number)
        if posted is None:
            await self._apply(record, Event.VANISH)
        elif posted != record.posted:
            await self._apply(record, Event.INCLUDE, Change(posted=posted))

    async def _apply(self, record: JobRecord, event: Event, change: Change = NOTHING_NEW) -> None:
        try:
            moved = await asyncio.to_thread(self._store.apply, record, event, change)
        except StaleRecord:
            log.debug("job has moved on meanwhile", extra=about(record.call))
            return
        level = logging.WARNING if event is Event.VANISH else logging.INFO
        log.log(level, "job %s", moved.state, extra=about(record.call, because=event))

    async def _block(self, number: int) -> Block:
        found = await self._chain.block_hash(number)
        if found is None:
            raise ChainUnavailable(f"block {number} is missing though the chain is longer")
        return Block(number, found)

    def _before_start(self) -> Block:
        return Block(self._settings.start_block - 1, "")


def _remembering(block_hash: BlockHash) -> BlockHash:
    """Ask for every block once."""
    known: dict[int, str | None] = {}

    async def remembered(number: int) -> str | None:
        if number not in known:
            known[number] = await block_hash(number)
        return known[number]

    return remembered
