"""What a node remembers: the cursor, every job call with its state.

Every change of a job's state goes through `apply`, which asks the pipeline's table and commits before
it returns; effects come after. Calls block for a few milliseconds, so asynchronous callers put them in
a thread; all of them may be used from any thread. Executions over HTTP are in `execution_store`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Self, cast

import sqlalchemy
from sqlalchemy import ColumnElement, CursorResult, Engine, case, func, update
from sqlmodel import Session, col, select

from faas_blueprint.errors import DatabaseUnavailable, FaaSError, NotFound
from faas_blueprint.outcome import Outcome
from faas_blueprint.receipt import Address, CallReference
from faas_operator.accounts import AccountStore
from faas_operator.api_keys import KeyStore
from faas_operator.audit import AuditLog
from faas_operator.blob_store import BlobStore
from faas_operator.chain.interface import Block, SubmittedJob
from faas_operator.challenges import ChallengeStore
from faas_operator.charging import Charging, Terms
from faas_operator.credit_events import CreditEventStore
from faas_operator.cursors import move_cursor, read_cursor
from faas_operator.database import let_go, open_database
from faas_operator.docket import Docket
from faas_operator.execution_store import ExecutionStore
from faas_operator.happenings import ANSWER_SECONDS, STAGE_SECONDS
from faas_operator.job_record import (
    CLEARED,
    NOTHING_NEW,
    Change,
    Columns,
    JobRecord,
    call_columns,
    changed_columns,
    record_of,
    submitted_columns,
)
from faas_operator.key_changes import KeyChanges
from faas_operator.ledger import Ledger
from faas_operator.payment_store import PaymentStore
from faas_operator.pipeline import UNRUN, Event, State, next_state
from faas_operator.processes import Processes
from faas_operator.prompt_writing import PromptWriting
from faas_operator.quote_store import QuoteStore
from faas_operator.refutation_store import RefutationStore
from faas_operator.snapshot_catalog import SnapshotCatalog
from faas_operator.spending_limits import SpendingLimits
from faas_operator.storage_sweep import StorageSweep
from faas_operator.stored_outcomes import keep_outputs, whole_outcome
from faas_operator.tables import NO_PRICE, JobRow
from faas_operator.transactions import lock, reading
from faas_operator.usage import UsageBook


class StaleRecord(FaaSError):
    """Someone else has moved this job on since it was read; read it again."""


class Store:
    """One node's memory."""

    def __init__(
        self, engine: Engine, clock: Callable[[], float] = time.time, terms: Terms | None = None
    ) -> None:
        """Without terms nothing is charged. Raises FatalError, see `Charging.keep_prices`, and lets go
        of the engine then."""
        self._engine = engine
        self.clock = self._clock = clock
        """Unix seconds."""
        self.key_changes = KeyChanges()
        """Of what this process does to keys and accounts."""
        self._charging = Charging(terms or Terms(), clock)
        self.processes = Processes(engine)
        """This process among those that share the database."""
        self.promptly = PromptWriting(engine)
        """What the event loop writes by itself."""
        try:
            with Session(engine) as session:
                self._charging.keep_prices(session)
                session.commit()
        except BaseException:
            let_go(engine)
            raise

    @classmethod
    def open(cls, url: str, terms: Terms | None = None) -> Self:
        """The store at a database URL; see `database.open_database`."""
        return cls(open_database(url), terms=terms)

    @property
    def executions(self) -> ExecutionStore:
        """The runs that were asked for over HTTP, in the same database."""
        return ExecutionStore(self._engine, self._clock, self._charging, self.processes)

    @property
    def ledger(self) -> Ledger:
        """The credits of all accounts, in the same database."""
        return Ledger(self._engine, self._clock)

    @property
    def usage(self) -> UsageBook:
        """What accounts have used, in the same database."""
        return UsageBook(self._engine, self._clock, self._charging)

    @property
    def storage_sweep(self) -> StorageSweep:
        """Charges for the snapshots in the same database."""
        return StorageSweep(self._engine, self._clock, self._charging.terms)

    def spending_limits(self, chain_id: int, contract: Address) -> SpendingLimits:
        """What payers allow to be settled, in the same database."""
        return SpendingLimits(self._engine, self._clock, chain_id, contract)

    @property
    def payments(self) -> PaymentStore:
        """What requests were paid with, in the same database."""
        return PaymentStore(self._engine, self._clock, self._charging, self.processes)

    @property
    def credit_events(self) -> CreditEventStore:
        """What credits contracts have said, in the same database."""
        return CreditEventStore(self._engine, self._clock)

    @property
    def snapshots(self) -> SnapshotCatalog:
        """Whose snapshots, branches and sessions there are, in the same database."""
        return SnapshotCatalog(self._engine, self._clock)

    @property
    def accounts(self) -> AccountStore:
        """Who owns all that, in the same database."""
        return AccountStore(self._engine, self._clock, self.key_changes)

    @property
    def keys(self) -> KeyStore:
        """The accounts' API keys, in the same database."""
        return KeyStore(self._engine, self._clock, self.key_changes)

    @property
    def blobs(self) -> BlobStore:
        """Bytes by their hash, uploaded or put out by runs, in the same database."""
        return BlobStore(self._engine, self._clock)

    @property
    def challenges(self) -> ChallengeStore:
        """Sign-ins that are under way, in the same database."""
        return ChallengeStore(self._engine, self._clock)

    @property
    def audit(self) -> AuditLog:
        """What was done to accounts and keys, in the same database."""
        return AuditLog(self._engine)

    def docket(self, deployment: str) -> Docket:
        """The contested calls of a deployment, in the same database."""
        return Docket(self._engine, self._clock, deployment)

    @property
    def refutations(self) -> RefutationStore:
        """What was signed against others' receipts, in the same database."""
        return RefutationStore(self._engine, self._clock)

    @property
    def quotes(self) -> QuoteStore:
        """What quotes were signed, in the same database."""
        return QuoteStore(self._engine, self._clock)

    def close(self) -> None:
        """Let go of the database, and of what this process does for all."""
        self.promptly.close()
        with suppress(DatabaseUnavailable):  # then the others find out by themselves
            self.processes.leave()
        let_go(self._engine)

    # -- the cursor

    def cursor(self, deployment: str) -> Block | None:
        """The last block whose logs are stored."""
        with Session(reading(self._engine)) as session:
            return read_cursor(session, deployment)

    def record_blocks(self, deployment: str, jobs: Iterable[SubmittedJob], last: Block) -> list[JobRecord]:
        """Store the job calls of a range of blocks and move the cursor to its last block, in one commit.

        A call that is known from the same block is left alone; known from another block, it starts
        again. Answers the calls that are new or start again.
        """
        with Session(self._engine) as session:
            lock(session, f"blocks {deployment}")
            rows = [row for job in jobs if (row := self._record(session, job)) is not None]
            move_cursor(session, deployment, last)
            session.flush()
            records = [record_of(row) for row in rows]
            session.commit()
        return records

    def rewind(self, deployment: str, block: Block) -> None:
        """Set the cursor back."""
        self.record_blocks(deployment, (), block)

    # -- jobs

    def apply(self, record: JobRecord, event: Event, change: Change = NOTHING_NEW) -> JobRecord:
        """Move a job on, with what came of it; committed when this returns.

        Raises IllegalTransition, and StaleRecord when `record` is not the newest.
        """
        columns: Columns = {"state": next_state(record.state, event).value} | changed_columns(change)
        if event in (Event.LOSE, Event.GIVE_UP):
            columns["attempts"] = record.attempts + 1
        if event is Event.WAIT:
            columns["waits"] = record.waits + 1
        with Session(self._engine) as session:
            if change.execution is not None:
                keep_outputs(session, change.execution.outcome, self._clock())
            self._compare_and_set(session, record, columns)
            row = session.get_one(JobRow, record.number, populate_existing=True)
            if event is Event.FINALISE:
                self._charging.record_call(session, row)
            moved = record_of(row)
            session.commit()
        STAGE_SECONDS.labels(record.state).observe(max(0.0, moved.moved_at - record.moved_at))
        if event is Event.INCLUDE and record.state is State.POSTING:
            ANSWER_SECONDS.observe(max(0.0, moved.moved_at - record.seen_at))
        return moved

    def job(self, number: int) -> JobRecord:
        """A job by its number. Raises NotFound."""
        with Session(reading(self._engine)) as session:
            row = session.get(JobRow, number)
            if row is None:
                raise NotFound(f"no job {number} is stored")
            return record_of(row)

    def job_of_call(self, call: CallReference) -> JobRecord | None:
        """A job by its call."""
        with Session(reading(self._engine)) as session:
            row = _row_of_call(session, call)
            return None if row is None else record_of(row)

    def jobs_in(self, states: Collection[State]) -> list[JobRecord]:
        """All jobs in these states, oldest first."""
        query = select(JobRow).where(_is_in(states)).order_by(col(JobRow.id))
        with Session(reading(self._engine)) as session:
            return [record_of(row) for row in session.exec(query)]

    def numbers_in(self, states: Collection[State]) -> list[int]:
        """Numbers of the jobs in these states, oldest first."""
        query = select(JobRow.id).where(_is_in(states)).order_by(col(JobRow.id))
        with Session(reading(self._engine)) as session:
            return [number for number in session.exec(query) if number is not None]

    def turns_in(self, states: Collection[State], but: Collection[int], limit: int) -> list[int]:
        """Numbers of the jobs in these states whose turn it is: services take turns, and in each its
        customers; a customer's own jobs are in order of price, then of age. Jobs in hand (`but`) have had
        their turn; jobs that had to wait for an earlier call come after the others, in order of age."""
        in_hand, has_waited = col(JobRow.id).in_(list(but)), col(JobRow.waits) > 0
        price = case((has_waited, NO_PRICE), else_=col(JobRow.price))
        own = func.row_number().over(
            partition_by=(col(JobRow.service_id), col(JobRow.caller)),
            order_by=(in_hand.desc(), has_waited, price.desc(), col(JobRow.id)),
        )
        waiting = select(JobRow.id, JobRow.service_id, own.label("own")).where(_is_in(states)).subquery()
        within_service = func.row_number().over(
            partition_by=waiting.c.service_id, order_by=(waiting.c.own, waiting.c.id)
        )
        turns = select(waiting.c.id, within_service.label("turn")).subquery()
        query = (
            sqlalchemy.select(turns.c.id)
            .where(turns.c.id.not_in(list(but)))
            .order_by(turns.c.turn, turns.c.id)
            .limit(limit)
        )
        with Session(reading(self._engine)) as session:
            return [int(number) for number in session.execute(query).scalars()]

    def has_earlier_unrun(self, record: JobRecord) -> bool:
        """Whether a call of the same service, submitted before, is still to be run."""
        call = record.call
        query = select(JobRow.id).where(
            col(JobRow.chain_id) == call.chain_id,
            col(JobRow.tangle) == call.tangle,
            col(JobRow.service_id) == call.service_id,
            col(JobRow.call_id) < call.call_id,
            _is_in(UNRUN),
        )
        with Session(reading(self._engine)) as session:
            return session.exec(query.limit(1)).first() is not None

    def count_by_state(self) -> dict[State, int]:
        """How many jobs are in each state."""
        query = select(JobRow.state, func.count()).group_by(JobRow.state)
        with Session(reading(self._engine)) as session:
            return {State(state): count for state, count in session.exec(query)}

    def outcome(self, record: JobRecord) -> Outcome:
        """The whole outcome of a job that has one. Raises NotFound."""
        if record.executed is None:
            raise NotFound(f"job {record.number} has no outcome yet")
        with Session(reading(self._engine)) as session:
            return whole_outcome(session, record.executed.outcome, record.executed.state_root)

    # -- parts

    def _record(self, session: Session, job: SubmittedJob) -> JobRow | None:
        row = _row_of_call(session, job.call, for_update=True)
        now = self._clock()
        if row is None:
            row = JobRow(**call_columns(job.call), **submitted_columns(job), state=State.SEEN.value,
                         created_at=now, updated_at=now)  # fmt: skip
        elif row.block_hash == job.block.block_hash and row.state != State.DROPPED:
            return None
        else:
            state = next_state(State(row.state), Event.REINCLUDE)
            row.sqlmodel_update(submitted_columns(job) | CLEARED)
            row.sqlmodel_update({"state": state.value, "revision": row.revision + 1, "updated_at": now})
        session.add(row)
        return row

    def _compare_and_set(self, session: Session, record: JobRecord, changes: Columns) -> None:
        statement = (
            update(JobRow)
            .where(col(JobRow.id) == record.number, col(JobRow.revision) == record.revision)
            .values(**changes, revision=record.revision + 1, updated_at=self._clock())
        )
        result = cast("CursorResult[object]", session.execute(statement))
        if result.rowcount != 1:
            raise StaleRecord(f"job {record.number} is no longer at revision {record.revision}")


def _is_in(states: Collection[State]) -> ColumnElement[bool]:
    return col(JobRow.state).in_([state.value for state in states])


def _row_of_call(session: Session, call: CallReference, for_update: bool = False) -> JobRow | None:
    query = select(JobRow).filter_by(**call_columns(call))
    return session.exec(query.with_for_update() if for_update else query).one_or_none()
