"""Groups `hello`, `throughput` and `drift`: whole jobs, beside the same programs run natively."""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.figures import Figure, spread
from benchmarks.native import NATIVE, SANDBOXED
from benchmarks.setting import HELLO, RESTORED, STOCK, Setting, hello_job, milliseconds

GREETING = b"Hello World\n"
JOBS_PER_RUN = 3
"""Jobs of the throughput measurement, for each asked run."""

DRIFT_JOBS = 2000

REFILL_SECONDS = 0.15
"""The pool restores its next machine while nothing is measured."""


async def hello(setting: Setting) -> list[Figure]:
    """Each language's smallest program in a machine and natively, in turns: the noise is shared."""
    times: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        cold = {
            suffix: await stack.enter_async_context(setting.on(settings))
            for suffix, settings in setting.cold.items()
        }
        waiting = {
            suffix: await stack.enter_async_context(setting.on(settings))
            for suffix, settings in setting.waiting.items()
        }
        for number in range(setting.runs + 1):
            for name, elapsed in (await _hello_round(cold, waiting)).items():
                if number:  # the first round warms the page cache
                    times.setdefault(name, []).append(elapsed)
    figures = []
    meanings = {
        "": "the same, in a machine that waited: by default a fork of a warm one",
        RESTORED: "in one that waited restored and paused",
        STOCK: "in one of the host's emulator that waited restored and paused",
    }
    for language in HELLO:
        for suffix in cold:
            name = f"hello_{language}_cold_ms{suffix}"
            figures.append(spread(name, f"whole engine call, {HELLO[language]}", times[name]))
        for suffix in waiting:
            name = f"hello_{language}_ms{suffix}"
            figures.append(spread(name, meanings[suffix], times[name]))
    for program in (*(NATIVE[language] for language in HELLO), SANDBOXED):
        name = f"native_{program.name}_ms"
        figures.append(spread(name, f"this host, {program.meaning}", times[name]))
    median = {name: statistics.median(values) for name, values in times.items()}
    for language in HELLO:
        ratio = median[f"hello_{language}_cold_ms"] / median[f"native_{language}_ms"]
        figures.append(Figure(f"hello_{language}_cold_x", "medians, machine to native", ratio))
    ratio = median["hello_python_cold_ms"] / median[f"native_{SANDBOXED.name}_ms"]
    figures.append(Figure("hello_python_cold_bwrap_x", "medians, machine to bubblewrap", ratio))
    return figures


async def _hello_round(cold: dict[str, Setting], waiting: dict[str, Setting]) -> dict[str, float]:
    times = {}
    for language in HELLO:
        job = hello_job(language)
        for name, used in (
            *((f"hello_{language}_cold_ms{suffix}", used) for suffix, used in cold.items()),
            *((f"hello_{language}_ms{suffix}", used) for suffix, used in waiting.items()),
        ):
            times[name] = await milliseconds(used.run(job, GREETING))
            await asyncio.sleep(REFILL_SECONDS)
    for language in HELLO:
        program = NATIVE[language]
        times[f"native_{program.name}_ms"] = program.milliseconds(HELLO[language], GREETING)
    times[f"native_{SANDBOXED.name}_ms"] = SANDBOXED.milliseconds(HELLO["python"], GREETING)
    return times


async def throughput(setting: Setting) -> list[Figure]:
    """Hello worlds in Python, always as many at once as there are processors."""
    count = setting.runs * JOBS_PER_RUN
    meaning = f"Python hello worlds, {os.cpu_count()} at once, {count} jobs"
    figures = []
    engines = {suffix: replace(settings, waiting=0) for suffix, settings in setting.waiting.items()}
    for suffix, settings in engines.items():
        async with setting.on(settings) as chosen:
            used = _processor_seconds()
            seconds = await _run_many(chosen, count)
            used = (_processor_seconds() - used) / count * 1000
        figures.append(Figure(f"jobs_per_second{suffix}", meaning, count / seconds))
        if not chosen.forks:  # the host counts a child's time when its parent has ended
            name = f"job_processor_ms{suffix}"
            figures.append(Figure(name, "processor time of one of these, machine and engine", used))
    return figures


async def _run_many(setting: Setting, count: int) -> float:
    """Seconds for so many hello worlds."""
    jobs = iter([hello_job("python")] * count)

    async def work() -> None:
        for job in jobs:
            await setting.run(job, GREETING)

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(os.cpu_count() or 1)))
    return time.perf_counter() - started


def _processor_seconds() -> float:
    """That this process and those it has waited for have used."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


async def drift(setting: Setting) -> list[Figure]:
    """What is left behind by many jobs: between a fifth of them and the end nothing may grow."""
    await _run_many(setting, DRIFT_JOBS // 5)
    before = held()
    seconds = await _run_many(setting, DRIFT_JOBS - DRIFT_JOBS // 5)
    after = held()
    meanings = {
        "memory_mb": "resident memory of the engine's process, more",
        "descriptors": "open file descriptors, more",
        "processes": "child processes, more",
    }
    rate = (DRIFT_JOBS - DRIFT_JOBS // 5) / seconds
    return [
        Figure("drift_jobs_per_second", f"over {DRIFT_JOBS} jobs", rate),
        *(Figure(f"drift_{name}", text, after[name] - before[name]) for name, text in meanings.items()),
    ]


def held() -> dict[str, float]:
    """Memory, descriptors and child processes of this process."""
    status = Path("/proc/self/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return {
        "memory_mb": int(resident.split()[1]) * 1024 / 1e6,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "processes": len(children.split()),
    }
