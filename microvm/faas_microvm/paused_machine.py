"""What a job needs of a machine, however it was started: restored (`Machine`) or forked (`ForkedMachine`)."""

from __future__ import annotations

from typing import Protocol

from faas_blueprint.digests import Digest
from faas_microvm.devices import DeviceState
from faas_microvm.memory import GuestMemory


class PausedMachine(Protocol):
    """A machine that stands where its snapshot was taken. All errors are MachineFailure."""

    pid: int

    @property
    def alive(self) -> bool:
        """Whether the process runs."""

    @property
    def memory(self) -> GuestMemory:
        """RAM."""

    async def resume(self) -> None:
        """Let it run until it stops itself."""

    async def await_stop(self, seconds: float) -> None:
        """Wait until the guest stops the machine, `seconds` of wall clock at the most."""

    async def device_state(self) -> DeviceState:
        """The canonical device state of the stopped machine."""

    async def ram_root(self) -> Digest | None:
        """The root of the stopped machine's RAM, if the machine has computed it itself."""

    def kill(self) -> None:
        """Stop the process at once; `close` frees what it held."""

    async def close(self) -> None:
        """End the process and free what it held. Safe to call twice."""
