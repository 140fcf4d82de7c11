"""Two snapshots side by side: how they differ, what proves a part of one, and their merge."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import Divergence, InvalidRequest
from faas_blueprint.file_manifest import FileEntry, FileKind
from faas_blueprint.job import ENTRY_FILES, PROGRAM_FILES
from faas_blueprint.measurement import MachineState
from faas_blueprint.operation import Strategy
from faas_blueprint.proof import FileProof, PageProof, prove_file, prove_pages
from faas_microvm.disk import change_files, manifest_bytes, read_files, read_manifest
from faas_microvm.file_diff import FileDiff, diff_files, diff_to_json
from faas_microvm.mailbox import ChangeKind, DiskChange
from faas_microvm.merge import (
    Conflict,
    Files,
    FileWrite,
    MergeResult,
    common_ancestor,
    files_of,
    merge_files,
)
from faas_microvm.snapshot import Snapshot
from faas_microvm.snapshot_record import SnapshotRecord

if TYPE_CHECKING:
    from faas_microvm.engine import Engine

_PROGRAMS = {*ENTRY_FILES.values(), *PROGRAM_FILES.values(), "main.mjs"}

_CHANGES = {
    FileKind.FILE: ChangeKind.FILE,
    FileKind.LINK: ChangeKind.LINK,
    FileKind.FOLDER: ChangeKind.FOLDER,
}


@dataclass(frozen=True, slots=True)
class SnapshotDiff:
    """What leads from one snapshot to another on the same base."""

    before: Digest
    after: Digest
    pages: tuple[int, ...]
    """Indices of pages whose content differs, ascending."""
    files: FileDiff
    registers: dict[str, tuple[int, int]]
    """Those of the processor that differ, before and after."""
    virtual_ns: int
    """Guest time that lies between; negative when `after` is the older one."""

    def to_json(self) -> dict[str, object]:
        """Digests and registers as `0x…`."""
        return {
            "before": to_hex(self.before),
            "after": to_hex(self.after),
            "changed_pages": len(self.pages),
            "pages": list(self.pages),
            "files": diff_to_json(self.files),
            "registers": {name: [hex(old), hex(new)] for name, (old, new) in self.registers.items()},
            "virtual_ns": self.virtual_ns,
        }


@dataclass(frozen=True, slots=True)
class Merged:
    """The outcome of a merge: a new snapshot, or the conflicts that stand against one."""

    ancestor: Digest
    record: SnapshotRecord | None
    conflicts: tuple[Conflict, ...]


async def diff_snapshots(engine: Engine, before: Digest, after: Digest) -> SnapshotDiff:
    """Pages, files, registers and time. Raises NotFound."""
    old, new = await engine.library.get(before), await engine.library.get(after)
    pages = await asyncio.to_thread(new.changed_from, old)
    files = diff_files(await read_manifest(engine, old), await read_manifest(engine, new))
    registers = new.devices.registers()
    return SnapshotDiff(
        old.measurement,
        new.measurement,
        tuple(sorted(pages)),
        files,
        {
            name: (value, registers[name])
            for name, value in old.devices.registers().items()
            if registers[name] != value
        },
        new.devices.virtual_ns - old.devices.virtual_ns,
    )


async def prove_page(engine: Engine, measurement: Digest, index: int) -> PageProof:
    """That a page is part of a snapshot. Raises NotFound, InvalidRequest."""
    snapshot = await engine.library.get(measurement)
    if not 0 <= index < snapshot.tree.page_count:
        raise InvalidRequest(
            f"pages are numbered from 0 to {snapshot.tree.page_count - 1}", {"field": "page"}
        )
    return prove_pages(snapshot.tree, _state(snapshot), index, snapshot.page(index))


async def prove_path(
    engine: Engine, measurement: Digest, path: str, *, with_content: bool = False
) -> FileProof:
    """What a snapshot holds at a path of its disk, or that there is nothing. Raises NotFound, InvalidRequest.

    Only a kept machine lists its files in memory that is measured.
    """
    snapshot = await engine.library.get(measurement)
    proof = prove_file(snapshot.tree, _state(snapshot), manifest_bytes(snapshot), path)
    if not with_content or proof.entry is None or proof.entry.kind is FileKind.FOLDER:
        return proof
    contents = await read_files(engine, snapshot, [proof.entry])
    content = contents[proof.entry.sha256]
    return prove_file(snapshot.tree, _state(snapshot), manifest_bytes(snapshot), path, content)


def _state(snapshot: Snapshot) -> MachineState:
    measured = snapshot.measured
    return MachineState(measured.profile_id, measured.ram_root, measured.device_hash)


async def merge_snapshots(
    engine: Engine,
    ours: Digest,
    theirs: Digest,
    strategy: Strategy = Strategy.THREE_WAY,
    label: str | None = None,
    ancestor: Digest | None = None,
) -> Merged:
    """Merge the files of `theirs` into `ours`, against `ancestor`, or the nearest that both descend from.

    The programs that jobs ran (`main.py` and the like) stay those of `ours`.

    The result is the machine of `ours` with other files: the same one whoever merges.
    """
    if ancestor is None:
        ancestor = await _ancestor(engine, ours, theirs)
    sides = [await engine.library.get(measurement) for measurement in (ancestor, ours, theirs)]
    base, our_files, their_files = [
        _without_programs(files_of(await read_manifest(engine, snapshot))) for snapshot in sides
    ]
    trees = (base, our_files, their_files)
    contents: dict[Digest, bytes] = {}
    for snapshot, tree in zip(sides, trees, strict=True):
        contents |= await read_files(engine, snapshot, _differing(tree, trees))

    def load(entry: FileEntry) -> bytes:
        if entry.sha256 not in contents:
            raise Divergence(f"{entry.path} is not where the snapshot's file manifest says", {})
        return contents[entry.sha256]

    result = await asyncio.to_thread(merge_files, base, our_files, their_files, load, strategy)
    if result.conflicts:
        return Merged(ancestor, None, result.conflicts)
    merged = await change_files(engine, sides[1], _steps(result))
    sides_of = {"ours": to_hex(ours), "theirs": to_hex(theirs), "ancestor": to_hex(ancestor)}
    origin = {**sides_of, "strategy": str(strategy)}
    record = await engine.library.keep(merged, sides[1], "merge", label=label, origin=origin)
    return Merged(ancestor, record, ())


async def _ancestor(engine: Engine, ours: Digest, theirs: Digest) -> Digest:
    base = engine.measurement
    records = await engine.library.store.list(base)
    parents: dict[Digest, Digest | None] = {record.measurement: record.parent for record in records}
    return common_ancestor({**parents, base: None}, ours, theirs)


def _without_programs(files: Files) -> Files:
    """What jobs made; the code that they ran is each one's own and no part of a merge."""
    return {path: entry for path, entry in files.items() if path not in _PROGRAMS}


def _differing(tree: Files, trees: Sequence[Files]) -> list[FileEntry]:
    """The entries of a tree that are not the same in all: whatever else happens, no other is needed."""
    return [
        entry for path, entry in tree.items() if not all(entry.same_as(other.get(path)) for other in trees)
    ]


def _steps(result: MergeResult) -> list[DiskChange]:
    deletions = [DiskChange(ChangeKind.DELETE, path) for path in result.deletions]
    return deletions + [_write(write) for write in result.writes]


def _write(write: FileWrite) -> DiskChange:
    return DiskChange(_CHANGES[write.kind], write.path, write.content, write.mode)
