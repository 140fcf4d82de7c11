"""Group `everyday`: small programs that use what is around the interpreter, in forked machines.

A hello world is quick once its code is translated. These are as quick as the warm-up corpus is wide: other
programs, files, databases, servers, modules. Each prints in a machine what it prints on this host.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, single
from benchmarks.fork import built
from benchmarks.native import NATIVE
from benchmarks.setting import STOCK, Setting, milliseconds, milliseconds_of
from faas_blueprint.job import make_job

_FOLDER = Path(__file__).parent / "workloads" / "everyday"
_LANGUAGES = {".py": "python", ".js": "javascript", ".mjs": "javascript", ".sh": "bash"}


@dataclass(frozen=True, slots=True)
class Program:
    """One of them; `name` is its file's name without the last suffix, `server.py`."""

    name: str
    language: str
    code: str

    def run_natively(self) -> bytes:
        """What it prints on this host."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, self.name)
            path.write_text(self.code)
            command = [NATIVE[self.language].command[0], str(path)]
            return subprocess.run(command, capture_output=True, check=True, timeout=60, cwd=folder).stdout


async def everyday(setting: Setting) -> list[Figure]:
    """Whole engine calls in forked machines, in restored ones of the host's emulator, and natively."""
    if not built(setting):
        return []
    figures = []
    async with setting.on(setting.waiting[""]) as forking, setting.on(setting.cold[STOCK]) as stock:
        for program in _programs():
            job = make_job(program.language, program.code)
            said = program.run_natively()
            await forking.run(job, said)  # warms its language's parent
            turns = [
                (
                    await milliseconds(forking.run(job, said)),
                    await milliseconds(stock.run(job, said)),
                    milliseconds_of(program.run_natively),
                )
                for _ in range(setting.few)
            ]
            language, name = program.language, program.name.partition(".")[0]
            for key, values in zip(("", STOCK, "_native"), zip(*turns, strict=True), strict=True):
                figures.append(single(f"everyday_{language}_{name}{key}_ms", program.name, values))
    return figures


def _programs() -> Iterator[Program]:
    for suffix, language in _LANGUAGES.items():
        for path in sorted(_FOLDER.glob(f"*{suffix}.txt")):
            yield Program(path.stem, language, path.read_text())
