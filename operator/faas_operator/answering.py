"""What the node does for a job in each state in which it must act.

Every step ends in one transition of the store, made before anything else happens; a step that is cut
off is done again from the stored state. Runs are deterministic, so running again changes nothing; a
payload that was signed once is posted as it is, after asking the chain whether it is there already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from faas_blueprint.digests import keccak256
from faas_blueprint.errors import (
    BlobUnavailable,
    ChainUnavailable,
    FaaSError,
    InsufficientResources,
    InvalidRequest,
    MachineFailure,
    NotFound,
    RequestError,
    ResultRefused,
    TransientError,
)
from faas_blueprint.operation import JobKind, Operation, blobs_of
from faas_blueprint.operation_payload import operation_of_call
from faas_blueprint.outcome import failed_outcome
from faas_blueprint.receipt import Address, CallReference
from faas_blueprint.result import encode_result, make_result
from faas_microvm.execution import Execution
from faas_operator.backoff import Backoff
from faas_operator.blob_fetching import BlobFetcher
from faas_operator.chain.interface import Block, CallStanding, ChainAdapter, SubmittedJob
from faas_operator.engine import JobEngine
from faas_operator.job_record import NOTHING_NEW, Change, JobRecord, SignedResult
from faas_operator.logs import about
from faas_operator.peers import Peers
from faas_operator.pipeline import Event, State
from faas_operator.settings import Settings
from faas_operator.signer import Signer
from faas_operator.snapshot_fetching import SnapshotFetcher
from faas_operator.store import Store
from faas_operator.until_stored import until_stored

log = logging.getLogger(__name__)

Step = Callable[[JobRecord], Awaitable[JobRecord]]


class EarlierCallAwaited(InsufficientResources):
    """What a job starts on may be made by a call that was submitted before it and has not run yet."""

    def __init__(self, message: str, waits: int) -> None:
        super().__init__(message)
        self.waits = waits
        """How often this was found."""


class Answering:
    """Takes one job a step further at a time."""

    def __init__(
        self, chain: ChainAdapter, engine: JobEngine, signer: Signer, store: Store, settings: Settings
    ) -> None:
        self._chain = chain
        self._engine = engine
        self._signer = signer
        self._store = store
        self._blobs = BlobFetcher(store, settings, Peers(settings, chain))
        self._snapshots = SnapshotFetcher(engine, settings)
        self._attempts = settings.machine_attempts
        self._backoff = Backoff(settings.retry_seconds, settings.retry_seconds_at_most)
        self._slots = asyncio.Semaphore(settings.parallel_jobs)
        self.on_machines: set[int] = set()
        """Numbers of the jobs that machines are running."""
        self._steps: Mapping[State, Step] = {
            State.CONFIRMED: self._accept,
            State.ACCEPTED: self._run,
            State.RUNNING: self._pick_up,
            State.EXECUTED: self._sign,
            State.FAILED: self._sign,
            State.POSTING: self._post,
        }

    async def step(self, record: JobRecord) -> JobRecord:
        """Do what the job's state asks for, which must be an ACTIONABLE one.

        Raises ChainUnavailable and InsufficientResources (try again), EarlierCallAwaited (let others go
        first), StaleRecord (read again), and what stops the node.
        """
        return await self._steps[record.state](record)

    async def _accept(self, record: JobRecord) -> JobRecord:
        reason = why_not_ours(record.submitted, self._signer.address)
        if reason is None:
            reason = why_not_open(await self._chain.standing(record.call))
        if reason is not None:
            return await self._apply(record, Event.FOREIGN, Change(error=reason))
        try:
            _operation(record)
        except InvalidRequest as error:
            return await self._fail(record, Event.REJECT, error)
        return await self._apply(record, Event.ACCEPT)

    async def _run(self, record: JobRecord) -> JobRecord:
        await asyncio.sleep(self._backoff.pause(record.attempts))
        operation = _operation(record)
        try:
            await self._blobs.bring(blobs_of(operation), record.call.service_id)
        except BlobUnavailable as error:
            running = await self._apply(record, Event.START)
            return await self._fail(running, Event.REJECT, error)
        async with self._slots:
            running = await self._apply(record, Event.START)
            self.on_machines.add(record.number)
            try:
                return await self._run_on_machine(running, operation)
            finally:
                self.on_machines.discard(record.number)

    async def _run_on_machine(
        self, record: JobRecord, operation: Operation, looks_again: bool = False
    ) -> JobRecord:
        try:
            contents = await asyncio.to_thread(self._store.blobs.contents, blobs_of(operation))
            execution = await self._engine.perform(operation, contents, keeper_of(record.call))
        except NotFound as error:
            return await self._miss(record, operation, error, looks_again)
        except RequestError as error:
            return await self._fail(record, Event.REJECT, error)
        except InsufficientResources:
            # the host's trouble, not the job's: it is not counted against the job
            self._store.apply(record, Event.INTERRUPT)
            raise
        except TransientError as error:
            return await self._lose(record, error)
        except asyncio.CancelledError:
            self._store.apply(record, Event.INTERRUPT)
            raise
        return await self._apply(record, Event.FINISH, Change(execution=execution))

    async def _miss(
        self, record: JobRecord, operation: Operation, error: NotFound, looked_again: bool
    ) -> JobRecord:
        """A snapshot is not here. An earlier call of the service that is under way may be making it, one that
        has ended since it was looked for may have made it, or peers have it."""
        if await asyncio.to_thread(self._store.has_earlier_unrun, record):
            waits = (await self._apply(record, Event.WAIT)).waits
            raise EarlierCallAwaited(f"{error.message}; earlier calls are awaited", waits) from error
        if not looked_again:
            return await self._run_on_machine(record, operation, looks_again=True)
        try:
            fetched = await self._snapshots.bring(operation)
        except asyncio.CancelledError:
            self._store.apply(record, Event.INTERRUPT)
            raise
        if fetched:
            return await self._apply(record, Event.INTERRUPT)
        return await self._fail(record, Event.REJECT, error)

    async def _pick_up(self, record: JobRecord) -> JobRecord:
        """The node died while this job was running, perhaps because of it."""
        return await self._lose(record, MachineFailure("the node stopped while the job was running"))

    async def _lose(self, record: JobRecord, error: TransientError) -> JobRecord:
        log.warning("machine lost", extra=about(record.call, attempt=record.attempts + 1, error=error))
        if record.attempts + 1 < self._attempts:
            return await self._apply(record, Event.LOSE, Change(error=error.message))
        given_up = MachineFailure(f"no machine could run this job in {self._attempts} attempts")
        return await self._fail(record, Event.GIVE_UP, given_up)

    async def _fail(self, record: JobRecord, event: Event, error: FaaSError) -> JobRecord:
        """An error is an outcome too: it is signed and posted like any other."""
        execution = Execution(
            failed_outcome(error), self._engine.profile_id, self._engine.measurement, wall_ms=0.0
        )
        return await self._apply(record, event, Change(error=error.message, execution=execution))

    async def _sign(self, record: JobRecord) -> JobRecord:
        assert record.executed is not None, "an executed job has an outcome"
        outcome = await asyncio.to_thread(self._store.outcome, record)
        receipt, signature = self._signer.attest(
            profile_id=record.executed.profile_id,
            snapshot=record.executed.snapshot,
            toolchain=record.executed.toolchain,
            job_digest=keccak256(record.submitted.inputs),
            outcome=outcome,
            call=record.call,
        )
        payload = encode_result(make_result(receipt, outcome, signature))
        return await self._apply(record, Event.SIGN, Change(signed=SignedResult(payload, receipt)))

    async def _post(self, record: JobRecord) -> JobRecord:
        assert record.signed is not None, "a job to be posted is signed"
        if not await self._is_on_chain(record.submitted.block):
            return await self._apply(record, Event.VANISH)
        standing = await self._chain.standing(record.call)
        if standing is CallStanding.ANSWERED:
            return await self._take_note_of_answer(record)
        if standing is not CallStanding.OPEN:
            reason = why_not_open(standing) or "another result stands; the receipt is kept to challenge it"
            return await self._apply(record, Event.REFUSE, Change(error=reason))
        try:
            posted = await self._chain.post_result(record.call, record.signed.payload)
        except ResultRefused as refusal:
            return await self._take_refusal(record, refusal)
        return await self._apply(record, Event.INCLUDE, Change(posted=posted))

    async def _is_on_chain(self, block: Block) -> bool:
        """Whether the call is still the one that was run; another chain's may have the same number."""
        found = await self._chain.block_hash(block.number)
        if found is None:
            raise ChainUnavailable(f"block {block.number} is not there yet")
        return found == block.block_hash

    async def _take_refusal(self, record: JobRecord, refusal: ResultRefused) -> JobRecord:
        """Final, unless what was in the way is an earlier transaction of our own."""
        if await self._chain.standing(record.call) is CallStanding.ANSWERED:
            return await self._take_note_of_answer(record)
        return await self._apply(record, Event.REFUSE, Change(error=refusal.message))

    async def _take_note_of_answer(self, record: JobRecord) -> JobRecord:
        posted = await self._chain.posted_result(record.call, record.submitted.block.number)
        if posted is None:
            raise ChainUnavailable("the call is answered, but the answer is not in the logs yet")
        return await self._apply(record, Event.INCLUDE, Change(posted=posted))

    async def _apply(self, record: JobRecord, event: Event, change: Change = NOTHING_NEW) -> JobRecord:
        moved = await until_stored(lambda: self._store.apply(record, event, change))
        level = logging.WARNING if moved.state in (State.FAILED, State.ABANDONED) else logging.INFO
        log.log(level, "job %s", moved.state, extra=about(record.call, **_told(change)))
        return moved


def keeper_of(call: CallReference) -> str:
    """The name under which the store holds what a service's calls have kept."""
    return f"{call.chain_id}.{call.service_id}"


def _operation(record: JobRecord) -> Operation:
    return operation_of_call(record.submitted.job_index, record.submitted.inputs)


def why_not_ours(submitted: SubmittedJob, operator: Address) -> str | None:
    """Why this operator has nothing to do with a job, if so."""
    if submitted.job_index not in JobKind._value2member_map_:
        return f"job index {submitted.job_index} is not served"
    if submitted.quoted_operators is not None and operator not in submitted.quoted_operators:
        return "the job was bought from other operators"
    return None


def why_not_open(standing: CallStanding) -> str | None:
    """Why running a job would be in vain, if so; an answered one is run for its output and receipt, one that
    can be challenged to know whether it must be."""
    match standing:
        case CallStanding.COMPLETED:
            return "the call is complete without this operator's result"
        case CallStanding.CLOSED:
            return "the service has ended, or this operator does not serve it"
        case _:
            return None


def _told(change: Change) -> dict[str, object]:
    """What a log line says of a change."""
    told: dict[str, object] = {}
    if change.error is not None:
        told["error"] = change.error
    if change.execution is not None:
        told |= {
            "wall_ms": round(change.execution.wall_ms),
            "virtual_ns": change.execution.outcome.virtual_ns,
        }
    if change.posted is not None:
        told |= {"tx": change.posted.transaction_hash, "block": change.posted.block.number}
    return told
