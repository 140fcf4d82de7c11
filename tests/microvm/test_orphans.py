"""What is left of a node that was killed while it started machines."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time

import pytest

from faas_microvm.machine import Machine
from faas_microvm.orphans import end_orphans, owner_mark, process_started
from faas_microvm.sandbox import HostLimits

WAITS = "import sys; print(flush=True); sys.stdin.read()"

STARTS_MACHINES = """
import asyncio, sys
from pathlib import Path
from faas_microvm.base import open_base_snapshot
from faas_microvm.machine import Machine
from faas_microvm.orphans import owner_mark
from faas_microvm.sandbox import HostLimits

async def start(snapshot):
    limits = HostLimits(cpu_seconds=60, memory_bytes=3 << 30)
    async with await Machine.restore(snapshot.ram_fd, snapshot.devices, limits):
        pass

async def main():
    snapshot = await open_base_snapshot(Path(sys.argv[1]), lambda line: None)
    print(owner_mark(), flush=True)
    while True:
        await asyncio.gather(start(snapshot), start(snapshot))

asyncio.run(main())
"""


@pytest.fixture
def marked():
    """Starts processes that have a mark, and ends them."""
    processes = []

    def start(mark: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", WAITS, mark, "."]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        processes[-1].stdout.readline()  # its command line is there once it runs
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def of_the_dead() -> str:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        started = process_started(process.pid)
    words = owner_mark().split("-")
    return "-".join([*words[:-2], str(process.pid), str(started)])


def test_those_of_the_dead_end(marked):
    process = marked(of_the_dead())
    end_orphans()  # unless an engine that another test opens has been quicker
    assert process.wait(10) == -9


def test_those_whose_number_another_process_has_now_end(marked):
    *words, started = owner_mark().split("-")
    process = marked("-".join([*words, str(int(started) - 1)]))
    end_orphans()  # unless an engine that another test opens has been quicker
    assert process.wait(10) == -9


@pytest.mark.parametrize("who", ["the living", "another numbering", "nobody"])
def test_those_of_others_stay(marked, who):
    words = of_the_dead().split("-")
    words[3] = str(int(words[3]) + 1)
    process = marked({"the living": owner_mark(), "another numbering": "-".join(words), "nobody": "-"}[who])
    end_orphans()
    assert process.poll() is None


@pytest.mark.machine
def test_nothing_is_left_of_a_node_that_was_killed_while_it_started_machines(
    faas_home, engine, processes_with
):
    """Of the host's emulator, which does not end by itself."""
    marks = []
    for number in range(6):
        command = [sys.executable, "-c", STARTS_MACHINES, str(faas_home)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as node:
            marks.append(node.stdout.readline().strip())
            time.sleep(0.013 * number)
            node.kill()
    time.sleep(0.5)  # what was half made then is made by now
    end_orphans()
    assert all(mark.startswith("faas-machine-of-") for mark in marks)
    deadline = time.monotonic() + 10
    while (left := set[int]().union(*map(processes_with, marks))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_our_build_ends_with_its_connection(engine, own_build):
    snapshot = engine.library.base
    limits = HostLimits(cpu_seconds=60, memory_bytes=3 << 30)
    async with await Machine.restore(
        snapshot.ram_fd, snapshot.devices, limits, emulator=own_build
    ) as machine:
        await machine._qmp.disconnect()
        assert await asyncio.wait_for(machine._process.wait(), 20) == 0
        assert not os.path.exists(f"/proc/{machine.pid}")
