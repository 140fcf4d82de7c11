"""What differs between two file manifests. Not here: what differs within a file, and merging (`merge`)."""

from __future__ import annotations

from dataclasses import dataclass

from faas_blueprint.file_manifest import FileEntry, FileManifest
from faas_blueprint.proof_json import entry_to_json


@dataclass(frozen=True, slots=True)
class ModifiedFile:
    """A path that both have, with another content, kind or permission bits."""

    before: FileEntry
    after: FileEntry

    @property
    def path(self) -> str:
        """Relative to the work folder."""
        return self.after.path

    @property
    def content_changed(self) -> bool:
        """Whether more than the permission bits changed."""
        return (self.before.kind, self.before.sha256) != (self.after.kind, self.after.sha256)


@dataclass(frozen=True, slots=True)
class FileDiff:
    """From one manifest to the other; each part in the order of the bytes of paths."""

    added: tuple[FileEntry, ...]
    removed: tuple[FileEntry, ...]
    modified: tuple[ModifiedFile, ...]
    incomplete: bool
    """One of the manifests does not list everything: there may be more, and what is added or removed
    may only have become listed or unlisted."""

    @property
    def empty(self) -> bool:
        """Nothing listed differs."""
        return not (self.added or self.removed or self.modified)


def diff_files(before: FileManifest, after: FileManifest) -> FileDiff:
    """What leads from `before` to `after`. A folder's size and a link's permission bits are not compared."""
    old, new = before.by_path(), after.by_path()
    return FileDiff(
        tuple(entry for path, entry in new.items() if path not in old),
        tuple(entry for path, entry in old.items() if path not in new),
        tuple(
            ModifiedFile(old[path], entry)
            for path, entry in new.items()
            if path in old and not entry.same_as(old[path])
        ),
        before.incomplete or after.incomplete,
    )


def diff_to_json(diff: FileDiff) -> dict[str, object]:
    """A JSON-safe object."""
    return {
        "added": [_entry_to_json(entry) for entry in diff.added],
        "removed": [_entry_to_json(entry) for entry in diff.removed],
        "modified": [
            {"path": item.path, "before": entry_to_json(item.before), "after": entry_to_json(item.after)}
            for item in diff.modified
        ],
        "incomplete": diff.incomplete,
    }


def _entry_to_json(entry: FileEntry) -> dict[str, str | int]:
    return {"path": entry.path, **entry_to_json(entry)}
