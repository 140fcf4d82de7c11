"""Compiling: a program's source goes to a snapshot in which its compiler waits.

    Rust, Go      a native program, statically linked; the standard library only
    TypeScript    its JavaScript; types are taken out, not checked

A toolchain's image and snapshot are made on first use, the programs are kept by source and
toolchain. A compile error is an outcome of the compile job: its exit code, and the compiler's own
words on stderr. Not here: running machines, and the program itself (`engine`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from faas_blueprint.digests import Digest
from faas_blueprint.job import COMPILED_LANGUAGES, PROGRAM_FILES, Job, Language, Limits
from faas_blueprint.outcome import Outcome, Status
from faas_microvm.base import known_measurement, open_toolchain
from faas_microvm.mailbox import Program, Runner
from faas_microvm.program_cache import ProgramCache, program_key
from faas_microvm.snapshot import Snapshot

Note = Callable[[str], None]

COMPILE_LIMITS = Limits(timeout_ms=120_000, memory_mb=512, output_bytes=1 << 20, processes=64, disk_mb=128)
"""Of every compile job: the source alone decides what comes out."""

_COMPILERS: Mapping[Language, Runner] = {
    Language.RUST: Runner.COMPILE_RUST,
    Language.GO: Runner.COMPILE_GO,
    Language.TYPESCRIPT: Runner.COMPILE_TYPESCRIPT,
}
_RUNNERS: Mapping[Language, Runner] = {
    Language.RUST: Runner.PROGRAM,
    Language.GO: Runner.PROGRAM,
    Language.TYPESCRIPT: Runner.JAVASCRIPT,
}

RunCompiler = Callable[[Snapshot, Job, Program], Awaitable[Outcome]]
"""Runs a compile job on a toolchain's snapshot."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A program, as a machine is to run it, and what compiling it gave where it was compiled."""

    toolchain: Digest
    """Measurement of the snapshot that compiled; zero for languages that are not compiled."""
    program: Program | None
    """For the base snapshot; None when there is an error."""
    outcome: Outcome | None
    """Of the compile job, if one was run."""


class Toolchains:
    """The toolchains of one home. Make it with the cache that it is to fill; close it at the end."""

    def __init__(
        self,
        home: Path,
        cache: ProgramCache,
        progress: Note,
        given: Mapping[Language, Snapshot] | None = None,
    ) -> None:
        """`given` snapshots, measured elsewhere, take the place of this home's."""
        self._home = home
        self._cache = cache
        self._progress = progress
        self._snapshots = dict(given or {})
        self._measurements = {
            language: toolchain.measurement for language, toolchain in self._snapshots.items()
        }
        self._compiling: WeakValueDictionary[Digest, asyncio.Lock] = WeakValueDictionary()
        self._locks = {language: asyncio.Lock() for language in COMPILED_LANGUAGES}

    async def open(self, language: Language) -> Snapshot:
        """The snapshot in which a language's compiler waits; made on first use, which takes a minute.

        Raises MissingPrerequisite (says what to install) or FatalError (says what is damaged).
        """
        async with self._locks[language]:
            if language not in self._snapshots:
                self._snapshots[language] = await asyncio.to_thread(self._open, language)
            return self._snapshots[language]

    async def measurement(self, language: Language) -> Digest:
        """Of a toolchain's snapshot, which is not loaded for it if it was made before. Raises as `open`."""
        if language not in self._measurements:
            known = await asyncio.to_thread(known_measurement, language, self._home)
            self._measurements[language] = known or (await self.open(language)).measurement
        return self._measurements[language]

    def _open(self, language: Language) -> Snapshot:
        # building blocks for long: in a thread, with a loop of its own
        return asyncio.run(open_toolchain(language, self._home, self._progress))

    async def compile(self, job: Job, run: RunCompiler) -> Compiled:
        """A job's program, from the cache or compiled by `run`; once, however many ask for it at a time."""
        measurement = await self.measurement(job.language)
        key = program_key(measurement, job.code.encode())
        async with self._compiling.setdefault(key, asyncio.Lock()):
            return await self._compile(job, run, measurement, key)

    async def _compile(self, job: Job, run: RunCompiler, measurement: Digest, key: Digest) -> Compiled:
        known = await asyncio.to_thread(self._cache.get, key)
        if known is not None:
            return Compiled(measurement, Program(_RUNNERS[job.language], known), None)
        toolchain = await self.open(job.language)
        compiler = Program(_COMPILERS[job.language], job.code.encode())
        outcome = await run(toolchain, compile_job(job), compiler)
        content = compiled_content(job.language, outcome)
        if content is None:
            return Compiled(toolchain.measurement, None, outcome)
        await asyncio.to_thread(self._cache.put, key, content)
        return Compiled(toolchain.measurement, Program(_RUNNERS[job.language], content), outcome)

    def close(self) -> None:
        """Free the snapshots and close the cache."""
        for snapshot in self._snapshots.values():
            snapshot.close()
        self._snapshots.clear()
        self._cache.close()


def compile_job(job: Job) -> Job:
    """The job that compiles another's source. Nothing else of that job goes into it."""
    return Job(job.language, job.code, limits=COMPILE_LIMITS)


def compiled_content(language: Language, outcome: Outcome) -> bytes | None:
    """The program that a compile job left in its output folder; None when it did not end well."""
    if (outcome.status, outcome.exit_code) != (Status.EXITED, 0):
        return None
    name = PROGRAM_FILES[language]
    return next((file.content for file in outcome.files if file.path == name), None)
