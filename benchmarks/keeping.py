"""Groups `keep` and `growth`: checkpoints, forks and cached answers; how latency and snapshots grow."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.figures import Figure, p95, single, spread
from benchmarks.jobs import GREETING
from benchmarks.setting import Setting, hello_job, milliseconds, milliseconds_of
from faas_blueprint.job import Job, Limits, make_job
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.paused_machine import PausedMachine
from faas_microvm.running import Stopped, origin_of
from faas_microvm.snapshot import Snapshot

QUEUES = (1, 10, 100, 1000)
CHANGED_MB = (1, 10, 100, 500)
_NUMBERS = itertools.count()


async def keeping(setting: Setting) -> list[Figure]:
    """Each of another small job, in a store of its own: what is stored already would cost nothing."""
    checkpoints, forks, cached = [], [], []
    async with _stored(setting) as engine:
        for _ in range(setting.runs):
            stopped = await _stopped(engine, _small_job())
            started = time.perf_counter()
            await _keep(engine, stopped)
            checkpoints.append((time.perf_counter() - started) * 1000)
            started = time.perf_counter()
            machine = await _fork(engine)
            forks.append((time.perf_counter() - started) * 1000)
            await engine.pool.end(machine)
        await engine.run_cached(hello_job("python"))
        for _ in range(setting.runs):
            cached.append(await milliseconds(engine.run_cached(hello_job("python"))))
    return [
        spread("checkpoint_ms", "a small job's stopped machine, measured and stored", checkpoints),
        spread("fork_ms", "a fork made and stored, its machine ready to run", forks),
        spread("cached_ms", "an outcome that is known already", cached),
    ]


async def growth(setting: Setting) -> list[Figure]:
    """Jobs that wait for each other, and snapshots of machines that changed much."""
    figures = []
    for count in QUEUES:
        times: list[float] = []
        started = time.perf_counter()
        await asyncio.gather(*(_timed(setting, times) for _ in range(count)))
        rate = count / (time.perf_counter() - started)
        figures.append(single(f"queued_{count}_ms_p50", f"latency of {count} jobs asked at once", times))
        figures.append(Figure(f"queued_{count}_ms_p95", "of these the slow ones", p95(times)))
        figures.append(Figure(f"queued_{count}_jobs_per_second", "their rate", rate))
    async with _stored(setting) as engine:
        for megabytes in CHANGED_MB:
            figures += await _large_snapshot(engine, megabytes)
    return figures


async def _timed(setting: Setting, times: list[float]) -> None:
    times.append(await milliseconds(setting.run(hello_job("python"), GREETING)))


async def _large_snapshot(engine: Engine, megabytes: int) -> list[Figure]:
    code = (
        "import random\n"
        "size = 1_000_000\n"
        f"part = random.Random({megabytes}).randbytes(size)\n"
        f"data = bytearray({megabytes} * size)\n"
        f"for n in range({megabytes}): data[n * size:(n + 1) * size] = part[n:] + part[:n]\n"
    )
    job = make_job("python", code, keep=True, limits=Limits(memory_mb=512, timeout_ms=600_000))
    stopped = await _stopped(engine, job)
    if stopped.result.exit_code != 0:
        raise AssertionError(f"{megabytes} MB could not be changed: {stopped.result} {stopped.stderr!r}")
    base = engine.library.base
    measured: list[Snapshot] = []
    measuring = milliseconds_of(lambda: measured.append(stopped.snapshot(base)))
    storing = await milliseconds(engine.library.keep(measured[0], base, "checkpoint", origin=origin_of(job)))
    pages = len(stopped.pages or ())
    per_thousand = measuring / pages * 1000
    name = f"snapshot_{megabytes}_mb"
    return [
        Figure(f"{name}_measure_ms", f"measuring {pages:,} changed pages", measuring),
        Figure(f"{name}_measure_ms_per_1000_pages", "for each thousand", per_thousand),
        Figure(f"{name}_store_ms", "packing and storing them", storing),
    ]


@asynccontextmanager
async def _stored(setting: Setting) -> AsyncIterator[Engine]:
    """An engine with an empty store and cache, on the image and snapshot that are there."""
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(EngineSettings(), store=str(Path(folder, "store")))
        async with await Engine.open(settings=settings, progress=setting.note) as engine:
            yield engine


def _small_job() -> Job:
    return make_job("python", f"print({next(_NUMBERS)})", keep=True)


async def _stopped(engine: Engine, job: Job) -> Stopped:
    program = (await engine.prepare(job)).program
    assert program is not None
    async with engine.machine(engine.library.base) as machine:
        async for event in engine.run_in(machine, job, program):
            if isinstance(event, Stopped):
                return event
    raise AssertionError("the machine gave no outcome")


async def _keep(engine: Engine, stopped: Stopped) -> None:
    base = engine.library.base
    snapshot = await asyncio.to_thread(stopped.snapshot, base)
    await engine.library.keep(snapshot, base, "checkpoint")


async def _fork(engine: Engine) -> PausedMachine:
    record = await engine.fork(engine.measurement, seed=next(_NUMBERS))
    return await engine.pool.take(await engine.library.get(record.measurement))
