"""What the REST API answers about snapshots and branches, as values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from faas_sdk.errors import ConnectionFailed

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A machine as it stood."""

    snapshot_id: str
    execution_id: str | None
    parent_id: str | None
    """What it was made from; `base` is everyone's."""
    mode: str
    size_bytes: int
    checksum: str
    """`sha256:` and its measurement."""
    created_at: str
    response: Mapping[str, object] = field(repr=False)
    """The whole answer."""

    @property
    def id(self) -> str:
        """The same as `snapshot_id`."""
        return self.snapshot_id


@dataclass(frozen=True, slots=True)
class Restored:
    """A machine that stands where a snapshot was taken."""

    execution_id: str
    snapshot_id: str
    session_id: str | None
    """`execute(…, session=…)` runs in it; None where a run was under way."""
    status: str
    duration_ms: float
    response: Mapping[str, object] = field(repr=False)

    @property
    def id(self) -> str:
        """The same as `execution_id`."""
        return self.execution_id


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of snapshots."""

    branch_id: str
    snapshot_id: str
    """Where it began."""
    head: str
    """The snapshot where its next run starts."""
    parent_branch: str | None
    created_at: str
    response: Mapping[str, object] = field(repr=False)

    @property
    def id(self) -> str:
        """The same as `branch_id`."""
        return self.branch_id


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list, newest first."""

    items: tuple[Item, ...]
    total: int
    limit: int
    offset: int

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def snapshot_from_json(data: object) -> Snapshot:
    """Raises ConnectionFailed when it is not a snapshot."""
    body = _object(data)
    return Snapshot(
        _required(body, "snapshot_id"),
        _text(body.get("execution_id")),
        _text(body.get("parent_id")),
        _required(body, "mode"),
        _integer(body, "size_bytes"),
        _text(body.get("checksum")) or "",
        _required(body, "created_at"),
        body,
    )


def restored_from_json(data: object) -> Restored:
    """Raises ConnectionFailed when it is not an answer to `restore`."""
    body = _object(data)
    return Restored(
        _required(body, "execution_id"),
        _required(body, "snapshot_id"),
        _text(body.get("session_id")),
        _required(body, "status"),
        _integer(body, "duration_ms"),
        body,
    )


def branch_from_json(data: object) -> Branch:
    """Raises ConnectionFailed when it is not a branch."""
    body = _object(data)
    snapshot_id = _required(body, "snapshot_id")
    return Branch(
        _required(body, "branch_id"),
        snapshot_id,
        _text(body.get("head")) or snapshot_id,
        _text(body.get("parent_branch")),
        _required(body, "created_at"),
        body,
    )


def page_from_json(data: object, name: str, item: Callable[[object], Item]) -> Page[Item]:
    """The list under a name. Raises ConnectionFailed."""
    body = _object(data)
    found = body.get(name)
    if not isinstance(found, list):
        raise ConnectionFailed(f"the answer is not a list of {name}")
    numbers = [_integer(body, field) for field in ("total", "limit", "offset")]
    return Page(tuple(map(item, found)), *numbers)


def _object(data: object) -> dict[str, object]:
    if not isinstance(data, dict):
        raise ConnectionFailed("the answer is not a JSON object: is this the API's address?")
    return data


def _required(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise ConnectionFailed(f"the answer cannot be read: {name} is missing")
    return value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _integer(body: Mapping[str, object], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConnectionFailed(f"the answer cannot be read: {name} is missing")
    return value
