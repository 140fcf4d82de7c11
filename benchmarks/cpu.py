"""Group `cpu`: four programs that compute, on our build of the emulator and on the host's; then `slowdown`.

The figures are processor time of the machine's process over that of the same program natively, with what
a hello world takes subtracted on both sides. The runs of a program take turns, so that they share the
noise. Compiled programs are the very binaries that the machine runs; Python is Debian's in the machine and
the host's natively.
"""

from __future__ import annotations

import statistics

from benchmarks.figures import Figure
from benchmarks.setting import Setting, long_job
from benchmarks.slowdown import FOLDER, SMALLEST, run_inside, run_natively, slowdown
from faas_blueprint.job import Job

PROGRAMS = {
    "sieve": ("rust", "sieve.rs", "byte stores with a stride"),
    "sha256": ("rust", "sha256.rs", "32-bit arithmetic, mostly in registers"),
    "python": ("python", "integer.py", "the interpreter's loop over integers"),
    "json": ("python", "json.py", "round trips through the interpreter's C code"),
}
"""By the figure's name: language, file, what it exercises."""
_NATIVE = "native"


async def cpu(setting: Setting) -> list[Figure]:
    """The whole group."""
    return [*await _emulators(setting), *await slowdown(setting)]


async def _emulators(setting: Setting) -> list[Figure]:
    """How many times slower than natively each program is, on each emulator."""
    floors = {
        language: await _medians(setting, long_job(language, SMALLEST[language]))
        for language in {language for language, _, _ in PROGRAMS.values()}
    }
    figures = []
    for name, (language, file, meaning) in PROGRAMS.items():
        taken = await _medians(setting, long_job(language, (FOLDER / file).read_text()))
        above = {side: taken[side] - floor for side, floor in floors[language].items()}
        figures += [
            Figure(f"cpu_{name}_x{suffix}", f"{meaning}, machine to native", above[suffix] / above[_NATIVE])
            for suffix in setting.emulators
        ]
    return figures


async def _medians(setting: Setting, job: Job) -> dict[str, float]:
    """Milliseconds of processor time, natively and by the emulator; all must print the same."""
    times: dict[str, list[float]] = {}
    said = set()
    for _ in range(setting.few):
        runs = {_NATIVE: await run_natively(setting, job)}
        for suffix, emulator in setting.emulators.items():
            runs[suffix] = await run_inside(setting, job, emulator)
        for side, run in runs.items():
            times.setdefault(side, []).append(run.milliseconds)
            said.add(run.stdout)
    if len(said) != 1:
        raise AssertionError(f"the machine and this host disagree about {job.code}: {said}")
    return {side: statistics.median(values) for side, values in times.items()}
