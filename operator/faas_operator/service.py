"""The operator node: follows a chain, answers the jobs that it finds, survives its own death.

    await Operator(chain=…, engine=…, signer=…, store=…, settings=…, deployment=…).run()

`watching` says what blocks do to jobs and `answering` what the node does for them; here they are run:
in a loop, several jobs at once, with pauses after failures, and wound up in order at the end.
"""

from __future__ import annotations

import asyncio
import logging
import time

from faas_blueprint.errors import (
    ChainUnavailable,
    DatabaseUnavailable,
    InsufficientResources,
    TransientError,
)
from faas_operator.answering import Answering, EarlierCallAwaited
from faas_operator.backoff import Backoff
from faas_operator.chain.interface import ChainAdapter
from faas_operator.engine import JobEngine
from faas_operator.job_record import JobRecord
from faas_operator.logs import about
from faas_operator.pipeline import ACTIONABLE, State
from faas_operator.processes import OPERATOR_DUTY
from faas_operator.settings import Settings
from faas_operator.signer import Signer
from faas_operator.store import StaleRecord, Store
from faas_operator.until_stored import until_stored
from faas_operator.watching import Watcher

log = logging.getLogger(__name__)

JOBS_IN_HAND = 320
"""At the most: on a machine or before it, being signed, posted."""

JOBS_IN_LINE = 32
"""Jobs in hand that wait for a machine. Whoever comes later has his turn after them."""

_TO_BE_RUN = frozenset({State.CONFIRMED, State.ACCEPTED, State.RUNNING})
"""States that a stopping node leaves for its next start."""

_WHAT = {
    ChainUnavailable: "chain unavailable",
    DatabaseUnavailable: "database unavailable",
    EarlierCallAwaited: "an earlier call comes first",
}

FOLLOWED_SECONDS = 60.0
"""A chain that was read within this time, or within ten polls, is followed."""


class Operator:
    """One operator of one deployment. `run` it once."""

    def __init__(
        self,
        *,
        chain: ChainAdapter,
        engine: JobEngine,
        signer: Signer,
        store: Store,
        settings: Settings,
        deployment: str,
    ) -> None:
        """`deployment` names chain, contract and blueprint; the cursor is stored under it."""
        self._chain = chain
        self._store = store
        self._settings = settings
        self._watcher = Watcher(chain, store, settings, deployment)
        self._answering = Answering(chain, engine, signer, store, settings)
        self._backoff = Backoff(settings.retry_seconds, settings.retry_seconds_at_most)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._states: dict[int, State] = {}
        self._stop = asyncio.Event()
        self._stopping = False
        self._stands_by = False
        self._looked: float | None = None
        self._deployment = deployment

    async def run(self) -> None:
        """Serve until `stop`, or until cancelled; either way take no more and wind up before this ends.

        After `stop` jobs on machines are run to their end and their results posted; when cancelled, only
        what is signed is posted. Both within `drain_seconds`; cancelling then ends it at once.

        Raises whatever a node cannot mend: FatalError, Divergence, a bug.
        """
        log.info("operator starts", extra=about(deployment=self._deployment))
        failures, patience = 0, self._settings.drain_seconds
        try:
            while not self._stop.is_set():
                failures = 0 if await self._round() else failures + 1
                if not self._stop.is_set():
                    await self._wait(self._backoff.pause(failures) or self._settings.poll_seconds)
        except asyncio.CancelledError:
            if self._stop.is_set():  # that was the first word
                patience = 0.0
            raise
        finally:
            await self._drain(patience)
            log.info("operator has stopped", extra=about(deployment=self._deployment))

    def stop(self) -> None:
        """Make `run` end in order."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether no more jobs are taken."""
        return self._stopping or self._stop.is_set()

    @property
    def stands_by(self) -> bool:
        """Whether another process with the same database follows the chain."""
        return self._stands_by

    @property
    def follows(self) -> bool:
        """Whether the chain was read lately."""
        seconds = self.seconds_since_look()
        return seconds is not None and seconds < max(FOLLOWED_SECONDS, 10 * self._settings.poll_seconds)

    def seconds_since_look(self) -> float | None:
        """Since everything up to the newest block was taken in; None before the first time."""
        return None if self._looked is None else time.monotonic() - self._looked

    def block(self) -> int | None:
        """The last block whose jobs are stored."""
        cursor = self._store.cursor(self._deployment)
        return None if cursor is None else cursor.number

    async def balance(self) -> int:
        """What the operator's account holds, in wei. Raises ChainUnavailable."""
        return await self._chain.balance()

    async def _round(self) -> bool:
        """One look at the chain and what follows from it, if that is this process's to do; whether it went
        well."""
        try:
            if await self._is_on_duty() and not self._stop.is_set():
                await self._look()
                if not self._stop.is_set():
                    await self._dispatch()
            return True
        except ChainUnavailable as error:
            log.warning("chain unavailable", extra=about(error=error))
        except DatabaseUnavailable as error:
            log.warning("database unavailable", extra=about(error=error))
        return False

    async def _is_on_duty(self) -> bool:
        """Of the processes that share a database, one follows the chain; the others stand by."""
        on_duty = await asyncio.to_thread(self._store.processes.take, OPERATOR_DUTY)
        if not on_duty and self._tasks:  # taken for dead: the other goes on from what is stored
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._tasks.clear()
            self._states.clear()
        if on_duty is self._stands_by:
            log.info("follows the chain" if on_duty else "stands by: another process follows the chain")
        self._stands_by = not on_duty
        return on_duty

    async def _look(self) -> None:
        await self._watcher.look()
        self._looked = time.monotonic()

    async def _dispatch(self) -> None:
        """Take jobs in hand: what only has to be signed or posted, and what waits for a machine as it is its
        turn. The rest of the queue stays in the database, where there is room for any number."""
        await self._take_in_hand(ACTIONABLE - _TO_BE_RUN, JOBS_IN_HAND)
        waiting = sum(state in _TO_BE_RUN for state in self._states.values())
        await self._take_in_hand(_TO_BE_RUN, self._settings.parallel_jobs + JOBS_IN_LINE - waiting)

    async def _take_in_hand(self, states: frozenset[State], limit: int) -> None:
        limit = min(limit, JOBS_IN_HAND - len(self._tasks))
        if limit <= 0:
            return
        for number in await asyncio.to_thread(self._store.turns_in, states, tuple(self._tasks), limit):
            self._states[number] = State.CONFIRMED if states is _TO_BE_RUN else State.POSTING
            self._tasks[number] = asyncio.create_task(self._answer(number), name=f"job {number}")

    async def _answer(self, number: int) -> None:
        """Take one job as far as it goes."""
        record = await until_stored(lambda: self._store.job(number))
        failures = 0
        while record.state in ACTIONABLE and not (self._stopping and record.state in _TO_BE_RUN):
            self._states[number] = record.state
            try:
                record = await self._answering.step(record)
                failures = 0
            except ChainUnavailable as error:
                failures += 1
                await self._pause(record, error, failures)
            except EarlierCallAwaited as error:
                await self._pause(record, error, error.waits)
                return  # its place may be the one that the earlier call needs
            except (InsufficientResources, DatabaseUnavailable) as error:
                failures += 1
                await self._pause(record, error, failures)
                record = await until_stored(lambda: self._store.job(number))
            except StaleRecord:
                log.info("job starts again", extra=about(record.call))
                return

    async def _pause(self, record: JobRecord, error: TransientError, failures: int) -> None:
        pause = self._backoff.pause(failures)
        log.warning(
            _WHAT.get(type(error), "no machine can be started"),
            extra=about(record.call, error=error, pause=pause),
        )
        await asyncio.sleep(pause)

    async def _wait(self, seconds: float) -> None:
        """Wait for the next look, for `stop`, or until a job is through. Raises what stopped a job."""
        stop = asyncio.create_task(self._stop.wait())
        try:
            awaited = {stop, *self._tasks.values()}
            await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        for number, task in [(number, task) for number, task in self._tasks.items() if task.done()]:
            del self._tasks[number]
            self._states.pop(number, None)
            task.result()

    async def _drain(self, patience: float) -> None:
        """Stop what can be run again; let the rest come to its end, for so many seconds.

        After `stop`, that includes what is on a machine.
        """
        self._stopping = True
        to_be_finished = self._answering.on_machines if self._stop.is_set() else set()
        for number, task in self._tasks.items():
            if number not in to_be_finished and self._states.get(number, State.CONFIRMED) in _TO_BE_RUN:
                task.cancel()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=patience)
        finally:
            for task in self._tasks.values():
                task.cancel()
            results = await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._tasks.clear()
            for result in results:
                if isinstance(result, Exception):
                    log.error("a job ended in an error", exc_info=result)
