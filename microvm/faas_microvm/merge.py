"""Merging the files of two snapshots against their common ancestor's. Pure but for `git merge-file`; no VM.

Each path is decided by itself, then folders:

    both sides the same             as it is
    one side as the ancestor        the other side's, a deletion too
    both changed a file             permission bits and content each by the same two rules, else content
                                    line by line (CONTENT) or, with a zero byte in any version, not at all
                                    (BINARY), permission bits not at all (MODE)
    both changed a link             CONTENT
    deleted here, changed there     DELETE_MODIFY
    file here, link or folder there TYPE; also when something stays below what has become no folder
    something stays below a folder that one side deleted: the folder stays

What is in capitals is a conflict. With `three_way` any conflict leaves all as it is, and all are listed.
`ours` and `theirs` take that side wherever both changed the same: the same lines of a text, else the file,
with TYPE all that this side has at and below the path. `union` keeps both sides' lines, ours first, and a
file that one side deleted; all other conflicts remain and are listed.

Who merges makes no difference: the same inputs give the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from faas_blueprint.digests import Digest, sha256, to_hex
from faas_blueprint.errors import Divergence, InvalidRequest, NotFound
from faas_blueprint.file_manifest import FileEntry, FileKind, FileManifest, folders_above
from faas_blueprint.operation import Strategy
from faas_microvm.line_merge import Favour, merge_lines

Files = Mapping[str, FileEntry]
"""By path; every entry lies below entries that are folders, or below none that is listed."""

Loader = Callable[[FileEntry], bytes]
"""The content of a file or the target of a link with this SHA-256, from whichever snapshot has it."""


class ConflictKind(StrEnum):
    """Why a path cannot be merged."""

    CONTENT = "content"
    DELETE_MODIFY = "delete-modify"
    TYPE = "type"
    MODE = "mode"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path that cannot be merged, with all versions of it.

    Bytes are a file's content or a link's target, None for a folder and for nothing.
    """

    path: str
    kind: ConflictKind
    ours: bytes | None
    theirs: bytes | None
    base: bytes | None
    ours_entry: FileEntry | None
    theirs_entry: FileEntry | None
    base_entry: FileEntry | None


@dataclass(frozen=True, slots=True)
class FileWrite:
    """A file, link or folder to be made, or to be given this content and these permission bits."""

    path: str
    kind: FileKind
    mode: int
    content: bytes
    """A file's content or a link's target; empty for a folder."""


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What to do to our files: delete, then write, each in the order given. With conflicts, nothing."""

    writes: tuple[FileWrite, ...]
    """Folders before what is in them."""
    deletions: tuple[str, ...]
    """What is in folders before these; a path that becomes another kind is here and in `writes`."""
    conflicts: tuple[Conflict, ...]
    """By path, then kind."""


def merge_files(
    base: Files, ours: Files, theirs: Files, load: Loader, strategy: Strategy = Strategy.THREE_WAY
) -> MergeResult:
    """Merge what both sides made of `base`.

    Raises Divergence when `load` gives what an entry does not say, MissingPrerequisite without git.
    """
    return _Merge(base, ours, theirs, load, strategy).result()


def files_of(manifest: FileManifest) -> Files:
    """A manifest's files.

    Raises InvalidRequest for an incomplete one: what it leaves out would read as deleted.
    """
    if manifest.incomplete:
        raise InvalidRequest("the file manifest is incomplete: such a snapshot cannot be merged")
    return manifest.by_path()


def common_ancestor(parents: Mapping[Digest, Digest | None], left: Digest, right: Digest) -> Digest:
    """The nearest snapshot that both descend from, or one of them; `parents` gives None for a base snapshot.

    Raises NotFound when there is none, or when a snapshot on the way is not known.
    """
    known = set(_lineage(parents, left))
    for snapshot in _lineage(parents, right):
        if snapshot in known:
            return snapshot
    raise NotFound(f"{to_hex(left)} and {to_hex(right)} have no common ancestor")


def _lineage(parents: Mapping[Digest, Digest | None], snapshot: Digest) -> list[Digest]:
    """A snapshot, its parent, and so on."""
    line: list[Digest] = []
    following: Digest | None = snapshot
    while following is not None and len(line) <= len(parents):
        if following not in parents:
            raise NotFound(f"there is no snapshot {to_hex(following)}", {"snapshot": to_hex(following)})
        line.append(following)
        following = parents[following]
    return line


_FAVOURS: Mapping[Strategy, Favour] = {
    Strategy.OURS: "ours",
    Strategy.THEIRS: "theirs",
    Strategy.UNION: "union",
}


def _order(path: str) -> bytes:
    return path.encode()


def _same(left: FileEntry | None, right: FileEntry | None) -> bool:
    return right is None if left is None else left.same_as(right)


class _Merge:
    """One merge: the tree as it grows, the conflicts, and the contents that are in neither side."""

    def __init__(self, base: Files, ours: Files, theirs: Files, load: Loader, strategy: Strategy) -> None:
        self._base, self._ours, self._theirs = base, ours, theirs
        self._load = load
        self._strategy = strategy
        self._tree: dict[str, FileEntry] = {}
        self._conflicts: dict[tuple[bytes, ConflictKind], Conflict] = {}
        self._made: dict[Digest, bytes] = {}

    def result(self) -> MergeResult:
        """Decide every path, then folders, then say how it differs from ours."""
        for path in {**self._base, **self._ours, **self._theirs}:
            entry = self._decide(path)
            if entry is not None:
                self._tree[path] = entry
        self._settle_types()
        self._restore_folders()
        if self._conflicts:
            return MergeResult((), (), tuple(self._conflicts[key] for key in sorted(self._conflicts)))
        return MergeResult(self._writes(), self._deletions(), ())

    def _decide(self, path: str) -> FileEntry | None:
        base, ours, theirs = self._base.get(path), self._ours.get(path), self._theirs.get(path)
        if _same(ours, theirs) or _same(base, theirs):
            return ours
        if _same(base, ours):
            return theirs
        if ours is None or theirs is None:
            if self._strategy is Strategy.UNION:
                return ours or theirs
            return self._contested(path, ConflictKind.DELETE_MODIFY)
        if ours.kind is not theirs.kind:
            return self._contested(path, ConflictKind.TYPE)
        if ours.kind is FileKind.LINK:
            return self._contested(path, ConflictKind.CONTENT)
        before = base if base is not None and base.kind is ours.kind else None
        mode = self._mode(before, ours, theirs)
        return self._content(before, replace(ours, mode=mode), replace(theirs, mode=mode))

    def _contested(self, path: str, kind: ConflictKind) -> FileEntry | None:
        """The entry of the side that the strategy takes; without one a conflict, and what is there."""
        ours, theirs, base = self._ours.get(path), self._theirs.get(path), self._base.get(path)
        if self._strategy is Strategy.OURS:
            return ours
        if self._strategy is Strategy.THEIRS:
            return theirs
        contents = self._read(ours), self._read(theirs), self._read(base)
        self._conflicts[_order(path), kind] = Conflict(path, kind, *contents, ours, theirs, base)
        return ours or theirs

    def _mode(self, base: FileEntry | None, ours: FileEntry, theirs: FileEntry) -> int:
        if ours.mode == theirs.mode or (base is not None and base.mode == theirs.mode):
            return ours.mode
        if base is not None and base.mode == ours.mode:
            return theirs.mode
        taken = self._contested(ours.path, ConflictKind.MODE)
        return ours.mode if taken is None else taken.mode

    def _content(self, base: FileEntry | None, ours: FileEntry, theirs: FileEntry) -> FileEntry:
        """One of two entries that differ in content alone, or one with merged content."""
        if ours.sha256 == theirs.sha256 or (base is not None and base.sha256 == theirs.sha256):
            return ours
        if base is not None and base.sha256 == ours.sha256:
            return theirs
        before = b"" if base is None else self._loaded(base)
        here, there = self._loaded(ours), self._loaded(theirs)
        if any(b"\0" in text for text in (before, here, there)):
            self._contested(ours.path, ConflictKind.BINARY)
            return theirs if self._strategy is Strategy.THEIRS else ours
        merged = merge_lines(before, here, there, _FAVOURS.get(self._strategy))
        if merged.conflicts:
            self._contested(ours.path, ConflictKind.CONTENT)
            return ours
        digest = sha256(merged.content)
        self._made[digest] = merged.content
        return replace(ours, size=len(merged.content), sha256=digest)

    def _settle_types(self) -> None:
        """Where one side has a folder and the other none: all of a side's, or a conflict."""
        sides = {Strategy.OURS: self._ours, Strategy.THEIRS: self._theirs}
        for path in self._clashes():
            self._contested(path, ConflictKind.TYPE)
            side = sides.get(self._strategy)
            if side is not None:
                kept = {name: entry for name, entry in self._tree.items() if not _within(name, path)}
                self._tree = kept | {name: entry for name, entry in side.items() if _within(name, path)}

    def _clashes(self) -> list[str]:
        """Contested kinds, and what has become no folder though something stays below; outermost first."""
        contested = {path for path in self._tree if self._kind_contested(path)}
        below = {folder for path in self._tree for folder in folders_above(path)}
        files = {path for path in below & self._tree.keys() if self._tree[path].kind is not FileKind.FOLDER}
        return sorted(contested | files, key=_order)

    def _kind_contested(self, path: str) -> bool:
        base, ours, theirs = self._base.get(path), self._ours.get(path), self._theirs.get(path)
        both = ours is not None and theirs is not None and ours.kind is not theirs.kind
        return both and not _same(base, ours) and not _same(base, theirs)

    def _restore_folders(self) -> None:
        """Folders that one side deleted, and the other keeps something in."""
        for path in list(self._tree):
            for folder in folders_above(path):
                entry = self._ours.get(folder) or self._theirs.get(folder)
                if folder not in self._tree and entry is not None:
                    self._tree[folder] = entry

    def _writes(self) -> tuple[FileWrite, ...]:
        changed = (self._tree[path] for path in sorted(self._tree, key=_order))
        return tuple(
            FileWrite(entry.path, entry.kind, entry.mode, self._read(entry) or b"")
            for entry in changed
            if not entry.same_as(self._ours.get(entry.path))
        )

    def _deletions(self) -> tuple[str, ...]:
        gone = [
            path
            for path, entry in self._ours.items()
            if path not in self._tree or self._tree[path].kind is not entry.kind
        ]
        return tuple(sorted(gone, key=_order, reverse=True))

    def _read(self, entry: FileEntry | None) -> bytes | None:
        return None if entry is None or entry.kind is FileKind.FOLDER else self._loaded(entry)

    def _loaded(self, entry: FileEntry) -> bytes:
        if entry.sha256 in self._made:
            return self._made[entry.sha256]
        content = self._load(entry)
        if sha256(content) != entry.sha256:
            found = {"path": entry.path, "listed": to_hex(entry.sha256), "found": to_hex(sha256(content))}
            raise Divergence(f"{entry.path} does not hold what the snapshot's file manifest says", found)
        return content


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")
