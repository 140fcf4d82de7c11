"""Output files: whether a list and contents fit their digest, and which file is the first to differ."""

from __future__ import annotations

from collections.abc import Sequence

from faas_blueprint.bundle import Bundle
from faas_blueprint.digests import to_hex
from faas_blueprint.outcome import FileDigest, FilesDigest

Pair = tuple[str, str | int, str | int]
"""A field, what is claimed, what was found."""


def digest_pairs(claimed: FilesDigest, found: FilesDigest) -> list[Pair]:
    """Everything that the outcome says of all files."""
    return [
        ("files.count", claimed.count, found.count),
        ("files.size", claimed.size, found.size),
        ("files.sha256", to_hex(claimed.sha256), to_hex(found.sha256)),
        ("files.truncated", claimed.truncated, found.truncated),
    ]


def bundled_pairs(bundle: Bundle) -> list[Pair]:
    """Manifest against the outcome's digest, and contents against the manifest, where they are at hand."""
    if bundle.manifest is None:
        return []
    claimed = bundle.outcome.files
    pairs = digest_pairs(claimed, FilesDigest.of(bundle.manifest, claimed.truncated))
    if bundle.files is not None:
        actual = tuple(map(FileDigest.of, bundle.files))
        pairs += first_difference(bundle.manifest, actual)
    return pairs


def first_difference(claimed: Sequence[FileDigest], found: Sequence[FileDigest]) -> list[Pair]:
    """The first file, in order, that is not the same in both; nothing when all are."""
    theirs = {line.path: line for line in claimed}
    ours = {line.path: line for line in found}
    for path in sorted({*theirs, *ours}):
        if theirs.get(path) != ours.get(path):
            return [(f"file {path!r}", _shown(theirs.get(path)), _shown(ours.get(path)))]
    return []


def _shown(line: FileDigest | None) -> str:
    return "not there" if line is None else f"{line.size} bytes, {to_hex(line.sha256)}"
