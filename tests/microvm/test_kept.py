"""Machines that are kept: checkpoints, forks, sessions, and jobs that go on where others ended."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from uuid import uuid4

import pytest

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import FatalError, InsufficientResources, InvalidRequest, NotFound
from faas_blueprint.file_manifest import decode_manifest
from faas_blueprint.job import Job, Limits, job_digest, make_job
from faas_blueprint.outcome import Status
from faas_microvm.disk import manifest_bytes
from faas_microvm.emulator import EmulatorChoice
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.execution import Execution, Progress
from faas_microvm.home import default_store
from faas_microvm.running import Stopped
from faas_microvm.snapshot import Snapshot

pytestmark = [pytest.mark.machine, pytest.mark.asyncio(loop_scope="session")]


def kept(language: str, code: str, **parts) -> Job:
    return make_job(language, code, keep=True, **parts)


async def chain(engine: Engine, *jobs: Job) -> list[Execution]:
    """Each job on the snapshot that the one before left."""
    executions: list[Execution] = []
    for job in jobs:
        executions.append(await engine.run(job, executions[-1].snapshot if executions else None))
    return executions


def texts(executions: list[Execution]) -> list[str]:
    return [execution.outcome.stdout.content.decode() for execution in executions]


async def test_variables_of_python_are_there_in_the_next_job(engine):
    runs = await chain(
        engine,
        kept("python", "x = 1\ndef twice(): return 2 * x"),
        kept("python", "x += twice(); print(x)"),
        make_job("python", "print(x, __name__)"),
    )
    assert texts(runs) == ["", "3\n", "3 __main__\n"]
    assert runs[0].snapshot == runs[0].outcome.state_root
    assert [run.measurement for run in runs[1:]] == [run.snapshot for run in runs[:2]]
    assert runs[2].snapshot is None


async def test_variables_of_javascript_are_there_in_the_next_job(engine):
    runs = await chain(
        engine,
        kept("javascript", "let x = 1; const twice = () => 2 * x;"),
        kept("javascript", "x += twice(); console.log(x)"),
        make_job("javascript", "console.log(x)"),
    )
    assert texts(runs) == ["", "3\n", "3\n"]


async def test_files_and_processes_outlive_a_shell(engine):
    runs = await chain(
        engine,
        kept(
            "bash",
            "echo one > kept.txt; (while :; do echo tick >> ticks; sleep 0.01; done) > /dev/null 2>&1 &",
        ),
        kept("bash", "cat kept.txt; sleep 0.1"),
        kept("bash", "test $(wc -l < ticks) -ge 8 && echo alive"),
    )
    assert texts(runs) == ["", "one\n", "alive\n"]


async def test_every_job_has_its_own_input(engine):
    read = "import sys; print(sys.stdin.read(), sys.argv[1:])"
    runs = await chain(
        engine,
        kept("python", read, stdin=b"one", arguments=("a",)),
        kept("python", read, stdin=b"two"),
        kept("python", read),
        kept("javascript", "console.log(require('fs').readFileSync(0, 'utf8'))", stdin=b"three"),
        kept("javascript", "process.stdin.on('data', (d) => console.log(`${d}`))", stdin=b"four"),
    )
    assert texts(runs) == ["one ['a']\n", "two []\n", " []\n", "three\n", "four\n"]


@pytest.mark.parametrize(
    ("language", "code", "code_after", "status"),
    [
        ("python", "import os; os._exit(3)", "print('x' in dir())", Status.EXITED),
        ("python", "import os; os.kill(os.getpid(), 9)", "print('x' in dir())", Status.SIGNALED),
        ("python", "while True: pass", "print('x' in dir())", Status.TIMEOUT),
        ("javascript", "process.exit(3)", "console.log(typeof x !== 'undefined')", Status.EXITED),
    ],
)
async def test_an_interpreter_that_has_gone_is_replaced(engine, language, code, code_after, status):
    first = kept(language, "x = 1")
    last = kept(language, code, limits=Limits(timeout_ms=300))
    runs = await chain(engine, first, last, make_job(language, code_after))
    assert runs[1].outcome.status is status
    assert texts(runs)[2].strip().lower() == "false"


@pytest.mark.parametrize(
    ("language", "code", "code_after"),
    [
        ("python", "x = 1; raise ValueError('no')", "print(x)"),
        ("python", "import sys; x = 1; sys.exit(2)", "print(x)"),
        ("javascript", "var x = 1; throw new Error('no')", "console.log(x)"),
    ],
)
async def test_an_error_leaves_the_variables(engine, language, code, code_after):
    runs = await chain(engine, kept(language, code), make_job(language, code_after))
    assert runs[0].outcome.exit_code in (1, 2)
    assert texts(runs)[1] == "1\n"


async def test_the_clock_goes_on_and_never_back(engine):
    now = "import time; print(int(time.time()))"
    runs = await chain(
        engine,
        kept("python", now, epoch=1_800_000_000),
        kept("python", "import time; time.sleep(100)", limits=Limits(timeout_ms=200_000)),
        kept("python", now),
        kept("python", now, epoch=1_900_000_000),
    )
    assert texts(runs) == ["1800000000\n", "", "1800000100\n", "1900000000\n"]


HOSTILE_PLACES = {
    "a folder in the place of the code": ("rm main.py; mkdir main.py", {}),
    "a link in the place of a folder": ("ln -s / data", {"data/file": b"x"}),
    "a link to the machine's own files": ("ln -s /proc/1 data", {"data/mem": b"x"}),
    "a pipe in the place of a folder": ("mkfifo data", {"data/file": b"x"}),
}


@pytest.mark.parametrize("place", HOSTILE_PLACES)
async def test_what_a_job_leaves_cannot_lead_the_next_ones_files_astray(engine, place):
    script, files = HOSTILE_PLACES[place]
    runs = await chain(engine, kept("bash", script), kept("python", "print(1)", files=files))
    assert runs[1].outcome.status is Status.EXITED
    assert runs[1].outcome.exit_code == 126
    assert runs[1].outcome.stderr.content.startswith(b"faas: ")


async def test_going_on_and_coming_back_give_the_same_bits(engine: Engine):
    jobs = (
        kept("python", "import random, time, threading\nx = [random.random(), time.time_ns()]"),
        kept("python", "x.append(random.random()); print(x, time.time_ns())"),
        kept("bash", "date +%s%N; head -c 8 /dev/urandom | od -x"),
        kept("javascript", "console.log(Math.random(), Date.now(), process.hrtime.bigint())"),
    )
    restored = await chain(engine, *jobs)
    upheld = [await engine.sessions.run("upheld", job) for job in jobs]
    assert [run.outcome for run in upheld] == [run.outcome for run in restored]
    assert [run.measurement for run in upheld] == [run.measurement for run in restored]
    assert await engine.sessions.checkpoint("upheld") == restored[-1].snapshot
    await engine.library.store.delete_branch("upheld")


async def test_an_idle_session_is_freed_and_comes_back(faas_home: Path):
    settings = EngineSettings(machines=2, idle_seconds=0.2, emulator=EmulatorChoice.STOCK)
    async with await Engine.open(faas_home, settings=settings) as engine:
        await engine.sessions.run("idle", kept("python", "x = 41"))
        assert len(engine.pool.machines) == 1
        for _ in range(100):
            if not engine.sessions.names:
                break
            await asyncio.sleep(0.1)
        assert engine.pool.machines == ()
        run = await engine.sessions.run("idle", kept("python", "print(x + 1)"))
        assert run.outcome.stdout.content == b"42\n"
        await engine.sessions.checkpoint("idle")
        await engine.library.store.delete_branch("idle")


async def test_sessions_make_room_for_each_other(faas_home: Path):
    async with await Engine.open(
        faas_home, settings=EngineSettings(sessions=2, emulator=EmulatorChoice.STOCK)
    ) as engine:
        for name in ("one", "two", "three", "one"):
            await engine.sessions.run(name, kept("bash", f"echo {name} >> log"))
            assert len(engine.sessions.names) <= 2
        run = await engine.sessions.run("one", kept("bash", "cat log"))
        assert run.outcome.stdout.content == b"one\none\n"
        for name in ("one", "two", "three"):
            await engine.sessions.checkpoint(name)
            await engine.library.store.delete_branch(name)


async def test_new_sessions_at_once_make_room_for_each_other(faas_home: Path, monkeypatch):
    async with await Engine.open(
        faas_home, settings=EngineSettings(sessions=1, emulator=EmulatorChoice.STOCK)
    ) as engine:
        await engine.sessions.run("first", kept("bash", "true"))
        storing, stored = asyncio.Event(), asyncio.Event()
        keep = engine.library.keep

        async def keep_late(*arguments, **named):
            storing.set()
            await stored.wait()
            return await keep(*arguments, **named)

        monkeypatch.setattr(engine.library, "keep", keep_late)
        one = asyncio.create_task(engine.sessions.run("second", kept("bash", "echo 2")))
        await storing.wait()
        other = asyncio.create_task(engine.sessions.run("third", kept("bash", "echo 3")))
        await asyncio.wait({other}, timeout=1)
        stored.set()
        assert texts(await asyncio.gather(one, other)) == ["2\n", "3\n"]
        for name in ("first", "second", "third"):
            await engine.sessions.checkpoint(name)
            await engine.library.store.delete_branch(name)


async def test_a_full_store_leaves_no_room_for_more_sessions(faas_home: Path, tmp_path: Path):
    settings = EngineSettings(sessions=2, store=str(tmp_path), store_bytes=1, emulator=EmulatorChoice.STOCK)
    async with await Engine.open(faas_home, settings=settings) as engine:
        for name in ("one", "two"):
            await engine.sessions.run(name, kept("bash", f"echo {name} > file"))
        with pytest.raises(InsufficientResources, match="no session can be put away"):
            await engine.sessions.run("three", kept("bash", "true"))
        assert engine.sessions.names == ("one", "two")
        run = await engine.sessions.run("one", kept("bash", "cat file"))
        assert run.outcome.stdout.content == b"one\n"


async def test_a_session_that_is_cut_off_stands_where_its_last_job_ended(engine: Engine):
    await engine.sessions.run("cut", kept("python", "x = 1"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await engine.sessions.run(
                "cut", kept("python", "x = 2\nwhile True: pass", limits=Limits(timeout_ms=3_600_000))
            )
    run = await engine.sessions.run("cut", kept("python", "print(x)"))
    assert run.outcome.stdout.content == b"1\n"
    await engine.sessions.checkpoint("cut")
    await engine.library.store.delete_branch("cut")


async def test_a_job_that_is_cancelled_while_it_is_measured_leaves_its_session_as_it_was(
    engine: Engine, monkeypatch
):
    first = await engine.sessions.run("measured", kept("python", "x = 1"))
    asked, answered = threading.Event(), threading.Event()
    measure = Stopped.snapshot

    def measure_late(stopped: Stopped, start: Snapshot) -> Snapshot:
        asked.set()
        assert answered.wait(20)
        return measure(stopped, start)

    with monkeypatch.context() as patched:
        patched.setattr(Stopped, "snapshot", measure_late)
        cancelled = asyncio.create_task(engine.sessions.run("measured", kept("python", "x = 2")))
        await asyncio.to_thread(asked.wait, 60)
        cancelled.cancel()
        await asyncio.wait({cancelled})
        answered.set()
    assert cancelled.cancelled()
    run = await engine.sessions.run("measured", kept("python", "print(x)"))
    assert (run.measurement, run.outcome.stdout.content) == (first.outcome.state_root, b"1\n")
    await engine.sessions.checkpoint("measured")
    await engine.library.store.delete_branch("measured")


DRAWS = {
    "python": "import random, os, uuid; print(random.random(), os.urandom(4).hex(), uuid.uuid4())",
    "javascript": "console.log(Math.random(), require('crypto').randomBytes(4).toString('hex'))",
}


@pytest.mark.parametrize("language", DRAWS)
async def test_forks_draw_their_own_random_numbers(engine: Engine, language: str):
    start = (await engine.run(kept(language, "1"))).snapshot
    assert start is not None
    draw = make_job(language, DRAWS[language])
    forks = [await engine.fork(start, seed=seed, identity=b"fork") for seed in (1, 2)]
    runs = await asyncio.gather(*(engine.run(draw, fork.measurement) for fork in forks for _ in range(2)))
    first, again, second, _ = texts(list(runs))
    assert first == again
    assert not set(first.split()[:2]) & set(second.split()[:2])
    assert len({start, *(fork.measurement for fork in forks)}) == 3
    assert [fork.changed_pages for fork in forks] == [1, 1]


async def test_a_fork_can_put_the_clock_forward(engine: Engine):
    fork = await engine.fork(engine.measurement, epoch=1_900_000_000)
    run = await engine.run(make_job("python", "import time; print(int(time.time()))"), fork.measurement)
    assert run.outcome.stdout.content == b"1900000000\n"


async def test_the_machine_amid_a_job_is_a_snapshot_and_goes_on(engine: Engine):
    job = make_job(
        "python", "import time\nfor n in range(10):\n    print(n, flush=True)\n    time.sleep(0.1)"
    )
    whole = await engine.run(job)
    record = await engine.snapshot_at(job, virtual_ms=450)
    again = await engine.snapshot_at(job, virtual_ms=450)
    assert again.measurement == record.measurement
    assert record.origin["job_digest"] == "0x" + job_digest(job).hex()
    rest = await engine.resume(record.measurement)
    assert rest.outcome.stdout == whole.outcome.stdout
    assert 400_000_000 < record.virtual_ns - engine.library.base.devices.virtual_ns < 500_000_000
    with pytest.raises(InvalidRequest, match="ended before"):
        await engine.snapshot_at(job, virtual_ms=60_000)
    with pytest.raises(InvalidRequest, match="no job is under way"):
        await engine.resume(engine.measurement)


async def test_the_end_of_any_job_can_be_kept_later(engine: Engine):
    job = make_job("bash", "echo late > file")
    outcome = (await engine.run(job)).outcome
    record = await engine.snapshot_at(job)
    assert record.measurement == outcome.state_root
    run = await engine.run(make_job("bash", "cat file"), record.measurement)
    assert run.outcome.stdout.content == b"late\n"


async def test_progress_is_told_while_a_job_runs(engine: Engine):
    job = make_job(
        "python", "import time\nfor n in range(40):\n    for _ in range(40000): pass\n    time.sleep(0.05)"
    )
    seen = [event.virtual_ms async for event in engine.stream(job) if isinstance(event, Progress)]
    assert seen == sorted(set(seen))
    assert seen[-1] >= 2000


async def test_a_kept_machine_says_what_is_on_its_disk(engine: Engine):
    code = "mkdir -p a/b empty; printf abc > a/b/file; chmod 600 a/b/file\n"
    code += "ln -s a/b/file link; mkfifo pipe; echo > $'not\\xffutf8'"
    record = (await engine.run(kept("bash", code))).snapshot
    snapshot = await engine.library.get(record)
    manifest = decode_manifest(manifest_bytes(snapshot))
    entries = {entry.path: entry for entry in manifest.entries}
    assert list(entries) == ["a", "a/b", "a/b/file", "empty", "link", "main.sh", "output"]
    assert (entries["a/b/file"].size, entries["a/b/file"].sha256) == (3, sha256(b"abc"))
    assert entries["a/b/file"].mode == 0o600
    assert entries["link"].sha256 == sha256(b"a/b/file")
    assert manifest.incomplete  # the pipe, and a name that is no text


async def test_a_manifest_does_not_outlive_what_it_says(engine: Engine):
    start = (await engine.run(kept("bash", "echo one > file"))).snapshot
    after = await engine.snapshot_at(make_job("bash", "echo two > file"), start)
    with pytest.raises(ValueError, match="not kept"):
        decode_manifest(manifest_bytes(await engine.library.get(after.measurement)))


async def test_unknown_snapshots_are_refused(engine: Engine):
    with pytest.raises(NotFound):
        await engine.run(make_job("bash", "true"), Digest(bytes(32)))


async def test_a_flipped_bit_is_never_run(faas_home: Path):
    async with await Engine.open(faas_home) as engine:
        kept_snapshot = (await engine.run(kept("bash", "echo flipped"))).snapshot
        assert kept_snapshot is not None
    packs = sorted(Path(default_store(faas_home), "packs").iterdir(), key=lambda path: path.stat().st_mtime)
    content = packs[-1].read_bytes()
    try:
        packs[-1].write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        async with await Engine.open(faas_home) as engine:
            with pytest.raises(FatalError, match=kept_snapshot.hex()):
                await engine.run(make_job("bash", "true"), kept_snapshot)
    finally:
        packs[-1].write_bytes(content)


async def test_cached_outcomes_know_their_snapshot(engine: Engine):
    first = kept("python", f"x = {uuid4().int}")  # the home remembers earlier test runs
    start = (await engine.run_cached(first)).snapshot
    again = await engine.run_cached(first)
    assert (again.cached, again.snapshot) == (True, start)
    job = make_job("python", "print(x); open('output/file', 'wb').write(b'\\0' * 10)")
    assert start is not None
    fresh, known = [await engine.run_cached(job, start) for _ in range(2)]
    assert (fresh.cached, known.cached) == (False, True)
    assert fresh.outcome == known.outcome
    assert known.outcome.files[0].content == bytes(10)
    other = await engine.run_cached(job)
    assert other.outcome.exit_code == 1
