"""What the platform dialect takes and answers about snapshots, branches and sessions."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from faas_api.platform.describing import one_of
from faas_api.platform.requests import Strict, Text
from faas_api.platform.times import timestamp
from faas_blueprint.digests import to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import LIMIT_RANGES
from faas_blueprint.operation import MERGED_AT_MOST, Strategy
from faas_operator.snapshot_catalog import BranchEntry, SessionEntry, SnapshotEntry

METADATA_BYTES = 16 << 10


class Metadata(BaseModel):
    """A caller's own words; all other fields are kept as they are."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, JsonValue]

    name: Text | None = None
    description: Text | None = None
    tags: list[Text] | dict[Text, Text] | None = None


def _bounded(metadata: Metadata) -> Metadata:
    try:
        size = len(metadata.model_dump_json(exclude_none=True).encode())
    except ValueError as error:
        raise ValueError("must be valid Unicode (no lone surrogates)") from error
    if size > METADATA_BYTES:
        raise ValueError(f"must be {METADATA_BYTES} bytes at the most")
    return metadata


BoundedMetadata = Annotated[Metadata, AfterValidator(_bounded)]


def details_of(metadata: Metadata) -> dict[str, object]:
    """What is stored of it."""
    return metadata.model_dump(exclude_none=True)


class SnapshotRequest(Strict):
    """Take a snapshot of an execution's machine, by running it again up to there."""

    execution_id: Text
    metadata: BoundedMetadata = Metadata()
    virtual_ms: int | None = Field(
        None,
        ge=1,
        le=LIMIT_RANGES["timeout_ms"][1],
        description="How far into the run; default: its end, or where it is now if it is running",
    )


class BranchRequest(Strict):
    """Begin a branch at a snapshot, or where another branch stands."""

    snapshot_id: Text | None = None
    parent_branch: Text | None = None
    metadata: BoundedMetadata = Metadata()


class MergeRequest(Strict):
    """Merge the files of branches into a new snapshot."""

    branch_ids: list[Text] = Field(
        json_schema_extra={"minItems": 2, "maxItems": MERGED_AT_MOST, "uniqueItems": True}
    )
    strategy: Annotated[Text, one_of(Strategy)] = "three_way"
    metadata: BoundedMetadata = Metadata()

    def chosen(self) -> Strategy:
        """Raises InvalidRequest."""
        try:
            return Strategy(self.strategy)
        except ValueError as error:
            served = [str(strategy) for strategy in Strategy]
            raise InvalidRequest(
                f"strategy {self.strategy!r} does not exist; choose one of: {', '.join(served)}",
                {"field": "strategy", "served": served},
            ) from error


class Snapshot(BaseModel):
    """A machine as it stood, memory and disk."""

    snapshot_id: str
    id: str
    execution_id: str | None
    parent_id: str | None = Field(description="The snapshot it was made from; `base` is everyone's")
    branch_id: str | None = Field(description="The branch in which it was made")
    mode: str
    kind: str = Field(description="checkpoint or merge")
    paused: bool = Field(description="A run is under way in it, which `restore` has to its end")
    created_at: str
    size_bytes: int = Field(description="Of all that differs from its parent, uncompressed")
    stored_bytes: int = Field(description="What it added to the store")
    checksum: str = Field(description="`sha256:` and the measurement, the root of what is proven of it")
    measurement: str = Field(description="The same, as receipts write it")
    metadata: dict[str, JsonValue]


class SnapshotList(BaseModel):
    """A part of the account's snapshots, newest first."""

    snapshots: list[Snapshot]
    total: int
    limit: int
    offset: int


class Restored(BaseModel):
    """A machine that stands where a snapshot was taken."""

    execution_id: str
    id: str
    snapshot_id: str
    session_id: str | None = Field(
        description="Run in it with mode persistent; null where a run was under way"
    )
    status: str = Field("restored")
    duration_ms: int


class Deleted(BaseModel):
    """What is gone."""

    deleted: bool = True
    snapshots: list[str]
    branches: list[str]


class Branch(BaseModel):
    """A line of snapshots."""

    branch_id: str
    id: str
    snapshot_id: str = Field(description="Where it began")
    head: str = Field(description="The snapshot where its next run starts")
    parent_branch: str | None
    created_at: str
    updated_at: str
    metadata: dict[str, JsonValue]


class BranchList(BaseModel):
    """A part of the account's branches, newest first."""

    branches: list[Branch]
    total: int
    limit: int
    offset: int


class Merged(Snapshot):
    """The snapshot that a merge made."""

    branch_ids: list[str]
    strategy: str
    conflicts: list[dict[str, JsonValue]] = Field(description="Empty: unsettled ones are an error, 409")


class Session(BaseModel):
    """A machine that stays up between runs."""

    session_id: str
    running: bool = Field(description="Whether its machine is in memory; if not, its next run brings it back")
    snapshot_id: str | None = Field(description="Where it began; null is the base")
    created_at: str
    updated_at: str


class SessionList(BaseModel):
    """A part of the account's sessions, used latest first."""

    sessions: list[Session]
    total: int
    limit: int
    offset: int


def snapshot_answer(entry: SnapshotEntry) -> Snapshot:
    """A snapshot."""
    return Snapshot.model_validate(
        {
            "snapshot_id": entry.id,
            "id": entry.id,
            "execution_id": entry.execution_id,
            "parent_id": entry.parent_id,
            "branch_id": entry.branch_id,
            "mode": str(entry.mode),
            "kind": entry.kind,
            "paused": entry.paused,
            "created_at": timestamp(entry.created_at),
            "size_bytes": entry.size_bytes,
            "stored_bytes": entry.stored_bytes,
            "checksum": "sha256:" + entry.measurement.hex(),
            "measurement": to_hex(entry.measurement),
            "metadata": dict(entry.details),
        }
    )


def branch_answer(entry: BranchEntry) -> Branch:
    """A branch."""
    return Branch.model_validate(
        {
            "branch_id": entry.id,
            "id": entry.id,
            "snapshot_id": entry.snapshot_id,
            "head": entry.head_id,
            "parent_branch": entry.parent_branch,
            "created_at": timestamp(entry.created_at),
            "updated_at": timestamp(entry.updated_at),
            "metadata": dict(entry.details),
        }
    )


def session_answer(entry: SessionEntry, running: bool) -> Session:
    """A session."""
    return Session(
        session_id=entry.name,
        running=running,
        snapshot_id=entry.snapshot_id,
        created_at=timestamp(entry.created_at),
        updated_at=timestamp(entry.updated_at),
    )
