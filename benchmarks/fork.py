"""Groups `fork` and `fork-drift`: jobs in machines forked from a warm one. Need `faas machine build`.

The same programs run in restored machines of the host's own emulator, in the bare interpreter and in one
under bubblewrap. They take turns of a few runs each: the noise is shared, and each side finds the processor's
caches as its own last run left them.
"""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import time
from pathlib import Path

from benchmarks.figures import Figure, single, spread
from benchmarks.jobs import GREETING, held
from benchmarks.native import NATIVE, SANDBOXED, Native
from benchmarks.setting import HELLO, STOCK, Setting, hello_job, milliseconds
from faas_blueprint.job import make_job
from faas_blueprint.merkle import PAGE_SIZE
from faas_microvm.emulator import own_emulator
from faas_microvm.engine import Engine
from faas_microvm.fork_pool import ForkPool
from faas_microvm.home import default_home

JOBS_PER_RUN = 20
DRIFT_JOBS = 20_000
RUNS_PER_TURN = 10

SCRIPT = (Path(__file__).parent / "workloads" / "script.py.txt").read_text()
"""Two hundred lines with json, re and classes."""


async def fork(setting: Setting) -> list[Figure]:
    """A hello world per language and a longer script, how many a second, and what one child takes."""
    if not built(setting):
        return []
    async with setting.on(setting.waiting[""]) as forking, setting.on(setting.cold[STOCK]) as stock:
        engine, restoring = forking.engine, stock.engine
        figures = await _side_by_side(engine, restoring, setting.runs)
        count = setting.runs * JOBS_PER_RUN
        rate = count / await _run_many(engine, count)
        figures.append(Figure("fork_jobs_per_second", f"Python hello worlds, {os.cpu_count()} at once", rate))
        figures.append(await _private(engine, setting.few))
    return figures


async def drift(setting: Setting) -> list[Figure]:
    """What is left behind by many forked jobs: between a fifth of them and the end nothing may grow."""
    if not built(setting):
        return []
    async with setting.on(setting.waiting[""]) as forking:
        engine = forking.engine
        await _run_many(engine, DRIFT_JOBS // 5)
        before = _held(engine)
        seconds = await _run_many(engine, DRIFT_JOBS - DRIFT_JOBS // 5)
        after = _held(engine)
    meanings = {
        "memory_mb": "resident memory of the engine's process, more",
        "parent_mb": "resident memory of the fork server, more",
        "descriptors": "open file descriptors, more",
        "processes": "processes of the engine and of the fork server, more",
    }
    rate = (DRIFT_JOBS - DRIFT_JOBS // 5) / seconds
    return [
        Figure("fork_drift_jobs_per_second", f"over {DRIFT_JOBS} jobs, {os.cpu_count()} at once", rate),
        *(Figure(f"fork_drift_{name}", text, after[name] - before[name]) for name, text in meanings.items()),
    ]


def built(setting: Setting) -> bool:
    """Whether there is our own emulator, which forks; noted if not."""
    if own_emulator(default_home()) is None:
        setting.note("no fork server: `faas machine build` has not been run")
        return False
    return True


async def _side_by_side(engine: Engine, restoring: Engine, runs: int) -> list[Figure]:
    programs = {f"hello_{language}": (language, code, GREETING) for language, code in HELLO.items()}
    programs["script"] = ("python", SCRIPT, NATIVE["python"].stdout(SCRIPT))
    times: dict[str, list[float]] = {}
    for number in range(math.ceil(runs / RUNS_PER_TURN) + 1):
        for name, program in programs.items():
            for key, elapsed in (await _round(engine, restoring, *program)).items():
                if number:  # the first round warms the page cache
                    times.setdefault(f"{key}_{name}_ms", []).extend(elapsed)
    meanings = {
        "fork": "whole engine call in a forked machine",
        "fork_stock": "the same, restored, the host's emulator",
        "fork_native": "this host, bare",
        "fork_bwrap": "this host, under bubblewrap",
    }
    figures = []
    for name, values in times.items():
        key = max((key for key in meanings if name.startswith(f"{key}_")), key=len)
        what = name.removeprefix(f"{key}_").removesuffix("_ms").replace("_", " ")
        figures.append(spread(name, f"{meanings[key]}: {what}", values))
    ratio = statistics.median(times["fork_hello_python_ms"]) / statistics.median(
        times["fork_native_hello_python_ms"]
    )
    return [*figures, Figure("fork_hello_python_x", "medians, forked machine to bare interpreter", ratio)]


async def _round(
    engine: Engine, restoring: Engine, language: str, code: str, stdout: bytes
) -> dict[str, list[float]]:
    """A turn of each side."""
    turn = range(RUNS_PER_TURN)
    times = {
        key: [await milliseconds(_run(used, language, code, stdout)) for _ in turn]
        for key, used in (("fork", engine), ("fork_stock", restoring))
    }
    hosts: dict[str, Native] = {"fork_native": NATIVE[language]}
    if language == "python":
        hosts["fork_bwrap"] = SANDBOXED
    return {
        **times,
        **{key: [native.milliseconds(code, stdout) for _ in turn] for key, native in hosts.items()},
    }


async def _run(engine: Engine, language: str, code: str, stdout: bytes) -> None:
    outcome = (await engine.run(make_job(language, code))).outcome
    if outcome.stdout.content != stdout:
        raise AssertionError(f"expected {stdout!r} from the job, got {outcome}")


async def _run_many(engine: Engine, count: int) -> float:
    """Seconds for so many hello worlds, as many at once as there are processors."""
    jobs = iter(range(count))

    async def work() -> None:
        for _ in jobs:
            await _run(engine, "python", HELLO["python"], GREETING)

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(os.cpu_count() or 1)))
    return time.perf_counter() - started


def _pool(engine: Engine) -> ForkPool:
    if not isinstance(engine.pool, ForkPool):
        raise AssertionError("the engine does not fork")
    return engine.pool


async def _private(engine: Engine, runs: int) -> Figure:
    """Memory that a child has alone when its job has ended."""
    _pool(engine)
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


def _held(engine: Engine) -> dict[str, float]:
    (parent,) = _pool(engine).parents
    status = Path(f"/proc/{parent.pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    children = sum(
        len(path.read_text().split()) for path in Path(f"/proc/{parent.pid}/task").glob("*/children")
    )
    own = held()
    return {
        **own,
        "parent_mb": int(resident.split()[1]) * 1024 / 1e6,
        "processes": own["processes"] + children,
    }
