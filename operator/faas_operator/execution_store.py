"""The store's record of runs that were asked for over HTTP. Every question is about one account's,
but for the count."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from sqlalchemy import Engine, func, update
from sqlmodel import Session, col, select

from faas_blueprint.errors import NotFound, RateLimitExceeded
from faas_blueprint.job import Job, Mode, decode_job, encode_job
from faas_blueprint.receipt import Receipt, receipt_to_json
from faas_microvm.execution import Execution
from faas_operator.charging import Charging
from faas_operator.execution_record import (
    UNFINISHED,
    Attested,
    Conflict,
    ExecutionRecord,
    ExecutionStatus,
    ExecutionSummary,
    IdempotencyKey,
    Placement,
    Written,
    record_of,
    record_with,
    summary_of,
)
from faas_operator.execution_statements import ADD, EARLIER, FINISH, FREE_KEY, LOOK, SET_JOB
from faas_operator.kept_connections import transaction
from faas_operator.processes import Processes
from faas_operator.statement import Transaction
from faas_operator.stored_outcomes import decode_outcome, encode_outcome, keep_outputs, read_file
from faas_operator.tables import ExecutionRow
from faas_operator.transactions import lock, on_disk_later, reading

__all__ = ["Attested", "ExecutionRecord", "ExecutionStatus", "ExecutionStore"]

KEY_SECONDS = 24 * 3600
"""How long an idempotency key stands for its first answer."""

INTERRUPTED = "interrupted: the node stopped while this ran; nothing was signed, ask again"


class ExecutionStore:
    """Runs by id. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(
        self, engine: Engine, clock: Callable[[], float], charging: Charging, processes: Processes
    ) -> None:
        self._engine = engine
        self._on_disk_later = on_disk_later(engine)
        self._reading = reading(engine)
        self._clock = clock
        self._charging = charging
        self._processes = processes

    def begin(
        self,
        execution_id: str,
        account: str,
        job: Job | None,
        placement: Placement | None = None,
        key: IdempotencyKey | None = None,
        status: ExecutionStatus = ExecutionStatus.QUEUED,
        at_once: int | None = None,
        lasting: bool = True,
        prepaid: bool = False,
        within: Transaction | None = None,
    ) -> int:
        """Store a run before it starts, and hold what it can cost. Answers its number, the call id of its
        receipt.

        `at_once` is how many unfinished runs an account without a limit of its own may have. One that is not
        `lasting` need not be on the disk before its end is: nobody is told of it until then. Nothing is held
        for a run that is `prepaid`: see `payment_store`. With `within` it is for the caller to commit, and to
        have said that this process is there (`Processes.beat`). Raises
        Conflict for an id or a key that is taken, RateLimitExceeded, and PaymentRequired when the account
        lacks credits.
        """
        now, placement = self._clock(), placement or Placement()
        if within is None:
            self._processes.beat()
        engine = self._engine if lasting else self._on_disk_later
        key_name = None if key is None else key.name
        with transaction(engine) if within is None else nullcontext(within) as connection:
            lock(connection, f"executions of {account}")
            if key is not None:
                FREE_KEY.run(connection, account=account, key=key_name, since=now - KEY_SECONDS)
            [there] = LOOK.run(connection, account=account, id=execution_id, key=key_name)
            if there.taken:
                raise Conflict(f"there is an execution {execution_id} already", {"field": "execution_id"})
            if there.key_used:
                raise Conflict(f"the idempotency key {key_name!r} is in use", {"field": "Idempotency-Key"})
            if status is ExecutionStatus.QUEUED:
                _require_few(there.unfinished, at_once if there.own_limit is None else there.own_limit)
            [added] = ADD.run(
                connection,
                id=execution_id,
                account=account,
                status=status,
                mode=placement.mode,
                language=None if job is None else job.language,
                job=None if job is None else encode_job(job),
                snapshot_id=placement.snapshot_id,
                branch_id=placement.branch_id,
                session=placement.session,
                cached=False,
                idempotency_key=key_name,
                request_digest=None if key is None else key.request,
                process=self._processes.own,
                now=now,
            )
            number = int(added.number)
            if job is not None and not prepaid:
                self._charging.hold(connection, account, execution_id, job, placement.mode)
        return number

    def earlier(self, account: str, key: IdempotencyKey) -> str | None:
        """The id of the run that was asked for under a key. Raises Conflict if something else was asked."""
        since = self._clock() - KEY_SECONDS
        with transaction(self._reading) as connection:
            found = EARLIER.run(connection, account=account, key=key.name, since=since)
        if found and bytes(found[0].request_digest) != key.request:
            raise Conflict(
                f"the idempotency key {key.name!r} was used for another request",
                {"field": "Idempotency-Key", "execution_id": found[0].id},
            )
        return str(found[0].id) if found else None

    def started(self, number: int) -> None:
        """Store that a machine has taken a run up."""
        with Session(self._on_disk_later) as session:
            self._update(session, number, ExecutionStatus.QUEUED, status=ExecutionStatus.RUNNING)
            session.commit()

    def finish(
        self,
        number: int,
        status: ExecutionStatus,
        execution: Execution,
        receipt: Receipt,
        signature: bytes,
        kept_snapshot_id: str | None = None,
        job: Job | None = None,
        known: Callable[[ExecutionRecord], None] | None = None,
        within: Transaction | None = None,
    ) -> ExecutionRecord | None:
        """Store what came out of a run, and settle what it cost. Answers it as `get` would; None, and nothing
        else, for one that is over already: this process was taken for dead, and its runs were ended.

        `job` is the run's where it is at hand, which spares reading it again; an interactive one's holds its
        input by now. `known` is told the answer before it is committed, which with `within` is for the caller
        to do.
        """
        now, outcome = self._clock(), execution.outcome
        summary = outcome.summary()
        with transaction(self._engine) if within is None else nullcontext(within) as connection:
            finished = FINISH.run(
                connection,
                number=number,
                status=status,
                outcome=encode_outcome(summary),
                receipt=json.dumps(receipt_to_json(receipt)),
                signature=signature,
                wall_ms=execution.wall_ms,
                cached=execution.cached,
                kept_snapshot_id=kept_snapshot_id,
                now=now,
            )
            if not finished:
                return None
            [row] = finished
            job = job or decode_job(row.job)
            if job.interactive:
                SET_JOB.run(connection, number=number, job=encode_job(job))
            cost = self._charging.settle(connection, row, job, status, summary)
            keep_outputs(connection, outcome, now)
            record = record_with(row, job, Attested(outcome, receipt, signature, execution.wall_ms), cost)
            if known is not None:
                known(record)
        return record

    def restored(self, number: int, wall_ms: float) -> None:
        """Store how long a restore took."""
        with Session(self._engine) as session:
            self._update(session, number, wall_ms=wall_ms)
            session.commit()

    def end(
        self,
        number: int,
        status: ExecutionStatus,
        error: str,
        reached_ms: int = 0,
        said: Written | None = None,
    ) -> None:
        """Store that a run gave no outcome, why, and what it `said` until then. After a failure its
        idempotency key is free again.

        A run that failed costs nothing; one that was cancelled costs what it used up to `reached_ms`.
        """
        with Session(self._engine) as session:
            row = session.get_one(ExecutionRow, number, with_for_update=True)
            if row.status not in UNFINISHED:
                return
            if status is ExecutionStatus.FAILED:
                self._fail(session, row, error)
            else:
                self._charging.settle_cancelled(session, row, reached_ms)
                self._update(session, number, status=status, error=error)
            if said is not None:
                streams = {"said_stdout": said.stdout.content, "said_stderr": said.stderr.content}
                self._update(session, number, **streams, said_truncated=said.truncated)
            session.commit()

    def take_back(self, execution_id: str, account: str) -> None:
        """Fail a run of this process that never began, if there is one."""
        with Session(self._engine) as session:
            row = _find(session, execution_id, account, for_update=True)
            if row is not None and (row.status, row.process) == (ExecutionStatus.QUEUED, self._processes.own):
                self._fail(session, row, INTERRUPTED)
            session.commit()

    def end_interrupted(self) -> int:
        """Mark the runs that processes have left behind which are dead. Answers how many there were."""
        with Session(self._engine) as session:
            lock(session, "interrupted executions")
            unfinished = col(ExecutionRow.status).in_(UNFINISHED)
            running = session.exec(select(ExecutionRow.number, ExecutionRow.process).where(unfinished)).all()
            alive = self._processes.alive(session)
            left = col(ExecutionRow.number).in_(
                [number for number, process in running if process not in alive]
            )
            rows = session.exec(select(ExecutionRow).where(unfinished, left).with_for_update()).all()
            for row in sorted(rows, key=lambda row: row.account):  # as `ledger.keep`: no deadlocks
                self._fail(session, row, INTERRUPTED)
            self._processes.forget_dead(session)
            session.commit()
        return len(rows)

    def ask_to_cancel(self, execution_id: str, account: str, reason: str) -> None:
        """Have the process that runs this stop it; one that is over stays as it is. Raises NotFound."""
        with Session(self._engine) as session:
            row = _row_of(session, execution_id, account)
            assert row.number is not None
            self._update(session, row.number, *UNFINISHED, cancel_reason=reason)
            session.commit()

    def to_be_cancelled(self) -> list[tuple[str, str, str]]:
        """Account, id and reason of each run of this process that another was asked to stop."""
        query = select(ExecutionRow.account, ExecutionRow.id, ExecutionRow.cancel_reason).where(
            col(ExecutionRow.process) == self._processes.own,
            col(ExecutionRow.status).in_(UNFINISHED),
            col(ExecutionRow.cancel_reason).is_not(None),
        )
        with Session(self._reading) as session:
            return [(account, name, reason or "") for account, name, reason in session.exec(query)]

    def get(self, execution_id: str, account: str) -> ExecutionRecord:
        """A run of this account. Raises NotFound."""
        with Session(self._reading) as session:
            return record_of(session, _row_of(session, execution_id, account))

    def page(
        self,
        account: str,
        limit: int,
        offset: int,
        status: ExecutionStatus | None = None,
        mode: Mode | None = None,
        language: str | None = None,
    ) -> tuple[Sequence[ExecutionSummary], int]:
        """Runs of an account, newest first, and how many there are in all."""
        asked = {"status": status, "mode": mode, "language": language}
        given = {name: value for name, value in asked.items() if value is not None}
        query = select(ExecutionRow).filter_by(account=account, **given)
        with Session(self._reading) as session:
            total = session.exec(select(func.count()).select_from(query.subquery())).one()
            rows = session.exec(query.order_by(col(ExecutionRow.number).desc()).limit(limit).offset(offset))
            return [summary_of(row) for row in rows], total

    def count_by_status(self) -> dict[ExecutionStatus, int]:
        """How many runs of all accounts stand where."""
        query = select(ExecutionRow.status, func.count()).group_by(ExecutionRow.status)
        with Session(self._reading) as session:
            return {ExecutionStatus(status): count for status, count in session.exec(query)}

    def file(self, execution_id: str, account: str, path: str) -> bytes:
        """An output file of a run of this account. Raises NotFound."""
        with Session(self._reading) as session:
            row = _row_of(session, execution_id, account)
            if row.outcome is None:
                raise NotFound(f"execution {execution_id} has no output: it is {row.status}")
            return read_file(session, decode_outcome(row.outcome), path)

    def _fail(self, session: Session, row: ExecutionRow, error: str) -> None:
        assert row.number is not None
        self._charging.release(session, row)
        failed = {"status": ExecutionStatus.FAILED, "error": error, "idempotency_key": None}
        self._update(session, row.number, **failed)

    def _update(self, session: Session, number: int, *only: ExecutionStatus, **values: object) -> None:
        statement = update(ExecutionRow).where(col(ExecutionRow.number) == number)
        if only:
            statement = statement.where(col(ExecutionRow.status).in_(only))
        session.execute(statement.values(**values, updated_at=self._clock()))


def _require_few(unfinished: int, limit: int | None) -> None:
    """Under the lock of the account's executions, so that two do not both take the last place."""
    if limit is not None and unfinished >= limit:
        raise RateLimitExceeded(
            f"{limit} executions at once are the most for this account. Please retry when one has ended.",
            {"limit": limit, "remaining": 0, "retry_after": 1},
        )


def _find(session: Session, execution_id: str, account: str, for_update: bool = False) -> ExecutionRow | None:
    query = select(ExecutionRow).filter_by(id=execution_id, account=account)
    return session.exec(query.with_for_update() if for_update else query).one_or_none()


def _row_of(session: Session, execution_id: str, account: str) -> ExecutionRow:
    row = _find(session, execution_id, account)
    if row is None:
        raise NotFound(f"no execution {execution_id!r}")
    return row
