"""Doubles for fault tests: a chain that misbehaves on demand, an engine that follows a script.

The real devnet and the real engine are in tests/e2e; nothing here stands in for them there.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from faas_blueprint.digests import ZERO_DIGEST, keccak256, sha256
from faas_blueprint.errors import ChainUnavailable, FaaSError, ResultRefused
from faas_blueprint.job import COMPILED_LANGUAGES, Job, encode_job, make_job
from faas_blueprint.outcome import Outcome, OutputFile, Status, Stream
from faas_blueprint.receipt import Address, CallReference
from faas_microvm.execution import Execution
from faas_operator.chain.interface import Block, CallStanding, PostedResult, SubmittedJob
from faas_operator.pipeline import State
from faas_operator.service import Operator
from faas_operator.settings import Settings
from faas_operator.signer import Signer
from faas_operator.store import Store

sys.path.insert(0, str(Path(__file__).parent))  # for what several of these tests share

TANGLE = Address("0x" + "ab" * 20)


class FaultyChain:
    """A chain in memory that reorganises, answers late, twice or never. For faults only."""

    def __init__(self) -> None:
        self._forks = 0
        self._blocks: list[tuple[Block, list[SubmittedJob], dict[CallReference, bytes]]] = []
        self.unavailable = 0
        """How many of the next calls find no RPC."""
        self.says_jobs_twice = False
        self.post_late = 0
        """How many of the next posts are included though the caller is told that nobody knows."""
        self.post_never = 0
        """How many of the next posts are lost."""
        self.closed: CallStanding | None = None
        self.attempted_posts = 0
        self.mine()

    def mine(self, *jobs: SubmittedJob) -> Block:
        number = len(self._blocks)
        block = Block(number, f"{number}@{self._forks}")
        self._blocks.append((block, [replace(job, block=block) for job in jobs], {}))
        return block

    def submit(
        self, call_id: int, inputs: bytes, *, job_index: int = 0, quoted=None, price: int = 0
    ) -> SubmittedJob:
        call = CallReference(31337, TANGLE, 1, call_id)
        job = SubmittedJob(
            call, job_index, TANGLE, inputs, Block(0, ""), f"tx-{call_id}-{self._forks}", quoted, price
        )
        self.mine(job)
        return job

    def reorganise(self, depth: int, *, keep_jobs: bool = False) -> None:
        """Replace the last blocks by as many and one more; results in them are gone."""
        gone = self._blocks[-depth:]
        del self._blocks[-depth:]
        self._forks += 1
        for _, jobs, _ in gone:
            self.mine(*(jobs if keep_jobs else ()))
        self.mine()

    def start_afresh(self) -> None:
        """Another chain with the same id."""
        self._blocks.clear()
        self._forks += 1
        self.mine()

    def results(self) -> dict[CallReference, bytes]:
        return {call: payload for _, _, results in self._blocks for call, payload in results.items()}

    def _answer(self) -> None:
        if self.unavailable > 0:
            self.unavailable -= 1
            raise ChainUnavailable("no RPC answers")

    async def head(self) -> Block:
        self._answer()
        return self._blocks[-1][0]

    async def block_hash(self, number: int) -> str | None:
        self._answer()
        return self._blocks[number][0].block_hash if 0 <= number < len(self._blocks) else None

    async def submitted_jobs(self, first_block: int, last_block: int) -> list[SubmittedJob]:
        self._answer()
        found = [job for _, jobs, _ in self._blocks[first_block : last_block + 1] for job in jobs]
        return found * 2 if self.says_jobs_twice else found

    async def standing(self, call: CallReference) -> CallStanding:
        self._answer()
        if call in self.results():
            return CallStanding.ANSWERED
        return self.closed or CallStanding.OPEN

    async def post_result(self, call: CallReference, payload: bytes) -> PostedResult:
        self._answer()
        self.attempted_posts += 1
        if self.post_never > 0:
            self.post_never -= 1
            raise ChainUnavailable("the transaction is lost")
        if call in self.results():
            raise ResultRefused("ResultAlreadySubmitted", {"reason": "ResultAlreadySubmitted"})
        if self.closed is not None:
            raise ResultRefused("JobAlreadyCompleted", {"reason": "JobAlreadyCompleted"})
        block = self.mine()
        self._blocks[-1][2][call] = payload
        if self.post_late > 0:
            self.post_late -= 1
            raise ChainUnavailable("no receipt yet")
        return PostedResult(f"result-{call.call_id}-{block.block_hash}", block)

    async def operator_addresses(self, service_id: int, first_block: int) -> list[str]:
        self._answer()
        return []

    async def posted_result(self, call: CallReference, first_block: int) -> PostedResult | None:
        self._answer()
        for block, _, results in self._blocks[first_block:]:
            if call in results:
                return PostedResult(f"result-{call.call_id}-{block.block_hash}", block)
        return None


class ScriptedEngine:
    """An engine whose outcome is a function of the code. For fault tests only."""

    profile_id = sha256(b"scripted machine")
    measurement = sha256(b"scripted snapshot")
    toolchain = sha256(b"scripted compiler")

    def __init__(self) -> None:
        self.failures: list[BaseException] = []
        """Raised by the next runs, one each."""
        self.runs: list[Job] = []
        self.at_once = 0
        self.most_at_once = 0
        self.open = asyncio.Event()
        """Runs wait for it."""
        self.open.set()
        self._changed = asyncio.Condition()

    async def is_running(self, jobs: int) -> None:
        """Returns when so many jobs run at once."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.at_once >= jobs)

    async def perform(self, operation, contents, keeper=None) -> Execution:
        job = operation.program.whole(contents)
        self.runs.append(job)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            async with self._changed:
                self._changed.notify_all()
            await self.open.wait()
            if self.failures:
                raise self.failures.pop(0)
        finally:
            self.at_once -= 1
        toolchain = self.toolchain if job.language in COMPILED_LANGUAGES else ZERO_DIGEST
        return Execution(outcome_of(job), self.profile_id, self.measurement, 1.0, toolchain=toolchain)


def outcome_of(job: Job) -> Outcome:
    """Code `time out` times out, everything else prints itself as often as its seed says, and leaves
    its input files in its output folder."""
    status, code = (Status.TIMEOUT, 124) if job.code == "time out" else (Status.EXITED, 0)
    stdout = job.code.encode() * max(1, job.seed)
    files = tuple(OutputFile(file.path, file.content) for file in job.files)
    state_root = keccak256(encode_job(job))
    return Outcome(status, code, 0, 1000 + len(stdout), Stream(stdout), Stream(), state_root, files)


class Node:
    """One life of an operator after another over the same store and chain."""

    def __init__(self, folder: Path, database: str) -> None:
        self.chain = FaultyChain()
        self.engine = ScriptedEngine()
        self.signer = Signer(b"\x01" * 32)
        self.settings = Settings(
            home=folder,
            poll_seconds=0.01,
            retry_seconds=0.001,
            retry_seconds_at_most=0.01,
            drain_seconds=2,
            rewind_blocks=8,
        )
        self.store = Store.open(database)

    def set(self, **settings: object) -> None:
        self.settings = self.settings.model_copy(update=settings)

    def submit(
        self, call_id: int, code: str = "hello", language: str = "python", price: int = 0, **fields: object
    ) -> CallReference:
        inputs = encode_job(make_job(language, code, **fields))
        return self.chain.submit(call_id, inputs, price=price).call

    def state(self, call: CallReference) -> State | None:
        record = self.store.job_of_call(call)
        return None if record is None else record.state

    def operator(self) -> Operator:
        return Operator(
            chain=self.chain,
            engine=self.engine,
            signer=self.signer,
            store=self.store,
            settings=self.settings,
            deployment="test",
        )

    async def live_until(self, condition: Callable[[], bool], meanwhile: Awaitable | None = None) -> None:
        """Run an operator until the condition holds, then stop it cleanly."""
        task = asyncio.create_task(self.operator().run())
        try:
            async with asyncio.timeout(60):
                if meanwhile is not None:
                    await meanwhile
                while not condition():
                    if task.done():
                        task.result()
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, FaaSError):
                await task

    async def live_until_states(self, states: dict[CallReference, State]) -> None:
        await self.live_until(lambda: all(self.state(call) is state for call, state in states.items()))


@pytest.fixture
def node(tmp_path: Path, database: str) -> Iterator[Node]:
    made = Node(tmp_path, database)
    yield made
    made.store.close()


@pytest.fixture
def scripted_engine() -> ScriptedEngine:
    """An engine that follows a script."""
    return ScriptedEngine()
