"""The file manifest: what is in a kept machine's work folder, written into its RAM by the agent.

It lies at a fixed place in RAM, so a snapshot's measurement covers it. Little-endian:

    header   32 bytes   8 magic `FAMSMAN1`, u32 count, u32 incomplete (0 or 1),
                        u64 size of all entries in bytes, 8 zero
    entry    48 bytes   u8 kind, u8 zero, u16 permission bits, u32 length of the path, u64 size, 32 SHA-256
             path       UTF-8, relative to the work folder
             padding    zero, to a multiple of 8

Entries are sorted by the bytes of their paths. The SHA-256 is of a file's content, of a link's
target, zero for a folder. What lies behind the last entry is no part of the manifest.
Decoding is strict: whatever the agent would not write is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from faas_blueprint.digests import ZERO_DIGEST, Digest
from faas_blueprint.merkle import PAGE_SIZE

MANIFEST_PHYSICAL = 0x10000000 + (25 << 20)
"""Guest-physical address."""
MANIFEST_CAPACITY = 3 << 20
"""Bytes that are set aside."""
MANIFEST_PAGE = MANIFEST_PHYSICAL // PAGE_SIZE
"""Index of the first page."""

MAGIC = b"FAMSMAN1"
HEADER_SIZE = 32
_HEADER = struct.Struct("<8sIIQ8s")
_ENTRY = struct.Struct("<BBHIQ32s")
_MAX_MODE = 0o7777


class FileKind(IntEnum):
    """What an entry is."""

    FILE = 0
    LINK = 1
    FOLDER = 2


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file, symbolic link or folder."""

    path: str
    """Relative to the work folder, parts separated by `/`."""
    kind: FileKind
    mode: int
    """Permission bits, 0 to 0o7777."""
    size: int
    """Bytes of the content or of the link's target; of a folder, what the guest says."""
    sha256: Digest
    """Of the content or of the link's target; zero for a folder."""

    def same_as(self, other: FileEntry | None) -> bool:
        """Whether the other is as this one; a folder's size and a link's permission bits say nothing."""
        return other is not None and self._meaning() == other._meaning()

    def _meaning(self) -> tuple[str, FileKind, int, Digest]:
        return self.path, self.kind, 0 if self.kind is FileKind.LINK else self.mode, self.sha256


@dataclass(frozen=True, slots=True)
class ManifestHeader:
    """How much follows."""

    count: int
    incomplete: bool
    size: int
    """Bytes of all entries."""

    @property
    def end(self) -> int:
        """Offset behind the last entry."""
        return HEADER_SIZE + self.size


@dataclass(frozen=True, slots=True)
class FileManifest:
    """All entries, sorted by the bytes of their paths."""

    entries: tuple[FileEntry, ...]
    incomplete: bool = False
    """Files are missing: they did not fit, or a name was not UTF-8."""

    def by_path(self) -> dict[str, FileEntry]:
        """The entries by path, in their order."""
        return {entry.path: entry for entry in self.entries}


def decode_manifest(data: bytes) -> FileManifest:
    """The manifest at the start of `data`, which is the whole range or at least all of the manifest.

    Raises ValueError that names what is wrong, and where.
    """
    header = decode_header(data)
    if header.end > len(data):
        raise ValueError(f"file manifest: {header.end} bytes, {len(data)} are there")
    return FileManifest(tuple(entry for entry, _ in read_entries(data, header)), header.incomplete)


def decode_header(data: bytes) -> ManifestHeader:
    """The header at the start of `data`. Raises ValueError."""
    if len(data) < HEADER_SIZE:
        raise ValueError(f"file manifest: a header has {HEADER_SIZE} bytes, {len(data)} are there")
    magic, count, incomplete, size, zero = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise ValueError("there is no file manifest: the machine was not kept")
    if incomplete > 1 or any(zero) or HEADER_SIZE + size > MANIFEST_CAPACITY:
        raise ValueError("file manifest: the header is not valid")
    return ManifestHeader(count, bool(incomplete), size)


def read_entries(data: bytes, header: ManifestHeader) -> Iterator[tuple[FileEntry, int]]:
    """The entries one after the other and where each ends, up to the last that is whole within `data`.

    Raises ValueError when one is not valid, and behind the last when they are not as long as the header says.
    """
    within = memoryview(data)[: header.end]
    offset = HEADER_SIZE
    order = _Order()
    for _ in range(header.count):
        found = _read_entry(within, offset)
        if found is None and len(data) < header.end:
            return
        if found is None:
            raise ValueError(f"file manifest: the entry at byte {offset} does not end within the manifest")
        entry, offset = found
        order.check(entry)
        yield entry, offset
    if offset != header.end:
        raise ValueError(f"file manifest: entries end at byte {offset}, the header says {header.end}")


def encode_manifest(manifest: FileManifest) -> bytes:
    """As the agent writes it. Raises ValueError when it cannot be decoded again."""
    body = b"".join(map(_encode_entry, manifest.entries))
    header = _HEADER.pack(MAGIC, len(manifest.entries), manifest.incomplete, len(body), b"")
    encoded = header + body
    if decode_manifest(encoded) != manifest:
        raise ValueError("file manifest: an entry does not survive encoding")
    return encoded


def sort_entries(entries: Sequence[FileEntry]) -> tuple[FileEntry, ...]:
    """In the manifest's order."""
    return tuple(sorted(entries, key=lambda entry: entry.path.encode()))


def _encode_entry(entry: FileEntry) -> bytes:
    path = entry.path.encode()
    head = _ENTRY.pack(entry.kind, 0, entry.mode, len(path), entry.size, entry.sha256)
    return head + path + bytes(-len(path) % 8)


def _read_entry(data: memoryview, offset: int) -> tuple[FileEntry, int] | None:
    """The entry at `offset` and where the next starts, or None when `data` ends before."""
    start = offset + _ENTRY.size
    if start > len(data):
        return None
    kind, zero, mode, length, size, digest = _ENTRY.unpack_from(data, offset)
    end = start + length
    following = end + -length % 8
    if (
        kind > max(FileKind)
        or zero
        or mode > _MAX_MODE
        or (kind == FileKind.FOLDER) != (digest == ZERO_DIGEST)
    ):
        raise ValueError(f"file manifest: the entry at byte {offset} is not valid")
    if following > len(data):
        return None
    try:
        path = checked_path(str(data[start:end], "utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"file manifest: the path at byte {offset} is not UTF-8") from error
    if any(data[end:following]):
        raise ValueError(f"file manifest: the entry at byte {offset} is not padded with zeros")
    return FileEntry(path, FileKind(kind), mode, size, Digest(digest)), following


def checked_path(path: str) -> str:
    """A path as a manifest may list it. Raises ValueError."""
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"file manifest: {path!r} is not a path within the work folder")
    return path


class _Order:
    """What must hold between entries."""

    def __init__(self) -> None:
        self._last = b""
        self._leaves: set[str] = set()

    def check(self, entry: FileEntry) -> None:
        """Raises ValueError when an entry is out of order, twice there, or within what is no folder."""
        path = entry.path.encode()
        if path <= self._last:
            raise ValueError(f"file manifest: {entry.path!r} is not sorted")
        self._last = path
        for folder in folders_above(entry.path):
            if folder in self._leaves:
                raise ValueError(f"file manifest: {folder!r} is no folder, {entry.path!r} is in it")
        if entry.kind is not FileKind.FOLDER:
            self._leaves.add(entry.path)


def folders_above(path: str) -> list[str]:
    """The folders that a path lies in, outermost first."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
