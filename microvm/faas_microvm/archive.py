"""Reading package archives and writing the image's archive (cpio, the kernel's `newc` form)."""

from __future__ import annotations

import hashlib
import posixpath
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

FILE = stat.S_IFREG
FOLDER = stat.S_IFDIR
LINK = stat.S_IFLNK


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or symbolic link; a link's content is its target."""

    mode: int
    content: bytes


def read_tar(path: Path) -> Iterator[tuple[str, Entry]]:
    """Files, folders and links of a tar archive; hard links become copies, devices are left out."""
    with tarfile.open(path) as tar:
        for member in tar:
            name = posixpath.normpath(member.name)
            if name == ".":
                continue
            if member.isdir():
                yield name, Entry(FOLDER | member.mode, b"")
            elif member.issym():
                yield name, Entry(LINK | 0o777, member.linkname.encode())
            elif member.isfile() or member.islnk():
                content = tar.extractfile(member)
                if content is not None:
                    yield name, Entry(FILE | member.mode, content.read())


def unpack(folder: Path, entries: Mapping[str, Entry]) -> None:
    """Lay entries out below a folder, as far as running a program in it needs."""
    for name in sorted(entries):
        entry = entries[name]
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISDIR(entry.mode):
            path.mkdir(exist_ok=True)
        elif stat.S_ISLNK(entry.mode):
            path.symlink_to(entry.content.decode())
        else:
            path.write_bytes(entry.content)
            path.chmod(stat.S_IMODE(entry.mode) | 0o600)


def write_archive(path: Path, entries: Mapping[str, Entry]) -> None:
    """A cpio archive in sorted order, parents first, owned by root, without times."""
    complete = dict(entries)
    for name in entries:
        while name := posixpath.dirname(name):
            complete.setdefault(name, Entry(FOLDER | 0o755, b""))
    with path.open("wb") as out:
        for number, name in enumerate(sorted(complete), start=1):
            _write_record(out, number, name, complete[name])
        _write_record(out, 0, "TRAILER!!!", Entry(0, b""))


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_record(out: BinaryIO, number: int, name: str, entry: Entry) -> None:
    encoded = name.encode() + b"\0"
    fields = (number, entry.mode, 0, 0, 1, 0, len(entry.content), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    for part in (header + encoded, entry.content):
        out.write(part + bytes(-len(part) % 4))
