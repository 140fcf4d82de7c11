"""A run over HTTP as it is stored, and how its rows become values. Reading and writing: `execution_store`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlmodel import Session, select

from faas_blueprint.digests import Digest
from faas_blueprint.errors import RequestError
from faas_blueprint.job import Job, Mode, decode_job
from faas_blueprint.outcome import Outcome, Stream
from faas_blueprint.prices import Cost
from faas_blueprint.receipt import Receipt, receipt_from_json
from faas_operator.ledger_tables import UsageRow
from faas_operator.stored_outcomes import decode_outcome, whole_outcome
from faas_operator.tables import ExecutionRow


class ExecutionStatus(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    """It waits for a machine, or for its program to be compiled."""
    RUNNING = "running"
    COMPLETED = "completed"
    """It ended, with whatever exit code."""
    TIMEOUT = "timeout"
    """It used up its virtual time."""
    FAILED = "failed"
    """It could not be run, or the node stopped before it ended."""
    CANCELLED = "cancelled"
    """Whoever asked called it off, or went away."""
    RESTORED = "restored"
    """A machine that stands ready where a snapshot was taken; it has run nothing yet."""


UNFINISHED = (ExecutionStatus.QUEUED, ExecutionStatus.RUNNING)


class Conflict(RequestError):
    """What is there already stands against the request."""

    code = "CONFLICT"
    http_status = 409


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The caller's name for one request, and the SHA-256 of what was asked under it."""

    name: str
    request: Digest


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a run starts and what becomes of its machine, by the ids of its account."""

    mode: Mode = Mode.EPHEMERAL
    snapshot_id: str | None = None
    branch_id: str | None = None
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Attested:
    """A finished run with this node's word for it."""

    outcome: Outcome
    receipt: Receipt
    signature: bytes
    wall_ms: float


@dataclass(frozen=True, slots=True)
class Written:
    """What a run wrote."""

    stdout: Stream
    stderr: Stream

    @property
    def truncated(self) -> bool:
        """Whether some of it is not there."""
        return self.stdout.truncated or self.stderr.truncated


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """A run as stored."""

    number: int
    id: str
    account: str
    status: ExecutionStatus
    job: Job | None
    """None for a machine that was restored."""
    attested: Attested | None
    error: str | None
    created_at: float
    updated_at: float
    placement: Placement = field(default_factory=Placement)
    kept_snapshot_id: str | None = None
    """The machine after the run, where it was kept."""
    cached: bool = False
    wall_ms: float | None = None
    cost: Cost | None = None
    """By the price table that was in force when it ended; None before."""
    said: Written | None = None
    """What it had written, if it came to an end without an outcome."""

    @property
    def written(self) -> Written | None:
        """Its output, attested or not; None before the end."""
        if self.attested is None:
            return self.said
        return Written(self.attested.outcome.stdout, self.attested.outcome.stderr)


@dataclass(frozen=True, slots=True)
class ExecutionSummary:
    """A line of a list of runs: no output, no files."""

    id: str
    status: ExecutionStatus
    mode: Mode
    language: str | None
    exit_code: int | None
    wall_ms: float | None
    cached: bool
    snapshot_id: str | None
    created_at: float
    updated_at: float


def usage_reference(account: str, execution_id: str) -> str:
    """What the record of an execution's use is found by."""
    return f"execution/{account}/{execution_id}"


def record_of(session: Session, row: ExecutionRow) -> ExecutionRecord:
    """The whole record, output included."""
    job = None if row.job is None else decode_job(row.job)
    return record_with(row, job, _attested_of(session, row), _cost_of(session, row), _said(row))


def record_with(
    row: ExecutionRow | Any,
    job: Job | None,
    attested: Attested | None,
    cost: Cost | None,
    said: Written | None = None,
) -> ExecutionRecord:
    """The same where what is not in the row is known."""
    assert row.number is not None
    return ExecutionRecord(
        number=row.number,
        id=row.id,
        account=row.account,
        status=ExecutionStatus(row.status),
        job=job,
        attested=attested,
        error=row.error,
        created_at=row.created_at,
        updated_at=row.updated_at,
        placement=Placement(Mode(row.mode), row.snapshot_id, row.branch_id, row.session),
        kept_snapshot_id=row.kept_snapshot_id,
        cached=bool(row.cached),
        wall_ms=row.wall_ms,
        cost=cost,
        said=said,
    )


def summary_of(row: ExecutionRow) -> ExecutionSummary:
    """What a list shows."""
    return ExecutionSummary(
        id=row.id,
        status=ExecutionStatus(row.status),
        mode=Mode(row.mode),
        language=row.language,
        exit_code=None if row.outcome is None else decode_outcome(row.outcome).exit_code,
        wall_ms=row.wall_ms,
        cached=row.cached,
        snapshot_id=row.kept_snapshot_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _attested_of(session: Session, row: ExecutionRow) -> Attested | None:
    if row.outcome is None or row.receipt is None or row.signature is None or row.wall_ms is None:
        return None
    receipt = receipt_from_json(json.loads(row.receipt))
    outcome = whole_outcome(session, decode_outcome(row.outcome), receipt.state_root)
    return Attested(outcome, receipt, row.signature, row.wall_ms)


def _said(row: ExecutionRow) -> Written | None:
    if row.said_stdout is None or row.said_stderr is None:
        return None
    cut = bool(row.said_truncated)
    return Written(Stream(row.said_stdout, cut), Stream(row.said_stderr, cut))


def _cost_of(session: Session, row: ExecutionRow) -> Cost | None:
    query = select(UsageRow).filter_by(reference=usage_reference(row.account, row.id))
    used = session.exec(query).one_or_none()
    return None if used is None else Cost(used.compute_cost, used.network_cost)
