"""Between the catalog of accounts' ids and the engine's store: entering what was kept, letting go of it."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from faas_blueprint.digests import Digest
from faas_blueprint.errors import FaaSError, InvalidRequest, NotFound
from faas_blueprint.job import Mode
from faas_microvm.engine import Engine
from faas_microvm.snapshot_record import SnapshotRecord
from faas_microvm.snapshot_store import SnapshotNeeded
from faas_operator.snapshot_catalog import (
    BASE,
    BranchEntry,
    Details,
    SnapshotCatalog,
    SnapshotEntry,
    SnapshotOrigin,
)

log = logging.getLogger(__name__)

COLLECT_SECONDS = 900.0
"""At the least between two collections of garbage."""


class SnapshotKeeping:
    """The snapshots that accounts have in one engine's store."""

    def __init__(self, engine: Engine, catalog: SnapshotCatalog) -> None:
        self._engine = engine
        self._catalog = catalog
        self._collecting: asyncio.Task[None] | None = None
        self._collected = 0.0

    async def enter(
        self, account: str, measurement: Digest, origin: SnapshotOrigin, details: Details | None = None
    ) -> SnapshotEntry:
        """An id for a snapshot of the store, below the nearest one that the account has: if that has several
        ids, below the origin's parent, or the newest. Raises NotFound.

        What lies between (a fork, a step of a session or of a merge) is nobody's: it goes with the last
        snapshot that was made from it.
        """
        record = await self._engine.library.store.get(measurement)
        steps, parent_id = await self._ancestry(account, record, origin.parent_id)
        for step in steps:
            hidden = SnapshotOrigin(origin.mode, hidden=True)
            await asyncio.to_thread(self._catalog.add, account, step, hidden, {})
        placed = replace(origin, parent_id=parent_id)
        return await asyncio.to_thread(self._catalog.add, account, record, placed, details or {})

    async def entry(self, account: str, snapshot_id: str) -> SnapshotEntry | None:
        """A snapshot of the account's; None for the base. Raises NotFound."""
        if snapshot_id == BASE:
            return None
        return await asyncio.to_thread(self._catalog.snapshot, account, snapshot_id)

    async def measurement(self, account: str, snapshot_id: str) -> Digest:
        """What an id means. Raises NotFound."""
        entry = await self.entry(account, snapshot_id)
        return self._engine.measurement if entry is None else entry.measurement

    async def require_runnable(self, account: str, snapshot_id: str) -> None:
        """Raises InvalidRequest for a snapshot in which a job is under way, NotFound."""
        entry = await self.entry(account, snapshot_id)
        if entry is not None and entry.paused:
            raise InvalidRequest(
                f"a run is under way in snapshot {snapshot_id}: other code cannot be run in it; "
                "restore it to have that run to its end",
                {"field": "snapshot_id"},
            )

    async def point(self, branch: BranchEntry) -> None:
        """Point the store's branch where the account's does; the base needs no protection."""
        if branch.head_id != BASE:
            head = await self.measurement(branch.account, branch.head_id)
            await self._engine.library.store.set_branch(store_branch(branch.account, branch.id), head)

    async def unpoint(self, name: str) -> None:
        """Forget a branch of the store, if it is there."""
        try:
            await self._engine.library.store.delete_branch(name)
        except NotFound:
            return

    async def release(self) -> None:
        """Delete from the store what no account has any more and nothing else needs."""
        store = self._engine.library.store
        going = True
        while going:
            going = False
            for measurement in await asyncio.to_thread(self._catalog.unowned):
                try:
                    await store.delete(measurement)
                except SnapshotNeeded:
                    continue
                except NotFound:
                    pass  # it went before
                self._engine.library.forget(measurement)
                await asyncio.to_thread(self._catalog.forget, measurement)
                going = True

    def collect(self) -> None:
        """Free the bytes of what is deleted, in the background and now and then."""
        running = self._collecting is not None and not self._collecting.done()
        if not running and time.monotonic() - self._collected > COLLECT_SECONDS:
            self._collecting = asyncio.create_task(self._collect())

    async def close(self) -> None:
        """Stop collecting; what is left is freed another time."""
        if self._collecting is not None:
            self._collecting.cancel()
            await asyncio.gather(self._collecting, return_exceptions=True)

    async def _collect(self) -> None:
        self._collected = time.monotonic()
        try:
            freed = await self._engine.library.store.collect_garbage()
        except FaaSError as error:
            log.error("garbage in the snapshot store stays: %s", error)
        else:
            log.info("%d bytes of deleted snapshots were freed", freed)

    async def abandon(self, account: str, measurement: Digest) -> None:
        """Leave a snapshot that no account has an id for to `release`."""
        if measurement == self._engine.measurement:
            return
        record = await self._engine.library.store.get(measurement)
        steps, _ = await self._ancestry(account, record)
        hidden = SnapshotOrigin(Mode.PERSISTENT, hidden=True)
        for step in (record, *steps):
            await asyncio.to_thread(self._catalog.add, account, step, hidden, {})

    async def _ancestry(
        self, account: str, record: SnapshotRecord, named: str | None = None
    ) -> tuple[list[SnapshotRecord], str]:
        """What lies between a snapshot and the nearest ancestor that the account has, and that one's id: the
        named one if it means the same."""
        preferred = await self._known_measurement(account, named)
        steps: list[SnapshotRecord] = []
        while record.parent != self._engine.measurement:
            if named is not None and record.parent == preferred:
                return steps, named
            known = await asyncio.to_thread(self._catalog.id_of, account, record.parent)
            if known is not None:
                return steps, known
            record = await self._engine.library.store.get(record.parent)
            steps.append(record)
        return steps, BASE

    async def _known_measurement(self, account: str, snapshot_id: str | None) -> Digest | None:
        try:
            return None if snapshot_id is None else await self.measurement(account, snapshot_id)
        except NotFound:
            return None  # it was deleted meanwhile


def store_branch(account: str, branch_id: str) -> str:
    """The name of an account's branch in the engine's store."""
    return f"{account}.branch.{branch_id}"


def store_session(account: str, name: str) -> str:
    """Likewise of a session."""
    return f"{account}.session.{name}"
