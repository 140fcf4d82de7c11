"""Groups `hello`, `throughput` and `cpu`: whole jobs, beside the same programs run natively."""

from __future__ import annotations

import asyncio
import os
import statistics
import time

from benchmarks.figures import Figure, spread
from benchmarks.native import NATIVE, SANDBOXED
from benchmarks.setting import HELLO, Setting, hello_job, long_job, milliseconds

GREETING = b"Hello World\n"
JOBS_PER_RUN = 3
"""Jobs of the throughput measurement, for each asked run."""

REFILL_SECONDS = 0.15
"""The pool restores its next machine while nothing is measured."""

LOOPS = {
    "python": (
        "t = 0\nfor i in range(3_000_000):\n    t = (t * 31 + i) & 0xFFFFFFFF\nprint(t)",
        b"637018976\n",
    ),
    "javascript": (
        "let t = 0; for (let i = 0; i < 100_000_000; i++) t = (t * 31 + i) | 0; console.log(t >>> 0)",
        b"3088707712\n",
    ),
}
"""A loop over integers, and what it prints."""


async def hello(setting: Setting) -> list[Figure]:
    """Each language's smallest program in a machine and natively, in turns: the noise is shared."""
    times: dict[str, list[float]] = {}
    async with setting.pooled() as pooled:
        for number in range(setting.runs + 1):
            for name, elapsed in (await _hello_round(setting, pooled)).items():
                if number:  # the first round warms the page cache
                    times.setdefault(name, []).append(elapsed)
    figures = [
        spread(f"hello_{language}_cold_ms", f"whole engine call, {HELLO[language]}", times[language])
        for language in HELLO
    ]
    for language in HELLO:
        name = f"hello_{language}_ms"
        figures.append(spread(name, "the same, in a machine that waited restored and paused", times[name]))
    for program in (*NATIVE.values(), SANDBOXED):
        name = f"native_{program.name}_ms"
        figures.append(spread(name, f"this host, {program.meaning}", times[name]))
    for language in HELLO:
        ratio = statistics.median(times[language]) / statistics.median(times[f"native_{language}_ms"])
        figures.append(Figure(f"hello_{language}_cold_x", "medians, machine to native", ratio))
    ratio = statistics.median(times["python"]) / statistics.median(times[f"native_{SANDBOXED.name}_ms"])
    figures.append(Figure("hello_python_cold_bwrap_x", "medians, machine to bubblewrap", ratio))
    return figures


async def _hello_round(setting: Setting, pooled: Setting) -> dict[str, float]:
    times = {}
    for language in HELLO:
        times[language] = await milliseconds(setting.run(hello_job(language), GREETING))
        await asyncio.sleep(REFILL_SECONDS)
        times[f"hello_{language}_ms"] = await milliseconds(pooled.run(hello_job(language), GREETING))
        await asyncio.sleep(REFILL_SECONDS)
    for language, program in NATIVE.items():
        times[f"native_{program.name}_ms"] = program.milliseconds(HELLO[language], GREETING)
    times[f"native_{SANDBOXED.name}_ms"] = SANDBOXED.milliseconds(HELLO["python"], GREETING)
    return times


async def throughput(setting: Setting) -> list[Figure]:
    """Hello worlds in Python, always as many at once as there are processors."""
    workers = os.cpu_count() or 1
    jobs = iter([hello_job("python")] * (setting.runs * JOBS_PER_RUN))

    async def work() -> int:
        done = 0
        for job in jobs:
            await setting.run(job, GREETING)
            done += 1
        return done

    started = time.perf_counter()
    done = sum(await asyncio.gather(*(work() for _ in range(workers))))
    rate = done / (time.perf_counter() - started)
    return [Figure("jobs_per_second", f"Python hello worlds, {workers} at once, {done} jobs", rate)]


async def cpu(setting: Setting) -> list[Figure]:
    """Slowdown of a loop against native; what a hello world takes is subtracted on both sides."""
    figures = []
    for language, (code, printed) in LOOPS.items():
        inside, native = [], []
        for _ in range(setting.few):
            inside.append(
                await milliseconds(setting.run(long_job(language, code), printed))
                - await milliseconds(setting.run(hello_job(language), GREETING))
            )
            native.append(
                NATIVE[language].milliseconds(code, printed)
                - NATIVE[language].milliseconds(HELLO[language], GREETING)
            )
        ratio = statistics.median(inside) / statistics.median(native)
        taken = f"{statistics.median(native):.0f} ms natively"
        figures.append(Figure(f"cpu_{language}_x", f"integer loop, machine to native ({taken})", ratio))
    return figures
