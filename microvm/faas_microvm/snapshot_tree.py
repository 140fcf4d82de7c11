"""The records of a store as a tree, and the named branches whose heads are in it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Iterable, Iterator

from faas_blueprint.digests import Digest, digest_from_hex, sha256, to_hex
from faas_blueprint.errors import FatalError, InvalidRequest, NotFound
from faas_microvm.objects import ObjectEntry, Objects
from faas_microvm.snapshot_record import SnapshotRecord

RECORDS = "snapshots"
BRANCHES = "branches"

_BRANCH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Records:
    """The records of a store. Listing reads each record once in this object's life."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._known: dict[tuple[str, str], SnapshotRecord] = {}

    async def find(self, measurement: Digest) -> SnapshotRecord | None:
        """Read a record anew. Raises FatalError when it is damaged."""
        raw = await self._objects.read(record_name(measurement))
        return None if raw is None else SnapshotRecord.decode(measurement, raw)

    async def get(self, measurement: Digest) -> SnapshotRecord:
        """Like `find`; raises NotFound."""
        record = await self.find(measurement)
        if record is None:
            raise NotFound(
                f"there is no snapshot {to_hex(measurement)} in the store {self._objects.location}",
                {"snapshot": to_hex(measurement)},
            )
        return record

    async def all(self) -> list[SnapshotRecord]:
        """Every record. Raises FatalError that names the first damaged one."""
        found = await self._read_all()
        for record in found:
            if isinstance(record, FatalError):
                raise record
        return [record for record in found if isinstance(record, SnapshotRecord)]

    async def readable(self) -> list[SnapshotRecord]:
        """Every record that is not damaged."""
        return [record for record in await self._read_all() if isinstance(record, SnapshotRecord)]

    async def _read_all(self) -> list[SnapshotRecord | FatalError | None]:
        entries = await self._objects.entries(RECORDS)
        current = {(entry.name, entry.version) for entry in entries}
        self._known = {key: record for key, record in self._known.items() if key in current}
        return await asyncio.gather(*map(self._read_entry, entries))

    async def _read_entry(self, entry: ObjectEntry) -> SnapshotRecord | FatalError | None:
        key = (entry.name, entry.version)
        if key not in self._known:
            try:
                record = await self.find(measurement_of(entry.name))
            except FatalError as error:
                return error
            if record is None:
                return None
            self._known[key] = record
        return self._known[key]


class Branches:
    """Named heads. A branch protects its snapshot from being deleted."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def find(self, name: str) -> Digest | None:
        """The head. Raises InvalidRequest for a name that cannot be one, FatalError when damaged."""
        raw = await self._objects.read(_branch_object(name))
        return None if raw is None else _decode_branch(name, raw)

    async def has(self, name: str) -> bool:
        """Whether there is such a branch, damaged or not. Raises InvalidRequest like `find`."""
        return await self._objects.read(_branch_object(name)) is not None

    async def set(self, name: str, head: Digest) -> None:
        """Point a branch somewhere."""
        await self._objects.write(_branch_object(name), _encode_branch(name, head))

    async def remove(self, name: str) -> None:
        """Forget a branch; its snapshots stay."""
        await self._objects.remove([_branch_object(name)])

    async def all(self) -> dict[str, Digest]:
        """Every branch and its head, by name."""
        entries = await self._objects.entries(BRANCHES)
        names = sorted(entry.name.removeprefix(f"{BRANCHES}/").removesuffix(".json") for entry in entries)
        heads = await asyncio.gather(*map(self.find, names))
        return {name: head for name, head in zip(names, heads, strict=True) if head is not None}


def made_from(record: SnapshotRecord) -> list[Digest]:
    """The snapshots that one was made from: its parent, and of a merge the other side and the ancestor."""
    names = ("theirs", "ancestor") if record.kind == "merge" else ()
    return [record.parent, *(digest_from_hex(record.origin[name]) for name in names if name in record.origin)]


def record_name(measurement: Digest) -> str:
    """The object that holds a snapshot's record."""
    return f"{RECORDS}/{measurement.hex()}.json"


def measurement_of(name: str) -> Digest:
    """The inverse of `record_name`. Raises FatalError for a file that does not belong there."""
    text = name.removeprefix(f"{RECORDS}/").removesuffix(".json")
    try:
        return digest_from_hex("0x" + text)
    except ValueError as error:
        raise FatalError(f"{name} does not belong in a snapshot store; remove it") from error


def _branch_object(name: str) -> str:
    if not _BRANCH_NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name!r} cannot name a branch: up to 100 letters, digits, '.', '_' and '-'", {"field": "name"}
        )
    return f"{BRANCHES}/{name}.json"


def _encode_branch(name: str, head: Digest) -> bytes:
    checksum = sha256(name.encode() + b"\0" + head).hex()
    content = {"branch": name, "head": to_hex(head), "checksum": checksum}
    return json.dumps(content, indent=2).encode() + b"\n"


def _decode_branch(name: str, raw: bytes) -> Digest:
    with contextlib.suppress(ValueError, TypeError, KeyError):
        head = digest_from_hex(json.loads(raw)["head"])
        if raw == _encode_branch(name, head):
            return head
    raise FatalError(f"the branch {name} is damaged; set it anew or delete it", {"branch": name})


def children_of(parent: Digest, records: Iterable[SnapshotRecord]) -> list[SnapshotRecord]:
    """Snapshots made directly from `parent`, oldest first."""
    return sorted(
        (record for record in records if record.parent == parent),
        key=lambda record: (record.created_at, record.measurement),
    )


def tree_order(records: Iterable[SnapshotRecord]) -> list[SnapshotRecord]:
    """Each snapshot before its children, siblings from the oldest; those without a parent here first."""
    records = list(records)
    names = {record.measurement for record in records}
    ordered: list[SnapshotRecord] = []
    by_parent: dict[Digest, list[SnapshotRecord]] = {}
    for record in sorted(records, key=lambda record: (record.created_at, record.measurement), reverse=True):
        by_parent.setdefault(record.parent, []).append(record)
    waiting = [record for parent in by_parent if parent not in names for record in by_parent[parent]]
    waiting.sort(key=lambda record: (record.created_at, record.measurement), reverse=True)
    while waiting:
        record = waiting.pop()
        ordered.append(record)
        waiting.extend(by_parent.get(record.measurement, ()))
    return ordered


def descendants_of(measurement: Digest, records: Iterable[SnapshotRecord]) -> Iterator[SnapshotRecord]:
    """Everything made from a snapshot, parents before children."""
    below = {measurement}
    for record in tree_order(records):
        if record.parent in below:
            below.add(record.measurement)
            yield record
