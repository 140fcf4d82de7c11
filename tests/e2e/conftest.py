"""The command line as processes of their own, watched for what they leave behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_PR_SET_CHILD_SUBREAPER = 36


class Command:
    """A running `faas`, in a process group of its own, as a shell would start it."""

    def __init__(
        self, *arguments: str, env: dict[str, str] | None = None, module: str = "faas_cli.main"
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.stdout = ""
        self.stderr = ""
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True) for name in ("stdout", "stderr")
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        with getattr(self.process, name) as stream:
            for line in stream:
                setattr(self, name, getattr(self, name) + line)

    def await_text(self, name: str, text: str, seconds: float = 240) -> None:
        """Wait until this is in `stdout` or `stderr`."""
        deadline = time.monotonic() + seconds
        while text not in getattr(self, name):
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.stderr}"
            assert time.monotonic() < deadline, f"no {text!r} in {name}: {getattr(self, name)}"
            time.sleep(0.01)

    def wait(self, seconds: float = 240) -> int:
        """The exit code; both streams are complete then."""
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(5)
        return code

    def interrupt(self, signal_number: int) -> None:
        """A signal to the whole group, as Ctrl-C sends it."""
        os.killpg(self.process.pid, signal_number)

    def end(self) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait(10)


def descendants() -> dict[int, str]:
    """Living processes below this one, by id, with their command lines."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(entry.name)] = int(parent)
    found: dict[int, str] = {}
    wave = {os.getpid()}
    while wave := {pid for pid, parent in parents.items() if parent in wave}:
        for pid in wave:
            with contextlib.suppress(OSError):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return found


@pytest.fixture
def start_faas() -> Iterator[type[Command]]:
    """Starts `faas …`; fails if anything that it started lives on after it, orphans included."""
    before = set(descendants())
    libc = ctypes.CDLL(None)
    assert libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0  # its orphans become our children
    started: list[Command] = []

    def start(*arguments: str, env: dict[str, str] | None = None, module: str = "faas_cli.main") -> Command:
        started.append(Command(*arguments, env=env, module=module))
        return started[-1]

    try:
        yield start
        for command in started:
            command.end()
        left = await_none_but(before)
    finally:
        for command in started:
            command.end()
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    assert left == {}


def await_none_but(before: set[int], seconds: float = 5) -> dict[int, str]:
    """What is still there of what was not there before, after a moment to end."""
    deadline = time.monotonic() + seconds
    while left := {pid: line for pid, line in descendants().items() if pid not in before}:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return left


@pytest.fixture(scope="session")
def own_home(faas_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the images and snapshots of the usual one and nothing else of it."""
    home: Path = tmp_path_factory.mktemp("home")
    for name in ("images", "snapshots", "tangle", "devnet"):
        (faas_home / name).mkdir(parents=True, exist_ok=True)
        (home / name).symlink_to(faas_home / name)
    if (faas_home / "base.json").exists():
        (home / "base.json").write_bytes((faas_home / "base.json").read_bytes())
    return home
