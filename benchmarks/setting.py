"""What a group of figures is given to measure with, and the smallest pieces of measuring."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from faas_blueprint.job import Job, Limits, make_job
from faas_blueprint.outcome import Outcome
from faas_microvm.emulator import Emulator, EmulatorChoice, own_emulator, stock_emulator
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.fork_pool import ForkPool
from faas_microvm.home import default_home
from faas_microvm.machine import Machine
from faas_microvm.sandbox import HostLimits
from faas_microvm.snapshot import Snapshot

STOCK = "_stock"
"""The end of the names of figures that were measured on the host's emulator beside ours."""
RESTORED = "_restored"
"""The same of figures of ours in machines that were restored, where by default they are forked."""
HELLO = {"python": "print('Hello World')", "javascript": "console.log('Hello World')"}
MACHINE_LIMITS = HostLimits(cpu_seconds=600, memory_bytes=EngineSettings().memory_bytes)


@dataclass(frozen=True, slots=True)
class Setting:
    """One base snapshot, an engine on it, and how often to measure."""

    snapshot: Snapshot
    engine: Engine
    runs: int
    note: Callable[[str], None]

    @property
    def few(self) -> int:
        """How often to measure what takes long or varies little."""
        return max(1, min(5, self.runs))

    @asynccontextmanager
    async def machine(self, emulator: Emulator | None = None) -> AsyncIterator[Machine]:
        """A restored, paused machine; by default on the emulator that the engine uses."""
        snapshot, emulator = self.snapshot, emulator or self.engine.emulator
        async with await Machine.restore(
            snapshot.ram_fd, snapshot.devices, MACHINE_LIMITS, emulator=emulator
        ) as machine:
            yield machine

    @property
    def emulators(self) -> dict[str, Emulator]:
        """What to compare, by the end of figures' names: the engine's, and the host's if it is another."""
        stock = {STOCK: stock_emulator()} if self.engine.emulator.forks else {}
        return {"": self.engine.emulator, **stock}

    @property
    def waiting(self) -> dict[str, EngineSettings]:
        """Engines that keep a machine waiting for the next job, likewise: forked from a warm one, as by
        default where there is our build; restored and paused, ours; and the host's."""
        stock = EngineSettings(waiting=1, emulator=EmulatorChoice.STOCK)
        if not self.engine.emulator.forks:
            return {"": stock}
        restored = EngineSettings(waiting=1, emulator=EmulatorChoice.RESTORE)
        return {"": EngineSettings(emulator=EmulatorChoice.FORK), RESTORED: restored, STOCK: stock}

    @property
    def cold(self) -> dict[str, EngineSettings]:
        """Engines that restore a machine for each job: ours or the host's, and the host's beside ours."""
        choices = {"": EmulatorChoice.RESTORE, STOCK: EmulatorChoice.STOCK}
        if not self.engine.emulator.forks:
            choices = {"": EmulatorChoice.STOCK}
        return {suffix: EngineSettings(emulator=choice) for suffix, choice in choices.items()}

    @property
    def forks(self) -> bool:
        """Whether the engine's machines are forked from a warm one."""
        return isinstance(self.engine.pool, ForkPool)

    @asynccontextmanager
    async def on(self, settings: EngineSettings) -> AsyncIterator[Setting]:
        """The same on another engine; a warm machine is up if it forks."""
        async with await Engine.open(settings=settings) as engine:
            await engine.run(hello_job("python"))
            yield replace(self, engine=engine)

    async def run(self, job: Job, stdout: bytes) -> Outcome:
        """The outcome of a job that must print this: what is wrong must not be measured."""
        outcome = (await self.engine.run(job)).outcome
        if outcome.stdout.content != stdout:
            raise AssertionError(f"expected {stdout!r} from the job, got {outcome}")
        return outcome


def restored() -> EngineSettings:
    """Of an engine that forks no machine, on our own build of the emulator where there is one."""
    own = own_emulator(default_home())
    return EngineSettings(emulator=EmulatorChoice.STOCK if own is None else EmulatorChoice.RESTORE)


def hello_job(language: str) -> Job:
    """The smallest program."""
    return make_job(language, HELLO[language])


def long_job(language: str, code: str) -> Job:
    """A program that may compute for ten virtual minutes."""
    return make_job(language, code, limits=Limits(timeout_ms=600_000))


async def milliseconds(work: Awaitable[object]) -> float:
    """Wall clock of awaiting something."""
    started = time.perf_counter()
    await work
    return (time.perf_counter() - started) * 1000


def milliseconds_of(work: Callable[[], object]) -> float:
    """Wall clock of a call."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000
