"""The same programs outside the machine: the interpreters of this host, bare and under bubblewrap."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

from benchmarks.setting import milliseconds_of

PYTHON = "/usr/bin/python3"
"""The host's own: a version manager's shim would be measured with it."""


@dataclass(frozen=True, slots=True)
class Native:
    """How an interpreter runs a program given as its last argument."""

    name: str
    meaning: str
    command: tuple[str, ...]

    def milliseconds(self, code: str, stdout: bytes) -> float:
        """Wall clock of one run, which must print this."""
        said: list[bytes] = []
        elapsed = milliseconds_of(lambda: said.append(self.stdout(code)))
        if said != [stdout]:
            raise AssertionError(f"expected {stdout!r} from {self.command}, got {said[0]!r}")
        return elapsed

    def stdout(self, code: str) -> bytes:
        """What it prints."""
        return subprocess.run([*self.command, code], capture_output=True, check=True, timeout=300).stdout


_BUBBLEWRAP = (
    *("bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr"),
    *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev"),
)

NATIVE = {
    "python": Native("python", f"{PYTHON} -S -c", (PYTHON, "-S", "-c")),
    "javascript": Native("javascript", "node -e", (shutil.which("node") or "node", "-e")),
    "bash": Native("bash", "bash -c", ("/bin/bash", "-c")),
}
"""By language."""
SANDBOXED = Native("bwrap_python", f"bwrap … {PYTHON} -S -c", (*_BUBBLEWRAP, PYTHON, "-S", "-c"))


def versions() -> str:
    """Of the host's interpreters."""
    said = (
        subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        for command in (PYTHON, NATIVE["javascript"].command[0])
    )
    return "{}, Node {}".format(*said)
