"""What one host knows of a snapshot store: where which page lies, and how many bytes are used.

A cache in one SQLite file that several processes may share. It can be lost: everything still reads,
and pages are stored again until it is rebuilt. A row is a hint, not a truth: whoever uses a place
first makes sure that the snapshot that is said to need the pack is still there.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faas_blueprint.digests import Digest
from faas_blueprint.errors import FatalError
from faas_microvm.home import exclusive
from faas_microvm.page_table import Place

_AT_ONCE = 500
"""Parameters of one query."""

_TABLES = """
create table if not exists meta (key text primary key, value) without rowid;
create table if not exists pack (id integer primary key autoincrement, name blob not null unique);
create table if not exists page (
    hash blob primary key, pack integer not null, position integer not null
) without rowid;
create table if not exists need (
    id integer primary key autoincrement,
    pack integer not null, snapshot blob not null, page_table blob not null,
    unique (pack, snapshot, page_table)
);
create index if not exists need_snapshot on need (snapshot);
"""


@dataclass(frozen=True, slots=True)
class Need:
    """A snapshot whose table refers to a pack, as of when it was stored."""

    snapshot: Digest
    table: Digest


class PageIndex:
    """The cache of one store. Calls block for a moment and may come from any thread."""

    def __init__(self, path: Path, location: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        with exclusive(path.parent, path.name):
            self._rows = _connect_anew_if_damaged(path, location)

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def locate(self, hashes: Sequence[Digest]) -> dict[Digest, Place]:
        """Where the pages with these leaf digests lie, as far as is known."""
        found: dict[Digest, Place] = {}
        with self._transaction() as rows:
            for start in range(0, len(hashes), _AT_ONCE):
                part = hashes[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                for digest, pack, position in rows.execute(
                    "select page.hash, pack.name, page.position from page join pack on pack.id = page.pack "
                    f"where page.hash in ({marks})",
                    part,
                ):
                    found[Digest(digest)] = (Digest(pack), position)
        return found

    def newest_need(self, pack: Digest) -> Need | None:
        """The snapshot stored last that needs a pack, as far as is known."""
        with self._transaction() as rows:
            row = rows.execute(
                "select snapshot, page_table from need join pack on pack.id = need.pack "
                "where pack.name = ? order by need.id desc limit 1",
                (pack,),
            ).fetchone()
        return Need(Digest(row[0]), Digest(row[1])) if row else None

    def learn(self, need: Need, fresh: Mapping[Digest, Sequence[Digest]], needed: Iterable[Digest]) -> None:
        """Note a snapshot's packs: those that are `fresh` with their pages' digests, and all it needs."""
        with self._transaction() as rows:
            rows.executemany(
                "insert or ignore into pack (name) values (?)", [(pack,) for pack in {*fresh, *needed}]
            )
            for pack, hashes in fresh.items():
                (number,) = rows.execute("select id from pack where name = ?", (pack,)).fetchone()
                rows.executemany(
                    "insert or replace into page values (?, ?, ?)",
                    [(digest, number, position) for position, digest in enumerate(hashes)],
                )
            rows.executemany(
                "insert or replace into need (pack, snapshot, page_table) "
                "select id, ?, ? from pack where name = ?",
                [(need.snapshot, need.table, pack) for pack in {*fresh, *needed}],
            )

    def forget_need(self, need: Need) -> None:
        """A snapshot is gone."""
        with self._transaction() as rows:
            rows.execute(
                "delete from need where snapshot = ? and page_table = ?", (need.snapshot, need.table)
            )

    def forget_packs(self, packs: Iterable[Digest]) -> None:
        """Packs that must not be referred to any more. Their numbers are never given again."""
        with self._transaction() as rows:
            rows.executemany("delete from pack where name = ?", [(pack,) for pack in packs])

    def clear(self) -> None:
        """Forget everything."""
        with self._transaction() as rows:
            _clear(rows)

    def used_bytes(self, maximum_age: float) -> int | None:
        """Bytes used by all objects, reservations too; None unless counted in the last so many seconds."""
        with self._transaction() as rows:
            known = dict(rows.execute("select key, value from meta where key in ('used', 'counted_at')"))
        if len(known) < 2 or time.time() - known["counted_at"] > maximum_age:
            return None
        return int(known["used"])

    def set_used_bytes(self, used: int | None) -> None:
        """Note a count; None when it is not known any more."""
        with self._transaction() as rows:
            rows.execute("delete from meta where key in ('used', 'counted_at')")
            if used is not None:
                rows.execute("insert into meta values ('used', ?), ('counted_at', ?)", (used, time.time()))

    def reserve(self, needed: int, allowed: int) -> bool:
        """Count bytes as used unless that exceeds `allowed`; two processes never both get the last."""
        with self._transaction() as rows:
            done = rows.execute(
                "update meta set value = value + ? where key = 'used' and value + ? <= ?",
                (needed, needed, allowed),
            )
            return done.rowcount > 0

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock, self._rows:
                yield self._rows
        except sqlite3.DatabaseError as error:
            raise FatalError(
                f"the page index {self._path} cannot be used: {error}; it is a cache: delete it"
            ) from error


def _connect_anew_if_damaged(path: Path, location: str) -> sqlite3.Connection:
    try:
        return _connect(path, location)
    except sqlite3.OperationalError as error:
        raise FatalError(f"the page index {path} cannot be opened: {error}") from error
    except sqlite3.DatabaseError:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _connect(path, location)


def _connect(path: Path, location: str) -> sqlite3.Connection:
    """Open the file, emptied unless it was made for this store. Loss at a power cut is no loss."""
    rows = sqlite3.connect(path, check_same_thread=False, timeout=30)
    try:
        rows.execute("pragma journal_mode=wal")
        rows.execute("pragma synchronous=off")
        rows.executescript(_TABLES)
        with rows:
            rows.execute("insert or ignore into meta values ('location', '')")
            if rows.execute("select value from meta where key = 'location'").fetchone() != (location,):
                _clear(rows)
                rows.execute("update meta set value = ? where key = 'location'", (location,))
    except sqlite3.DatabaseError:
        rows.close()
        raise
    return rows


def _clear(rows: sqlite3.Connection) -> None:
    for table in ("need", "page", "pack"):
        rows.execute(f"delete from {table}")
    rows.execute("delete from meta where key <> 'location'")
