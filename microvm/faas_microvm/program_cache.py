"""Compiled programs that are known already: same toolchain, same source, same program.

Sound because compiling is a run like any other, and deterministic; each row carries a hash of its
content, and one that does not match is forgotten. Bounded in bytes, evicted by use, kept in one
SQLite file that several processes may share.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from types import TracebackType

from faas_blueprint.digests import Digest, sha256

DEFAULT_BYTES = 1 << 30

_TABLE = """
create table if not exists program (
    key blob primary key, content blob not null, digest blob not null, used integer not null
) without rowid
"""
_NEXT = "select coalesce(max(used), 0) + 1 from program"


class ProgramCache:
    """A bounded memory of programs. Calls block for a moment and may come from any thread."""

    def __init__(self, path: Path, capacity_bytes: int = DEFAULT_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._capacity = capacity_bytes
        self._lock = threading.Lock()
        self._rows = sqlite3.connect(path, check_same_thread=False, timeout=30)
        self._rows.execute("pragma journal_mode=wal")
        self._rows.execute(_TABLE)

    def get(self, key: Digest) -> bytes | None:
        """The program under a key, if it is there and whole."""
        with self._lock, self._rows:
            row = self._rows.execute("select content, digest from program where key = ?", (key,)).fetchone()
            if row is None:
                return None
            content, digest = row
            if sha256(content) != digest:
                self._rows.execute("delete from program where key = ?", (key,))
                return None
            self._rows.execute(f"update program set used = ({_NEXT}) where key = ?", (key,))
        return bytes(content)

    def put(self, key: Digest, program: bytes) -> None:
        """Keep a program; those used longest ago make room. One over a quarter of the room is not kept."""
        if len(program) > self._capacity // 4:
            return
        with self._lock, self._rows:
            self._rows.execute(
                f"insert or replace into program values (?, ?, ?, ({_NEXT}))", (key, program, sha256(program))
            )
            self._evict()

    def _evict(self) -> None:
        (size,) = self._rows.execute("select sum(length(content)) from program").fetchone()
        if size <= self._capacity:
            return
        for key, length in self._rows.execute(
            "select key, length(content) from program order by used"
        ).fetchall():
            if size <= self._capacity:
                break
            self._rows.execute("delete from program where key = ?", (key,))
            size -= length

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def __enter__(self) -> ProgramCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def program_key(toolchain: Digest, source: bytes) -> Digest:
    """All that a compiled program is a function of: the toolchain snapshot's measurement and the source."""
    return sha256(toolchain + sha256(source))
