"""A snapshot on its way into the store, its record there, and what is read back.

A record is one JSON object with a checksum of its own, since time, label and origin are part of no
measurement.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Literal, cast, get_args

from faas_blueprint.digests import Digest, digest_from_hex, sha256, to_hex
from faas_blueprint.errors import FatalError
from faas_blueprint.measurement import MachineState

SnapshotKind = Literal["checkpoint", "fork", "merge", "milestone", "fetched"]
"""Made here by the end of a job, by the engine or amid a job; or had from somebody else, and measured."""

_FORMAT = 1
_DIGESTS = ("measurement", "parent", "base", "profile_id", "ram_root", "device_hash", "table")
_COUNTS = ("virtual_ns", "changed_pages", "stored_bytes", "logical_bytes", "created_at")


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """One node of the tree of snapshots."""

    measurement: Digest
    """The name: a function of profile, RAM root and device hash."""
    parent: Digest
    """Measurement of the snapshot whose pages it changed: the base, or another of the store."""
    base: Digest
    """Measurement of the base snapshot at the root, which is kept elsewhere."""
    profile_id: Digest
    ram_root: Digest
    device_hash: Digest
    virtual_ns: int
    """Guest time since power-on."""
    kind: SnapshotKind
    changed_pages: int
    """Pages that were given as changed against the parent."""
    stored_bytes: int
    """Bytes of packs and table that were new to the store."""
    logical_bytes: int
    """Bytes of the changed pages and the device stream, before deduplication and compression."""
    created_at: float
    """Unix seconds by the clock of the host that stored it; part of no measurement."""
    label: str | None
    origin: Mapping[str, str]
    """What it was made from, such as a job digest; no meaning here."""
    table: Digest
    """Name of the page table."""

    def to_json(self) -> dict[str, object]:
        """Digests as `0x…`, the rest as it is."""
        return {
            name: to_hex(value) if isinstance(value, bytes) else value for name, value in asdict(self).items()
        }

    def encode(self) -> bytes:
        """The stored object."""
        content = {"format": _FORMAT, **self.to_json()}
        return json.dumps({**content, "checksum": _checksum(content)}, indent=2).encode() + b"\n"

    @classmethod
    def decode(cls, measurement: Digest, raw: bytes) -> SnapshotRecord:
        """Parse strictly. Raises FatalError that names the snapshot when anything is amiss."""
        try:
            record = _parse(raw)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise damaged_snapshot(measurement, f"its record cannot be read ({error})") from error
        state = MachineState(record.profile_id, record.ram_root, record.device_hash)
        if record.encode() != raw:
            raise damaged_snapshot(measurement, "its record is not as it was written")
        if not record.measurement == measurement == state.measurement():
            raise damaged_snapshot(measurement, "its record is that of another snapshot")
        return record


@dataclass(frozen=True, slots=True)
class NewSnapshot:
    """A stopped machine that is to be stored."""

    parent: Digest
    """Measurement of what it was restored from: the base, or a snapshot of the store."""
    base: Digest
    profile_id: Digest
    ram_root: Digest
    devices: bytes
    """The canonical device stream."""
    virtual_ns: int
    kind: SnapshotKind
    pages: Mapping[int, bytes]
    """Pages of 4 KiB by index that differ from the parent's, and no others."""
    hashes: Mapping[int, Digest]
    """Leaf digest of each of `pages`; taken as true, checked when the snapshot is loaded."""
    label: str | None = None
    origin: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> MachineState:
        """The parts of its measurement."""
        return MachineState(self.profile_id, self.ram_root, sha256(self.devices))


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot as it was read: all that differs from the base."""

    record: SnapshotRecord
    pages: dict[int, bytes]
    hashes: dict[int, Digest]
    """Leaf digest of each page, checked against its content."""
    devices: bytes


def damaged_snapshot(measurement: Digest, what: str) -> FatalError:
    """The error of a snapshot that must not be run."""
    return FatalError(
        f"snapshot {to_hex(measurement)} is damaged: {what}; delete it and what was made from it, "
        "or bring back the store's files from a copy",
        {"snapshot": to_hex(measurement)},
    )


_FIELDS = {column.name for column in fields(SnapshotRecord)}


def _checksum(content: Mapping[str, object]) -> str:
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hex()


def _parse(raw: bytes) -> SnapshotRecord:
    content = json.loads(raw)
    if not isinstance(content, dict) or content.pop("checksum", None) != _checksum(content):
        raise ValueError("its checksum does not match")
    if content.pop("format", None) != _FORMAT or set(content) != _FIELDS:
        raise ValueError("its fields are not those of this format")
    for name in _DIGESTS:
        content[name] = digest_from_hex(content[name])
    for name in _COUNTS:
        if type(content[name]) not in (int, float) or content[name] < 0:
            raise ValueError(f"{name} is not a count")
    if content["kind"] not in get_args(SnapshotKind) or not isinstance(content["label"], str | None):
        raise ValueError("kind or label is not known here")
    origin = content["origin"]
    if not isinstance(origin, dict) or not all(isinstance(value, str) for value in origin.values()):
        raise ValueError("origin is not a mapping of texts")
    return SnapshotRecord(**cast("dict[str, object]", content))  # type: ignore[arg-type]
