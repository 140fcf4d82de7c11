"""Group `fork`: jobs in machines that are forked from a warm one. Needs `faas machine build`."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from benchmarks.figures import Figure, single, spread
from benchmarks.jobs import GREETING
from benchmarks.setting import HELLO, Setting, hello_job, milliseconds
from faas_blueprint.merkle import PAGE_SIZE
from faas_microvm.emulator import EmulatorChoice, own_emulator
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.fork_pool import ForkPool
from faas_microvm.home import default_home

JOBS_PER_RUN = 20


async def fork(setting: Setting) -> list[Figure]:
    """A hello world per language, as many a second as go, and what one child takes."""
    if own_emulator(default_home()) is None:
        setting.note("no fork server: `faas machine build` has not been run")
        return []
    settings = EngineSettings(emulator=EmulatorChoice.FORK)
    async with await Engine.open(settings=settings) as engine:
        await engine.run(hello_job("python"))
        figures = [await _hello(engine, language, setting.runs) for language in HELLO]
        figures += [await _rate(engine, setting.runs), await _private(engine, setting.few)]
    return figures


async def _hello(engine: Engine, language: str, runs: int) -> Figure:
    times = []
    for number in range(runs + 1):
        elapsed = await milliseconds(_run(engine, language))
        if number:
            times.append(elapsed)
        await asyncio.sleep(0.01)  # the next child is forked while nothing is measured
    return spread(f"fork_hello_{language}_ms", f"whole engine call, {HELLO[language]}", times)


async def _run(engine: Engine, language: str) -> None:
    outcome = (await engine.run(hello_job(language))).outcome
    if outcome.stdout.content != GREETING:
        raise AssertionError(f"expected {GREETING!r} from the job, got {outcome}")


async def _rate(engine: Engine, runs: int) -> Figure:
    workers = os.cpu_count() or 1
    jobs = iter(range(runs * JOBS_PER_RUN))

    async def work() -> None:
        for _ in jobs:
            await _run(engine, "python")

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(workers)))
    rate = runs * JOBS_PER_RUN / (time.perf_counter() - started)
    return Figure("fork_jobs_per_second", f"Python hello worlds, {workers} at once", rate)


async def _private(engine: Engine, runs: int) -> Figure:
    """Memory that a child has alone when its job has ended."""
    if not isinstance(engine.pool, ForkPool):
        raise AssertionError("the engine does not fork")
    sizes = []
    program = (await engine.prepare(hello_job("python"))).program
    assert program is not None
    for _ in range(runs):
        async with engine.machine(engine.library.base) as machine:
            async for _ in engine.run_in(machine, hello_job("python"), program, pages=False):
                pass
            changed = len(machine.memory.changed_pages())
            sizes.append((changed * PAGE_SIZE + _private_bytes(machine.pid)) / 1e6)
    return single("fork_child_private_mb", "memory that a child has alone after a hello world", sizes)


def _private_bytes(pid: int) -> int:
    """Private memory but for mapped memory files, whose pages the host has once for all."""
    total, counted = 0, True
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):
            counted = "memfd:" not in line
        elif counted and name.startswith("Private_"):
            total += int(rest[0]) * 1024
    return total
