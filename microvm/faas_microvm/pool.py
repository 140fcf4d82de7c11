"""Machines that are restored and paused before a job asks for one.

A restored machine has not run yet, so a job's outcome is the same whether its machine waited or
not. The pool fills itself in the background; when it is empty, a machine is started on the spot and
one more is kept ready from then on. Machines that nobody took for a while are ended again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque

from faas_blueprint.errors import FaaSError
from faas_microvm.emulator import Emulator
from faas_microvm.machine import Machine
from faas_microvm.paused_machine import PausedMachine
from faas_microvm.sandbox import Cgroup, HostLimits
from faas_microvm.snapshot import Snapshot

_log = logging.getLogger(__name__)
_cgroup_numbers = itertools.count()

SETTLE_SECONDS = 30.0
"""How long more machines wait than were needed at once."""


class MachinePool:
    """Starts machines, up to `size` of one snapshot ahead. Owns every machine until it is ended."""

    def __init__(
        self, snapshot: Snapshot, limits: HostLimits, size: int, emulator: Emulator | None = None
    ) -> None:
        self._snapshot = snapshot
        self._emulator = emulator
        self._limits = limits
        self._size = size
        self._wanted = min(1, size)
        self._spare = 0
        self._settling: asyncio.Task[None] | None = None
        self._waiting: deque[Machine] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        self._cgroups: dict[PausedMachine, Cgroup | None] = {}
        self._free_cgroups: list[Cgroup | None] = []
        self._closed = False

    @property
    def machines(self) -> tuple[PausedMachine, ...]:
        """All that are alive: waiting and taken."""
        return tuple(self._cgroups)

    @property
    def waiting(self) -> int:
        """How many of them nobody has taken."""
        return len(self._waiting)

    async def take(self, snapshot: Snapshot | None = None, runner: int | None = None) -> Machine:
        """A paused machine, fresh from a snapshot; give it to `end` afterwards.

        Machines wait for the pool's own snapshot, the default; another's is started on the spot.
        They are the same whatever they are to run.
        """
        if snapshot is not None and snapshot is not self._snapshot:
            return await self._start(snapshot)
        while self._waiting:
            machine = self._waiting.popleft()
            self._spare = min(self._spare, len(self._waiting))
            if machine.alive:
                self.fill()
                return machine
            await self.end(machine)
        self._wanted = min(self._wanted + 1, self._size)
        machine = await self._start(self._snapshot)
        self.fill()
        return machine

    def fill(self) -> None:
        """Start what is missing, in the background."""
        if self._settling is None and self._size > 1:
            self._settling = asyncio.create_task(self._settle())
        missing = self._wanted - len(self._waiting) - len(self._starting)
        for _ in range(0 if self._closed else missing):
            task = asyncio.create_task(self._start_ahead())
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def end(self, machine: PausedMachine) -> None:
        """Stop a machine; its control group serves the next one. Safe to call twice."""
        try:
            await machine.close()
        finally:
            if machine in self._cgroups:
                self._free_cgroups.append(self._cgroups.pop(machine))

    async def close(self) -> None:
        """Stop all machines."""
        self._closed = True
        tasks = [*self._starting] if self._settling is None else [*self._starting, self._settling]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for machine in self.machines:
            await self.end(machine)
        self._waiting.clear()
        for cgroup in self._free_cgroups:
            if cgroup is not None:
                cgroup.remove()
        self._free_cgroups.clear()

    async def _start(self, snapshot: Snapshot) -> Machine:
        cgroup = (
            self._free_cgroups.pop()
            if self._free_cgroups
            else Cgroup.create(next(_cgroup_numbers), self._limits)
        )
        try:
            machine = await Machine.restore(
                snapshot.ram_fd, snapshot.devices, self._limits, cgroup, snapshot.overlay, self._emulator
            )
        except BaseException:
            self._free_cgroups.append(cgroup)
            raise
        self._cgroups[machine] = cgroup
        return machine

    async def _settle(self) -> None:
        """End those that nobody took since the last time, but for one."""
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            surplus = [self._waiting.pop() for _ in range(min(self._spare, self._wanted - 1))]
            self._wanted -= len(surplus)
            for machine in surplus:
                await self.end(machine)
            self._spare = len(self._waiting)

    async def _start_ahead(self) -> None:
        try:
            self._waiting.append(await self._start(self._snapshot))
        except FaaSError as error:
            _log.warning("no machine could be started ahead: %s", error)
