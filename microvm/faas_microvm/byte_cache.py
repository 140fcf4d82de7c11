"""A bounded memory of bytes by key, for what is a function of its key.

A miss costs the work again, never a wrong answer: each row carries a hash of its content, and one
that does not match is forgotten. Bounded in bytes, evicted by use, kept in one SQLite file that
several processes may share.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from faas_blueprint.digests import Digest, sha256

DEFAULT_BYTES = 1 << 30


class ByteCache:
    """One table of a file. Calls block for a moment and may come from any thread."""

    def __init__(self, path: Path, table: str, capacity_bytes: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._capacity = capacity_bytes
        self._table = table
        self._next = f"select coalesce(max(used), 0) + 1 from {table}"
        self._lock = threading.Lock()
        self._rows = sqlite3.connect(path, check_same_thread=False, timeout=30)
        self._rows.execute("pragma journal_mode=wal")
        self._rows.execute(
            f"create table if not exists {table} (key blob primary key, content blob not null, "
            "digest blob not null, used integer not null) without rowid"
        )

    def read(self, key: Digest) -> bytes | None:
        """The content under a key, if it is there and whole."""
        with self._lock, self._rows:
            row = self._rows.execute(
                f"select content, digest from {self._table} where key = ?", (key,)
            ).fetchone()
            if row is None:
                return None
            content, digest = row
            if sha256(content) != digest:
                self._rows.execute(f"delete from {self._table} where key = ?", (key,))
                return None
            self._rows.execute(f"update {self._table} set used = ({self._next}) where key = ?", (key,))
        return bytes(content)

    def write(self, key: Digest, content: bytes) -> None:
        """Keep content; what was used longest ago makes room. Over a quarter of the room is not kept."""
        if len(content) > self._capacity // 4:
            return
        with self._lock, self._rows:
            self._rows.execute(
                f"insert or replace into {self._table} values (?, ?, ?, ({self._next}))",
                (key, content, sha256(content)),
            )
            self._evict()

    def _evict(self) -> None:
        (size,) = self._rows.execute(f"select sum(length(content)) from {self._table}").fetchone()
        if size <= self._capacity:
            return
        oldest = self._rows.execute(
            f"select key, length(content) from {self._table} order by used"
        ).fetchall()
        for key, length in oldest:
            if size <= self._capacity:
                break
            self._rows.execute(f"delete from {self._table} where key = ?", (key,))
            size -= length

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
