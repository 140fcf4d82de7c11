"""Children and parents are killed at random under load: no job is lost, and nothing is left behind.

`FAAS_TEST_KILL_SECONDS=600` runs the long form.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from faas_blueprint.errors import TransientError
from faas_blueprint.job import make_job
from faas_microvm.emulator import EmulatorChoice
from faas_microvm.engine import Engine, EngineSettings

pytestmark = [pytest.mark.machine, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

SECONDS = float(os.environ.get("FAAS_TEST_KILL_SECONDS", "8"))
"""Restored machines do the work while a new parent warms up, and are killed as well."""
ATTEMPTS = 100
WORKERS = 4

JOBS = (
    make_job("python", "import os, time; print(time.time_ns(), os.urandom(8).hex())"),
    make_job("python", "open('f', 'w').write('x' * 5000); print(sum(range(200_000)))"),
    make_job("javascript", "console.log(Math.random(), Date.now())"),
    make_job("bash", "for i in 1 2 3; do echo $i | sed s/1/x/; done"),
)


def held() -> dict[str, set[str]]:
    """What this process has: descriptors by target, processes, control groups, temporary files."""
    descriptors = Counter()
    for path in Path("/proc/self/fd").iterdir():
        try:
            descriptors[os.readlink(path).split(":")[0]] += 1
        except FileNotFoundError:  # the folder's own
            continue
    groups = (
        path
        for kind in ("", "memory", "pids", "cpu")
        for path in Path("/sys/fs/cgroup", kind).glob(f"faas-{os.getpid()}-*")
    )
    return {
        "descriptors": {f"{count} {target}" for target, count in descriptors.items()},
        "processes": set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()),
        "groups": {str(path) for path in groups},
        "files": set(os.listdir(tempfile.gettempdir())),
    }


@pytest.mark.timeout(SECONDS + 300)
async def test_killed_at_random(faas_home, own_build, stock, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    expected = [(await stock.run(job)).outcome for job in JOBS]
    settings = EngineSettings(emulator=EmulatorChoice.AUTOMATIC)
    async with await Engine.open(faas_home, settings=settings) as engine:  # what stays open once and for all
        await engine.run(JOBS[0])
    before = held()
    async with await Engine.open(faas_home, settings=settings) as engine:
        done, kills = Counter(), Counter()
        end = time.monotonic() + SECONDS
        killing = asyncio.create_task(kill_at_random(engine, done, kills))

        async def work(worker: int) -> None:
            number = worker
            while time.monotonic() < end or not kills["parent"]:  # a busy host warms one late
                outcome = await run_with_patience(engine, JOBS[number % len(JOBS)], done)
                assert outcome == expected[number % len(JOBS)]
                number += 1

        try:
            async with asyncio.TaskGroup() as workers:
                for worker in range(WORKERS):
                    workers.create_task(work(worker))
        finally:
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)
        assert kills["machine"] > 0
        assert kills["parent"] > 0
        for number, job in enumerate(JOBS):
            assert await run_with_patience(engine, job, done) == expected[number]
        print(f"\n{dict(done)}, killed: {dict(kills)}")
    assert held() == before


async def run_with_patience(engine, job, done: Counter):
    """As the node does it: a failure that may pass is tried again."""
    for _ in range(ATTEMPTS):
        try:
            outcome = (await engine.run(job)).outcome
        except TransientError as error:
            done["failed"] += 1
            last = error
            continue
        done["finished"] += 1
        return outcome
    raise AssertionError(f"lost: {job}, {dict(done)}") from last


async def kill_at_random(engine, done: Counter, kills: Counter) -> None:
    """One for every few jobs that finish: on a busy host too, some do."""
    choose = random.Random(5)
    while True:
        enough = done["finished"] + choose.randint(1, 3)
        while done["finished"] < enough:
            await asyncio.sleep(choose.uniform(0.001, 0.05))
        parents = engine.pool.parents
        kind, those = ("parent", parents) if choose.random() < 0.2 else ("machine", engine.pool.machines)
        if those:
            kill(choose.choice(those).pid)
            kills[kind] += 1


def kill(pid: int) -> None:
    """Only what is in a sandbox of this process: a number may have been given to another meanwhile."""
    try:
        if "emulator" in Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]:
            os.kill(pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        pass
