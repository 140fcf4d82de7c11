"""What the passing of blocks does to jobs: they appear, are confirmed, vanish, and become final.

Reads the chain, by `chain.reading`, and writes the store. Acting on jobs is in `answering`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from faas_operator.chain.interface import Block, ChainAdapter
from faas_operator.chain.reading import LogReader
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
        self._reader = LogReader(
            chain, settings, partial(store.cursor, deployment), partial(store.rewind, deployment), self._take
        )

    async def look(self) -> None:
        """Take in everything up to the newest block. Raises ChainUnavailable."""
        head = await self._chain.head()
        await self._reader.read_to(head)
        block_hash = _remembering(self._chain.block_hash)
        for record in await asyncio.to_thread(self._store.jobs_in, {State.SEEN}):
            await self._confirm(record, head, block_hash)
        for record in await asyncio.to_thread(self._store.jobs_in, {State.POSTED}):
            await self._finalise(record, head, block_hash)

    async def _take(self, first: int, last: int, block: Block) -> None:
        jobs = await self._chain.submitted_jobs(first, last)
        for record in await asyncio.to_thread(self._store.record_blocks, self._deployment, jobs, block):
            log.info("job seen", extra=about(record.call, block=record.submitted.block.number))

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


def _remembering(block_hash: BlockHash) -> BlockHash:
    """Ask for every block once."""
    known: dict[int, str | None] = {}

    async def remembered(number: int) -> str | None:
        if number not in known:
            known[number] = await block_hash(number)
        return known[number]

    return remembered
