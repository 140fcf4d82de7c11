"""The snapshots that jobs can start on: the base, and its descendants from the store.

Those used lately stay in memory, bounded by the pages that they hold; any other is read from the
store, and its measurement is computed anew before a job may run on it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.merkle import PAGE_SIZE
from faas_microvm.devices import DeviceState
from faas_microvm.snapshot import Snapshot
from faas_microvm.snapshot_record import (
    NewSnapshot,
    SnapshotKind,
    SnapshotRecord,
    StoredSnapshot,
    damaged_snapshot,
)
from faas_microvm.snapshot_store import SnapshotStore


class SnapshotLibrary:
    """Snapshots on one base, by measurement."""

    def __init__(self, base: Snapshot, store: SnapshotStore, memory_bytes: int) -> None:
        self.base = base
        self.store = store
        self._memory_bytes = memory_bytes
        self._loaded: OrderedDict[Digest, Snapshot] = OrderedDict()

    async def get(self, measurement: Digest | None) -> Snapshot:
        """A snapshot, the base by default. Raises NotFound, FatalError when it is damaged."""
        if measurement is None or measurement == self.base.measurement:
            return self.base
        if measurement in self._loaded:
            self._loaded.move_to_end(measurement)
            return self._loaded[measurement]
        record = await self.store.get(measurement)
        if record.base != self.base.measurement:
            raise InvalidRequest(
                f"snapshot {to_hex(measurement)} stands on the base {to_hex(record.base)}, and this engine "
                f"runs {to_hex(self.base.measurement)}",
                {"field": "snapshot"},
            )
        snapshot = await self.derived(await self.store.load(measurement))
        self._remember(snapshot)
        return snapshot

    async def derived(self, stored: StoredSnapshot) -> Snapshot:
        """A stored machine on this base, measured anew. Raises FatalError when it is damaged."""
        measurement, devices = stored.record.measurement, DeviceState.from_stream(stored.devices)
        snapshot = await asyncio.to_thread(self.base.derived, stored.pages, stored.hashes, devices)
        if snapshot.measurement != measurement:
            raise damaged_snapshot(measurement, f"it measures {to_hex(snapshot.measurement)}")
        return snapshot

    async def keep(
        self,
        snapshot: Snapshot,
        parent: Snapshot,
        kind: SnapshotKind,
        *,
        label: str | None = None,
        origin: Mapping[str, str] | None = None,
    ) -> SnapshotRecord:
        """Store a stopped machine as a child of what it was restored from.

        Raises InsufficientResources when the store's quota does not allow it.
        """
        pages = await asyncio.to_thread(snapshot.changed_from, parent)
        record = await self.store.put(
            NewSnapshot(
                parent=parent.measurement,
                base=self.base.measurement,
                profile_id=snapshot.measured.profile_id,
                ram_root=snapshot.measured.ram_root,
                devices=snapshot.devices.stream,
                virtual_ns=snapshot.devices.virtual_ns,
                kind=kind,
                pages=pages,
                hashes={index: snapshot.tree.leaf(index) for index in pages},
                label=label,
                origin=origin or {},
            )
        )
        self._remember(snapshot)
        return record

    def forget(self, measurement: Digest) -> None:
        """Let go of a snapshot that was deleted."""
        self._loaded.pop(measurement, None)

    def _remember(self, snapshot: Snapshot) -> None:
        self._loaded[snapshot.measurement] = snapshot
        self._loaded.move_to_end(snapshot.measurement)
        while len(self._loaded) > 1 and self._held() > self._memory_bytes:
            self._loaded.popitem(last=False)

    def _held(self) -> int:
        return sum(len(snapshot.overlay) for snapshot in self._loaded.values()) * PAGE_SIZE
