"""Jobs that prepare a trap on a machine that is kept: the jobs after them have well-defined outcomes.

Every chain of jobs runs twice, and its outcomes must be equal. That a machine gives no outcome at all
is a failure here: an operator would try again for ever.
"""

from __future__ import annotations

import asyncio

import pytest

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.file_manifest import decode_manifest
from faas_blueprint.job import Job, Limits, make_job
from faas_blueprint.outcome import Outcome, Status
from faas_microvm.disk import manifest_bytes
from faas_microvm.engine import Engine

pytestmark = [pytest.mark.machine, pytest.mark.asyncio(loop_scope="session")]


def kept(language: str, code: str, *, timeout_ms: int = 20_000, stdin: bytes = b"", **limits: int) -> Job:
    return make_job(language, code, stdin=stdin, keep=True, limits=Limits(timeout_ms=timeout_ms, **limits))


def python(code: str, **parts: int) -> Job:
    return kept("python", code, **parts)


HELLO = kept("python", "print('unharmed')", timeout_ms=2000)
HELLO_JAVASCRIPT = kept("javascript", "console.log('unharmed')", timeout_ms=5000)
HELLO_BASH = kept("bash", "echo unharmed", timeout_ms=2000)

UNHARMED = "unharmed"
"""The last job runs as if nothing had been."""
REFUSED = "refused"
"""It cannot start: exit code 126, and stderr says why."""
KILLED = "killed"
"""It takes a signal that it has brought on itself."""
LATE = "late"
"""What it would run in does not answer: it goes over its time."""

SHARED_MEMORY = """
import ctypes
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
segment = libc.shmget(0, 340 << 20, 0o1600)
ctypes.memset(libc.shmat(segment, None, 0), 1, 340 << 20)
print(segment)
"""

DEAF = """
while True: time.sleep(1000)
"""

SAYS_DONE = """
import os, signal, time
os.write(4, b"E\\0")
"""

TRAPS: dict[str, tuple[list[Job], str]] = {
    # folders and files
    "3,000 folders in the output": (
        [python("import os\nfor n in range(3000): os.mkdir(f'output/{n}')"), HELLO],
        UNHARMED,
    ),
    "1,000 folders in each other": (
        [
            python(
                "import os\nos.chdir('output')\nfor n in range(1000):\n    os.mkdir('d')\n    os.chdir('d')\n"
                "os.chdir('/work')"
            ),
            HELLO,
        ],
        UNHARMED,
    ),
    "10,001 files in the output": (
        [python("import os\nfor n in range(10001): os.mknod(f'output/{n}')"), HELLO],
        UNHARMED,
    ),
    "120,000 empty files": (
        [
            python(
                "import os\ntry:\n    for n in range(120):\n        os.mkdir(str(n))\n"
                "        for m in range(1000): os.mknod(f'{n}/{m}')\n"
                "except OSError as error: print(n, error)",
                timeout_ms=60_000,
            ),
            HELLO,
        ],
        UNHARMED,
    ),
    "a disk full to the last byte": (
        [
            python(
                "try:\n    with open('output/big', 'wb', 0) as file:\n"
                "        while True: file.write(bytes(4096))\n"
                "except OSError as error: print(error)",
                disk_mb=8,
            ),
            kept("python", "print('unharmed')", disk_mb=8),
        ],
        UNHARMED,
    ),
    "output files of more than 32 MiB": (
        [python("for n in range(5): open(f'output/{n}', 'wb').write(bytes(9 << 20))"), HELLO],
        UNHARMED,
    ),
    "a file of seven exbibytes, all hole": (
        [
            python("import os\nfor name in ('big', 'output/big'):\n    open(name, 'w').truncate(7 << 60)"),
            HELLO,
        ],
        UNHARMED,
    ),
    "a large file with 5,000 names": (
        [
            python(
                "import os\nopen('big', 'wb').write(bytes(4 << 20))\n"
                "for n in range(5000): os.link('big', str(n))"
            ),
            HELLO,
        ],
        UNHARMED,
    ),
    "the output folder is a link to the root": (
        [kept("bash", "rm -r output; ln -s / output"), HELLO],
        UNHARMED,
    ),
    "the output folder is a pipe": ([kept("bash", "rm -r output; mkfifo output"), HELLO], UNHARMED),
    "links, pipes and sockets in the output": (
        [
            python(
                "import os, socket\nos.mkfifo('output/pipe')\nos.symlink('/proc/1/mem', 'output/link')\n"
                "os.symlink('/', 'output/folder')\nsocket.socket(socket.AF_UNIX).bind('output/socket')\n"
                "os.link('main.py', 'output/code')\n"
                "try: os.link('/etc/passwd', 'output/users')\nexcept OSError as error: print(error)\n"
                "try: os.mknod('output/device', 0o20666, os.makedev(1, 1))\n"
                "except OSError as error: print(error)"
            ),
            HELLO,
        ],
        UNHARMED,
    ),
    "names that are no names": (
        [
            python(
                "for name in (b'a\\nb', b'\\xff\\xfe', b'x' * 255, b' ', b'\\\\', b'-rf', b'...', b'..a',\n"
                "             b'\\xed\\xa0\\x80', b'\\xc0\\xaf', b'\\xe2\\x80\\xae', "
                "b'\\xf4\\x90\\x80\\x80'):\n"
                "    for folder in (b'', b'output/'): open(folder + name, 'wb').write(name)"
            ),
            HELLO,
        ],
        UNHARMED,
    ),
    "files that nobody may read": (
        [
            kept(
                "bash", "mkdir output/shut; echo 1 > output/shut/file; chmod 0 output/shut/file output/shut"
            ),
            HELLO,
        ],
        UNHARMED,
    ),
    "a folder that nobody may enter": ([kept("bash", "chmod 0 /work"), HELLO], REFUSED),
    "a file under a lease": (
        [
            python(
                "import fcntl, os\nfile = open('output/file', 'w')\nfile.write('leased')\nfile.flush()\n"
                "fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)"
            ),
            HELLO,
        ],
        KILLED,
    ),
    "a background process that swaps files": (
        [
            python(
                "import os\nif os.fork() == 0:\n    while True:\n        for act in (\n"
                "            lambda: os.symlink('/proc/1', 'output/x'), lambda: os.unlink('output/x'),\n"
                "            lambda: os.mkdir('output/x'), lambda: os.rmdir('output/x'),\n"
                "            lambda: os.mkfifo('main.sh'), lambda: os.unlink('main.sh'),\n"
                "        ):\n            try: act()\n            except OSError: pass"
            ),
            kept("python", "import time; time.sleep(0.05)"),
            HELLO,
        ],
        UNHARMED,
    ),
    # processes
    "a runner that is stopped": (
        [python(SAYS_DONE + "os.kill(os.getpid(), signal.SIGSTOP)"), HELLO],
        LATE,
    ),
    "a runner that does not listen, with its pipe full": (
        [
            python(
                SAYS_DONE + "request = os.open('/proc/self/fd/3', os.O_WRONLY | os.O_NONBLOCK)\n"
                "for size in (4096, 1):\n    try:\n        while True: os.write(request, bytes(size))\n"
                "    except BlockingIOError: pass\n" + DEAF
            ),
            kept("bash", "sleep 0.5"),
            HELLO,
        ],
        LATE,
    ),
    "garbage for the runner to read": (
        [
            python("import os\nos.write(os.open('/proc/self/fd/3', os.O_WRONLY), b'\\xff' * 64)"),
            HELLO,
        ],
        "exit code 1",
    ),
    "the runner's descriptors closed": ([python("import os\nos.close(3)"), HELLO], REFUSED),
    "the answer closed": ([python("import os\nos.close(4)", timeout_ms=500), HELLO], UNHARMED),
    "answers ahead of time": (
        [python("import os\nos.write(4, b'E\\x07' * 3)"), HELLO, HELLO],
        "exit code 7",
    ),
    "half an answer": ([python("import os\nos.write(4, b'E')", timeout_ms=500), HELLO], UNHARMED),
    "a spent runner that is traced": (
        [
            python(
                "import ctypes, os, time\nrunner = os.getpid()\nif os.fork() == 0:\n"
                "    print(ctypes.CDLL(None).ptrace(0x4206, runner, 0, 0), flush=True)\n"  # PTRACE_SEIZE
                "    while True: time.sleep(1000)\n"
                "time.sleep(0.1)\nos.write(4, b'X\\0')\n" + DEAF
            ),
            HELLO,
        ],
        UNHARMED,
    ),
    "a runner that another language's process traces": (
        [
            python("import os\nopen('/tmp/pid', 'w').write(str(os.getpid()))"),
            kept(
                "bash",
                'python3 -c \'import ctypes, time; pid = int(open("/tmp/pid").read()); '
                "ctypes.CDLL(None).ptrace(16, pid, 0, 0); time.sleep(1000)' > /dev/null 2>&1 &\nsleep 1",
            ),
            kept("python", "print('unharmed')", timeout_ms=500),
            HELLO,
        ],
        UNHARMED,
    ),
    "a runner that asks the agent to trace it": (
        [
            python(
                "import ctypes, os, signal\nctypes.CDLL(None).ptrace(0, 0, 0, 0)\nos.kill(os.getpid(), 10)"
            ),
            HELLO,
        ],
        UNHARMED,
    ),
    "an orphan that asks the agent to trace it": (
        [
            python(
                "import ctypes, os, time\nif os.fork() == 0:\n    if os.fork() == 0:\n"
                "        time.sleep(0.01)\n"
                "        ctypes.CDLL(None).ptrace(0, 0, 0, 0)\n"
                "        for n in range(100): os.kill(os.getpid(), 19)\n    os._exit(0)\nos.wait()\n"
                "time.sleep(0.1)"
            ),
            HELLO,
        ],
        UNHARMED,
    ),
    "all processes that can be killed, killed": (
        [python("import os\nos.kill(-1, 9)"), HELLO_JAVASCRIPT, HELLO_BASH, HELLO],
        UNHARMED,
    ),
    "processes up to the limit": (
        [
            python(
                "import os, time\ntry:\n    while True:\n        if os.fork() == 0:\n"
                "            while True: time.sleep(1000)\n"
                "except OSError: print('full')\nos._exit(0)",
                processes=8,
            ),
            HELLO_JAVASCRIPT,
            kept("python", "print('unharmed')", processes=8),
        ],
        UNHARMED,
    ),
    "busy processes beside": (
        [
            python("import os\nfor n in range(20):\n    if os.fork() == 0:\n        while True: pass"),
            HELLO_BASH,
            HELLO,
        ],
        UNHARMED,
    ),
    "processes that stop every other": (
        [
            python(
                "import os, time\nown = os.getpid()\nif os.fork() == 0:\n    os.setsid()\n    while True:\n"
                "        for name in os.listdir('/proc'):\n"
                "            if name.isdigit() and int(name) not in (own, os.getpid()):\n"
                "                try: os.kill(int(name), 19)\n                except OSError: pass\n"
                "        time.sleep(0.001)"
            ),
            HELLO_BASH,
            HELLO,
        ],
        UNHARMED,
    ),
    # memory
    "more kept than the next job may have": (
        [
            kept("python", "data = bytearray(100 << 20)"),
            kept("python", "print('data' in dir())", memory_mb=64),
            HELLO,
        ],
        UNHARMED,
    ),
    "more on the disk than the next job may have": (
        [
            python("open('big', 'wb').write(bytes(20 << 20))"),
            kept("python", "print('unharmed')", memory_mb=16),
            kept("python", "print('unharmed')", memory_mb=512),
        ],
        UNHARMED,
    ),
    "shared memory in the name of two languages": (
        [
            python(SHARED_MEMORY),
            # the second takes what the first leaves when it is killed
            kept("bash", f"python3 -c '{SHARED_MEMORY}'; python3 -c '{SHARED_MEMORY}'"),
            HELLO,
        ],
        REFUSED,
    ),
    "messages that nobody reads": (
        [
            python(
                "import resource, socket\npairs = []\ntry:\n    while True:\n"
                "        pairs.append(socket.socketpair())\n"
                "        pairs[-1][0].setblocking(False)\n        try:\n"
                "            while True: pairs[-1][0].send(bytes(65536))\n"
                "        except BlockingIOError: pass\n"
                "except OSError as error: print(error)"
            ),
            kept(
                "python",
                "import os\nfor n in range(3):\n    if os.fork() == 0: break\n"
                "more = []\ntry:\n    while True:\n        more.append(__import__('socket').socketpair())\n"
                "except OSError: pass",
            ),
            HELLO,
        ],
        UNHARMED,
    ),
    "a child that runs out of memory, then a kill": (
        [
            python(
                "import os\nif os.fork() == 0:\n    data = []\n"
                "    while True: data.append(bytearray(1 << 20))\nos.wait()",
                memory_mb=64,
            ),
            python("import os\nos.kill(os.getpid(), 9)"),
            HELLO,
        ],
        UNHARMED,
    ),
    "large input for each language": (
        [
            *(kept(language, code) for language, code in (("python", "1"), ("javascript", "1"))),
            *(
                kept(language, code, stdin=bytes(9_000_000))
                for language, code in (("python", "1"), ("javascript", "1"))
            ),
            HELLO,
        ],
        UNHARMED,
    ),
}


async def outcomes_of(engine: Engine, jobs: list[Job]) -> list[Outcome]:
    """Each job on the snapshot that the one before left."""
    outcomes: list[Outcome] = []
    snapshot = None
    for job in jobs:
        execution = await engine.run(job, snapshot)
        snapshot = execution.snapshot
        assert snapshot is not None
        manifest = decode_manifest(manifest_bytes(await engine.library.get(snapshot)))
        assert len({entry.path for entry in manifest.entries}) == len(manifest.entries)
        outcomes.append(execution.outcome)
    return outcomes


@pytest.mark.parametrize("name", TRAPS)
async def test_the_job_after_a_trap_has_an_outcome(engine: Engine, name: str):
    jobs, end = TRAPS[name]
    first, again = await asyncio.gather(*(outcomes_of(engine, jobs) for _ in range(2)))
    assert first == again
    last = first[-1]
    if end == UNHARMED:
        assert (last.status, last.exit_code) == (Status.EXITED, 0), last
        assert last.stdout.content == b"unharmed\n"
    elif end == REFUSED:
        assert (last.status, last.exit_code) == (Status.EXITED, 126), last
        assert last.stderr.content.startswith(b"faas: ")
    elif end == KILLED:
        assert last.status is Status.SIGNALED, last
    elif end == LATE:
        assert last.status is Status.TIMEOUT, last
    else:
        assert (last.status, f"exit code {last.exit_code}") == (Status.EXITED, end), last
    # and the next customer's machine is another
    assert (await engine.run(HELLO)).outcome.stdout.content == b"unharmed\n"


async def test_what_is_kept_over_a_lowered_limit_is_out_of_memory(engine: Engine):
    jobs = TRAPS["more kept than the next job may have"][0]
    assert (await outcomes_of(engine, jobs))[1].status is Status.OUT_OF_MEMORY


async def test_a_kill_is_not_taken_for_an_earlier_lack_of_memory(engine: Engine):
    jobs = TRAPS["a child that runs out of memory, then a kill"][0]
    outcomes = await outcomes_of(engine, jobs)
    assert (outcomes[1].status, outcomes[1].signal) == (Status.SIGNALED, 9)


async def test_a_tracer_changes_no_exit(engine: Engine):
    jobs = TRAPS["a runner that asks the agent to trace it"][0]
    assert (await outcomes_of(engine, jobs))[0].signal == 10


async def test_a_machine_amid_a_job_takes_no_other(engine: Engine):
    record = await engine.snapshot_at(make_job("python", "import time; time.sleep(1)"), virtual_ms=200)
    with pytest.raises(InvalidRequest, match="under way"):
        await engine.run(HELLO, record.measurement)
