"""Writing output files into a folder of the caller's: a new or empty one, and nowhere else.

Paths come from a program that nobody trusts. They are checked when an `OutputFile` is made; here,
besides, every folder and file is opened below the one before it, and no symbolic link is followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.outcome import OutputFile

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def prepare(folder: Path) -> None:
    """Make the folder where it is missing. Raises InvalidRequest unless it is an empty folder then."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = os.open(folder, _FOLDER)
    except OSError as error:
        raise InvalidRequest(f"cannot write into {folder}: {error.strerror}") from error
    try:
        if os.listdir(place):
            raise InvalidRequest(f"{folder} is not empty: give a new or empty folder")
    finally:
        os.close(place)


def write(folder: Path, files: Iterable[OutputFile]) -> None:
    """Write files below a folder. Raises InvalidRequest where that fails or something is there already."""
    for file in files:
        try:
            _write(folder, file)
        except OSError as error:
            raise InvalidRequest(f"cannot write {file.path!r} into {folder}: {error.strerror}") from error


def _write(folder: Path, file: OutputFile) -> None:
    *parents, name = file.path.split("/")
    place = os.open(folder, _FOLDER)
    try:
        for parent in parents:
            below = _enter(place, parent)
            os.close(place)
            place = below
        with open(os.open(name, _NEW_FILE, 0o666, dir_fd=place), "wb") as target:
            target.write(file.content)
    finally:
        os.close(place)


def _enter(place: int, name: str) -> int:
    with suppress(FileExistsError):  # made for an earlier file; a link in its place is refused below
        os.mkdir(name, dir_fd=place)
    return os.open(name, _FOLDER, dir_fd=place)
