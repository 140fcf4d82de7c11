"""Machines that on-chain calls have left or come by, as others can have them: manifests by measurement,
pieces by SHA-256.

What is on-chain is everyone's, what an account has kept over HTTP is its own: of the store of snapshots only
those are published that `publish` was called for, all other measurements are unknown here. Pieces are made of
the machine's own pages alone, since packs of the store may hold an account's pages beside them. What was made
is kept in `published/derived` below the home, the machine that was asked for longest ago goes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from faas_blueprint.digests import Digest, sha256, to_hex
from faas_blueprint.errors import FatalError, NotFound
from faas_microvm.derived_manifest import (
    DerivedManifest,
    PagesPiece,
    encode_derived_manifest,
    encode_pages,
)
from faas_microvm.home import working_folder
from faas_microvm.machine_manifest import Piece
from faas_microvm.snapshot_record import StoredSnapshot
from faas_microvm.snapshot_store import SnapshotStore

if TYPE_CHECKING:
    from faas_microvm.engine import Engine

MADE_BYTES = 2 << 30
"""Of pieces that are kept, beside those of the machine that was asked for last."""

_MANIFEST = "manifest.json"


async def publish(store: SnapshotStore, measurement: Digest) -> None:
    """Let everyone have a snapshot of the store from now on, and hold it there. Raises NotFound."""
    await store.set_branch(_branch(measurement), measurement)


async def is_published(store: SnapshotStore, measurement: Digest) -> bool:
    """Whether everyone may have it."""
    try:
        return await store.get_branch(_branch(measurement)) == measurement
    except NotFound:
        return False


def _branch(measurement: Digest) -> str:
    return f"public.{measurement.hex()}"


class PublishedSnapshots:
    """What one home publishes of an engine's snapshots and milestones."""

    def __init__(self, home: Path, engine: Engine) -> None:
        self._folder = home / "published" / "derived"
        self._engine = engine
        self._making = asyncio.Lock()

    async def manifest(self, measurement: Digest) -> bytes:
        """The manifest of a machine; made when it is asked for first. Raises NotFound."""
        async with self._making:
            path = self._folder / measurement.hex() / _MANIFEST
            try:
                os.utime(path)
            except OSError:
                stored = await self._load(measurement)
                await asyncio.to_thread(_make, stored, self._folder)
                await asyncio.to_thread(_make_room, self._folder, measurement.hex())
            return await asyncio.to_thread(path.read_bytes)

    def piece(self, digest: Digest) -> bytes:
        """Bytes of a machine whose manifest was asked for not too long ago; blocks. Raises NotFound."""
        for path in self._folder.glob(f"*/{digest.hex()}"):
            with contextlib.suppress(OSError):
                content = path.read_bytes()
                if sha256(content) == digest:
                    return content
        raise NotFound(f"there is no blob {to_hex(digest)}")

    async def _load(self, measurement: Digest) -> StoredSnapshot:
        milestones, store = self._engine.milestones, self._engine.library.store
        if milestones is not None:
            with contextlib.suppress(NotFound):
                return await milestones.load(measurement)
        try:
            if await is_published(store, measurement):
                return await store.load(measurement)
        except FatalError as error:
            raise NotFound(f"machine {to_hex(measurement)} cannot be read: {error.message}") from error
        raise NotFound(f"this operator has no machine {to_hex(measurement)}")


def _make(stored: StoredSnapshot, folder: Path) -> None:
    """Write pieces and manifest into a folder named after the machine, complete or not at all."""
    record = stored.record
    with working_folder(folder, "derived") as working:
        parts = tuple(
            PagesPiece(_write(working, content), count) for content, count in encode_pages(stored.pages)
        )
        devices = _write(working, stored.devices)
        manifest = DerivedManifest(record.measurement, record.base, record.profile_id, devices, parts)
        (working / _MANIFEST).write_bytes(encode_derived_manifest(manifest))
        target = folder / record.measurement.hex()
        shutil.rmtree(target, ignore_errors=True)
        working.rename(target)


def _write(folder: Path, content: bytes) -> Piece:
    piece = Piece(sha256(content), len(content))
    (folder / piece.sha256.hex()).write_bytes(content)
    return piece


def _make_room(folder: Path, newest: str) -> None:
    made = []
    for path in folder.glob(f"*/{_MANIFEST}"):
        with contextlib.suppress(OSError):
            used = sum(file.stat().st_size for file in path.parent.iterdir())
            made.append((path.stat().st_mtime, used, path.parent))
    room = MADE_BYTES
    for _, used, machine in sorted(made, reverse=True):
        if machine.name != newest:
            room -= used
            if room < 0:
                shutil.rmtree(machine, ignore_errors=True)
