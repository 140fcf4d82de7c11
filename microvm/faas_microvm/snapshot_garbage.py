"""Which objects of a store nothing refers to, and removing them beside snapshots that are being stored.

Two rules make that safe without locks, in a folder and in S3 alike. An object stays while it is
younger than the grace period, since its record may be about to be written. What a deleted snapshot
needed stays for a grace period after the deletion (its record moves to `deleted/`), since another
that is being stored may have found it there. Storing a snapshot takes at most `PUT_SECONDS`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from faas_blueprint.digests import Digest
from faas_blueprint.errors import FatalError
from faas_microvm.objects import DamagedObject, ObjectEntry, Objects
from faas_microvm.page_table import PageTable
from faas_microvm.snapshot_pages import PACKS, TABLES, SnapshotPages, pack_object, table_object
from faas_microvm.snapshot_record import SnapshotRecord, damaged_snapshot
from faas_microvm.snapshot_tree import Records, measurement_of, record_name

PUT_SECONDS = 300.0
"""Storing a snapshot that takes longer is given up."""

GRACE_SECONDS = 3600.0
"""How long what nothing refers to is kept; clocks of hosts may differ by the rest."""

DELETED = "deleted"


class Garbage:
    """Deletion of snapshots and of what is left behind."""

    def __init__(self, objects: Objects, records: Records, pages: SnapshotPages) -> None:
        self._objects = objects
        self._records = records
        self._pages = pages

    async def bury(self, measurement: Digest) -> bytes | None:
        """Take a snapshot's record away; its content stays for a grace period. Returns the record's bytes."""
        name = record_name(measurement)
        raw = await self._objects.read(name)
        if raw is not None:
            await self._objects.write(_grave(measurement, time.time_ns()), raw)
            await self._objects.remove([name])
        return raw

    async def collect(self, grace_seconds: float) -> int:
        """Remove what nothing refers to; returns bytes. Raises FatalError while a record is damaged."""
        started = time.time()
        stored = [*await self._objects.entries(PACKS), *await self._objects.entries(TABLES)]
        records = await self._records.all()
        # after the records: what moves from one list to the other meanwhile is in one of them
        graves = await self._objects.entries(DELETED)
        young = [entry for entry in graves if started - entry.modified < grace_seconds]
        needed = await self._needed({record.table: record.measurement for record in records})
        needed |= await self._needed({record.table: None for record in await self._buried(young)})
        freed = [
            entry
            for entry in [*stored, *graves]
            if entry.name not in needed and started - entry.modified >= grace_seconds
        ]
        await self._objects.remove([entry.name for entry in freed])
        unfinished = await asyncio.to_thread(self._objects.remove_unfinished, grace_seconds)
        return unfinished + sum(entry.size for entry in freed)

    async def _buried(self, graves: Iterable[ObjectEntry]) -> list[SnapshotRecord]:
        """Records of snapshots that were deleted; those that were damaged need nothing."""
        found = []
        for entry in graves:
            raw = await self._objects.read(entry.name)
            try:
                if raw is not None:
                    found.append(SnapshotRecord.decode(_buried_in(entry.name), raw))
            except FatalError:
                continue
        return found

    async def _needed(self, owners: dict[Digest, Digest | None]) -> set[str]:
        """Names of tables, of those before them and of their packs; `owners` says whose a table is."""
        needed: set[str] = set()
        waiting = list(owners)
        while waiting:
            found = await asyncio.gather(*(self._table(name, owners[name]) for name in waiting))
            needed.update(map(table_object, waiting))
            tables = [(name, table) for name, table in zip(waiting, found, strict=True) if table]
            waiting = []
            for name, table in tables:
                needed.update(map(pack_object, table.placement.packs))
                earlier = [previous for previous in table.previous if previous not in owners]
                owners.update(dict.fromkeys(earlier, owners[name]))
                waiting.extend(earlier)
        return needed

    async def _table(self, name: Digest, owner: Digest | None) -> PageTable | None:
        """A table; None when it is damaged and only deleted snapshots need it. Raises FatalError."""
        try:
            return await self._pages.table(name)
        except DamagedObject as error:
            if owner is None:
                return None
            raise damaged_snapshot(owner, str(error)) from error


def _grave(measurement: Digest, now_ns: int) -> str:
    return f"{DELETED}/{measurement.hex()}-{now_ns}.json"


def _buried_in(name: str) -> Digest:
    return measurement_of(name.removeprefix(f"{DELETED}/").split("-", 1)[0])
