"""Forked machines where a warm parent is there, restored ones where it is not: one pool to the engine.

A parent is of one snapshot and one language. It is started when both have been asked for some times, warms
up in the background while restored machines do the work, or a parent of another language, and is replaced
when it dies: at once the first time, then after a pause that doubles. The parent used least of those
without a job is ended to make room. Which machine a job gets changes how fast it is, and nothing else.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass

from faas_blueprint.digests import Digest
from faas_blueprint.errors import FaaSError
from faas_blueprint.job import Language
from faas_microvm.emulator import Emulator
from faas_microvm.fork_server import ForkedMachine, ForkParent
from faas_microvm.machine import Machine
from faas_microvm.paused_machine import PausedMachine
from faas_microvm.pool import MachinePool
from faas_microvm.sandbox import Cgroup, HostLimits
from faas_microvm.snapshot import Snapshot
from faas_microvm.to_its_end import to_its_end
from faas_microvm.warm_up import corpus, warm_language

MOST_PARENTS = 6
CHILDREN_OF_A_PARENT = 64
"""Bounds memory and processes of a parent's control group, which its children share."""

WORTH_A_PARENT = 5
"""So many jobs: a warm-up takes as much of a processor as some forty restored machines do."""

REMEMBERED = 1024
"""How many snapshots and languages are counted."""

LONGEST_PAUSE_SECONDS = 60.0
"""Before a parent is started again that has failed again and again; one second after the second time."""

REFILL_SECONDS = 0.02
"""Pause before children are forked ahead, unless few are left."""

_log = logging.getLogger(__name__)
_cgroup_numbers = itertools.count()


_Key = tuple[Digest, Language]
"""The snapshot's measurement, and whose corpus ran."""


@dataclass(slots=True)
class _Demand:
    """How often a key was asked for, and how its parents have failed since one last forked."""

    asked: int = 0
    until: float = 0.0
    """When the next parent may be started."""
    pause: float = 0.0
    """After the next failure."""

    def add_failure(self) -> None:
        """One more."""
        self.until = time.monotonic() + self.pause
        self.pause = min(max(1.0, 2 * self.pause), LONGEST_PAUSE_SECONDS)


class _Parent:
    """A warm parent and the children that it has forked ahead."""

    def __init__(self, key: _Key, parent: ForkParent, cgroup: Cgroup | None) -> None:
        self.key = key
        self.parent = parent
        self.cgroup = cgroup
        self.ahead: deque[ForkedMachine] = deque()
        self.taken: set[ForkedMachine] = set()
        self.refilling: asyncio.Task[None] | None = None
        self.short = asyncio.Event()
        """Set while one child is left at the most."""
        self.short.set()

    async def close(self) -> None:
        """End the parent and its children."""
        if self.refilling is not None:
            self.refilling.cancel()
            await asyncio.gather(self.refilling, return_exceptions=True)
        for child in self.ahead:
            await child.close()
        for child in self.taken:
            child.kill()  # its owner closes it
        await self.parent.close()
        _remove(self.cgroup)


def _remove(cgroup: Cgroup | None) -> None:
    if cgroup is not None:
        cgroup.remove()


class ForkPool:
    """Owns a pool of restored machines, the warm parents and all their children."""

    def __init__(
        self,
        cold: MachinePool,
        snapshot: Snapshot,
        emulator: Emulator,
        limits: HostLimits,
        children: int,
        at_once: bool = False,
    ) -> None:
        """`children` may run at once. With `at_once` a first job waits for its parent's warm-up."""
        self._cold = cold
        self._snapshot = snapshot
        self._emulator = emulator
        self._limits = limits
        self._children = children
        self._at_once = at_once
        self._demands: OrderedDict[_Key, _Demand] = OrderedDict()
        self._warm: OrderedDict[_Key, _Parent] = OrderedDict()
        self._warming: dict[_Key, asyncio.Task[None]] = {}
        self._closed = False

    @property
    def machines(self) -> tuple[PausedMachine, ...]:
        """All that are alive and not the parents: waiting and taken."""
        forked = (child for warm in self._warm.values() for child in (*warm.ahead, *warm.taken))
        return (*self._cold.machines, *forked)

    @property
    def waiting(self) -> int:
        """How many of them nobody has taken."""
        return self._cold.waiting + sum(len(warm.ahead) for warm in self._warm.values())

    @property
    def parents(self) -> tuple[ForkParent, ...]:
        """The warm ones."""
        return tuple(warm.parent for warm in self._warm.values())

    def fill(self) -> None:
        """Start restored machines ahead, where that is wanted."""
        self._cold.fill()

    async def take(self, snapshot: Snapshot | None = None, runner: int | None = None) -> PausedMachine:
        """A paused machine, fresh from a snapshot; give it to `end` afterwards.

        `runner` is what it is to run, if that is known: its pages are at hand then.
        """
        start = snapshot or self._snapshot
        if start.is_under_way:  # it goes on once: no parent is worth its while
            return await self._cold.take(snapshot)
        key = (start.measurement, warm_language(runner))
        if self._count(key) >= WORTH_A_PARENT or self._at_once:
            self._warm_up(key, start)
        if self._at_once and key in self._warming:
            await asyncio.wait({self._warming[key]})
        warm = self._warm.get(key) or self._of_another_language(start)
        if warm is not None:
            self._warm.move_to_end(warm.key)
            try:
                return await self._fork(warm)
            except FaaSError as error:
                _log.warning("a fork server is replaced: %s", error)
                self._demand(warm.key).add_failure()
                if self._warm.get(warm.key) is warm:
                    await self._drop(warm.key)
                self._warm_up(key, start)
        return await self._cold.take(snapshot)

    def _count(self, key: _Key) -> int:
        demand = self._demand(key)
        demand.asked += 1
        self._demands.move_to_end(key)
        if len(self._demands) > REMEMBERED:
            self._demands.popitem(last=False)
        return demand.asked

    def _demand(self, key: _Key) -> _Demand:
        return self._demands.setdefault(key, _Demand())

    def _of_another_language(self, start: Snapshot) -> _Parent | None:
        """What all languages need is translated and mapped there, too."""
        return next((warm for key, warm in self._warm.items() if key[0] == start.measurement), None)

    async def end(self, machine: PausedMachine) -> None:
        """Stop a machine."""
        if isinstance(machine, Machine):
            await self._cold.end(machine)
            return
        for warm in self._warm.values():
            if machine in warm.taken:
                warm.taken.discard(machine)
                self._fork_ahead(warm)  # now, not while the job ran: it would have taken its processor
        await machine.close()

    async def close(self) -> None:
        """Stop all machines and parents."""
        self._closed = True
        for task in self._warming.values():
            task.cancel()
        await asyncio.gather(*self._warming.values(), return_exceptions=True)
        for warm in list(self._warm.values()):
            for child in list(warm.taken):
                await child.close()
        for key in list(self._warm):
            await self._drop(key)
        await self._cold.close()

    async def _fork(self, warm: _Parent) -> ForkedMachine:
        while warm.ahead:
            child = warm.ahead.popleft()
            if child.alive:
                break
            await child.close()
        else:
            child = await warm.parent.fork()
        self._demand(warm.key).pause = 0.0
        warm.taken.add(child)
        if len(warm.ahead) <= 1:
            warm.short.set()
            self._fork_ahead(warm)
        return child

    def _fork_ahead(self, warm: _Parent) -> None:
        """Fork what is missing in the background: forking leaves the latency."""
        if warm.refilling is None or warm.refilling.done():
            warm.refilling = asyncio.create_task(self._refill(warm))

    async def _refill(self, warm: _Parent) -> None:
        with suppress(TimeoutError):  # there is time: what came of the job that has just ended goes first
            async with asyncio.timeout(REFILL_SECONDS):
                await warm.short.wait()
        with suppress(FaaSError):  # the next `take` finds out
            while len(warm.ahead) <= self._children:
                warm.ahead.append(await warm.parent.fork())
            warm.short.clear()

    def _warm_up(self, key: _Key, snapshot: Snapshot) -> None:
        if self._closed or key in self._warm or key in self._warming:
            return
        if time.monotonic() < self._demand(key).until:
            return
        task = asyncio.create_task(self._start_parent(key, snapshot))
        self._warming[key] = task
        task.add_done_callback(lambda _: self._warming.pop(key, None))

    async def _start_parent(self, key: _Key, snapshot: Snapshot) -> None:
        """Warm one up and put it in place; the least used makes room."""
        group = HostLimits(
            self._limits.cpu_seconds,
            self._limits.memory_bytes * (1 + self._children),
            self._limits.processes + CHILDREN_OF_A_PARENT,
            processors=self._children,
        )
        cgroup = Cgroup.create(1_000_000 + next(_cgroup_numbers), group)
        try:
            parent = await ForkParent.start(snapshot, self._emulator, self._limits, cgroup)
            try:
                await parent.warm_up(corpus(key[1]))
            except BaseException:
                await parent.close()
                raise
        except BaseException as error:
            _remove(cgroup)
            if not isinstance(error, FaaSError):
                raise
            _log.warning("no fork server could be started: %s", error)
            self._demand(key).add_failure()
            return
        started = _Parent(key, parent, cgroup)
        idle = (of for of, warm in self._warm.items() if not warm.taken)
        used_least = next(idle, None)
        if len(self._warm) < MOST_PARENTS:
            self._warm[key] = started
        elif used_least is not None:
            self._warm[key] = started
            await self._drop(used_least)
        else:  # all are at work
            await to_its_end(started.close())

    async def _drop(self, key: _Key) -> None:
        warm = self._warm.pop(key, None)
        if warm is not None:
            await to_its_end(warm.close())
