"""Group `compile`: from source to program in a toolchain's machine, and running what is compiled already."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, single, spread
from benchmarks.jobs import GREETING, REFILL_SECONDS
from benchmarks.setting import STOCK, Setting, milliseconds
from faas_blueprint.job import Job, make_job
from faas_blueprint.outcome import Outcome
from faas_microvm.engine import Engine
from faas_microvm.home import default_home
from faas_microvm.mailbox import Program, encode_request
from faas_microvm.program_cache import ProgramCache
from faas_microvm.running import run_to_outcome
from faas_microvm.snapshot import Snapshot
from faas_microvm.toolchain import Toolchains

WATCHDOG_SECONDS = 300.0
HELLO = {
    "rust": 'fn main() { println!("Hello World"); }',
    "go": 'package main\nimport "fmt"\nfunc main() { fmt.Println("Hello World") }',
    "typescript": "const greeting: string = 'Hello World'; console.log(greeting);",
}


@dataclass(frozen=True, slots=True)
class _Hello:
    """One language's hello world, with its toolchain at hand."""

    setting: Setting
    toolchains: Toolchains
    job: Job

    async def execute(self, snapshot: Snapshot, job: Job, program: Program) -> Outcome:
        return await _execute(self.setting.engine, snapshot, job, program)

    async def compile(self) -> None:
        await self.toolchains.compile(self.job, self.execute)

    async def run(self, used: Engine) -> None:
        compiled = await self.toolchains.compile(self.job, self.execute)
        if compiled.program is None:
            raise AssertionError(f"it does not compile: {compiled.outcome}")
        outcome = await _execute(used, used.library.base, self.job, compiled.program)
        if outcome.stdout.content != GREETING:
            raise AssertionError(f"expected {GREETING!r} from the job, got {outcome}")


async def _execute(engine: Engine, snapshot: Snapshot, job: Job, program: Program) -> Outcome:
    async with engine.machine(snapshot, program.runner) as machine:
        return await run_to_outcome(machine, snapshot, encode_request(job, program), WATCHDOG_SECONDS)


async def compiling(setting: Setting) -> list[Figure]:
    """A toolchain's snapshot, restored for each compilation; the machine's start is in the figure."""
    figures = []
    async with AsyncExitStack() as stack:
        engines = {
            suffix: (await stack.enter_async_context(setting.on(settings))).engine
            for suffix, settings in setting.waiting.items()
            if suffix != STOCK
        }
        for language, code in HELLO.items():
            compiles, runs = await _measured(setting, make_job(language, code), engines)
            figures.append(single(f"compile_{language}_ms", "hello world, from source to program", compiles))
            for suffix, times in runs.items():
                meaning = "hello world that was compiled before" + (", restored and paused" if suffix else "")
                figures.append(spread(f"hello_{language}_ms{suffix}", meaning, times))
    return figures


async def _measured(
    setting: Setting, job: Job, engines: dict[str, Engine]
) -> tuple[list[float], dict[str, list[float]]]:
    """How long compiling takes, and running what is compiled on each engine, in turns."""
    compiles: list[float] = []
    runs: dict[str, list[float]] = {suffix: [] for suffix in engines}
    for number in range(setting.few):
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(_toolchains(setting, Path(folder))) as toolchains,
        ):
            hello = _Hello(setting, toolchains, job)
            await toolchains.open(job.language)
            compiles.append(await milliseconds(hello.compile()))
            for _ in range(setting.runs if number == 0 else 0):
                for suffix, used in engines.items():
                    await asyncio.sleep(REFILL_SECONDS)
                    runs[suffix].append(await milliseconds(hello.run(used)))
    return compiles, runs


def _toolchains(setting: Setting, folder: Path) -> Toolchains:
    return Toolchains(default_home(), ProgramCache(folder / "programs.sqlite"), setting.note)
