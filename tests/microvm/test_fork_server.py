"""Forked machines give what restored ones of stock QEMU give, and stand what guests do to them."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_asyncio

from faas_blueprint.errors import MachineFailure
from faas_blueprint.job import Language, Limits, make_job
from faas_blueprint.outcome import Status
from faas_microvm.emulator import EmulatorChoice
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.execution import Output
from faas_microvm.fork_pool import WORTH_A_PARENT
from faas_microvm.fork_server import ForkedMachine, ForkParent
from faas_microvm.mailbox import Runner
from faas_microvm.running import Stopped, run_to_stop
from faas_microvm.sandbox import HostLimits
from faas_microvm.warm_up import corpus

pytestmark = [pytest.mark.machine, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

LIMITS = HostLimits(cpu_seconds=600, memory_bytes=3 << 30)
HELLO = make_job("python", "print('unharmed')")

PROGRAMS = {
    "hello": HELLO,
    "clocks and random numbers": make_job(
        "python",
        "import os, random, time\n"
        "print(time.time_ns(), time.monotonic_ns(), os.urandom(8).hex(), random.random(), id(object()))",
    ),
    "threads": make_job(
        "python",
        "import threading, time\norder = []\n"
        "def work(n):\n    for _ in range(50): order.append(n); time.sleep(0.0001 * n)\n"
        "threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\nprint(order)",
    ),
    "json, re, classes": make_job(
        "python",
        "import json, re\nclass A:\n    def __init__(self, x): self.x = x\n"
        "print(json.dumps([A(n).x for n in range(500)]), re.findall(r'\\d+', 'a1b22c333'))",
    ),
    "floating point": make_job(
        "python",
        "import math\nprint([math.sin(n) ** 0.5 if math.sin(n) > 0 else math.tan(n) for n in range(300)])",
    ),
    "exception": make_job("python", "def f(): raise ValueError('x')\nf()"),
    "files": make_job(
        "python",
        "open('new', 'w').write('x' * 9000); print(open('in.txt').read())",
        files={"in.txt": b"content"},
    ),
    "subprocess": make_job(
        "python", "import subprocess\nprint(subprocess.run(['ls', '/'], capture_output=True))"
    ),
    "self-modifying": make_job(
        "python",
        "import ctypes, mmap\n"
        "m = mmap.mmap(-1, 4096, prot=7)\nm[:6] = b'\\xb8\\x01\\0\\0\\0\\xc3'\n"
        "f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n"
        "for n in range(200):\n    m[1] = n\n    assert f() == n\nprint('done')",
    ),
    "javascript": make_job(
        "javascript",
        "let t = 0; for (let i = 0; i < 300000; i++) t = (t * 31 + i) | 0;\n"
        "console.log(t, Date.now(), Math.random()); setTimeout(() => console.log('later'), 20)",
    ),
    "bash": make_job("bash", "for i in 1 2 3; do echo $i | sed s/1/x/; done; exit 4"),
    "endless loop": make_job("python", "while True: pass", limits=Limits(timeout_ms=300)),
    "sleep for ever": make_job(
        "python", "import time\nwhile True: time.sleep(1)", limits=Limits(timeout_ms=2500)
    ),
    "fork bomb": make_job(
        "python",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        limits=Limits(timeout_ms=300),
    ),
    "memory bomb": make_job("python", "x = []\nwhile True: x.append(bytearray(1 << 20))"),
    "output bomb": make_job("python", "while True: print('x' * 1000)", limits=Limits(timeout_ms=300)),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def parent(forking):
    """A parent of its own, cold."""
    started = await ForkParent.start(forking.library.base, forking.emulator, LIMITS)
    yield started
    await started.close()


@pytest.mark.parametrize("name", PROGRAMS)
async def test_equal_outcomes(stock, forking, assert_as_on_stock, name):
    job = PROGRAMS[name]
    found = (await forking.run(job)).outcome
    await assert_as_on_stock(found, lambda: outcome_of(stock, job))
    assert (await forking.run(job)).outcome == found


async def outcome_of(engine, job):
    return (await engine.run(job)).outcome


async def test_own_build_restored_without_forking(stock, forking, assert_as_on_stock):
    job, base = PROGRAMS["threads"], forking.library.base
    async with await forking.pool._cold.take() as machine:
        stopped = await run_in(forking, machine, job)
        await assert_as_on_stock(
            stopped.outcome(base, stopped.state_root(base)), lambda: outcome_of(stock, job)
        )
        await forking.pool._cold.end(machine)


async def run_in(engine, machine, job) -> Stopped:
    program = (await engine.prepare(job)).program
    assert program is not None
    async for event in engine.run_in(machine, job, program):
        if isinstance(event, Stopped):
            return event
    raise AssertionError("no end")


async def test_warm_up_is_not_seen(stock, parent, forking):
    """Cold, after a part of the corpus, and after the same part again."""
    job = PROGRAMS["clocks and random numbers"]
    expected = (await stock.run(job)).outcome
    part = [*corpus(Language.PYTHON)[:2], *corpus(Language.JAVASCRIPT)[:2]]
    for requests in ([], part, part):
        await parent.warm_up(requests)
        child = await parent.fork()
        stopped = await run_in(forking, child, job)
        assert stopped.outcome(forking.library.base, stopped.state_root(forking.library.base)) == expected
        await child.close()


async def test_parent_is_started_when_it_will_pay(own_build, faas_home, monkeypatch):
    start, started = ForkParent.start, []

    async def noted(*arguments):
        started.append(arguments)
        return await start(*arguments)

    monkeypatch.setattr(ForkParent, "start", noted)
    async with await Engine.open(faas_home, settings=EngineSettings()) as engine:
        for _ in range(WORTH_A_PARENT - 1):
            await engine.run(HELLO)
        assert not started
        async with asyncio.timeout(60):
            while not engine.pool.parents:
                await engine.run(HELLO)
        assert len(started) == 1


async def test_parent_of_another_language_serves_until_there_is_one(stock, forking, faas_home):
    job = make_job("javascript", "console.log('by whom', process.hrtime())")
    expected = (await stock.run(job)).outcome
    async with await Engine.open(faas_home, settings=EngineSettings()) as engine:
        async with asyncio.timeout(60):
            while not engine.pool.parents:
                await engine.run(HELLO)
        base = engine.library.base
        async with engine.machine(base, Runner.JAVASCRIPT) as machine:
            assert isinstance(machine, ForkedMachine)
            stopped = await run_in(engine, machine, job)
            assert stopped.outcome(base, stopped.state_root(base)) == expected
        async with asyncio.timeout(60):
            while len(engine.pool.parents) < 2:
                assert (await engine.run(job)).outcome == expected
        assert (await engine.run(job)).outcome == expected


async def test_root_of_the_child_is_that_of_its_pages(parent, forking):
    child = await parent.fork()
    stopped = await run_in(forking, child, PROGRAMS["memory bomb"])
    assert stopped.state_root(forking.library.base) == stopped.snapshot(forking.library.base).measurement
    await child.close()


async def test_going_on_equals_stock(stock, forking):
    jobs = [
        make_job("python", f"open('f', 'a').write('{n}'); import time; print(time.time_ns())")
        for n in range(3)
    ]
    for number, job in enumerate(jobs):
        expected = await stock.sessions.run("stock", job)
        assert (await forking.sessions.run("forked", job)).outcome == expected.outcome, number
    assert await forking.sessions.checkpoint("forked") == await stock.sessions.checkpoint("stock")


async def test_kept_machine_is_the_same_and_can_be_forked_from(stock, forking):
    job = make_job("python", "open('kept', 'w').write('x')", keep=True)
    kept = (await forking.run(job)).snapshot
    assert kept == (await stock.run(job)).snapshot
    after = make_job("python", "print(open('kept').read())")
    expected = (await stock.run(after, kept)).outcome
    assert expected.stdout.content == b"x\n"
    assert (await forking.run(after, kept)).outcome == expected
    assert (await forking.run(after, kept)).outcome == expected


@pytest.mark.parametrize("backend", ["forking", "stock"])
async def test_output_comes_while_it_runs(forking, stock, backend):
    """The program never ends, and its time is up long after the test's."""
    code, limits = "print('first', flush=True)\nwhile True: pass", Limits(timeout_ms=3_600_000)
    engine = {"forking": forking, "stock": stock}[backend]
    job = make_job("python", code, limits=limits)
    async with asyncio.timeout(60), aclosing(engine.stream(job)) as events:
        async for event in events:
            if isinstance(event, Output):
                break
    assert event == Output("stdout", b"first\n")


async def test_child_can_do_nothing_else(parent):
    child = await parent.fork()
    folder = Path(f"/proc/{child.pid}")
    status = dict(
        line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line
    )
    assert status["Seccomp"] == "2"
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Threads"] == "1"
    opened = {int(path.name): os.readlink(path) for path in (folder / "fd").iterdir()}
    kinds = sorted(target.split(":")[0] for target in opened.values())
    assert kinds == ["/dev/null"] * 3 + [kinds[3], "socket"]
    assert "pagemap" in kinds[3]
    limits = (folder / "limits").read_text()
    assert str(LIMITS.cpu_seconds) in next(line for line in limits.splitlines() if "cpu time" in line)
    assert str(LIMITS.memory_bytes) in next(line for line in limits.splitlines() if "address space" in line)
    await child.close()


async def test_killed_child_harms_nobody(parent, forking):
    first, second = await parent.fork(), await parent.fork()
    os.kill(first.pid, signal.SIGSEGV)
    with pytest.raises(MachineFailure):
        await run_in(forking, first, PROGRAMS["endless loop"])
    assert (await run_in(forking, second, HELLO)).stdout == b"unharmed\n"
    third = await parent.fork()
    assert (await run_in(forking, third, HELLO)).stdout == b"unharmed\n"
    for child in (first, second, third):
        await child.close()
        assert not child.alive


async def test_hung_child_is_stopped_by_the_watchdog(parent, forking):
    child = await parent.fork()
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(MachineFailure, match="watchdog"):
        async for _ in run_to_stop(child, forking.library.base, b"", 0.5):
            pass
    await child.close()
    assert (await forking.run(HELLO)).outcome.stdout.content == b"unharmed\n"


async def test_killed_parent_is_replaced(stock, forking):
    (before,) = forking.pool.parents[-1:]
    running = asyncio.create_task(forking.run(make_job("python", "while True: pass")))
    await asyncio.sleep(0.3)
    os.kill(before.pid, signal.SIGKILL)
    with pytest.raises(MachineFailure):
        await running
    expected = (await stock.run(HELLO)).outcome
    for _ in range(3):
        try:
            assert (await forking.run(HELLO)).outcome == expected
        except MachineFailure:  # a child that had been forked ahead
            continue
    assert (await forking.run(HELLO)).outcome == expected
    assert before not in forking.pool.parents


async def test_nothing_is_left_of_a_parent_whose_end_is_cancelled(faas_home, own_build):
    async with await Engine.open(faas_home, settings=EngineSettings(emulator=EmulatorChoice.FORK)) as engine:
        await engine.run(HELLO)
        ((key, warm),) = engine.pool._warm.items()
        dropping = asyncio.create_task(engine.pool._drop(key))
        await asyncio.sleep(0)
        dropping.cancel()
        await asyncio.wait({dropping})
        assert dropping.cancelled()
        assert not warm.parent.alive
        assert warm.cgroup is not None
        assert not any(folder.exists() for folder in warm.cgroup._folders)


async def test_parents_that_fail_again_and_again_are_not_started_for_every_job(
    stock, faas_home, own_build, monkeypatch
):
    started, now = [], 0.0

    async def fails(*_):
        started.append(now)
        raise MachineFailure("it does not start")

    monkeypatch.setattr(ForkParent, "start", fails)
    monkeypatch.setattr("faas_microvm.fork_pool.time", SimpleNamespace(monotonic=lambda: now))
    expected = (await stock.run(HELLO)).outcome
    async with await Engine.open(faas_home, settings=EngineSettings(emulator=EmulatorChoice.FORK)) as engine:
        for moment in (0.0, 0.1, 0.2, 1.0, 1.2, 3.0, 3.2):
            now = moment
            assert (await engine.run(HELLO)).outcome == expected
    assert started == [0.0, 0.1, 1.2, 3.2]


async def test_many_at_once(stock, forking):
    expected = (await stock.run(HELLO)).outcome
    executions = await asyncio.gather(*(forking.run(HELLO) for _ in range(40)))
    assert {execution.outcome for execution in executions} == {expected}
    assert expected.status is Status.EXITED
    assert not [machine for machine in forking.pool.machines if not isinstance(machine, ForkedMachine)]
