"""Running a program of the host's to its end."""

from __future__ import annotations

import subprocess
from pathlib import Path

from faas_blueprint.errors import FatalError


def run(*command: str, cwd: Path | None = None) -> str:
    """What it printed. Raises FatalError with its last words when it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise FatalError(f"{command[0]} failed with exit code {done.returncode}: {words}")
    return done.stdout
