"""Forked machines where a warm parent is there, restored ones where it is not: one pool to the engine.

A parent is started for a snapshot that is asked for a second time, warms up in the background while
restored machines do the work, and is replaced when it dies. The parents used least are ended to make
room. Which machine a job gets changes how fast it is, and nothing else.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter, OrderedDict, deque
from contextlib import suppress

from faas_blueprint.digests import Digest
from faas_blueprint.errors import FaaSError
from faas_microvm.emulator import Emulator
from faas_microvm.fork_server import ForkedMachine, ForkParent
from faas_microvm.machine import Machine
from faas_microvm.paused_machine import PausedMachine
from faas_microvm.pool import MachinePool
from faas_microvm.sandbox import Cgroup, HostLimits
from faas_microvm.snapshot import Snapshot
from faas_microvm.warm_up import corpus

MOST_PARENTS = 3
CHILDREN_OF_A_PARENT = 64
"""Bounds memory and processes of a parent's control group, which its children share."""

_log = logging.getLogger(__name__)
_cgroup_numbers = itertools.count()


class _Parent:
    """A warm parent and the children that it has forked ahead."""

    def __init__(self, parent: ForkParent, cgroup: Cgroup | None) -> None:
        self.parent = parent
        self.cgroup = cgroup
        self.ahead: deque[ForkedMachine] = deque()
        self.taken: set[ForkedMachine] = set()

    async def close(self) -> None:
        for child in (*self.ahead, *self.taken):
            await child.close()
        await self.parent.close()
        if self.cgroup is not None:
            with suppress(OSError):
                self.cgroup.remove()


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
        self._asked: Counter[Digest] = Counter()
        self._warm: OrderedDict[Digest, _Parent] = OrderedDict()
        self._warming: dict[Digest, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
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

    async def take(self, snapshot: Snapshot | None = None) -> PausedMachine:
        """A paused machine, fresh from a snapshot; give it to `end` afterwards."""
        start = snapshot or self._snapshot
        self._asked[start.measurement] += 1
        if self._at_once or self._asked[start.measurement] > 1:
            self._warm_up(start)
        if self._at_once and start.measurement in self._warming:
            await asyncio.wait({self._warming[start.measurement]})
        warm = self._warm.get(start.measurement)
        if warm is not None:
            self._warm.move_to_end(start.measurement)
            try:
                return await self._fork(warm)
            except FaaSError as error:
                _log.warning("a fork server is replaced: %s", error)
                await self._drop(start.measurement)
                self._warm_up(start)
        return await self._cold.take(snapshot)

    async def end(self, machine: PausedMachine) -> None:
        """Stop a machine."""
        if isinstance(machine, Machine):
            await self._cold.end(machine)
            return
        for warm in self._warm.values():
            if machine in warm.taken:
                warm.taken.discard(machine)
        await machine.close()

    async def close(self) -> None:
        """Stop all machines and parents."""
        self._closed = True
        running = [*self._warming.values(), *self._tasks]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for measurement in list(self._warm):
            await self._drop(measurement)
        await self._cold.close()

    async def _fork(self, warm: _Parent) -> ForkedMachine:
        child = warm.ahead.popleft() if warm.ahead else await warm.parent.fork()
        warm.taken.add(child)
        task = asyncio.create_task(self._fork_ahead(warm))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return child

    async def _fork_ahead(self, warm: _Parent) -> None:
        """The next child is forked while this one runs: forking leaves the latency."""
        with suppress(FaaSError):  # the next `take` finds out
            while len(warm.ahead) < self._children and not self._closed:
                child = await warm.parent.fork()
                if self._closed:
                    await child.close()
                else:
                    warm.ahead.append(child)

    def _warm_up(self, snapshot: Snapshot) -> None:
        measurement = snapshot.measurement
        if self._closed or measurement in self._warm or measurement in self._warming:
            return
        task = asyncio.create_task(self._start_parent(snapshot))
        self._warming[measurement] = task
        task.add_done_callback(lambda _: self._warming.pop(measurement, None))

    async def _start_parent(self, snapshot: Snapshot) -> None:
        """Warm one up and put it in place; the least used makes room."""
        group = HostLimits(
            self._limits.cpu_seconds,
            self._limits.memory_bytes * (1 + self._children),
            self._limits.processes + CHILDREN_OF_A_PARENT,
        )
        cgroup = Cgroup.create(1_000_000 + next(_cgroup_numbers), group)
        try:
            parent = await ForkParent.start(snapshot, self._emulator, self._limits, cgroup)
        except FaaSError as error:
            _log.warning("no fork server could be started: %s", error)
            return
        try:
            await parent.warm_up(corpus())
        except BaseException as error:
            await parent.close()
            if not isinstance(error, FaaSError):
                raise
            _log.warning("a fork server did not warm up: %s", error)
            return
        while len(self._warm) >= MOST_PARENTS:
            await self._drop(next(iter(self._warm)))
        self._warm[snapshot.measurement] = _Parent(parent, cgroup)

    async def _drop(self, measurement: Digest) -> None:
        warm = self._warm.pop(measurement, None)
        if warm is not None:
            await warm.close()
