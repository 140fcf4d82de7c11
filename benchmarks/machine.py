"""Groups `boot`, `snapshot`, `restore`, `memory` and `pages`: the machine itself."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.figures import Figure, single, spread
from benchmarks.setting import HELLO, Setting, hello_job, milliseconds, milliseconds_of
from faas_microvm.base import measure_base, snapshots_folder
from faas_microvm.running import Stopped
from faas_microvm.snapshot import load_snapshot

IDLE_MACHINES = 3
"""More than one: pages of the snapshot that only one process maps would count as its own."""


async def boot(setting: Setting) -> list[Figure]:
    """One boot from power-on to a measured snapshot, as `faas snapshot measure` does it."""
    started = time.perf_counter()
    await measure_base(None, setting.note)
    return [Figure("boot_s", "power-on to measured base snapshot", time.perf_counter() - started)]


async def snapshot(setting: Setting) -> list[Figure]:
    """Loading a snapshot from disk, and saving a machine's device state."""
    folder = snapshots_folder() / setting.snapshot.measurement.hex()
    loads = [milliseconds_of(lambda: load_snapshot(folder).close()) for _ in range(setting.few)]
    saves = []
    for _ in range(setting.few):
        async with setting.machine() as machine:
            saves.append(await milliseconds(machine.device_state()))
    return [
        single("load_ms", "reading the base snapshot, every page checked", loads),
        single("device_state_ms", "device state of a paused machine, canonical", saves),
    ]


async def restore(setting: Setting) -> list[Figure]:
    """Process, sandbox and state, until the machine is paused where the snapshot was taken."""
    times = []
    for _ in range(setting.runs):
        started = time.perf_counter()
        async with setting.machine():
            times.append((time.perf_counter() - started) * 1000)
    return [spread("restore_ms", "sandboxed process + state, until paused", times)]


async def memory(setting: Setting) -> list[Figure]:
    """What a paused machine costs while several wait."""
    async with AsyncExitStack() as stack:
        machines = [await stack.enter_async_context(setting.machine()) for _ in range(IDLE_MACHINES)]
        usages = [_usage(machine.pid) for machine in machines]
    private = [usage["Private_Clean"] + usage["Private_Dirty"] for usage in usages]
    return [
        single("idle_vm_private_mb", f"private memory of one of {IDLE_MACHINES} paused machines", private),
        single(
            "idle_vm_pss_mb",
            "the same, with its share of what they have in common",
            [u["Pss"] for u in usages],
        ),
    ]


def _usage(pid: int) -> dict[str, float]:
    """Memory of a process in MB (10^6 bytes), by the kernel's names."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(rest.split()[0]) * 1024 / 1e6 for name, rest in (line.split(":") for line in lines)}


async def pages(setting: Setting) -> list[Figure]:
    """What the smallest program changes and takes: the same on every host, however busy."""
    figures = []
    for language in HELLO:
        job = hello_job(language)
        program = (await setting.engine.prepare(job)).program
        assert program is not None
        async with setting.machine() as machine:
            async for event in setting.engine.run_in(machine, job, program):
                if isinstance(event, Stopped):
                    stopped = event
            blocks = await machine.translated_blocks()
        count = stopped.devices.virtual_ns - setting.snapshot.devices.virtual_ns
        pages = len(stopped.pages or ())
        figures += [
            Figure(f"hello_{language}_pages", "4 KiB pages that a hello world changes", pages),
            Figure(f"hello_{language}_instructions", "guest instructions of a hello world", count),
            Figure(f"hello_{language}_blocks", "blocks that are translated for it", blocks),
        ]
    return figures
