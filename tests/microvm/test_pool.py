"""Machines that wait: the same outcomes, sooner; nothing left behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from faas_blueprint.job import Limits, make_job
from faas_microvm import pool
from faas_microvm.emulator import EmulatorChoice
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.orphans import owner_mark

pytestmark = pytest.mark.machine

ENDLESS = make_job("python", "while True: pass", limits=Limits(timeout_ms=3_600_000))
JOB = make_job("python", "import time, os; print(time.time_ns(), os.urandom(4).hex(), time.monotonic_ns())")


async def waiting(engine: Engine, count: int) -> None:
    async with asyncio.timeout(60):
        while len(engine.pool._waiting) < count:
            await asyncio.sleep(0.02)


async def test_a_machine_that_waited_gives_the_same_outcome(faas_home: Path):
    async with await Engine.open(
        faas_home, settings=EngineSettings(waiting=2, emulator=EmulatorChoice.STOCK)
    ) as engine:
        first = (await engine.run(JOB)).outcome
        await asyncio.gather(*(engine.run(JOB) for _ in range(4)))
        await waiting(engine, 2)
        await asyncio.sleep(1)
        assert (await engine.run(JOB)).outcome == first
        assert len(engine.pool.machines) <= 3
        outcomes = {
            execution.outcome for execution in await asyncio.gather(*(engine.run(JOB) for _ in range(6)))
        }
        assert outcomes == {first}


async def test_a_machine_that_died_waiting_is_replaced(faas_home: Path):
    async with await Engine.open(
        faas_home, settings=EngineSettings(waiting=1, emulator=EmulatorChoice.STOCK)
    ) as engine:
        await waiting(engine, 1)
        (machine,) = engine.pool.machines
        os.kill(machine.pid, 9)
        await machine._process.wait()
        assert (await engine.run(JOB)).outcome.exit_code == 0


async def test_closing_ends_those_that_wait_and_those_that_start(faas_home: Path, processes_with):
    await (await Engine.open(faas_home)).close()  # what stays open once for the whole process
    before, groups = set(os.listdir("/proc/self/fd")), control_groups()
    machines = processes_with(owner_mark())
    for pause in (0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.5):
        engine = await Engine.open(
            faas_home, settings=EngineSettings(waiting=3, emulator=EmulatorChoice.STOCK)
        )
        await asyncio.sleep(pause)
        await engine.close()
        assert not engine.pool.machines
        assert processes_with(owner_mark()) <= machines
        assert set(os.listdir("/proc/self/fd")) == before
    assert control_groups() <= groups


async def test_nothing_is_left_of_what_is_cancelled_again_and_again(faas_home: Path, processes_with):
    await (await Engine.open(faas_home)).close()  # what stays open once for the whole process
    before, groups = set(os.listdir("/proc/self/fd")), control_groups()
    machines = processes_with(owner_mark())
    for pause in (0.005, 0.02, 0.05, 0.1, 0.5):
        async with await Engine.open(
            faas_home, settings=EngineSettings(emulator=EmulatorChoice.STOCK)
        ) as engine:
            run = asyncio.create_task(engine.run(ENDLESS))
            await asyncio.sleep(pause)
            while not run.done():
                run.cancel()
                await asyncio.sleep(0.001)
            assert not engine.pool.machines
            assert processes_with(owner_mark()) <= machines
        assert set(os.listdir("/proc/self/fd")) == before
    assert control_groups() <= groups


async def test_closing_waits_for_what_is_done_in_the_background(faas_home: Path):
    settings = EngineSettings(waiting=2, emulator=EmulatorChoice.STOCK)
    async with await Engine.open(faas_home, settings=settings) as engine:
        await waiting(engine, 1)
        await engine.sessions.open("background")
        await engine.sessions.checkpoint("background")
        for machine in engine.pool.machines:
            await engine.pool.end(machine)
        assert engine.sessions._sweeper is not None
        await engine.sessions.close()
        assert engine.sessions._sweeper.done()
        assert engine.pool._settling is not None
        await engine.pool.close()
        assert engine.pool._settling.done()


async def test_an_end_that_is_cancelled_is_one(faas_home: Path):
    async with await Engine.open(faas_home, settings=EngineSettings(emulator=EmulatorChoice.STOCK)) as engine:
        await engine.pool.end(await engine.pool.take())
        before = len(os.listdir("/proc/self/fd"))
        machine = await engine.pool.take()
        ending, other = asyncio.create_task(engine.pool.end(machine)), asyncio.create_task(machine.close())
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.wait({ending})
        assert ending.cancelled()
        assert not engine.pool.machines
        assert not machine.alive
        assert len(os.listdir("/proc/self/fd")) == before
        await other


def control_groups() -> set[Path]:
    """Those of this process."""
    name = f"faas-{os.getpid()}-*"
    return {
        path for kind in ("", "memory", "pids", "cpu") for path in Path("/sys/fs/cgroup", kind).glob(name)
    }


async def test_as_many_wait_as_are_needed_at_once(faas_home: Path, monkeypatch):
    monkeypatch.setattr(pool, "SETTLE_SECONDS", 2.0)
    async with await Engine.open(
        faas_home, settings=EngineSettings(machines=4, waiting=3, emulator=EmulatorChoice.STOCK)
    ) as engine:
        await waiting(engine, 1)
        assert len(engine.pool.machines) == 1
        await asyncio.gather(*(engine.run(JOB) for _ in range(6)))
        await waiting(engine, 3)
        for _ in range(200):
            if len(engine.pool.machines) == 1:
                break
            await asyncio.sleep(0.1)
        assert len(engine.pool.machines) == 1
        assert (await engine.run(JOB)).outcome.exit_code == 0
