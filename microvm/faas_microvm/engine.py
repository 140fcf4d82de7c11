"""The engine: takes a job, restores a snapshot, runs it there, and hands back what came out.

    open      image and base snapshot, built and measured when they are missing
    run       one job, one fresh machine; kept as a snapshot where the job says so, else gone
    stream    the same, with output and progress as they come
    run_cached    the same, or what an earlier run of the same job gave
    perform   what a call on-chain asks for
    fork      a snapshot that differs from another by a declared record
    snapshot_at   the machine amid or after a run, by running it again

Calls may be concurrent; as many machines run at once as the host has processors, others wait.
Not here: receipts (`faas_operator`), checking them (`faas_verifier`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from faas_blueprint.digests import ZERO_DIGEST, Digest, sha256, to_hex
from faas_blueprint.errors import FatalError, InvalidRequest, MachineFailure, NotFound
from faas_blueprint.job import COMPILED_LANGUAGES, MAX_EPOCH, U64_MAX, Job, Language, job_digest
from faas_blueprint.operation import Operation
from faas_blueprint.outcome import Outcome
from faas_microvm.base import open_base_snapshot
from faas_microvm.byte_cache import DEFAULT_BYTES
from faas_microvm.derived_manifest import DerivedManifest
from faas_microvm.emulator import Emulator, EmulatorChoice, choose_emulator
from faas_microvm.execution import Execution, Output, Progress
from faas_microvm.fetched_machine import ReadPiece, fetch_derived
from faas_microvm.fork_pool import ForkPool
from faas_microvm.home import default_home, default_store
from faas_microvm.interactive import Input, TakenInput, Turn, given_input
from faas_microvm.library import SnapshotLibrary
from faas_microvm.mailbox import INTERPRETERS, TICK_MS, Program, State, encode_request
from faas_microvm.milestones import Milestones
from faas_microvm.orphans import end_orphans
from faas_microvm.outcome_cache import OutcomeCache, cache_key
from faas_microvm.paused_machine import PausedMachine
from faas_microvm.performing import missing, perform
from faas_microvm.pool import MachinePool
from faas_microvm.program_cache import ProgramCache
from faas_microvm.published_snapshots import publish
from faas_microvm.running import (
    MilestoneKeeper,
    Stopped,
    origin_of,
    run_to_end,
    run_to_outcome,
    run_to_stop,
)
from faas_microvm.sandbox import HostLimits
from faas_microvm.sessions import Sessions
from faas_microvm.snapshot import Snapshot
from faas_microvm.snapshot_record import SnapshotRecord
from faas_microvm.snapshot_store import SnapshotStore
from faas_microvm.toolchain import Compiled, Toolchains

Note = Callable[[str], None]

_CPU_SECONDS = 7 * 24 * 3600
"""A backstop only: the watchdog ends a machine long before."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How much of the host the engine may use."""

    machines: int = 0
    """Machines at once; 0 means as many as there are processors."""
    waiting: int = 0
    """Machines kept restored and paused, so that a job starts at once; each takes some 20 MB."""
    watchdog_base_seconds: float = 60.0
    watchdog_factor: float = 60.0
    """Wall-clock seconds per virtual second before a machine is given up, on top of the base."""
    cache_bytes: int = DEFAULT_BYTES
    """Room for outcomes that `run_cached` remembers."""
    program_bytes: int = DEFAULT_BYTES
    """Room for compiled programs."""
    store: str = ""
    """Where snapshots are kept: a folder or `s3://bucket/prefix`; by default as `home.default_store` says."""
    store_bytes: int | None = 20 << 30
    """The store's quota."""
    snapshot_bytes: int = 512 << 20
    """Room for pages of snapshots that stay in memory since they were used lately."""
    sessions: int = 16
    """Machines that stay up between jobs; the one used longest ago is checkpointed to make room."""
    idle_seconds: float = 300.0
    """After which such a machine is checkpointed and freed."""
    memory_bytes: int = 3 << 30
    """Host memory of one machine: guest RAM, translated code, overhead."""
    trace_bytes: int = 0
    """Room on the disk for machines at the milestones of runs that are everyone's; 0 keeps none."""
    trace_seconds: float = 86_400.0
    """How long they are kept at the most."""
    emulator: EmulatorChoice = field(default_factory=EmulatorChoice.default)
    """What machines run on; the outcome is the same on either."""

    def watchdog_seconds(self, job: Job) -> float:
        """Wall-clock time after which a job has no result; a protection of the host, not a limit."""
        return self.watchdog_base_seconds + self.watchdog_factor * job.limits.timeout_ms / 1000


def _pool(base: Snapshot, settings: EngineSettings, emulator: Emulator) -> MachinePool | ForkPool:
    limits = HostLimits(_CPU_SECONDS, settings.memory_bytes)
    cold = MachinePool(base, limits, settings.waiting, emulator)
    if not emulator.forks or settings.emulator is EmulatorChoice.RESTORE:
        return cold
    at_once = settings.emulator is EmulatorChoice.FORK
    return ForkPool(cold, base, emulator, limits, settings.machines or os.cpu_count() or 1, at_once)


async def open_store(home: Path | None = None, settings: EngineSettings | None = None) -> SnapshotStore:
    """The store of snapshots alone, for what needs no machine."""
    home, settings = home or default_home(), settings or EngineSettings()
    location = settings.store or default_store(home)
    if "://" in location:
        index = home / "stores" / f"{sha256(location.encode()).hex()[:16]}.db"
    else:
        index = Path(location) / "index.db"
    return await SnapshotStore.open(location, index, settings.store_bytes)


class Engine:
    """Runs jobs on snapshots. Make one with `open`, end it with `close`."""

    def __init__(
        self,
        base: Snapshot,
        store: SnapshotStore,
        toolchains: Toolchains,
        settings: EngineSettings,
        cache: OutcomeCache,
        emulator: Emulator,
        milestones: Milestones | None = None,
    ) -> None:
        self.emulator = emulator
        self._cache = cache
        self._toolchains = toolchains
        self._settings = settings
        self.processors = asyncio.Semaphore(settings.machines or os.cpu_count() or 1)
        self.library = SnapshotLibrary(base, store, settings.snapshot_bytes)
        self.pool = _pool(base, settings, emulator)
        self.pool.fill()
        self.milestones = milestones
        """Of what on-chain calls have run."""
        self.sessions = Sessions(self, settings.sessions, settings.idle_seconds)

    @classmethod
    async def open(
        cls,
        home: Path | None = None,
        progress: Note | None = None,
        settings: EngineSettings | None = None,
        base: Snapshot | None = None,
        toolchains: Mapping[Language, Snapshot] | None = None,
    ) -> Engine:
        """Load the base snapshot of this host's profile; build and measure what is missing. Machines that
        were measured elsewhere may be given as `base` and `toolchains`; they are closed with the engine.

        Raises MissingPrerequisite (says what to install) or FatalError (says what is damaged).
        """
        home = home or default_home()
        settings = settings or EngineSettings()
        note = progress or (lambda _: None)
        emulator = choose_emulator(home, settings.emulator)
        end_orphans()
        note(f"machines run on {emulator.name}")
        store = await open_store(home, settings)
        try:
            base = base or await open_base_snapshot(home, note)
        except BaseException:
            store.close()
            raise
        programs = ProgramCache(home / "programs.sqlite", settings.program_bytes)
        compilers = Toolchains(home, programs, note, toolchains)
        cache = OutcomeCache(home / "outcomes.sqlite", settings.cache_bytes)
        milestones = None
        if settings.trace_bytes:
            milestones = await Milestones.open(
                home / "milestones", settings.trace_bytes, settings.trace_seconds
            )
        return cls(base, store, compilers, settings, cache, emulator, milestones)

    @property
    def profile_id(self) -> Digest:
        """Of the machine profile that jobs run on."""
        return self.library.base.measured.profile_id

    @property
    def measurement(self) -> Digest:
        """Of the base snapshot."""
        return self.library.base.measurement

    @property
    def warm(self) -> bool:
        """Whether a machine is up, or none is to be kept waiting."""
        return not self._settings.waiting or any(machine.alive for machine in self.pool.machines)

    def watchdog_seconds(self, job: Job) -> float:
        """Wall-clock time after which a job has no result here."""
        return self._settings.watchdog_seconds(job)

    async def run(self, job: Job, snapshot: Digest | None = None, *, everyones: bool = False) -> Execution:
        """Run one job, on the base snapshot or on another. The machines that a run which is `everyones` comes
        by may be kept for all to have, see `milestones`.

        Raises MachineFailure when there is no outcome; then it may be tried again.
        """
        async with aclosing(self.stream(job, snapshot, everyones=everyones)) as events:
            async for event in events:
                if isinstance(event, Execution):
                    return event
        raise MachineFailure("the machine gave no outcome")

    async def stream(
        self,
        job: Job,
        snapshot: Digest | None = None,
        *,
        everyones: bool = False,
        typed: Input | None = None,
    ) -> AsyncGenerator[Output | Progress | Execution]:
        """Output and progress as they come, then the execution. Reading does not change the run.

        Where the job says `keep`, the machine is stored as a child of the snapshot it started on. `typed` is
        an interactive job's input if that is not known yet; then the job is told by the execution's `stdin`.
        """
        started = time.perf_counter()
        keeper = self.milestones if everyones else None
        start = await self.idle(snapshot)
        if job.interactive and start.measurement != self.measurement:
            raise InvalidRequest("an interactive job starts on the base snapshot", {"field": "interactive"})
        turn = Turn(self.processors)
        taken = TakenInput(typed or given_input(job), turn) if job.interactive else None
        prepared = await self.prepare(job)
        if prepared.program is None:
            for said in self.refused(prepared, start, started):
                yield said
            return
        async with (
            turn,
            self._paused(start, prepared.program.runner) as machine,
            aclosing(self.run_in(machine, job, prepared.program, job.keep, keeper, taken)) as events,
        ):
            async for event in events:
                if isinstance(event, Stopped):
                    stopped = event
                else:
                    yield event
            machine.kill()  # it ends while what it left is measured
            end, state_root = await self._measured(stopped, start, job.keep)
        kept = None
        if end is not None:
            await self.library.keep(end, start, "checkpoint", origin=origin_of(job))
            kept = state_root
        outcome = stopped.outcome(start, state_root)
        wall_ms = (time.perf_counter() - started) * 1000
        yield Execution(
            outcome,
            self.profile_id,
            start.measurement,
            wall_ms,
            snapshot=kept,
            toolchain=prepared.toolchain,
            stdin=None if taken is None else taken.taken_by(job),
        )

    async def _measured(
        self, stopped: Stopped, start: Snapshot, keep: bool
    ) -> tuple[Snapshot | None, Digest]:
        """The state root of a stopped machine, and its snapshot if it is to be kept."""
        if keep:
            end = await asyncio.to_thread(stopped.snapshot, start)
            return end, end.measurement
        if stopped.ram_root is None:
            return None, await asyncio.to_thread(stopped.state_root, start)
        return None, stopped.state_root(start)

    async def run_cached(
        self, job: Job, snapshot: Digest | None = None, owner: bytes = b"", *, everyones: bool = False
    ) -> Execution:
        """Like `run`, but an outcome that is known already is answered at once and marked `cached`.

        Known to `owner`: nobody learns from an answer what others have run.
        """
        started = time.perf_counter()
        measurement = snapshot or self.measurement
        toolchain = await self._toolchain(job)
        key = cache_key(self.profile_id, measurement, toolchain, job_digest(job), owner)
        outcome = await asyncio.to_thread(self._cache.get, key)
        if outcome is None or (job.keep and not await self.has(outcome.state_root)):
            execution = await self.run(job, snapshot, everyones=everyones)
            await asyncio.to_thread(self._cache.put, key, execution.outcome)
            return execution
        wall_ms = (time.perf_counter() - started) * 1000
        kept = outcome.state_root if job.keep else None
        return Execution(outcome, self.profile_id, measurement, wall_ms, True, kept, toolchain)

    async def perform(
        self, operation: Operation, contents: Mapping[Digest, bytes], keeper: str | None = None
    ) -> Execution:
        """Do what a call on-chain asks for; see `performing.perform`."""
        return await perform(self, operation, contents, keeper)

    async def missing(self, operation: Operation) -> tuple[Digest, ...]:
        """The snapshots that a call works on, and cannot have here; see `performing.missing`."""
        return await missing(self, operation)

    async def adopt(self, manifest: DerivedManifest, read: ReadPiece) -> None:
        """Keep a machine that another operator has published, for calls to start on, and publish it too.

        Raises InvalidRequest when it is on another base, or its pieces do not measure as they must; and
        InsufficientResources.
        """
        base = self.library.base
        if manifest.base != base.measurement:
            raise InvalidRequest(f"machine {to_hex(manifest.measurement)} is on another base than ours")
        try:
            snapshot = await fetch_derived(base, manifest, read)
        except FatalError as error:  # of theirs, not ours
            raise InvalidRequest(error.message) from error
        await self.library.keep(snapshot, base, "fetched")
        await publish(self.library.store, snapshot.measurement)

    async def milestone(self, root: Digest) -> Snapshot | None:
        """The machine at a milestone that an on-chain call came by, measured anew; None if it is not kept."""
        if self.milestones is None:
            return None
        try:
            return await self.library.derived(await self.milestones.load(root))
        except (NotFound, FatalError):
            return None

    async def _toolchain(self, job: Job) -> Digest:
        if job.language not in COMPILED_LANGUAGES:
            return ZERO_DIGEST
        return await self._toolchains.measurement(job.language)

    async def idle(self, measurement: Digest | None) -> Snapshot:
        """A snapshot that can take a job. Raises InvalidRequest when one is under way in it."""
        snapshot = await self.library.get(measurement)
        if snapshot.is_under_way:
            raise InvalidRequest(
                f"a job is under way in snapshot {to_hex(snapshot.measurement)}: resume it",
                {"field": "snapshot"},
            )
        return snapshot

    async def has(self, snapshot: Digest) -> bool:
        """Whether jobs can be run on a snapshot: the base, or one of the store."""
        try:
            return snapshot == self.measurement or bool(await self.library.store.get(snapshot))
        except NotFound:
            return False

    async def made_here(self, snapshot: Digest) -> bool:
        """Whether a snapshot is the base, or was left by jobs of our own from there on."""
        try:
            return snapshot == self.measurement or await self.library.store.is_made_here(snapshot)
        except NotFound:
            return False

    async def fork(
        self, snapshot: Digest, seed: int = 0, epoch: int = 0, identity: bytes = b"", label: str | None = None
    ) -> SnapshotRecord:
        """A snapshot that differs from `snapshot` by a declared record, which is part of its memory.

        The next job in it draws other random numbers and sees a clock of at least `epoch` (Unix
        seconds). `identity` is 32 bytes at the most. Costs one page.
        """
        if len(identity) > 32:
            raise InvalidRequest("a fork's identity has 32 bytes at the most", {"field": "identity"})
        if not 0 <= seed <= U64_MAX or not 0 <= epoch <= MAX_EPOCH:
            raise InvalidRequest("a fork's seed or epoch is out of range", {"field": "seed"})
        parent = await self.library.get(snapshot)
        origin = {"seed": str(seed), "epoch": str(epoch), "identity": identity.hex()}
        child = parent.forked(seed, epoch, identity)
        return await self.library.keep(child, parent, "fork", label=label, origin=origin)

    async def snapshot_at(
        self,
        job: Job,
        snapshot: Digest | None = None,
        virtual_ms: int | None = None,
        label: str | None = None,
    ) -> SnapshotRecord:
        """The machine `virtual_ms` into a job, or at its end, found by running the job again.

        Runs are deterministic, so this is the machine of an execution that is running or was finished
        long ago; at the end its measurement is that execution's state root.
        """
        start = await self.idle(snapshot)
        tick = 0 if virtual_ms is None else max(1, virtual_ms // TICK_MS)
        prepared = await self.prepare(job)
        if prepared.program is None:
            raise InvalidRequest("the program does not compile", {"field": "code"})
        if job.interactive and tick:
            raise InvalidRequest("an interactive job cannot be stopped on its way", {"field": "virtual_ms"})
        request = encode_request(job, prepared.program, start.profile.trace_interval_ms, tick)
        async with self.machine(start, prepared.program.runner) as machine:
            stopped = await run_to_end(
                *(machine, start.base, request, self.watchdog_seconds(job)),
                typed=given_input(job),
            )
        if virtual_ms is not None and stopped.result.state is not State.PAUSED:
            raise InvalidRequest(
                f"the job ended before {virtual_ms} virtual milliseconds", {"field": "virtual_ms"}
            )
        end = await asyncio.to_thread(stopped.snapshot, start)
        return await self.library.keep(
            end, start, "checkpoint", label=label, origin=origin_of(job, virtual_ms)
        )

    async def resume(self, snapshot: Digest, seconds: float = 600.0) -> Execution:
        """Let a job go on that `snapshot_at` stopped on its way; virtual time counts from there."""
        started = time.perf_counter()
        start = await self.library.get(snapshot)
        if not start.is_under_way:
            raise InvalidRequest(f"no job is under way in snapshot {to_hex(snapshot)}", {"field": "snapshot"})
        async with self.machine(start) as machine:
            outcome = await run_to_outcome(machine, start, b"", seconds)
        wall_ms = (time.perf_counter() - started) * 1000
        return Execution(outcome, self.profile_id, start.measurement, wall_ms)

    async def prepare(self, job: Job) -> Compiled:
        """What a machine is to run for a job; a language that is compiled is compiled here, if need be."""
        if job.language not in COMPILED_LANGUAGES:
            return Compiled(ZERO_DIGEST, Program(INTERPRETERS[job.language], job.code.encode()), None)
        return await self._toolchains.compile(job, self._run_compiler)

    async def _run_compiler(self, toolchain: Snapshot, job: Job, compiler: Program) -> Outcome:
        seconds = self.watchdog_seconds(job)
        async with self.machine(toolchain, compiler.runner) as machine:
            return await run_to_outcome(machine, toolchain, encode_request(job, compiler), seconds)

    def refused(self, prepared: Compiled, start: Snapshot, started: float) -> tuple[Output, Execution]:
        """The execution of a program that does not compile: the compiler's outcome, and its words before."""
        outcome, wall_ms = prepared.outcome, (time.perf_counter() - started) * 1000
        assert outcome is not None
        execution = Execution(
            outcome, self.profile_id, start.measurement, wall_ms, toolchain=prepared.toolchain
        )
        return Output("stderr", outcome.stderr.content), execution

    async def run_in(
        self,
        machine: PausedMachine,
        job: Job,
        program: Program,
        pages: bool = True,
        keeper: MilestoneKeeper | None = None,
        typed: Input | None = None,
    ) -> AsyncGenerator[Output | Progress | Stopped]:
        """Hand a job to a paused machine and watch it until the job's end."""
        base = self.library.base
        request = encode_request(job, program, base.profile.trace_interval_ms)
        seconds = self.watchdog_seconds(job)
        said = run_to_stop(machine, base, request, seconds, pages, keeper=keeper, typed=typed)
        async with aclosing(said) as events:
            async for event in events:
                yield event

    @asynccontextmanager
    async def machine(self, snapshot: Snapshot, runner: int | None = None) -> AsyncIterator[PausedMachine]:
        """A paused machine for one job; waits while too many run. For `runner` see `ForkPool.take`."""
        async with self.processors, self._paused(snapshot, runner) as machine:
            yield machine

    @asynccontextmanager
    async def _paused(self, snapshot: Snapshot, runner: int | None) -> AsyncIterator[PausedMachine]:
        machine = await self.pool.take(snapshot, runner)
        try:
            yield machine
        finally:
            await self.pool.end(machine)

    async def close(self) -> None:
        """Checkpoint the sessions, end all machines and free the snapshot."""
        await self.sessions.close()
        await self.pool.close()
        if self.milestones is not None:
            await self.milestones.close()
        self._toolchains.close()
        self.library.base.close()
        self.library.store.close()
        self._cache.close()

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
