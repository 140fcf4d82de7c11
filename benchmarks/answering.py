"""Group `operator`: job calls on the devnet that a node answers; its store's size and its start."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from eth_account import Account
from sqlalchemy import text

from benchmarks.figures import Figure, single, spread
from benchmarks.setting import HELLO, Setting
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.receipt import ZERO_ADDRESS, Address, CallReference
from faas_blueprint.tangle import protocol
from faas_cli.running import in_background, running_devnet, running_node
from faas_operator.chain.evm import EvmAdapter
from faas_operator.chain.interface import Block, SubmittedJob
from faas_operator.chain.sender import TransactionSender
from faas_operator.devnet.deployment import Deployment
from faas_operator.happenings import STAGE_SECONDS
from faas_operator.job_record import JobRecord
from faas_operator.node import Node
from faas_operator.pipeline import ACTIONABLE, State
from faas_operator.store import Store

QUEUE = 60
"""Jobs that wait when the node starts."""

STORED = 10_000

INPUTS = encode_job(make_job("python", HELLO["python"]))


async def answering(setting: Setting) -> list[Figure]:
    """Mined at once on the devnet: blocks of a real chain come on top. The node looks every 0.1 s."""
    async with (
        running_devnet(setting.note, advertised=False) as deployment,
        running_node(deployment, setting.engine) as node,
    ):
        assert isinstance(node.chain, EvmAdapter)
        customer = Account.from_key(deployment.customer_key)
        sender = TransactionSender(node.chain.rpc, customer, deployment.chain_id)
        for _ in range(QUEUE):
            await _submit(sender, deployment)
        drained, grown = await _drain(node)
        async with in_background(node.operator().run()):
            answered = [await _answer(node, sender, deployment, QUEUE + n) for n in range(setting.runs)]
    with tempfile.TemporaryDirectory() as folder:
        found = [await asyncio.to_thread(_start_again, Path(folder) / str(n)) for n in range(setting.few)]
    blocks, pauses = zip(*answered, strict=True)
    return [
        single(
            "block_to_result_blocks",
            "from a call's block to its result's, on a chain without waiting",
            blocks,
        ),
        spread("block_to_result_ms", "the same in time, without the run itself", pauses),
        Figure(
            "drained_jobs_per_minute",
            f"a queue of {QUEUE} short jobs, until their results are posted",
            drained,
        ),
        Figure("store_bytes_per_job", "growth of SQLite's file for each of these", grown),
        single("recovery_ms", f"opening a store of {STORED:,} open jobs, until the first are in hand", found),
    ]


async def _submit(sender: TransactionSender, deployment: Deployment) -> None:
    call = protocol.submit_job(deployment.service_id, 0, INPUTS)
    await sender.send(deployment.tangle, call, deployment.event_rate_wei)


async def _drain(node: Node) -> tuple[float, float]:
    """Jobs a minute, and bytes a job."""
    before, started = _size(node), time.perf_counter()
    async with in_background(node.operator().run()):
        await _until(lambda: _posted(node) == QUEUE)
        seconds = time.perf_counter() - started
    return QUEUE * 60 / seconds, (_size(node) - before) / QUEUE


async def _answer(
    node: Node, sender: TransactionSender, deployment: Deployment, before: int
) -> tuple[float, float]:
    """Blocks, and milliseconds without the run, from a call's block to its result's."""
    ran = _seconds_running()
    started = time.perf_counter()
    await _submit(sender, deployment)
    await _until(lambda: _posted(node) == before + 1)
    record = _newest(node)
    assert record.posted is not None
    milliseconds = (time.perf_counter() - started - (_seconds_running() - ran)) * 1000
    return record.posted.block.number - record.submitted.block.number, milliseconds


def _posted(node: Node) -> int:
    counts = node.store.count_by_state()
    return counts.get(State.POSTED, 0) + counts.get(State.FINAL, 0)


def _newest(node: Node) -> JobRecord:
    return node.store.job(max(node.store.numbers_in({State.POSTED, State.FINAL})))


def _seconds_running() -> float:
    """All runs of this process so far."""
    samples = (sample for metric in STAGE_SECONDS.collect() for sample in metric.samples)
    own = (s.value for s in samples if s.name.endswith("_sum") and s.labels["state"] == State.RUNNING)
    return sum(own)


def _size(node: Node) -> int:
    with node.store._engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    assert node.store._engine.url.database is not None
    return Path(node.store._engine.url.database).stat().st_size


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(600):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def _start_again(path: Path) -> float:
    """Milliseconds, of a store that a node has left with all its jobs accepted."""
    url, block = f"sqlite:///{path}", Block(1, "0x1")
    with closing(Store.open(url)) as store:
        jobs = (
            SubmittedJob(
                CallReference(1, ZERO_ADDRESS, 1, n), 0, Address(ZERO_ADDRESS), INPUTS, block, f"0x{n}", None
            )
            for n in range(STORED)
        )
        store.record_blocks("benchmark", jobs, block)
        with store._engine.begin() as connection:
            connection.execute(text("UPDATE job SET state = 'accepted'"))
    started = time.perf_counter()
    with closing(Store.open(url)) as store:
        store.cursor("benchmark")
        for number in store.turns_in(ACTIONABLE, (), 34):
            store.job(number)
        return (time.perf_counter() - started) * 1000
