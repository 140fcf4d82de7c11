"""Files that a program left in its output folder, as answers and results name them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from faas_sdk.tlv import Field, Kind, Value, decode

MANIFEST: tuple[Field, ...] = (
    Field(
        Kind.LIST,
        "files",
        (
            Field(
                Kind.STRUCT,
                "file",
                (
                    Field(Kind.STRING, "path"),
                    Field(Kind.UINT64, "size"),
                    Field(Kind.BYTES32, "sha256"),
                ),
            ),
        ),
    ),
)
"""The list of all files, whose SHA-256 a result names."""


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file without its bytes."""

    path: str
    """Relative to the output folder, without `.` and `..`: it may be joined to a folder of one's own."""
    size: int
    """In bytes."""
    sha256: str
    """`0x` and 64 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class FilesHash:
    """What a result says of all output files together."""

    count: int
    size: int
    """Sum of their sizes in bytes."""
    sha256: bytes
    """Of the manifest."""
    truncated: bool
    """Whether something in the output folder was left out."""


def decode_manifest(data: bytes, files: FilesHash) -> tuple[OutputFile, ...]:
    """The list with this hash. Raises ValueError when it is another one, or not proper."""
    if hashlib.sha256(data).digest() != files.sha256:
        raise ValueError("the manifest's SHA-256 differs")
    lines = cast("Sequence[Mapping[str, Value]]", decode(MANIFEST, data)["files"])
    listed = tuple(
        OutputFile(cast(str, line["path"]), cast(int, line["size"]), "0x" + cast(bytes, line["sha256"]).hex())
        for line in lines
    )
    if (len(listed), sum(file.size for file in listed)) != (files.count, files.size):
        raise ValueError("the manifest has another number of files or bytes than the result")
    if any(left.path >= right.path for left, right in pairwise(listed)):
        raise ValueError("the manifest is not in order")
    for file in listed:
        check_path(file.path)
    return listed


def check_path(path: str) -> None:
    """Raises ValueError unless the path stays within its folder."""
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"{path!r} is not a path within a folder")
