"""One run that was asked for over HTTP: what it is until it is over, and its way through the engine to the
database."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace

from faas_blueprint.errors import DatabaseUnavailable
from faas_blueprint.job import Job, job_digest
from faas_blueprint.outcome import Status
from faas_blueprint.receipt import ZERO_ADDRESS, CallReference
from faas_microvm import modes
from faas_microvm.engine import Engine
from faas_microvm.execution import Execution, Output
from faas_microvm.interactive import TypedInput
from faas_microvm.modes import Setting
from faas_operator.execution_record import ExecutionRecord, ExecutionStatus, IdempotencyKey, Placement
from faas_operator.execution_store import ExecutionStore
from faas_operator.feed import Feed
from faas_operator.logs import about
from faas_operator.placing import Placing
from faas_operator.prompt_writing import NotNow, PromptWriting, is_small
from faas_operator.signer import Signer
from faas_operator.statement import Transaction
from faas_operator.until_stored import until_stored

log = logging.getLogger(__name__)

RUNNING_SECONDS = 0.1
"""After which a run is stored as running; those that are over sooner are spared the transaction."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What is asked for."""

    job: Job
    placement: Placement = field(default_factory=Placement)
    key: IdempotencyKey | None = None
    execution_id: str | None = None
    """The caller's own choice."""
    prepaid: bool = False
    """It is paid for by request: nothing is held for it."""


@dataclass(slots=True)
class Run:
    """A run that is not finished yet."""

    id: str
    number: int
    account: str
    request: RunRequest
    feed: Feed
    typed: TypedInput | None = None
    """What an interactive run is given as its input."""
    setting: Setting | None = None
    """Known once it is its turn."""
    task: asyncio.Task[None] | None = None
    begun: float | None = None
    """When a machine was first seen to have taken it up, by the monotonic clock."""
    ending: tuple[ExecutionStatus, str] | None = None
    """What is stored of a task that was told to end, which is told once: then it ends its machine."""
    storing: bool = False
    """It has ended, one way or another: it is too late to cancel."""
    known: asyncio.Future[ExecutionRecord | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    """What is about to be stored; None where it comes to an end without."""
    error: Exception | None = None
    record: ExecutionRecord | None = None
    """What was stored at its end, if it has an outcome."""

    def foresee(self, record: ExecutionRecord | None) -> None:
        """The first that is known of its end."""
        if not self.known.done():
            self.known.set_result(record)


class Runner:
    """Takes runs to their ends."""

    def __init__(
        self,
        engine: Engine,
        signer: Signer,
        executions: ExecutionStore,
        promptly: PromptWriting,
        placing: Placing,
    ) -> None:
        self._engine = engine
        self._signer = signer
        self._executions = executions
        self._promptly = promptly
        self._placing = placing

    async def run(self, run: Run) -> None:
        """In its turn, to what is stored of its outcome. Raises what the engine raises."""
        account, placement = run.account, run.request.placement
        async with self._placing.setting(account, placement) as setting:
            run.setting = setting
            execution = await self._watch(run, setting)
            run.storing = True
            kept = await self._placing.keep(account, placement, run.id, execution)
            await self._store(run, execution, kept)

    async def _watch(self, run: Run, setting: Setting) -> Execution:
        """Feed what the run says to whoever reads along."""
        said = {"stdout": 0, "stderr": 0}
        noted = False
        async with aclosing(modes.stream(self._engine, run.request.job, setting, run.typed)) as events:
            async for event in events:
                if isinstance(event, Execution):
                    _feed_rest(run.feed, event, said)
                    return event
                now = time.monotonic()
                run.begun = now if run.begun is None else run.begun
                if not noted and now - run.begun >= RUNNING_SECONDS:
                    noted = True
                    with suppress(DatabaseUnavailable):  # it is only told: the run goes on
                        await asyncio.to_thread(self._executions.started, run.number)
                if isinstance(event, Output):
                    said[event.stream] += len(event.data)
                run.feed.publish(event)
        raise AssertionError("a stream ends with an execution")

    async def _store(self, run: Run, execution: Execution, kept: str | None) -> None:
        loop = asyncio.get_running_loop()

        def known(record: ExecutionRecord) -> None:
            loop.call_soon_threadsafe(run.foresee, record)

        try:
            run.record = self._store_at_once(run, execution, kept)
        except NotNow:
            run.record = await until_stored(lambda: self._sign_and_store(run, execution, kept, known))
        if run.record is None:
            log.error(
                "the run was ended by another process, its outcome is lost", extra=about(execution=run.id)
            )

    def _store_at_once(self, run: Run, execution: Execution, kept: str | None) -> ExecutionRecord | None:
        if not is_small(execution.outcome):
            raise NotNow
        return self._promptly.write(lambda within: self._sign_and_store(run, execution, kept, within=within))

    def _sign_and_store(
        self,
        run: Run,
        execution: Execution,
        kept: str | None,
        known: Callable[[ExecutionRecord], None] | None = None,
        within: Transaction | None = None,
    ) -> ExecutionRecord | None:
        outcome, job = execution.outcome, run.request.job
        if execution.stdin is not None:
            job = replace(job, stdin=execution.stdin)
        receipt, signature = self._signer.attest(
            profile_id=execution.profile_id,
            snapshot=execution.measurement,
            toolchain=execution.toolchain,
            job_digest=job_digest(job),
            outcome=outcome,
            call=CallReference(0, ZERO_ADDRESS, 0, run.number),
        )
        timed_out = outcome.status is Status.TIMEOUT
        status = ExecutionStatus.TIMEOUT if timed_out else ExecutionStatus.COMPLETED
        return self._executions.finish(
            run.number, status, execution, receipt, signature, kept, job, known, within=within
        )

    async def end(self, run: Run, status: ExecutionStatus, error: str, reached_ms: int = 0) -> None:
        """Store that it came to an end without an outcome, and what it said until then."""
        said = None if run.begun is None else run.feed.said()
        await until_stored(lambda: self._executions.end(run.number, status, error, reached_ms, said))


def _feed_rest(feed: Feed, execution: Execution, said: dict[str, int]) -> None:
    """Output that did not come on the way: all of it, where the outcome was known already."""
    outcome = execution.outcome
    if outcome.stdout.content[said["stdout"] :]:
        feed.publish(Output("stdout", outcome.stdout.content[said["stdout"] :]))
    if outcome.stderr.content[said["stderr"] :]:
        feed.publish(Output("stderr", outcome.stderr.content[said["stderr"] :]))
