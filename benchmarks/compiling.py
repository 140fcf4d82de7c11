"""Group `compile`: from source to program in a toolchain's machine, and running what is compiled already."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, single, spread
from benchmarks.setting import Setting, milliseconds
from faas_blueprint.job import Job, make_job
from faas_blueprint.outcome import Outcome
from faas_microvm.home import default_home
from faas_microvm.mailbox import Program, encode_request
from faas_microvm.program_cache import ProgramCache
from faas_microvm.running import run_to_outcome
from faas_microvm.snapshot import Snapshot
from faas_microvm.toolchain import Toolchains

WATCHDOG_SECONDS = 300.0
GREETING = b"Hello World\n"
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
        async with self.setting.engine.machine(snapshot) as machine:
            return await run_to_outcome(machine, snapshot, encode_request(job, program), WATCHDOG_SECONDS)

    async def compile(self) -> None:
        await self.toolchains.compile(self.job, self.execute)

    async def run(self) -> None:
        compiled = await self.toolchains.compile(self.job, self.execute)
        if compiled.program is None:
            raise AssertionError(f"it does not compile: {compiled.outcome}")
        outcome = await self.execute(self.setting.snapshot, self.job, compiled.program)
        if outcome.stdout.content != GREETING:
            raise AssertionError(f"expected {GREETING!r} from the job, got {outcome}")


async def compiling(setting: Setting) -> list[Figure]:
    """A toolchain's snapshot, restored for each compilation; the machine's start is in the figure."""
    figures = []
    for language, code in HELLO.items():
        compiles = []
        for number in range(setting.few):
            with tempfile.TemporaryDirectory() as folder:
                toolchains = _toolchains(setting, Path(folder))
                hello = _Hello(setting, toolchains, make_job(language, code))
                await toolchains.open(hello.job.language)
                compiles.append(await milliseconds(hello.compile()))
                if number == 0:
                    runs = [await milliseconds(hello.run()) for _ in range(setting.runs)]
                toolchains.close()
        figures.append(single(f"compile_{language}_ms", "hello world, from source to program", compiles))
        figures.append(spread(f"hello_{language}_ms", "hello world that was compiled before", runs))
    return figures


def _toolchains(setting: Setting, folder: Path) -> Toolchains:
    return Toolchains(default_home(), ProgramCache(folder / "programs.sqlite"), setting.note)
