"""The snapshot store: a tree of measured snapshots, each kept as the pages it changed.

In a local folder, or in any S3-compatible store by URL: `snapshots/` holds the records, written
last, so that a snapshot is there complete or not at all; `tables/` and `packs/` the content, named
by hash; `branches/` the heads; `deleted/` records whose content is about to go. The base snapshot
at the root is kept elsewhere, and whether a Merkle root fits its measurement is for the caller.
"""

from __future__ import annotations

import asyncio
import builtins
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from faas_blueprint.digests import Digest, sha256, to_hex
from faas_blueprint.errors import FatalError, InvalidRequest, NotFound, RequestError, TransientError
from faas_blueprint.merkle import PAGE_SIZE
from faas_microvm.home import default_home
from faas_microvm.objects import DamagedObject, Objects
from faas_microvm.page_index import Need, PageIndex
from faas_microvm.page_table import PageTable
from faas_microvm.snapshot_garbage import DELETED, GRACE_SECONDS, PUT_SECONDS, Garbage
from faas_microvm.snapshot_pages import PACKS, TABLES, PreparedPages, SnapshotPages
from faas_microvm.snapshot_record import NewSnapshot, SnapshotRecord, StoredSnapshot, damaged_snapshot
from faas_microvm.snapshot_tree import (
    BRANCHES,
    RECORDS,
    Branches,
    Records,
    children_of,
    descendants_of,
    made_from,
    record_name,
    tree_order,
)
from faas_microvm.storage_quota import StorageQuota


class SnapshotNeeded(RequestError):
    """A snapshot is not deleted since others or a branch need it; `details` lists `children`, `branches`."""

    code = "CONFLICT"
    http_status = 409


@dataclass(frozen=True, slots=True)
class Usage:
    """What a store holds."""

    snapshots: int
    objects: int
    used_bytes: int
    """Bytes of all objects, garbage included."""
    quota_bytes: int | None


class SnapshotStore:
    """One store. Any number of processes and hosts may use it at once; one event loop uses this object."""

    def __init__(self, objects: Objects, index: PageIndex, quota_bytes: int | None) -> None:
        self._objects = objects
        self._index = index
        self._quota = StorageQuota(index, quota_bytes, self._used_bytes)
        self._records = Records(objects)
        self._branches = Branches(objects)
        self._pages = SnapshotPages(objects, index)
        self._garbage = Garbage(objects, self._records, self._pages)

    @classmethod
    async def open(
        cls,
        location: str | Path,
        index: Path | None = None,
        quota_bytes: int | None = None,
        options: Mapping[str, str] | None = None,
    ) -> SnapshotStore:
        """A folder, or `s3://bucket/prefix` with settings from `AWS_*` or `options`.

        `index` is this host's cache of the store; by default in the home. Raises FatalError, TransientError.
        """
        objects = Objects.open(location, options)
        await objects.entries(BRANCHES)  # says now whether the store answers
        name = sha256(objects.location.encode()).hex()[:16]
        path = index or default_home() / "snapshot-indexes" / f"{name}.db"
        return cls(objects, await asyncio.to_thread(PageIndex, path, objects.location), quota_bytes)

    async def __aenter__(self) -> SnapshotStore:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    async def put(self, new: NewSnapshot) -> SnapshotRecord:
        """Store a snapshot; one of the same measurement that is there already is returned as it is, but for
        one that was fetched and is made here now: then the record says so.

        Raises NotFound for a parent that is not there, InsufficientResources beyond the quota.
        """
        measurement = new.state.measurement()
        known = await self._records.find(measurement)
        if known is not None and (known.kind != "fetched" or new.kind == "fetched"):
            return known
        try:
            async with asyncio.timeout(PUT_SECONDS):
                return await self._put(measurement, new)
        except TimeoutError as error:
            raise TransientError(
                f"storing snapshot {to_hex(measurement)} took over {PUT_SECONDS:.0f} s and was given up"
            ) from error

    async def _put(self, measurement: Digest, new: NewSnapshot) -> SnapshotRecord:
        parent = await self._parent(measurement, new)
        try:
            prepared = await self._pages.prepare(
                parent.table if parent else None, new.devices, new.pages, new.hashes, self._is_needed
            )
        except DamagedObject as error:
            raise damaged_snapshot(new.parent, str(error)) from error
        record = _record(measurement, new, prepared)
        content = record.encode()
        await self._quota.reserve(measurement, prepared.size + len(content))
        try:
            await self._pages.write(prepared)
            await self._objects.write(record_name(measurement), content)
            await self._check_parent_stayed(record)
        except BaseException:
            self._quota.forget()
            raise
        fresh = {pack.name: pack.hashes for pack in prepared.packs}
        need = Need(measurement, record.table)
        await asyncio.to_thread(self._index.learn, need, fresh, prepared.needed)
        return record

    async def _parent(self, measurement: Digest, new: NewSnapshot) -> SnapshotRecord | None:
        if measurement == new.base:
            raise InvalidRequest("the machine is as its base snapshot is: there is nothing to store")
        if new.parent == new.base:
            return None
        parent = await self._records.get(new.parent)
        if (parent.base, parent.profile_id) != (new.base, new.profile_id):
            raise InvalidRequest(
                f"snapshot {to_hex(new.parent)} is on another base or machine profile than its child"
            )
        return parent

    async def _check_parent_stayed(self, record: SnapshotRecord) -> None:
        """With `delete`, which looks for children last: never a child without its parent."""
        if record.parent != record.base and await self._records.find(record.parent) is None:
            await self._garbage.bury(record.measurement)
            raise NotFound(
                f"snapshot {to_hex(record.parent)} was deleted while one made from it was stored",
                {"snapshot": to_hex(record.parent)},
            )

    async def _is_needed(self, need: Need) -> bool:
        try:
            record = await self._records.find(need.snapshot)
        except FatalError:
            return False
        return record is not None and record.table == need.table

    async def _used_bytes(self) -> int:
        return (await self.usage()).used_bytes

    async def get(self, measurement: Digest) -> SnapshotRecord:
        """One record. Raises NotFound."""
        return await self._records.get(measurement)

    async def is_made_here(self, measurement: Digest) -> bool:
        """Whether a snapshot of the store, and all that it was made from, were left by jobs of our own; else
        it stands on one that others have made. Raises NotFound, also for what it was made from."""
        waiting, seen = {measurement}, set[Digest]()
        while waiting:
            record = await self._records.get(waiting.pop())
            if record.kind == "fetched":
                return False
            seen.add(record.measurement)
            waiting |= set(made_from(record)) - seen - {record.base}
        return True

    async def list(self, base: Digest | None = None) -> builtins.list[SnapshotRecord]:
        """All records, each before its children, oldest first; those on one base if given."""
        records = await self._records.all()
        return tree_order(record for record in records if base in (None, record.base))

    async def children(self, measurement: Digest) -> builtins.list[SnapshotRecord]:
        """Snapshots made directly from one, which may be the base; oldest first."""
        return children_of(measurement, await self._records.all())

    async def load(self, measurement: Digest) -> StoredSnapshot:
        """Read a snapshot; every page and object is checked. Raises NotFound, FatalError that names it."""
        record = await self._records.get(measurement)
        try:
            table = await self._pages.table(record.table)
            if sha256(table.devices) != record.device_hash:
                raise DamagedObject("its device stream does not match its measurement")
            return await self._load(record, table)
        except DamagedObject as error:
            await self._records.get(measurement)
            raise damaged_snapshot(measurement, str(error)) from error

    async def _load(self, record: SnapshotRecord, table: PageTable) -> StoredSnapshot:
        read = await self._pages.read(table)
        return StoredSnapshot(record, read.pages, read.hashes, table.devices)

    async def delete(self, measurement: Digest, *, cascade: bool = False) -> builtins.list[Digest]:
        """Delete a snapshot, with all made from it if `cascade`; returns what was deleted, children first.

        Raises NotFound, or SnapshotNeeded when children or branches need it. A damaged one is deleted
        like any other. Bytes are freed by `collect_garbage`.
        """
        if await self._objects.read(record_name(measurement)) is None:
            await self._records.get(measurement)
        records = await self._records.readable() if cascade else []
        doomed = [measurement, *(record.measurement for record in descendants_of(measurement, records))]
        await self._check_unneeded(doomed)
        taken: dict[Digest, bytes] = {}
        try:
            for name in reversed(doomed):
                if (raw := await self._garbage.bury(name)) is not None:
                    taken[name] = raw
            await self._check_unneeded(doomed)
        except BaseException:
            for name, raw in reversed(taken.items()):
                await self._objects.write(record_name(name), raw)
            raise
        return builtins.list(taken)

    async def _check_unneeded(self, doomed: builtins.list[Digest]) -> None:
        records = await self._records.readable()
        gone = set(doomed)
        children = sorted(
            to_hex(record.measurement)
            for record in records
            if record.parent in gone and record.measurement not in gone
        )
        branches = [name for name, head in (await self._branches.all()).items() if head in gone]
        if children or branches:
            listed = [*(f"snapshot {name}" for name in children), *(f"branch {name}" for name in branches)]
            raise SnapshotNeeded(
                f"snapshot {to_hex(doomed[0])} is needed by {', '.join(listed)}; delete what needs it first"
                + (", or all that was made from it with it" if children else ""),
                {"snapshot": to_hex(doomed[0]), "children": children, "branches": branches},
            )

    async def collect_garbage(self, grace_seconds: float = GRACE_SECONDS) -> int:
        """Remove what nothing refers to; returns bytes freed. Raises FatalError while a snapshot is damaged.

        A grace period under `PUT_SECONDS` is safe only while nobody stores a snapshot.
        """
        freed = await self._garbage.collect(grace_seconds)
        self._quota.forget()
        return freed

    async def usage(self) -> Usage:
        """Count all objects."""
        folders = (RECORDS, TABLES, PACKS, BRANCHES, DELETED)
        found = await asyncio.gather(*map(self._objects.entries, folders))
        sizes = [entry.size for entries in found for entry in entries]
        return Usage(len(found[0]), len(sizes), sum(sizes), self._quota.allowed)

    async def rebuild_index(self) -> None:
        """Learn anew where every page lies, from the store itself. Reads all of it."""
        self._index.clear()
        for record in await self._records.all():
            try:
                await self._pages.learn(record.measurement, record.table)
            except DamagedObject as error:
                raise damaged_snapshot(record.measurement, str(error)) from error

    async def set_branch(self, name: str, measurement: Digest) -> None:
        """Point a branch at a snapshot of the store. Raises NotFound, InvalidRequest."""
        await self._records.get(measurement)
        try:
            before = await self._branches.find(name)
        except FatalError:
            before = None
        await self._branches.set(name, measurement)
        try:
            await self._records.get(measurement)
        except NotFound:
            await (self._branches.remove(name) if before is None else self._branches.set(name, before))
            raise

    async def get_branch(self, name: str) -> Digest:
        """The head of a branch. Raises NotFound."""
        head = await self._branches.find(name)
        if head is None:
            raise _no_branch(name)
        return head

    async def list_branches(self) -> dict[str, Digest]:
        """Every branch and its head, by name."""
        return await self._branches.all()

    async def delete_branch(self, name: str) -> None:
        """Forget a branch; its snapshots stay. Raises NotFound."""
        if not await self._branches.has(name):
            raise _no_branch(name)
        await self._branches.remove(name)


def _no_branch(name: str) -> NotFound:
    return NotFound(f"there is no branch {name}", {"branch": name})


def _record(measurement: Digest, new: NewSnapshot, prepared: PreparedPages) -> SnapshotRecord:
    return SnapshotRecord(
        measurement=measurement,
        parent=new.parent,
        base=new.base,
        profile_id=new.profile_id,
        ram_root=new.ram_root,
        device_hash=new.state.device_hash,
        virtual_ns=new.virtual_ns,
        kind=new.kind,
        changed_pages=len(new.pages),
        stored_bytes=prepared.size,
        logical_bytes=len(new.pages) * PAGE_SIZE + len(new.devices),
        created_at=time.time(),
        label=new.label,
        origin=dict(new.origin),
        table=prepared.table_name,
    )
