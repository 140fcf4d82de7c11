"""Five workloads in five languages, for group `cpu`: in processor time inside the machine against natively.

Python, JavaScript and shell programs run natively on the interpreters of this host; Rust and Go programs
are the very binaries that the machine runs. What a hello world takes is subtracted on both sides.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compiling import HELLO as COMPILED_HELLO
from benchmarks.figures import Figure
from benchmarks.native import NATIVE
from benchmarks.setting import HELLO, Setting, long_job
from faas_blueprint.job import COMPILED_LANGUAGES, Job
from faas_microvm.emulator import Emulator
from faas_microvm.running import Stopped

WORKLOADS = ("integer", "float", "sha256", "json", "sort")
LANGUAGES = {"python": "py", "javascript": "js", "bash": "sh", "rust": "rs", "go": "go"}
"""And how their programs' names end."""
NATIVE_RUNS = 5
FOLDER = Path(__file__).parent / "workloads"
SMALLEST = {**HELLO, **COMPILED_HELLO, "bash": "echo Hello World"}
"""A hello world in each."""


@dataclass(frozen=True, slots=True)
class Run:
    stdout: bytes
    milliseconds: float
    """Of processor time."""


async def slowdown(setting: Setting) -> list[Figure]:
    """One run inside each, several natively: processor time varies little."""
    figures = []
    for language, suffix in LANGUAGES.items():
        hello_inside, hello_natively = await _measure(setting, long_job(language, SMALLEST[language]))
        ratios = []
        for workload in WORKLOADS:
            path = FOLDER / f"{workload}.{suffix}"
            if not path.exists():
                continue  # a shell has no floating point, and no JSON
            inside, natively = await _measure(setting, long_job(language, path.read_text()))
            ratios.append((inside - hello_inside) / (natively - hello_natively))
            meaning = f"{workload} in {language}, machine to native ({natively - hello_natively:.0f} ms)"
            figures.append(Figure(f"slowdown_{language}_{workload}_x", meaning, ratios[-1]))
        mean = statistics.geometric_mean(ratios)
        figures.append(Figure(f"slowdown_{language}_x", f"geometric mean of these {len(ratios)}", mean))
    return figures


async def _measure(setting: Setting, job: Job) -> tuple[float, float]:
    """Milliseconds of processor time inside and natively, for the same output."""
    inside = await run_inside(setting, job)
    native = [await run_natively(setting, job) for _ in range(NATIVE_RUNS)]
    if any(run.stdout != inside.stdout for run in native):
        raise AssertionError(f"{job.code}: {inside.stdout!r} in the machine, {native[0].stdout!r} natively")
    return inside.milliseconds, statistics.median(run.milliseconds for run in native)


async def run_inside(setting: Setting, job: Job, emulator: Emulator | None = None) -> Run:
    """In a restored machine, by default on the emulator that the engine uses."""
    program = (await setting.engine.prepare(job)).program
    if program is None:
        raise AssertionError(f"it does not compile: {job.code}")
    async with setting.machine(emulator) as machine:
        before = _processor_ms(machine.pid)
        async for event in setting.engine.run_in(machine, job, program):
            if isinstance(event, Stopped):
                return Run(event.stdout, _processor_ms(machine.pid) - before)
    raise AssertionError("the machine gave no outcome")


async def run_natively(setting: Setting, job: Job) -> Run:
    """On this host: its interpreter, or the binary that the machine runs."""
    if job.language not in COMPILED_LANGUAGES:
        return _run([*NATIVE[job.language.value].command, job.code])
    program = (await setting.engine.prepare(job)).program
    assert program is not None
    return _run_binary(program.code)


def _run_binary(content: bytes) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "main")
        path.write_bytes(content)
        path.chmod(0o755)
        return _run([str(path)])


def _run(command: list[str]) -> Run:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    stdout = subprocess.run(command, capture_output=True, check=True, timeout=300, cwd="/").stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(stdout, seconds * 1000)


def _processor_ms(pid: int) -> float:
    """Processor time of a process, all threads, by the clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime((~pid << 3) | 2) * 1000
