"""Where images, snapshots and caches live."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import platformdirs


def default_home() -> Path:
    """`$FAAS_HOME`, else `.cache/faas` of the checkout this runs from, else the user's cache folder."""
    if configured := os.environ.get("FAAS_HOME"):
        return Path(configured).expanduser().resolve()
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / "blueprint").is_dir():
        return checkout / ".cache" / "faas"
    return Path(platformdirs.user_cache_dir("faas"))


def default_store(home: Path) -> str:
    """Where snapshots are kept: `$FAAS_STORE` (a folder or `s3://bucket/prefix`), else below the home."""
    return os.environ.get("FAAS_STORE") or str(home / "store")


@contextmanager
def exclusive(home: Path, name: str) -> Iterator[None]:
    """Hold the lock `name` of this home; waits. The kernel releases it when the process ends."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def working_folder(parent: Path, name: str) -> Iterator[Path]:
    """A new folder `.NAME-…` below `parent`, to make in it what is renamed to its place once it is whole.

    Removed at the end, and with it those that processes have left there which were killed.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as used:
        with _locked(parent):  # nobody sees the new folder before its lock is held
            for left in parent.glob(f".{name}-*"):
                with suppress(OSError), _locked(left, fcntl.LOCK_NB):
                    shutil.rmtree(left)
            working = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
            used.enter_context(_locked(working))
        try:
            yield working
        finally:
            shutil.rmtree(working, ignore_errors=True)


@contextmanager
def _locked(folder: Path, flags: int = 0) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | flags)
        yield
    finally:
        os.close(descriptor)
