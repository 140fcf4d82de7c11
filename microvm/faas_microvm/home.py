"""Where images, snapshots and caches live."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
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
