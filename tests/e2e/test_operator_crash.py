"""The operator is killed at every stage of a job's life, on a real chain, with real machines.

Whatever the stage: started again, it answers the job, exactly once, with the result of a run that
nobody disturbed.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from faas_blueprint import tlv
from faas_blueprint.job import EXECUTE_PARAMETERS, encode_job, make_job
from faas_blueprint.outcome import Status
from faas_blueprint.receipt import recover_signer
from faas_blueprint.result import decode_result
from faas_blueprint.tangle import protocol
from faas_microvm.engine import Engine
from faas_microvm.execution import Execution
from faas_operator.devnet import deployment as deployments
from faas_operator.pipeline import State
from faas_operator.store import Store

pytestmark = [pytest.mark.chain, pytest.mark.machine, pytest.mark.slow]

DRIVER = Path(__file__).with_name("crashing_operator.py")

JOB = make_job("python", "import time, random\nprint('answer', time.time(), random.random())\n", seed=7)


class Lives:
    """One operator after another over the same store."""

    def __init__(self, chain, folder: Path) -> None:
        self._chain = chain
        self._folder = folder
        self._deployment_file = folder / "deployment.json"
        self._deployment_file.write_text(deployments.to_json(chain.deployment))
        self.start_block = 0
        self._processes: list[asyncio.subprocess.Process] = []

    async def begin(self) -> None:
        self.start_block = (await self._chain.rpc.head()).block.number + 1
        self.transactions = await self.count_transactions()

    async def start(self, state: State | str = "", when: str = "never") -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, DRIVER, self._deployment_file, self._folder / "home", str(self.start_block),
            state, when, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._processes.append(process)
        return process

    async def end_all(self) -> None:
        """Leave no operator behind, whatever happened to the test."""
        for process in self._processes:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    async def live(self, state: State | str = "", when: str = "never") -> int:
        """Run an operator until it dies or its job is at rest. Answers its exit code."""
        return await self.end_of(await self.start(state, when))

    async def end_of(self, process: asyncio.subprocess.Process) -> int:
        async with asyncio.timeout(120):
            _, log = await process.communicate()
        print(log.decode())
        return process.returncode

    async def survive(self, state: State, *moments: str) -> None:
        """Die at each of the moments, then live on to the end."""
        for when in moments:
            assert await self.live(state, when) == -signal.SIGKILL, f"did not die {when} {state}"
        assert await self.live() == 0

    async def count_transactions(self, block: str = "latest") -> int:
        operator = self._chain.deployment.operator
        return int(await self._chain.rpc.request("eth_getTransactionCount", operator, block), 16)

    def record(self, call):
        store = Store.open(f"sqlite:///{self._folder / 'home' / 'operator.sqlite'}")
        try:
            return store.job_of_call(call)
        finally:
            store.close()


async def the_only_result(chain, lives, call):
    """The call's result, of which there is one, made with one transaction, correctly signed."""
    topics = (
        protocol.JOB_RESULT_SUBMITTED.topic,
        call.service_id.to_bytes(32, "big"),
        call.call_id.to_bytes(32, "big"),
    )
    head = (await chain.rpc.head()).block.number
    [entry] = await chain.rpc.logs(chain.deployment.tangle, topics, lives.start_block, head)
    assert await lives.count_transactions() == lives.transactions + 1
    result = decode_result(protocol.decode_job_result_submitted(entry.log).output)
    receipt = result.receipt(call, chain.deployment.operator)
    assert recover_signer(receipt, result.signature) == chain.deployment.operator
    assert lives.record(call).signed.receipt == receipt
    return result


@pytest.fixture
async def lives(chain, tmp_path):
    made = Lives(chain, tmp_path)
    await made.begin()
    yield made
    await made.end_all()


@pytest.fixture(scope="module")
def undisturbed() -> Execution:
    """The same job, run by nobody but this test."""

    async def run() -> Execution:
        async with await Engine.open() as engine:
            return await engine.run(JOB)

    return asyncio.run(run())


STAGES = {
    State.SEEN: ("before", "after"),
    State.CONFIRMED: ("before", "after"),
    State.ACCEPTED: ("before", "after"),
    State.RUNNING: ("before", "after", "during"),
    State.EXECUTED: ("before", "after"),
    State.POSTING: ("before", "after"),
    State.POSTED: ("before", "after"),
    State.FINAL: ("before", "after"),
}


@pytest.mark.parametrize(("state", "moments"), STAGES.items(), ids=[str(state) for state in STAGES])
async def test_a_killed_operator_loses_no_job_and_answers_once(chain, lives, undisturbed, state, moments):
    call = await chain.submit(encode_job(JOB))
    await lives.survive(state, *moments)
    assert lives.record(call).state is State.FINAL
    result = await the_only_result(chain, lives, call)
    assert result.outcome.status is Status.EXITED
    assert result.output.stdout.startswith(b"answer ")
    assert result.outcome == undisturbed.outcome.summary()
    assert result.state_root == undisturbed.outcome.state_root
    assert (result.profile_id, result.snapshot) == (undisturbed.profile_id, undisturbed.measurement)


async def test_a_transaction_that_outlives_its_operator_is_not_sent_again(chain, lives, undisturbed):
    """Killed while its transaction waits for a block, and started again while it still does."""
    call = await chain.submit(encode_job(JOB))
    await chain.rpc.request("evm_setAutomine", False)
    try:
        first = await lives.start()
        async with asyncio.timeout(60):
            while await lives.count_transactions("pending") == lives.transactions:
                await asyncio.sleep(0.05)
        first.kill()
        assert await lives.end_of(first) == -signal.SIGKILL
        second = await lives.start()
        await asyncio.sleep(4)
        assert await lives.count_transactions("pending") == lives.transactions + 1
        assert lives.record(call).state is State.POSTING
    finally:
        await chain.rpc.request("evm_setAutomine", True)
        await chain.rpc.request("evm_mine")
    assert await lives.end_of(second) == 0
    result = await the_only_result(chain, lives, call)
    assert result.outcome == undisturbed.outcome.summary()


async def test_a_job_that_cannot_run_is_answered_once_with_its_error(chain, lives):
    values = {**tlv.decode(EXECUTE_PARAMETERS, encode_job(make_job("python", ""))), "language": "cobol"}
    call = await chain.submit(tlv.encode(EXECUTE_PARAMETERS, values))
    await lives.survive(State.FAILED, "before", "after")
    result = await the_only_result(chain, lives, call)
    assert result.outcome.status is Status.FAILED
    assert result.output.stderr.startswith(b"INVALID_REQUEST: language 'cobol' is not served")


async def test_a_job_that_keeps_killing_the_node_is_answered_with_an_error(chain, lives):
    call = await chain.submit(encode_job(make_job("python", "while True: pass")))
    await lives.survive(State.RUNNING, *["during"] * 5)
    result = await the_only_result(chain, lives, call)
    assert result.outcome.status is Status.FAILED
    assert result.output.stderr == b"INTERNAL_ERROR: no machine could run this job in 5 attempts\n"
    assert lives.record(call).attempts == 5
