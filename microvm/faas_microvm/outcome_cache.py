"""Outcomes that are known already: same profile, same snapshot, same job, same outcome.

Sound because runs are deterministic; a miss costs a run, never a wrong answer: each row carries a
hash of its content, and one that does not match is forgotten. Bounded in bytes, evicted by use,
kept in one SQLite file that several processes may share.
"""

from __future__ import annotations

import io
import json
import sqlite3
import threading
import zlib
from pathlib import Path
from types import TracebackType

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.outcome import Outcome, OutputFile, Status, Stream

DEFAULT_BYTES = 1 << 30

_TABLE = """
create table if not exists known_outcome (
    key blob primary key, content blob not null, digest blob not null, used integer not null
) without rowid
"""


class OutcomeCache:
    """A bounded memory of outcomes. Calls block for a moment and may come from any thread."""

    def __init__(self, path: Path, capacity_bytes: int = DEFAULT_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._capacity = capacity_bytes
        self._lock = threading.Lock()
        self._rows = sqlite3.connect(path, check_same_thread=False, timeout=30)
        self._rows.execute("pragma journal_mode=wal")
        self._rows.execute(_TABLE)

    def get(self, key: Digest) -> Outcome | None:
        """The outcome under a key, if it is there and whole."""
        with self._lock, self._rows:
            row = self._rows.execute(
                "select content, digest from known_outcome where key = ?", (key,)
            ).fetchone()
            if row is None:
                return None
            if sha256(row[0]) != row[1]:
                self._rows.execute("delete from known_outcome where key = ?", (key,))
                return None
            self._rows.execute(f"update known_outcome set used = ({_NEXT}) where key = ?", (key,))
        return _decode(row[0])

    def put(self, key: Digest, outcome: Outcome) -> None:
        """Keep an outcome; those used longest ago make room. One over a quarter of the room is not kept."""
        content = _encode(outcome)
        if len(content) > self._capacity // 4:
            return
        with self._lock, self._rows:
            self._rows.execute(
                f"insert or replace into known_outcome values (?, ?, ?, ({_NEXT}))",
                (key, content, sha256(content)),
            )
            self._evict()

    def _evict(self) -> None:
        (size,) = self._rows.execute("select sum(length(content)) from known_outcome").fetchone()
        if size <= self._capacity:
            return
        oldest = self._rows.execute("select key, length(content) from known_outcome order by used").fetchall()
        for key, length in oldest:
            if size <= self._capacity:
                break
            self._rows.execute("delete from known_outcome where key = ?", (key,))
            size -= length

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def __enter__(self) -> OutcomeCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_NEXT = "select coalesce(max(used), 0) + 1 from known_outcome"


def cache_key(
    profile_id: Digest, measurement: Digest, toolchain: Digest, job_digest: Digest, owner: bytes = b""
) -> Digest:
    """All that an outcome is a function of; `toolchain` is zero for languages that are not compiled.

    With whose it is, where what one has run is not for all to find.
    """
    return sha256(profile_id + measurement + toolchain + job_digest + owner)


def _encode(outcome: Outcome) -> bytes:
    """A line of JSON, then the bytes of both streams and of every file, compressed."""
    fields = {
        "status": int(outcome.status),
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "virtual_ns": outcome.virtual_ns,
        "state_root": outcome.state_root.hex(),
        "stdout": [len(outcome.stdout.content), outcome.stdout.truncated],
        "stderr": [len(outcome.stderr.content), outcome.stderr.truncated],
        "files": [[file.path, len(file.content)] for file in outcome.files],
        "files_truncated": outcome.files_truncated,
    }
    contents = (outcome.stdout.content, outcome.stderr.content, *(file.content for file in outcome.files))
    return zlib.compress(b"".join((json.dumps(fields).encode(), b"\n", *contents)), 1)


def _decode(content: bytes) -> Outcome:
    header, _, rest = zlib.decompress(content).partition(b"\n")
    fields = json.loads(header)
    data = io.BytesIO(rest)
    (out_size, out_cut), (error_size, error_cut) = fields["stdout"], fields["stderr"]
    return Outcome(
        Status(fields["status"]),
        fields["exit_code"],
        fields["signal"],
        fields["virtual_ns"],
        Stream(data.read(out_size), out_cut),
        Stream(data.read(error_size), error_cut),
        Digest(bytes.fromhex(fields["state_root"])),
        tuple(OutputFile(path, data.read(size)) for path, size in fields["files"]),
        fields["files_truncated"],
    )
