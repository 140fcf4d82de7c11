"""Runs that are asked for over HTTP: the same engine, the same receipt, no chain.

Their receipts name chain 0, the zero address, service 0 and a number of this node's own as the call.
A run is a task of this service's: whoever asked may wait for it, watch it, call it off, or come back. Of
several processes with one database, each knows the others' runs from there (`elsewhere`).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from types import TracebackType
from typing import TypeVar

from faas_blueprint.bundle import manifest_to_json
from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import (
    DatabaseUnavailable,
    ExecutionTimeout,
    FaaSError,
    InsufficientResources,
    InvalidRequest,
    RequestError,
    TransientError,
)
from faas_blueprint.job import Mode
from faas_blueprint.outcome import Stream
from faas_blueprint.receipt import receipt_to_json
from faas_blueprint.terminal import TerminalSize
from faas_microvm.engine import Engine
from faas_microvm.execution import Output, Progress
from faas_microvm.interactive import TypedInput, typed_input
from faas_microvm.modes import Setting
from faas_operator.elsewhere import Elsewhere
from faas_operator.execution_record import (
    UNFINISHED,
    Conflict,
    ExecutionRecord,
    ExecutionStatus,
    ExecutionSummary,
    Written,
)
from faas_operator.execution_run import Run, Runner, RunRequest
from faas_operator.execution_store import INTERRUPTED
from faas_operator.feed import Dropped, Ended, Feed
from faas_operator.logs import about
from faas_operator.placing import Placing
from faas_operator.prompt_writing import NotNow, is_small
from faas_operator.signer import Signer
from faas_operator.snapshot_keeping import SnapshotKeeping
from faas_operator.store import Store
from faas_operator.transactions import Kind
from faas_operator.until_stored import until_stored

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

UNFINISHED_AT_MOST = 256
"""Runs that wait or run at once; more are refused."""

CLOSE_SECONDS = 10.0
"""For stopped runs to be stored."""

INTERACTIVE_AT_MOST = 32
"""Interactive runs at once: each keeps its machine while it waits for input."""

CALLER_LEFT = "the caller went away"

_PIECE_BYTES = 64 << 10


class ExecutionService:
    """Runs jobs off-chain and remembers them. Safe for concurrent calls on one event loop."""

    def __init__(self, engine: Engine, signer: Signer, store: Store, at_once: int | None = None) -> None:
        """Runs that a process which is dead left unfinished are marked as failed.

        `at_once` is how many unfinished runs an account may have that has no limit of its own.
        """
        self._at_once = at_once
        self.engine = engine
        self.store = store
        self._executions = store.executions
        self.keeping = SnapshotKeeping(engine, store.snapshots)
        self.placing = Placing(engine, store.snapshots, self.keeping, store.processes)
        self._runner = Runner(engine, signer, self._executions, store.promptly, self.placing)
        self._runs: dict[tuple[str, str], Run] = {}
        self.stopping = False
        """Whether new runs are refused."""
        self._beginning = asyncio.Lock()
        """One at a time, so that who asks twice at once finds a run that can be waited for."""
        self._elsewhere = Elsewhere(store)
        self._keeping_up: asyncio.Task[None] | None = None
        self._taking_back: set[asyncio.Task[None]] = set()
        self._elsewhere.end_interrupted()

    @property
    def profile_id(self) -> Digest:
        """The kind of machine."""
        return self.engine.profile_id

    @property
    def measurement(self) -> Digest:
        """The snapshot that a run starts from unless it names another."""
        return self.engine.measurement

    # -- asking

    async def start(self, request: RunRequest, account: str, lasting: bool = True) -> str:
        """Begin a run, or find the one that was asked for under the same idempotency key; answers its id.

        Not `lasting` is for who tells nobody of the run before it is over: see `ExecutionStore.begin`.

        Raises InvalidRequest, NotFound, Conflict, RateLimitExceeded, PaymentRequired, InsufficientResources;
        nothing is stored then.
        """
        async with self._beginning:
            if request.key is not None:
                earlier = await asyncio.to_thread(self._executions.earlier, account, request.key)
                if earlier is not None:
                    return earlier
            try:
                return await self._begin(request, account, lasting)
            except Conflict:  # another process was faster, under the same key?
                earlier = None
                if request.key is not None:
                    earlier = await asyncio.to_thread(self._executions.earlier, account, request.key)
                if earlier is None:
                    raise
                return earlier

    async def _begin(self, request: RunRequest, account: str, lasting: bool) -> str:
        if self.stopping:
            raise InsufficientResources("the node is stopping; try again later")
        if len(self._runs) >= UNFINISHED_AT_MOST:
            raise InsufficientResources(f"{UNFINISHED_AT_MOST} runs are waiting already; try again later")
        interactive = [run for run in self._runs.values() if run.typed is not None]
        if request.job.interactive and len(interactive) >= INTERACTIVE_AT_MOST:
            raise InsufficientResources(f"{INTERACTIVE_AT_MOST} interactive runs are open; try again later")
        placement = await self.placing.check(account, request.placement)
        job = request.job
        if job.keep != placement.mode.keeps:
            job = replace(job, keep=placement.mode.keeps)
        request = replace(request, job=job, placement=placement)
        execution_id = request.execution_id or new_execution_id()
        begin = functools.partial(
            self._executions.begin,
            *(execution_id, account, request.job, request.placement, request.key),
            at_once=self._at_once,
            lasting=lasting,
            prepaid=request.prepaid,
        )
        if not lasting and self.store.processes.has_beaten and is_small(request.job):
            with suppress(NotNow):
                number = self.store.promptly.write(lambda within: begin(within=within), Kind.LATER)
                self._set_going(Run(execution_id, number, account, request, Feed()))
                return execution_id
        storing = asyncio.get_running_loop().run_in_executor(None, begin)
        try:
            number = await asyncio.shield(storing)
        except DatabaseUnavailable:
            self._take_back(execution_id, account)
            raise
        except asyncio.CancelledError:
            await asyncio.wait({storing})  # what is stored, and held for, has a run
            if isinstance(storing.exception(), DatabaseUnavailable):
                self._take_back(execution_id, account)
            elif storing.exception() is None:
                self._set_going(Run(execution_id, storing.result(), account, request, Feed()))
                if request.key is None:
                    await self.cancel(execution_id, account, CALLER_LEFT)
            raise
        self._set_going(Run(execution_id, number, account, request, Feed()))
        return execution_id

    def _take_back(self, execution_id: str, account: str) -> None:
        """The database broke off: if the run is stored all the same, nothing is to be held for it."""
        if (account, execution_id) in self._runs:
            return  # the id is another run's, which is stored
        work = until_stored(lambda: self._executions.take_back(execution_id, account))
        task = asyncio.create_task(work)
        self._taking_back.add(task)
        task.add_done_callback(self._taking_back.discard)

    def _set_going(self, run: Run) -> None:
        self._runs[run.account, run.id] = run
        if run.request.job.interactive:
            run.typed = typed_input(run.request.job)
        run.task = asyncio.create_task(self._live(run))

    async def execute(
        self, request: RunRequest, account: str, make: Callable[[ExecutionRecord], Answer]
    ) -> Answer:
        """Begin a run, wait for it, and answer what `make` makes of it. Cancelling the call stops the run,
        unless it has an idempotency key: then it goes on, for the caller to ask again.

        `make` is called while the record is on its way to the disk, and again if another one gets there: it
        must tell nobody. A run that ended at its time limit is a record too (see `require_in_time`).
        Raises what `start` raises, what the engine raises, MachineFailure, …, and what `make` raises.
        """
        execution_id = await self.start(request, account, lasting=request.key is not None)
        try:
            run = self._runs.get((account, execution_id))
            if run is None:
                return make(await self.wait(execution_id, account))
            known = await asyncio.shield(run.known)
            if known is None:
                return make(await self._end_of(run))
            try:
                made = make(known)
            finally:
                stored = await self._end_of(run)
            return made if stored is known else make(stored)
        except asyncio.CancelledError:
            if request.key is None:
                await self.cancel(execution_id, account, CALLER_LEFT)
            raise

    async def wait(self, execution_id: str, account: str) -> ExecutionRecord:
        """A run once it is over. Raises what it failed with, and NotFound."""
        run = self._runs.get((account, execution_id))
        if run is not None:
            return await self._end_of(run)
        return await self._elsewhere.wait(execution_id, account)

    async def _end_of(self, run: Run) -> ExecutionRecord:
        assert run.task is not None
        await asyncio.shield(run.task)
        if run.error is not None:
            raise run.error
        return run.record or await self.record(run.id, run.account)

    async def cancel(
        self, execution_id: str, account: str, reason: str = "the run was cancelled"
    ) -> ExecutionRecord:
        """Stop a run and its machine. One that is over already stays as it is.

        One of another process is stopped by it, for which it has some seconds. Raises NotFound.
        """
        run = self._runs.get((account, execution_id))
        if run is None or run.task is None:
            return await self._elsewhere.cancel(execution_id, account, reason)
        self._stop(run, ExecutionStatus.CANCELLED, reason)
        await asyncio.shield(run.task)
        return await self.record(execution_id, account)

    async def give_input(self, execution_id: str, account: str, data: bytes, end: bool = False) -> None:
        """Hand an interactive run more of its input, or tell it that there is no more.

        Raises NotFound, and InvalidRequest for a run that takes none, or has been given too much.
        """
        typed = await self._input_of(execution_id, account)
        typed.put(data)
        if end:
            typed.end()

    async def resize(self, execution_id: str, account: str, size: TerminalSize) -> None:
        """Give an interactive run's terminal another size. Raises as `give_input`, and without a terminal."""
        (await self._input_of(execution_id, account)).resize(size)

    async def _input_of(self, execution_id: str, account: str) -> TypedInput:
        run = self._runs.get((account, execution_id))
        if run is None:
            record = await self.record(execution_id, account)
            if is_over(record):
                raise InvalidRequest(f"execution {execution_id} is over: it is {record.status}")
            raise InvalidRequest(
                "another process of this node runs this execution: only there it takes input"
            )
        if run.typed is None:
            raise InvalidRequest(
                "this run takes no input, its stdin came with the request; ask for it as 'interactive': true"
            )
        return run.typed

    # -- reading

    async def record(self, execution_id: str, account: str) -> ExecutionRecord:
        """A run of this account. Raises NotFound."""
        record = await asyncio.to_thread(self._executions.get, execution_id, account)
        run = self._runs.get((account, execution_id))
        if run is not None and run.begun is not None and record.status is ExecutionStatus.QUEUED:
            return replace(record, status=ExecutionStatus.RUNNING)  # which is stored a moment later
        return record

    async def page(
        self,
        account: str,
        limit: int,
        offset: int,
        status: ExecutionStatus | None = None,
        mode: Mode | None = None,
        language: str | None = None,
    ) -> tuple[Sequence[ExecutionSummary], int]:
        """Runs of an account, newest first, and how many there are in all."""
        return await asyncio.to_thread(self._executions.page, account, limit, offset, status, mode, language)

    async def follow(
        self, execution_id: str, account: str
    ) -> AsyncGenerator[Output | Progress | Dropped | ExecutionRecord]:
        """What a run has said so far, what it goes on to say, and its record at the end. Raises NotFound.

        After the end, output is replayed stream by stream: how the two were interleaved is not kept. So it is
        for a run of another process.
        """
        run = self._runs.get((account, execution_id))
        if run is None:
            record = await self._elsewhere.wait(execution_id, account)
            for piece in _pieces(record):
                yield piece
            yield record
            return
        async with aclosing(run.feed.read()) as events:
            async for event in events:
                if not isinstance(event, Ended):
                    yield event
        yield run.record or await self.record(execution_id, account)

    async def logs(self, execution_id: str, account: str) -> tuple[ExecutionRecord, Written]:
        """A run with both streams, as far as they are. Raises NotFound."""
        run = self._runs.get((account, execution_id))
        record = await self.record(execution_id, account)
        so_far = Written(Stream(), Stream()) if run is None else run.feed.said()
        return record, record.written or so_far

    def under_way(self, execution_id: str, account: str) -> tuple[Setting, int] | None:
        """Of a run that has begun and is not over: its setting, and how many virtual milliseconds it has
        run."""
        run = self._runs.get((account, execution_id))
        if run is None or run.setting is None or run.feed.virtual_ms is None or run.storing:
            return None
        return run.setting, run.feed.virtual_ms

    async def file(self, execution_id: str, account: str, path: str) -> bytes:
        """An output file of a run of this account. Raises NotFound."""
        return await asyncio.to_thread(self._executions.file, execution_id, account, path)

    # -- ending

    async def drain(self, seconds: float) -> None:
        """Take no more runs; give those under way so long to end."""
        self.stopping = True
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def close(self) -> None:
        """Stop all runs; they are stored as interrupted, while the database is away by the next start."""
        runs = list(self._runs.values())
        for run in runs:
            self._stop(run, ExecutionStatus.FAILED, INTERRUPTED)
        tasks = {run.task for run in runs if run.task is not None} | self._taking_back
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        if self._keeping_up is not None:
            tasks.add(self._keeping_up)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.keeping.close()

    async def __aenter__(self) -> ExecutionService:
        self._keeping_up = asyncio.create_task(self._elsewhere.keep_up(self._cancel_own))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- parts

    def _cancel_own(self, execution_id: str, account: str, reason: str) -> None:
        run = self._runs.get((account, execution_id))
        if run is not None:
            self._stop(run, ExecutionStatus.CANCELLED, reason)

    def _stop(self, run: Run, status: ExecutionStatus, reason: str) -> None:
        """Not at once: a task that is cancelled before its first step would never store its end."""

        def stop() -> None:
            if run.task is not None and not run.storing and run.ending is None:
                run.ending = status, reason
                run.task.cancel()

        asyncio.get_running_loop().call_soon(stop)

    async def _live(self, run: Run) -> None:
        """A run from its beginning to what is stored of its end; never raises."""
        try:
            await self._runner.run(run)
        except asyncio.CancelledError:
            run.storing = True
            status, reason = run.ending or (ExecutionStatus.CANCELLED, "the run was cancelled")
            await self._runner.end(run, status, reason, run.feed.virtual_ms or 0)
        except Exception as error:
            run.error, run.storing = error, True
            unexpected = None if isinstance(error, FaaSError) else error
            log.warning("run failed", extra=about(execution=run.id, error=error), exc_info=unexpected)
            await self._runner.end(run, ExecutionStatus.FAILED, told(error))
        finally:
            del self._runs[run.account, run.id]
            run.foresee(None)
            run.feed.end()


def new_execution_id() -> str:
    """An id that nobody has."""
    return "exec_" + secrets.token_hex(12)


def told(error: Exception) -> str:
    """What a caller may know of an error: all of what is theirs to mend, a sentence of what is ours."""
    if isinstance(error, RequestError):
        return error.message
    if isinstance(error, DatabaseUnavailable):
        return "the service's database does not answer; try again"
    if isinstance(error, InsufficientResources):
        return "the host lacks resources for this run; try again later"
    if isinstance(error, TransientError):
        return "the run failed on this host; try again"
    return "internal error"


def require_in_time(record: ExecutionRecord) -> ExecutionRecord:
    """The record. Raises ExecutionTimeout, with what was written until then, for a run that timed out."""
    if record.status is not ExecutionStatus.TIMEOUT or record.attested is None or record.job is None:
        return record
    outcome = record.attested.outcome
    raise ExecutionTimeout(
        f"the run used up its {record.job.limits.timeout_ms} ms of virtual time",
        {
            "execution_id": record.id,
            "timeout_ms": record.job.limits.timeout_ms,
            "stdout": outcome.stdout.content.decode(errors="replace"),
            "stderr": outcome.stderr.content.decode(errors="replace"),
            "files": manifest_to_json(outcome.manifest()),
            "receipt": receipt_to_json(record.attested.receipt),
            "signature": to_hex(record.attested.signature),
        },
    )


def is_over(record: ExecutionRecord) -> bool:
    """Whether nothing more will come of a run."""
    return record.status not in UNFINISHED


def _pieces(record: ExecutionRecord) -> list[Output]:
    if record.written is None:
        return []
    out, error = record.written.stdout.content, record.written.stderr.content
    return [
        *(Output("stdout", out[at : at + _PIECE_BYTES]) for at in range(0, len(out), _PIECE_BYTES)),
        *(Output("stderr", error[at : at + _PIECE_BYTES]) for at in range(0, len(error), _PIECE_BYTES)),
    ]
