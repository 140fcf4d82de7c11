"""Follows the credits contracts: their logs are stored, wait for confirmations, and reach the ledger once.

Reading, and reading again after a reorganisation, is `chain.reading`'s.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Protocol

from faas_blueprint.errors import ChainUnavailable
from faas_operator.chain.interface import Block
from faas_operator.chain.reading import Blocks, LogReader
from faas_operator.credit_events import ChainEvent, CreditEventStore, EventState, Rates, StoredEvent
from faas_operator.logs import about
from faas_operator.pipeline import is_deep_enough
from faas_operator.settings import Settings

log = logging.getLogger(__name__)


class CreditsSource(Blocks, Protocol):
    """What is needed of a chain: see `chain.credits.CreditsChain`."""

    chain_id: int

    async def head(self) -> Block:
        """The newest block."""
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
        self._reader = LogReader(
            chain, settings, partial(store.cursor, name), partial(store.record, name, ()), self._take
        )

    async def look(self) -> None:
        """Take in everything up to the newest block. Raises ChainUnavailable."""
        head = await self._chain.head()
        await self._reader.read_to(head)
        await self._take_back(head)
        await self._apply(head)

    async def _take(self, first: int, last: int, block: Block) -> None:
        events = await self._chain.events(first, last)
        new = await asyncio.to_thread(self._store.record, self._name, events, block)
        if new:
            log.info("credit events seen", extra=about(count=new, block=last))

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
