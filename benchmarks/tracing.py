"""Group `trace`: what it costs to measure a run on its way, each second of virtual time.

A job that only sleeps is run with and without milestones; the difference is theirs. How much it has changed
before decides how much there is to hash.
"""

from __future__ import annotations

import time

from benchmarks.figures import Figure, single
from benchmarks.setting import Setting, long_job
from faas_blueprint.job import Job
from faas_microvm.engine import Engine
from faas_microvm.mailbox import encode_request
from faas_microvm.running import run_to_end

SECONDS = 20
"""Virtual ones that a job sleeps."""
CHANGED_MB = (0, 100)
WATCHDOG_SECONDS = 300.0


async def trace(setting: Setting) -> list[Figure]:
    """A milestone of a small job and of one that has filled memory, on each kind of machine."""
    figures = []
    for suffix, settings in setting.waiting.items():
        async with setting.on(settings) as other:
            for size in CHANGED_MB:
                times = [await _milestone(other.engine, _sleeping(size)) for _ in range(setting.few)]
                what = f"measuring a run on its way that has changed {size} MB" if size else "a small run's"
                figures.append(single(f"milestone{f'_{size}_mb' if size else ''}_ms{suffix}", what, times))
    return figures


def _sleeping(megabytes: int) -> Job:
    fill = f"memory = bytearray(b'x') * ({megabytes} << 20); " if megabytes else ""
    return long_job("python", f"import time; {fill}time.sleep({SECONDS})")


async def _milestone(engine: Engine, job: Job) -> float:
    """Milliseconds for each milestone."""
    traced, count = await _run(engine, job, engine.library.base.profile.trace_interval_ms)
    plain, _ = await _run(engine, job, 0)
    return (traced - plain) / count


async def _run(engine: Engine, job: Job, interval_ms: int) -> tuple[float, int]:
    """Milliseconds from hand-over to end, and how many milestones were on the way."""
    program = (await engine.prepare(job)).program
    assert program is not None
    base = engine.library.base
    async with engine.machine(base) as machine:
        started = time.perf_counter()
        request = encode_request(job, program, interval_ms)
        stopped = await run_to_end(machine, base, request, WATCHDOG_SECONDS)
        return (time.perf_counter() - started) * 1000, len(stopped.trace)
