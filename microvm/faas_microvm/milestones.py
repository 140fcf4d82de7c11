"""Machines at the milestones of runs that are everyone's, kept for a while: whoever doubts a run executes one
leg of it again, not all that came before.

They are in a store of their own below the home, with nothing else in it, so its trouble is nobody's: what
there is no time or room for is left out, with a note in the log, and the oldest go first. The machine only
stands still until its pages are copied; hashing and storing is done in the background. Nothing here is needed
to answer a job, and a verifier can always run it from its start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from faas_blueprint.digests import Digest, digest_from_hex
from faas_blueprint.errors import FaaSError, FatalError, NotFound
from faas_blueprint.merkle import PAGE_SIZE
from faas_microvm.home import exclusive
from faas_microvm.running import Stopped
from faas_microvm.snapshot import Snapshot
from faas_microvm.snapshot_record import NewSnapshot, SnapshotRecord, StoredSnapshot
from faas_microvm.snapshot_store import SnapshotStore

log = logging.getLogger(__name__)

WAITING_BYTES = 256 << 20
"""Of pages that wait to be stored; a machine that comes while there are more is left out."""

PRUNE_SECONDS = 600.0
"""Between two looks for machines that are too old, while none comes."""

_DAMAGED_AT_ONCE = 100


class Milestones:
    """One home's. Make it with `open`; several processes may have the same folder."""

    def __init__(
        self, store: SnapshotStore, folder: Path, room_bytes: int, seconds: float, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._folder = folder
        self._room = room_bytes
        self._seconds = seconds
        self._clock = clock
        self._waiting: asyncio.Queue[tuple[Stopped, Snapshot]] = asyncio.Queue()
        self._waiting_bytes = 0
        self._worker = asyncio.create_task(self._work())

    @classmethod
    async def open(
        cls, folder: Path, room_bytes: int, seconds: float, clock: Callable[[], float] = time.time
    ) -> Milestones:
        """`room_bytes` on the disk, compressed; a machine is kept for so many `seconds` at the most."""
        store = await SnapshotStore.open(folder, folder / "index.db")
        return cls(store, folder, room_bytes, seconds, clock)

    async def close(self) -> None:
        """What waits is left out."""
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        self._store.close()

    def has_room(self) -> bool:
        """Whether the next machine's pages are worth copying."""
        return self._waiting_bytes < WAITING_BYTES

    def offer(self, stopped: Stopped, base: Snapshot) -> None:
        """Have a machine at a milestone stored, soon, unless its pages were not taken for want of room."""
        if stopped.pages is None or not self.has_room():
            log.warning("a milestone's machine is not kept: those before it are not stored yet")
            return
        self._waiting_bytes += len(stopped.pages) * PAGE_SIZE
        self._waiting.put_nowait((stopped, base))

    async def settled(self) -> None:
        """Wait until nothing waits."""
        await self._waiting.join()

    async def load(self, measurement: Digest) -> StoredSnapshot:
        """A machine with all that differs from its base. Raises NotFound."""
        try:
            return await self._store.load(measurement)
        except FatalError as error:  # damaged, or taken away while it was read
            raise NotFound(error.message) from error

    async def _work(self) -> None:
        while True:
            try:
                async with asyncio.timeout(PRUNE_SECONDS):
                    stopped, base = await self._waiting.get()
            except TimeoutError:
                with _noted("old milestones were not removed"):
                    await self._prune()
                continue
            try:
                with _noted("a milestone's machine is not kept"):
                    await self._keep(stopped, base)
            finally:
                self._waiting_bytes -= len(stopped.pages or ()) * PAGE_SIZE
                self._waiting.task_done()

    async def _keep(self, stopped: Stopped, base: Snapshot) -> None:
        machine = await asyncio.to_thread(stopped.snapshot, base)
        pages = await asyncio.to_thread(machine.changed_from, base)
        new = NewSnapshot(
            parent=base.measurement,
            base=base.measurement,
            profile_id=machine.measured.profile_id,
            ram_root=machine.measured.ram_root,
            devices=machine.devices.stream,
            virtual_ns=machine.devices.virtual_ns,
            kind="milestone",
            pages=pages,
            hashes={index: machine.tree.leaf(index) for index in pages},
        )
        async with self._alone():
            await self._store.put(new)
        await self._prune()

    async def _prune(self) -> None:
        """Remove what is too old, then the oldest until the rest has room."""
        async with self._alone():
            kept = sorted(await self._readable(), key=lambda record: record.created_at)
            oldest = self._clock() - self._seconds
            await self._remove([record for record in kept if record.created_at < oldest])
            kept = [record for record in kept if record.created_at >= oldest]
            while kept and (await self._store.usage()).used_bytes > self._room:
                part = -(-len(kept) // 8)  # later ones may need the pages of one that goes
                await self._remove(kept[:part])
                kept = kept[part:]

    async def _remove(self, records: Sequence[SnapshotRecord]) -> None:
        for record in records:
            with contextlib.suppress(NotFound):
                await self._store.delete(record.measurement)
        if records:
            await self._store.collect_garbage(0)  # nobody stores anything meanwhile: see `_alone`
            log.info("machines of milestones were removed to make room, or for their age: %d", len(records))

    async def _readable(self) -> list[SnapshotRecord]:
        """All records; damaged machines, as a power cut leaves them, are removed."""
        for _ in range(_DAMAGED_AT_ONCE):
            try:
                return await self._store.list()
            except FatalError as error:
                name = error.details.get("snapshot")
                if not isinstance(name, str):
                    raise
                await self._store.delete(digest_from_hex(name))
        return []

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """While no other process of this home writes here."""
        with ExitStack() as stack:
            await asyncio.to_thread(stack.enter_context, exclusive(self._folder, "milestones"))
            yield


@contextlib.contextmanager
def _noted(what: str) -> Iterator[None]:
    """Troubles of this store end here: no job needs it."""
    try:
        yield
    except (FaaSError, sqlite3.Error, OSError) as error:
        log.warning("%s: %s", what, error)
