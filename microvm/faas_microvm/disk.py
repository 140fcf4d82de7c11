"""The job's disk in a snapshot: what is on it, what its files hold, and the machine with other files.

A snapshot of a kept machine lists its files in its own memory. Contents are read, and changed, by the
guest's agent in a machine restored for that alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from faas_blueprint.digests import Digest
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.file_manifest import (
    MANIFEST_CAPACITY,
    MANIFEST_PHYSICAL,
    FileEntry,
    FileKind,
    FileManifest,
    decode_manifest,
)
from faas_microvm.mailbox import DiskChange, decode_files, encode_changes, encode_export
from faas_microvm.paused_machine import PausedMachine
from faas_microvm.running import Stopped, run_to_end
from faas_microvm.snapshot import Snapshot

if TYPE_CHECKING:
    from faas_microvm.engine import Engine

Item = TypeVar("Item")

LARGEST_FILE = 15 << 20
"""Bytes that one file may have to be moved between snapshots."""

_SECONDS = 300.0


async def read_manifest(engine: Engine, snapshot: Snapshot) -> FileManifest:
    """What is on the disk. A machine that was not told that it would be kept is asked, in a copy."""
    try:
        return decode_manifest(manifest_bytes(snapshot))
    except ValueError:
        return decode_manifest(manifest_bytes(await change_files(engine, snapshot, ())))


def manifest_bytes(snapshot: Snapshot) -> bytes:
    """The range of memory that holds the manifest, if there is one."""
    return snapshot.read(MANIFEST_PHYSICAL, MANIFEST_CAPACITY)


async def read_files(engine: Engine, snapshot: Snapshot, entries: Iterable[FileEntry]) -> dict[Digest, bytes]:
    """Contents of files and targets of links, by SHA-256. Raises InvalidRequest for one that is too large."""
    wanted = [entry for entry in entries if entry.kind is not FileKind.FOLDER]
    by_path = {entry.path.encode(): entry.sha256 for entry in wanted}
    contents: dict[Digest, bytes] = {}
    async with engine.machine(snapshot) as machine:
        for batch in _batches(wanted, _exported_size):
            stopped = await _serve(machine, snapshot, encode_export([entry.path for entry in batch]))
            for path, content in decode_files(stopped.files, stopped.result.files_count):
                contents[by_path[path]] = content
    return contents


async def change_files(engine: Engine, snapshot: Snapshot, changes: Sequence[DiskChange]) -> Snapshot:
    """The machine with these changes made to its disk, in this order."""
    async with engine.machine(snapshot) as machine:
        for batch in list(_batches(changes, _changed_size)) or [[]]:
            stopped = await _serve(machine, snapshot, encode_changes(batch))
    return stopped.snapshot(snapshot)


async def _serve(machine: PausedMachine, snapshot: Snapshot, request: bytes) -> Stopped:
    stopped = await run_to_end(machine, snapshot.base, request, _SECONDS)
    if stopped.result.exit_code:
        raise InvalidRequest(stopped.stderr.decode("utf-8", "replace").strip())
    return stopped


def _batches(items: Iterable[Item], size_of: Callable[[Item], int]) -> Iterator[list[Item]]:
    """In their order, as many at once as fit into one request."""
    batch: list[Item] = []
    size = 0
    for item in items:
        needed = size_of(item) + 64
        if batch and size + needed > LARGEST_FILE:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += needed
    if batch:
        yield batch


def _exported_size(entry: FileEntry) -> int:
    if entry.size > LARGEST_FILE:
        raise InvalidRequest(f"{entry.path} has {entry.size} bytes; {LARGEST_FILE} can be moved")
    return entry.size + len(entry.path)


def _changed_size(change: DiskChange) -> int:
    return len(change.content) + len(change.path)
