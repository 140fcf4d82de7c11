"""A job in a paused machine: handed over, watched, and taken off when the machine has stopped.

What is taken off is everything that a stopped machine says: the guest's report, the streams, the
output files, the device state and the pages that differ from the base snapshot.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import InvalidRequest, MachineFailure
from faas_blueprint.job import Job, job_digest
from faas_blueprint.measurement import MachineState
from faas_blueprint.outcome import Outcome, OutputFile, Status, Stream
from faas_microvm import mailbox
from faas_microvm.devices import DeviceState
from faas_microvm.execution import Output, Progress
from faas_microvm.interactive import Input
from faas_microvm.memory import GuestMemory, hash_pages
from faas_microvm.paused_machine import PausedMachine
from faas_microvm.snapshot import Snapshot

STREAM_INTERVAL_SECONDS = 0.02

_STATUS = {
    mailbox.Reason.EXITED: Status.EXITED,
    mailbox.Reason.SIGNALED: Status.SIGNALED,
    mailbox.Reason.TIMEOUT: Status.TIMEOUT,
    mailbox.Reason.OUT_OF_MEMORY: Status.OUT_OF_MEMORY,
}


@dataclass(frozen=True, slots=True)
class Stopped:
    """A machine that has stopped, finished or paused, as it was taken off."""

    result: mailbox.Result
    stdout: bytes
    stderr: bytes
    files: bytes
    devices: DeviceState
    pages: dict[int, bytes] | None
    """All that differ from the base snapshot; None where only the root was asked for."""
    ram_root: Digest | None
    """As the machine computed it, if it did."""
    trace: tuple[Digest, ...] = ()
    """State roots of the milestones on the way."""
    measured: Snapshot | None = None
    """What `snapshot` answers, once it was worked out."""

    @property
    def is_milestone(self) -> bool:
        """Whether it is to go on since only an interval has passed."""
        return self.result.state is mailbox.State.MILESTONE

    def snapshot(self, start: Snapshot) -> Snapshot:
        """The stopped machine, measured; `start` is any snapshot on the same base."""
        if self.measured is not None:
            return self.measured
        if self.pages is None:
            raise MachineFailure("the stopped machine's pages were not taken")
        return start.derived(self.pages, hash_pages(self.pages), self.devices)

    def state_root(self, start: Snapshot) -> Digest:
        """The measurement of the stopped machine; costs nothing where the machine computed it."""
        if self.ram_root is None:
            return self.snapshot(start).measurement
        return MachineState(start.measured.profile_id, self.ram_root, self.devices.digest()).measurement()

    def outcome(self, start: Snapshot, end: Digest) -> Outcome:
        """What the job gave, from the snapshot that it started on to the state root it ended on."""
        result = self.result
        files, complete = _output_files(self.files, result.files_count)
        return Outcome(
            _STATUS[result.reason],
            result.exit_code,
            result.signal,
            self.devices.virtual_ns - start.devices.virtual_ns,
            Stream(self.stdout, result.stdout_truncated),
            Stream(self.stderr, result.stderr_truncated),
            end,
            files,
            result.files_truncated or not complete,
            self.trace,
        )


class MilestoneKeeper(Protocol):
    """Whoever wants the machines at milestones; `milestones.Milestones` is one."""

    def has_room(self) -> bool:
        """Whether the next machine's pages are to be copied."""
        ...

    def offer(self, stopped: Stopped, base: Snapshot) -> None:
        """Take a machine, without its pages where there was no room for them. Must not block."""
        ...


async def run_to_stop(
    machine: PausedMachine,
    base: Snapshot,
    request: bytes,
    seconds: float,
    pages: bool = True,
    milestones: int | None = None,
    keeper: MilestoneKeeper | None = None,
    typed: Input | None = None,
) -> AsyncGenerator[Output | Progress | Stopped]:
    """Output and progress on the way, then the stopped machine; reading does not change the run.

    `base` is that of the machine's snapshot. An empty request lets a paused job go on. Without `pages`
    a machine that computed the root of its RAM keeps its pages to itself. `seconds` of wall clock are the
    host's protection. At a milestone the machine is measured and goes on, and `keeper` is offered it; with
    `milestones` it stays at that one, if the job comes so far. `typed` is an interactive job's input, for
    which the machine waits as long as it takes. Raises MachineFailure when there is no result.
    """
    if request:
        machine.memory.write(mailbox.PHYSICAL, request)
    reader = _Reader(machine.memory)
    give_up = time.monotonic() + seconds
    trace: tuple[Digest, ...] = ()
    while True:
        await machine.resume()
        stop = asyncio.create_task(machine.await_stop(max(0.0, give_up - time.monotonic())))
        try:
            while not (await asyncio.wait({stop}, timeout=STREAM_INTERVAL_SECONDS))[0]:
                for event in reader.fresh():
                    yield event
            await stop
        finally:
            stop.cancel()
        if typed is not None and _report(machine.memory).state is mailbox.State.INPUT:
            waits, asked = not typed.ready, time.monotonic()
            for event in reader.fresh(wants_input=waits):
                yield event
            machine.memory.write(mailbox.PHYSICAL, mailbox.encode_input(await typed.next()))
            give_up += time.monotonic() - asked
            if waits:
                yield reader.progress()
            continue
        last = milestones is not None and len(trace) + 1 >= milestones
        stopped = await _take(machine, pages, last, keeper)
        for event in reader.fresh():
            yield event
        if not stopped.is_milestone:
            break
        if stopped.ram_root is None:
            stopped = replace(stopped, measured=await asyncio.to_thread(stopped.snapshot, base))
        if keeper is not None:
            keeper.offer(stopped, base)
        trace = (*trace, stopped.state_root(base))
        if last:
            break
    yield replace(stopped, trace=trace)


async def run_to_end(
    machine: PausedMachine,
    base: Snapshot,
    request: bytes,
    seconds: float,
    milestones: int | None = None,
    typed: Input | None = None,
) -> Stopped:
    """The stopped machine alone: see `run_to_stop`."""
    events = run_to_stop(machine, base, request, seconds, milestones=milestones, typed=typed)
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Stopped):
                return event
    raise MachineFailure("the machine gave no outcome")


async def run_to_outcome(machine: PausedMachine, start: Snapshot, request: bytes, seconds: float) -> Outcome:
    """The outcome of a request in a machine that was restored from `start`: see `run_to_stop`."""
    stopped = await run_to_end(machine, start.base, request, seconds)
    return stopped.outcome(start, await asyncio.to_thread(stopped.state_root, start))


def origin_of(job: Job, virtual_ms: int | None = None) -> dict[str, str]:
    """What a snapshot's record says of the job that made it."""
    origin = {"job_digest": to_hex(job_digest(job))}
    return origin if virtual_ms is None else {**origin, "virtual_ms": str(virtual_ms)}


async def _take(machine: PausedMachine, pages: bool, last: bool, keeper: MilestoneKeeper | None) -> Stopped:
    """`pages`: of the end; of a milestone only if it is the last, or `keeper` has room for them."""
    memory = machine.memory
    result = _report(memory)
    if result.state not in (mailbox.State.FINISHED, mailbox.State.PAUSED, mailbox.State.MILESTONE):
        raise MachineFailure(f"the guest gave up: {result.message or result.state.name}")
    root = await machine.ram_root()
    goes_on = result.state is mailbox.State.MILESTONE and not last
    keeps = goes_on and keeper is not None and keeper.has_room()
    wanted = root is None or keeps or (pages and not goes_on)
    # the emulator tells the device state while the pages are read
    reading = asyncio.create_task(asyncio.to_thread(_changed_pages, memory)) if wanted else None
    try:
        devices = await machine.device_state()
    finally:
        changed = None if reading is None else await reading
    return Stopped(
        result,
        memory.read(mailbox.PHYSICAL + mailbox.STDOUT_OFFSET, result.stdout_length),
        memory.read(mailbox.PHYSICAL + mailbox.STDERR_OFFSET, result.stderr_length),
        memory.read(mailbox.PHYSICAL + mailbox.FILES_OFFSET, result.files_length),
        devices,
        changed,
        root,
    )


def _report(memory: GuestMemory) -> mailbox.Result:
    try:
        return mailbox.decode_result(
            memory.read(mailbox.PHYSICAL + mailbox.RESULT_OFFSET, mailbox.RESULT_SIZE)
        )
    except ValueError as error:
        raise MachineFailure(f"the guest's report cannot be read: {error}") from error


def _changed_pages(memory: GuestMemory) -> dict[int, bytes]:
    return memory.read_pages(memory.changed_pages())


def _output_files(data: bytes, count: int) -> tuple[tuple[OutputFile, ...], bool]:
    """Sorted by path, and whether every name could be taken."""
    try:
        found = sorted(mailbox.decode_files(data, count))
    except ValueError as error:
        raise MachineFailure(f"the guest's files cannot be read: {error}") from error
    files = []
    for path, content in found:
        try:
            files.append(OutputFile(path.decode(), content))
        except (UnicodeDecodeError, InvalidRequest):
            continue
    return tuple(files), len(files) == count


class _Reader:
    """Reads what has been added to a running machine's report."""

    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory
        self._lengths = {"stdout": 0, "stderr": 0}
        self._ticks = 0

    def progress(self, wants_input: bool = False) -> Progress:
        """How far the run was at the last look."""
        return Progress(self._ticks * mailbox.TICK_MS, wants_input)

    def fresh(self, wants_input: bool = False) -> list[Output | Progress]:
        report = self._memory.read(mailbox.PHYSICAL + mailbox.RESULT_OFFSET, mailbox.RESULT_SIZE)
        try:
            result = mailbox.decode_result(report)
        except ValueError:
            return []  # half written; the final reading is exact
        events: list[Output | Progress] = []
        for name, offset, length in (
            ("stdout", mailbox.STDOUT_OFFSET, result.stdout_length),
            ("stderr", mailbox.STDERR_OFFSET, result.stderr_length),
        ):
            done = self._lengths[name]
            if length > done:
                data = self._memory.read(mailbox.PHYSICAL + offset + done, length - done)
                events.append(Output("stdout" if name == "stdout" else "stderr", data))
                self._lengths[name] = length
        if result.ticks > self._ticks or wants_input:
            self._ticks = result.ticks
            events.append(self.progress(wants_input))
        return events
