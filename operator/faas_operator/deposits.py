"""Follows the credits contracts: their logs are stored, wait for confirmations, and reach the ledger once.

The cursor is the last block whose logs are stored, with its hash, as in `watching`: when that block is no
longer on the chain, a stretch before it is read again, which is harmless since a log is stored once. The
hash is read before the logs, so that a reorganisation in between shows at the next look.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from faas_blueprint.errors import ChainUnavailable
from faas_operator.chain.interface import Block
from faas_operator.credit_events import ChainEvent, CreditEventStore, EventState, Rates, StoredEvent
from faas_operator.logs import about
from faas_operator.pipeline import is_deep_enough
from faas_operator.settings import Settings

log = logging.getLogger(__name__)


class CreditsSource(Protocol):
    """What is needed of a chain: see `chain.credits.CreditsChain`."""

    chain_id: int

    async def head(self) -> Block:
        """The newest block."""
        ...

    async def block_hash(self, number: int) -> str | None:
        """The hash of a block by number, None when there is none."""
        ...

    async def events(self, first_block: int, last_block: int) -> list[ChainEvent]:
        """All credit events in the range."""
        ...


class DepositFollower:
    """Follows one chain's contracts."""

    def __init__(
        self, chain: CreditsSource, store: CreditEventStore, settings: Settings, rates: Rates, name: str
    ) -> None:
        """The cursor is stored under `name`."""
        self._chain = chain
        self._store = store
        self._settings = settings
        self._rates = rates
        self._name = name

    async def look(self) -> None:
        """Take in everything up to the newest block. Raises ChainUnavailable."""
        head = await self._chain.head()
        await self._rewind_if_reorganised(head)
        await self._read_logs(head)
        await self._take_back(head)
        await self._apply(head)

    async def _rewind_if_reorganised(self, head: Block) -> None:
        cursor = await asyncio.to_thread(self._store.cursor, self._name)
        if cursor is None or not cursor.block_hash:
            return
        if await self._chain.block_hash(cursor.number) == cursor.block_hash:
            return
        number = min(cursor.number, head.number) - self._settings.rewind_blocks
        target = await self._block(number) if number >= self._settings.start_block else self._before_start()
        log.warning("reorganisation: reading again", extra=about(cursor=cursor.number, after=target.number))
        await asyncio.to_thread(self._store.record, self._name, (), target)

    async def _read_logs(self, head: Block) -> None:
        cursor = await asyncio.to_thread(self._store.cursor, self._name) or self._before_start()
        while cursor.number < head.number:
            last = min(head.number, cursor.number + self._settings.scan_blocks)
            block = head if last == head.number else await self._block(last)
            events = await self._chain.events(cursor.number + 1, last)
            new = await asyncio.to_thread(self._store.record, self._name, events, block)
            if new:
                log.info("credit events seen", extra=about(count=new, block=last))
            cursor = block

    async def _take_back(self, head: Block) -> None:
        """Newest first, as what came later may rest on what came before. Looked at until it is as deep as
        this node ever reads again, however long it was away."""
        for event in reversed(await asyncio.to_thread(self._store.applied, self._chain.chain_id)):
            if await self._is_gone(event):
                log.warning("credit event taken back", extra=about(block=event.block.number))
                await asyncio.to_thread(self._store.drop, event.id)
            elif is_deep_enough(event.block.number, head.number, self._settings.rewind_blocks):
                await asyncio.to_thread(self._store.finalise, event.id)

    async def _apply(self, head: Block) -> None:
        """In chain order."""
        for event in await asyncio.to_thread(self._store.waiting, self._chain.chain_id):
            if await self._is_gone(event):
                await asyncio.to_thread(self._store.drop, event.id)
            elif not is_deep_enough(event.block.number, head.number, self._settings.confirmations):
                return
            elif await asyncio.to_thread(self._store.apply, event.id, self._rates) is EventState.APPLIED:
                log.info("credit event applied", extra=about(block=event.block.number))

    async def _is_gone(self, event: StoredEvent) -> bool:
        found = await self._chain.block_hash(event.block.number)
        if found is None:
            raise ChainUnavailable(f"block {event.block.number} is not there yet")
        return found != event.block.block_hash

    async def _block(self, number: int) -> Block:
        found = await self._chain.block_hash(number)
        if found is None:
            raise ChainUnavailable(f"block {number} is missing though the chain is longer")
        return Block(number, found)

    def _before_start(self) -> Block:
        return Block(self._settings.start_block - 1, "")
