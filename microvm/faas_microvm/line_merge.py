"""Merging one text three ways, line by line, by `git merge-file`.

Git runs in a folder of its own, outside any repository, without anyone's settings: what comes out is a
function of the three texts. Lines end where a line feed is; a carriage return before it is part of the line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from faas_blueprint.errors import FatalError, InsufficientResources, MissingPrerequisite

Favour = Literal["ours", "theirs", "union"]
"""What becomes of lines that both sides changed: one side's, or both, ours first."""

_MOST_CONFLICTS = 127
"""Git's exit code is the number of conflicts, this at the most; above it is a failure."""
_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class MergedText:
    """A merged text; with conflicts it holds git's markers between both sides' lines."""

    content: bytes
    conflicts: int


def merge_lines(base: bytes, ours: bytes, theirs: bytes, favour: Favour | None = None) -> MergedText:
    """Merge what both sides made of `base`; no text may hold a zero byte.

    Raises MissingPrerequisite without git, InsufficientResources when it takes too long.
    """
    git = shutil.which("git")
    if git is None:
        raise MissingPrerequisite("merging files needs git: install it (apt-get install git)")
    flags = [] if favour is None else [f"--{favour}"]
    names = ("ours", "base", "theirs")
    labels = [argument for name in names for argument in ("-L", name)]
    with tempfile.TemporaryDirectory(prefix="faas-merge-") as folder:
        place = Path(folder).resolve()
        for name, content in zip(names, (ours, base, theirs), strict=True):
            (place / name).write_bytes(content)
        return _run([git, "merge-file", "-p", "-q", *flags, *labels, *names], place)


def _run(command: list[str], place: Path) -> MergedText:
    environment = {
        "PATH": os.defpath,
        "LC_ALL": "C",
        "HOME": str(place),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CEILING_DIRECTORIES": str(place.parent),
    }
    try:
        done = subprocess.run(
            command, cwd=place, env=environment, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InsufficientResources(f"merging a file took over {_SECONDS:.0f} s") from error
    if not 0 <= done.returncode <= _MOST_CONFLICTS:
        raise FatalError(f"git merge-file failed: {done.stderr.decode('utf-8', 'replace').strip()}")
    return MergedText(done.stdout, done.returncode)
