"""Jobs that attack the machine they run in: the outcome is well defined, and the next job unharmed."""

from __future__ import annotations

import pytest
import pytest_asyncio

from faas_blueprint.job import Limits, make_job
from faas_blueprint.outcome import Status

pytestmark = [pytest.mark.machine, pytest.mark.asyncio(loop_scope="session")]

HELLO = make_job("python", "print('unharmed')")


@pytest.fixture(scope="session", params=["suite_engine", "forking"])
def engine(request):
    """The suite's engine, then one whose machines are forked: the same attacks on each."""
    return request.getfixturevalue(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hello(engine):
    """What an undisturbed machine gives."""
    return (await engine.run(HELLO)).outcome


def refused(call: str) -> str:
    """A program that makes a system call and raises what the kernel says to it."""
    return (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True); "
        f"assert libc.{call} == -1; raise OSError(ctypes.get_errno(), 'refused')"
    )


ATTACKS = {
    "memory device": "open('/dev/mem', 'rb')",
    "kernel messages": "open('/dev/kmsg', 'rb')",
    "kill the agent": "import os; os.kill(1, 9)",
    "see the agent": "import os; os.listdir('/proc/1')",
    "become root": "import os; os.setuid(0)",
    "device node": "import os; os.mknod('/tmp/x', 0o20666, os.makedev(1, 1))",
    "raise priority": "import os; os.nice(-1)",
    "real time": "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))",
    "own limits": "open('/sys/fs/cgroup/jobs/python/memory.max', 'w')",
    "kernel settings": "open('/proc/sys/kernel/modules_disabled', 'w')",
    "other files": "open('/etc/passwd', 'a')",
    "root folder": "open('/x', 'w')",
    "runner": "open('/faas/runner.py', 'a')",
    "mount": refused("mount(b'x', b'/tmp', b'tmpfs', 0, None)"),
    "port privilege": refused("iopl(3)"),
    "stop port": refused("ioperm(0x505, 1, 1)"),
    "namespaces": refused("unshare(0x10000000)"),
    "pages freed lazily": refused("madvise(None, 0, 8)"),
    "a ring of calls": refused("syscall(425, 1, ctypes.create_string_buffer(120))"),
    "network": "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
}


@pytest.mark.parametrize("name", sorted(ATTACKS))
async def test_refused_by_the_guest(engine, name):
    outcome = (await engine.run(make_job("python", ATTACKS[name]))).outcome
    assert outcome.status is Status.EXITED
    assert outcome.exit_code == 1
    last = outcome.stderr.content.decode().splitlines()[-1]
    assert last.startswith(("PermissionError", "OSError", "FileNotFoundError")), last


async def test_port_access_by_instruction_is_a_crash(engine, hello):
    code = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex("66ba0505b001eec3"))  # mov dx, 0x505; mov al, 1; out dx, al; ret
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
    outcome = (await engine.run(make_job("python", code))).outcome
    assert (outcome.status, outcome.signal) == (Status.SIGNALED, 11)
    assert (await engine.run(HELLO)).outcome == hello


async def test_pages_are_not_freed_lazily_by_another_abi(engine):
    """Or they would be lost or not by what the emulator's TLB holds: docs/fork-server.md."""
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
page = libc.mmap(None, ctypes.c_size_t(8192), 7, 0x62, -1, ctypes.c_long(0))  # below 4 GiB
code = bytes.fromhex("53b8db00000089fb89f1cd805b4898c3")  # madvise by int 0x80, of rdi, rsi, rdx
ctypes.memmove(page, code, len(code))
of_386 = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_uint64] * 3)(page)
of_x32 = libc.syscall(0x4000001C, ctypes.c_long(page + 4096), ctypes.c_long(4096), 8), ctypes.get_errno()
by_native = libc.madvise(ctypes.c_void_p(page + 4096), 4096, 4)
print(*(of_386(page + 4096, 4096, advice) for advice in (4, 8)), of_x32, by_native)
"""
    outcome = (await engine.run(make_job("python", code))).outcome
    assert (outcome.stdout.content, outcome.exit_code) == (b"0 -22 (-1, 22) 0\n", 0), outcome.stderr.content


@pytest.mark.parametrize(
    ("name", "code", "status"),
    [
        ("endless loop", "while True: pass", Status.TIMEOUT),
        ("endless output", "while True: print('x' * 1000)", Status.TIMEOUT),
        (
            "deaf to signals",
            "import signal, time\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
            "    except (OSError, ValueError): pass\nwhile True: pass",
            Status.TIMEOUT,
        ),
        ("memory bomb", "x = []\nwhile True: x.append(bytearray(1 << 20))", Status.OUT_OF_MEMORY),
        (
            "fork bomb",
            "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
            Status.TIMEOUT,
        ),
        (
            "thread bomb",
            "import threading, time\nwhile True:\n"
            "    try: threading.Thread(target=time.sleep, args=(9,)).start()\n"
            "    except RuntimeError: pass",
            Status.TIMEOUT,
        ),
        (
            "stopped by itself",
            "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
            Status.TIMEOUT,
        ),
        (
            "kills all it can",
            "import os, signal\nos.kill(-1, signal.SIGKILL)\nwhile True: pass",
            Status.TIMEOUT,
        ),
    ],
)
async def test_held_by_its_limits(engine, hello, name, code, status):
    limits = Limits(timeout_ms=1500, memory_mb=96, processes=32, output_bytes=10_000)
    job = make_job("python", code, limits=limits)
    first = (await engine.run(job)).outcome
    assert first.status is status, first
    assert len(first.stdout.content) <= 10_000
    assert (await engine.run(job)).outcome == first
    assert (await engine.run(HELLO)).outcome == hello


async def test_a_full_disk_is_the_jobs_own_error(engine):
    code = """
try:
    with open("big", "wb") as file:
        while True: file.write(b"x" * (1 << 20))
except OSError as error:
    print(error.strerror)
"""
    job = make_job("python", code, limits=Limits(disk_mb=4))
    assert (await engine.run(job)).outcome.stdout.content == b"No space left on device\n"


async def test_nothing_of_a_job_reaches_the_next(engine, hello):
    code = """
import os
for name in ("/work/left", "/tmp/left", "/dev/shm/left2"): open(name, "w").write("secret")
os.environ["LEFT"] = "secret"
if os.fork() == 0:
    while True: pass
"""
    await engine.run(make_job("python", code))
    look = "import os; print(sorted(os.listdir('/work')), os.listdir('/tmp'), 'LEFT' in os.environ)"
    assert (
        await engine.run(make_job("python", look))
    ).outcome.stdout.content == b"['main.py', 'output'] [] False\n"
    assert (await engine.run(HELLO)).outcome == hello


async def test_background_processes_do_not_hold_a_job_up(engine):
    code = "import os, time\nif os.fork() == 0:\n    time.sleep(1000)\nprint('done')"
    outcome = (await engine.run(make_job("python", code))).outcome
    assert (outcome.status, outcome.stdout.content) == (Status.EXITED, b"done\n")
    assert outcome.virtual_ns < 1_000_000_000
