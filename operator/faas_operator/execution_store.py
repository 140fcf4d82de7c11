"""The store's record of runs that were asked for over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Engine, update
from sqlmodel import Session, col, select

from faas_blueprint.errors import NotFound
from faas_blueprint.job import Job, decode_job, encode_job
from faas_blueprint.outcome import Outcome
from faas_blueprint.receipt import Receipt, receipt_from_json, receipt_to_json
from faas_microvm.execution import Execution
from faas_operator.stored_outcomes import (
    decode_outcome,
    encode_outcome,
    keep_outputs,
    read_file,
    whole_outcome,
)
from faas_operator.tables import ExecutionRow


class ExecutionStatus(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    """It ended, with whatever exit code."""
    TIMEOUT = "timeout"
    """It used up its virtual time."""
    FAILED = "failed"
    """It could not be run."""
    CANCELLED = "cancelled"
    """Whoever asked went away."""


@dataclass(frozen=True, slots=True)
class Attested:
    """A finished run with this node's word for it."""

    outcome: Outcome
    receipt: Receipt
    signature: bytes
    wall_ms: float


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """A run as stored."""

    number: int
    id: str
    account: str
    status: ExecutionStatus
    job: Job
    attested: Attested | None
    error: str | None
    created_at: float


class ExecutionStore:
    """Runs by id. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    def begin(self, execution_id: str, account: str, job: Job) -> int:
        """Store a run before it starts. Answers its number, the call id of its receipt."""
        now = self._clock()
        row = ExecutionRow(
            id=execution_id,
            account=account,
            status=ExecutionStatus.RUNNING,
            job=encode_job(job),
            created_at=now,
            updated_at=now,
        )
        with Session(self._engine) as session:
            session.add(row)
            session.flush()
            number = row.number
            session.commit()
        assert number is not None
        return number

    def finish(
        self, number: int, status: ExecutionStatus, execution: Execution, receipt: Receipt, signature: bytes
    ) -> None:
        """Store what came out of a run."""
        with Session(self._engine) as session:
            keep_outputs(session, execution.outcome, self._clock())
            self._update(
                session,
                number,
                status=status,
                outcome=encode_outcome(execution.outcome),
                receipt=json.dumps(receipt_to_json(receipt)),
                signature=signature,
                wall_ms=execution.wall_ms,
            )
            session.commit()

    def end(self, number: int, status: ExecutionStatus, error: str) -> None:
        """Store that a run gave no outcome, and why."""
        with Session(self._engine) as session:
            self._update(session, number, status=status, error=error)
            session.commit()

    def end_interrupted(self) -> int:
        """Mark the runs that a stopped node has left behind. Answers how many there were."""
        with Session(self._engine) as session:
            query = select(ExecutionRow.number).where(col(ExecutionRow.status) == ExecutionStatus.RUNNING)
            numbers = [number for number in session.exec(query) if number is not None]
            for number in numbers:
                self._update(session, number, status=ExecutionStatus.FAILED, error="the node was stopped")
            session.commit()
        return len(numbers)

    def get(self, execution_id: str, account: str) -> ExecutionRecord:
        """A run of this account. Raises NotFound."""
        with Session(self._engine) as session:
            return _record_of(session, _row_of(session, execution_id, account))

    def file(self, execution_id: str, account: str, path: str) -> bytes:
        """An output file of a run of this account. Raises NotFound."""
        with Session(self._engine) as session:
            row = _row_of(session, execution_id, account)
            if row.outcome is None:
                raise NotFound(f"execution {execution_id} has no output: it is {row.status}")
            return read_file(session, decode_outcome(row.outcome), path)

    def _update(self, session: Session, number: int, **values: object) -> None:
        where = col(ExecutionRow.number) == number
        session.execute(update(ExecutionRow).where(where).values(**values, updated_at=self._clock()))


def _row_of(session: Session, execution_id: str, account: str) -> ExecutionRow:
    query = select(ExecutionRow).filter_by(id=execution_id, account=account)
    row = session.exec(query).one_or_none()
    if row is None:
        raise NotFound(f"no execution {execution_id!r}")
    return row


def _record_of(session: Session, row: ExecutionRow) -> ExecutionRecord:
    assert row.number is not None
    return ExecutionRecord(
        number=row.number,
        id=row.id,
        account=row.account,
        status=ExecutionStatus(row.status),
        job=decode_job(row.job),
        attested=_attested_of(session, row),
        error=row.error,
        created_at=row.created_at,
    )


def _attested_of(session: Session, row: ExecutionRow) -> Attested | None:
    if row.outcome is None or row.receipt is None or row.signature is None or row.wall_ms is None:
        return None
    receipt = receipt_from_json(json.loads(row.receipt))
    outcome = whole_outcome(session, decode_outcome(row.outcome), receipt.state_root)
    return Attested(outcome, receipt, row.signature, row.wall_ms)
