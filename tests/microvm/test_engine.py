"""What a job can expect of the machine: inputs, outputs, limits, languages."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from faas_blueprint.errors import InvalidRequest, MachineFailure
from faas_blueprint.job import DEFAULT_EPOCH, Limits, make_job
from faas_blueprint.outcome import Outcome, Status
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.execution import Execution, Output
from faas_microvm.orphans import owner_mark

pytestmark = [pytest.mark.machine, pytest.mark.asyncio(loop_scope="session")]


async def run(engine: Engine, language: str, code: str, **parts) -> Outcome:
    return (await engine.run(make_job(language, code, **parts))).outcome


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "print('Hello World')"),
        ("javascript", "console.log('Hello World')"),
        ("bash", "echo Hello World"),
    ],
)
async def test_hello_world(engine, language, code):
    outcome = await run(engine, language, code)
    assert outcome.status is Status.EXITED
    assert (outcome.exit_code, outcome.signal) == (0, 0)
    assert outcome.stdout.content == b"Hello World\n"
    assert outcome.stderr.content == b""
    assert outcome.virtual_ns > 100_000
    assert len(outcome.state_root) == 32


INPUTS = {
    "stdin": b"line\n\x00\xff",
    "arguments": ("a", "b c", "é"),
    "environment": {"NAME": "välue", "EMPTY": ""},
    "files": {"data/nested/input.bin": bytes(range(256)), "empty": b""},
}


async def test_inputs_reach_python(engine):
    code = """
import os, sys
print(sys.argv[1:], os.environ["NAME"], repr(os.environ["EMPTY"]), sys.stdin.buffer.read())
print(open("data/nested/input.bin", "rb").read() == bytes(range(256)), os.path.getsize("empty"), os.getcwd())
"""
    outcome = await run(engine, "python", code, **INPUTS)
    assert outcome.stderr.content == b""
    assert outcome.stdout.content.decode() == (
        "['a', 'b c', 'é'] välue '' b'line\\n\\x00\\xff'\nTrue 0 /work\n"
    )


async def test_inputs_reach_javascript(engine):
    code = """
const fs = require('fs');
console.log(process.argv.slice(2), process.env.NAME, JSON.stringify(process.env.EMPTY));
console.log(fs.readFileSync(0).toString('hex'));
console.log(fs.readFileSync('data/nested/input.bin').length, fs.statSync('empty').size);
"""
    outcome = await run(engine, "javascript", code, **INPUTS)
    assert outcome.stderr.content == b""
    assert outcome.stdout.content.decode() == ("[ 'a', 'b c', 'é' ] välue \"\"\n6c696e650a00ff\n256 0\n")


async def test_inputs_reach_bash(engine):
    code = """
echo "$#" "$2" "$NAME" "[$EMPTY]" "$PWD" "$0"
od -An -tx1 | tr -d ' \\n'; echo
stat -c %s data/nested/input.bin empty; echo oops > /dev/stderr
"""
    outcome = await run(engine, "bash", code, **INPUTS)
    assert outcome.stderr.content == b"oops\n"
    assert outcome.stdout.content.decode() == ("3 b c välue [] /work /work/main.sh\n6c696e650a00ff\n256\n0\n")


async def test_large_inputs(engine):
    code = "import sys; print(len(sys.stdin.buffer.read()), len(open('f', 'rb').read()))"
    outcome = await run(engine, "python", code, stdin=b"s" * 3_000_000, files={"f": b"f" * 10_000_000})
    assert outcome.stdout.content == b"3000000 10000000\n"


@pytest.mark.parametrize(
    ("language", "code", "exit_code", "stdout", "stderr"),
    [
        ("python", "import sys; print('x'); sys.exit(3)", 3, b"x\n", b""),
        ("python", "import sys; sys.exit('bye')", 1, b"", b"bye\n"),
        ("python", "raise SystemExit", 0, b"", b""),
        ("python", "import atexit; atexit.register(print, 'last'); print('end')", 0, b"end\nlast\n", b""),
        ("javascript", "process.exitCode = 4; process.on('exit', (c) => console.log(c))", 4, b"4\n", b""),
        ("javascript", "process.exit(5)", 5, b"", b""),
        ("bash", "trap 'echo bye' EXIT; echo a | sed s/a/b/; exit 6", 6, b"b\nbye\n", b""),
        ("bash", "set -e; false; echo not reached", 1, b"", b""),
        ("bash", "python3 -c 'print(7 * 6)'; node -e 'console.log(1)'", 0, b"42\n1\n", b""),
        ("javascript", "import('fs').then(() => console.log('later'))", 0, b"later\n", b""),
        (
            "javascript",
            "import fs from 'fs'; console.log(await Promise.resolve(typeof fs))",
            0,
            b"object\n",
            b"",
        ),
    ],
)
async def test_endings(engine, language, code, exit_code, stdout, stderr):
    outcome = await run(engine, language, code)
    assert (outcome.status, outcome.exit_code) == (Status.EXITED, exit_code)
    assert (outcome.stdout.content, outcome.stderr.content) == (stdout, stderr)


TOOLS = {
    "awk": (r"printf 'a 1\nb 2\n' | awk '{ sum += $2 } END { print sum }'", b"3\n"),
    "streams": (
        "seq 3000 > f; for t in gzip bzip2 xz; do $t -c f | $t -dc | cmp - f && echo $t; done",
        b"gzip\nbzip2\nxz\n",
    ),
    "archives": (
        "echo in > a; tar czf b.tgz a; zip -q c.zip a; rm a; tar xzf b.tgz; unzip -p c.zip a; cat a",
        b"in\nin\n",
    ),
    "json": ("""echo '{"a": [1, {"b": 2}]}' | jq -c '.a[1]'""", b'{"b":2}\n'),
    "numbers": ("echo '2^80; scale=3; 1/3' | bc", b"1208925819614629174706176\n.333\n"),
    "dumps": ("""printf abc | xxd -p; printf abc | hexdump -v -e '/1 "%d "'""", b"616263\n97 98 99 "),
    "columns": (r"printf 'a bb\nccc d\n' | column -t", b"a    bb\nccc  d\n"),
    "patches": ("echo x > a; echo y > b; diff -u a b | patch -s a; cat a", b"y\n"),
    "usual names": ("which awk; python -c 'print(1)'; echo page | less", b"/usr/bin/awk\n1\npage\n"),
}


@pytest.mark.parametrize("tool", TOOLS)
async def test_usual_tools(engine, tool):
    code, stdout = TOOLS[tool]
    outcome = await run(engine, "bash", code)
    assert (outcome.stderr.content, outcome.stdout.content, outcome.exit_code) == (b"", stdout, 0)


async def test_errors_look_as_they_do_elsewhere(engine):
    outcome = await run(engine, "python", "def f():\n    return 1 / 0\nf()\n")
    lines = outcome.stderr.content.decode().splitlines()
    assert outcome.exit_code == 1
    assert lines[:2] == ["Traceback (most recent call last):", '  File "/work/main.py", line 3, in <module>']
    assert lines[-1] == "ZeroDivisionError: division by zero"
    outcome = await run(engine, "python", "print(1\n")
    assert outcome.stderr.content.decode().startswith('  File "/work/main.py", line 1\n')
    outcome = await run(engine, "javascript", "throw new Error('no')")
    assert outcome.exit_code == 1
    assert b"Error: no\n    at Object.<anonymous> (/work/main.js:1:7)" in outcome.stderr.content


@pytest.mark.parametrize(
    ("code", "exit_code", "stdout", "stderr"),
    [
        (
            "process.on('exit', (c) => console.log('exit', c)); throw new Error('no')",
            1,
            b"exit 1\n",
            b"Error: no\n",
        ),
        (
            "process.on('exit', () => { process.exitCode = 7 }); undefined.x",
            7,
            b"",
            b"TypeError: Cannot read",
        ),
        ("Promise.reject(new Error('late')); console.log('first')", 1, b"first\n", b"Error: late\n"),
        ("process.stdout.write('x'.repeat(200000)); throw 1", 1, b"x" * 200_000, b"^\n1\n"),
        ("process.on('exit', () => { throw new Error('twice') })", 1, b"", b"Error: twice\n"),
    ],
)
async def test_an_uncaught_error_ends_a_program_as_node_ends_it_but_sooner(
    engine, code, exit_code, stdout, stderr
):
    outcome = await run(engine, "javascript", code)
    assert (outcome.status, outcome.exit_code, outcome.stdout.content) == (Status.EXITED, exit_code, stdout)
    assert stderr in outcome.stderr.content
    assert b"\n\nNode.js v" in outcome.stderr.content
    assert outcome.virtual_ns < 12_000_000  # to take the process apart would be 26 million instructions


async def test_a_crash_is_a_signal(engine):
    outcome = await run(engine, "python", "import ctypes; ctypes.string_at(0)")
    assert (outcome.status, outcome.signal, outcome.exit_code) == (Status.SIGNALED, 11, 139)


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(1000)"])
async def test_the_time_limit_is_virtual_and_exact(engine, code):
    job = make_job("python", code, limits=Limits(timeout_ms=300))
    first, second = await asyncio.gather(engine.run(job), engine.run(job))
    assert first.outcome == second.outcome
    assert (first.outcome.status, first.outcome.exit_code) == (Status.TIMEOUT, 124)
    assert 300_000_000 <= first.outcome.virtual_ns < 302_000_000


async def test_output_before_the_time_limit_is_kept(engine):
    code = "import time\nprint('before', flush=True)\ntime.sleep(9)"
    outcome = await run(engine, "python", code, limits=Limits(timeout_ms=200))
    assert (outcome.status, outcome.stdout.content) == (Status.TIMEOUT, b"before\n")


async def test_the_memory_limit(engine):
    outcome = await run(engine, "python", "x = bytearray(400 << 20)", limits=Limits(memory_mb=64))
    assert (outcome.status, outcome.signal, outcome.exit_code) == (Status.OUT_OF_MEMORY, 9, 137)


HOLD = {
    "python": "x = bytearray({} << 20)",
    "javascript": "globalThis.x = Buffer.alloc({} << 20, 1)",
    "bash": "printf -v x '%*s' $(({} << 20)) ''",
}


@pytest.mark.parametrize("language", HOLD)
async def test_the_memory_limit_is_the_programs_not_its_interpreters(engine, language):
    limits = Limits(memory_mb=16)
    assert (await run(engine, language, HOLD[language].format(4), limits=limits)).exit_code == 0
    assert (
        await run(engine, language, HOLD[language].format(20), limits=limits)
    ).status is Status.OUT_OF_MEMORY


@pytest.mark.parametrize("language", ["python", "javascript"])
async def test_all_of_the_memory_limit_is_there(engine, language):
    outcome = await run(engine, language, HOLD[language].format(500))
    assert (outcome.exit_code, outcome.stderr.content) == (0, b"")


async def test_output_over_the_limit_is_cut_and_said_so(engine):
    code = "import sys\nfor stream in (sys.stdout, sys.stderr): stream.write('x' * 5000)"
    outcome = await run(engine, "python", code, limits=Limits(output_bytes=1000))
    for stream in (outcome.stdout, outcome.stderr):
        assert (stream.content, stream.truncated) == (b"x" * 1000, True)
    assert outcome.exit_code == 0


async def test_output_of_exactly_the_limit_is_whole(engine):
    outcome = await run(engine, "python", "print('x' * 999)", limits=Limits(output_bytes=1000))
    assert (len(outcome.stdout.content), outcome.stdout.truncated) == (1000, False)


async def test_time_and_randomness_are_the_jobs(engine):
    code = "import os, random, time; print(int(time.time()), os.urandom(8).hex(), random.random())"
    plain = await run(engine, "python", code)
    assert plain.stdout.content.startswith(f"{DEFAULT_EPOCH} ".encode())
    seeded = await run(engine, "python", code, seed=7)
    assert seeded.stdout.content.split()[1:] != plain.stdout.content.split()[1:]
    later = await run(engine, "python", code, epoch=2_000_000_000)
    assert later.stdout.content.startswith(b"2000000000 ")
    script = "console.log(Math.random(), require('crypto').randomBytes(8).toString('hex'))"
    one, two = (
        await run(engine, "javascript", script, seed=1),
        await run(engine, "javascript", script, seed=2),
    )
    assert not set(one.stdout.content.split()) & set(two.stdout.content.split())


async def test_numpy_is_there_at_once_and_draws_from_the_seed(engine):
    code = "import numpy as np\nprint((np.arange(6).reshape(2, 3) @ np.ones(3)).tolist(), *np.random.rand(2))"
    first, again, other = [await run(engine, "python", code, seed=seed) for seed in (5, 5, 6)]
    assert first.stdout.content.startswith(b"[3.0, 12.0] 0.")
    assert first == again
    assert first.stdout.content != other.stdout.content
    usual = [await run(engine, "python", code) for _ in range(2)]
    assert usual[0] == usual[1]
    assert usual[0].virtual_ns < 5_000_000  # importing it takes a hundred times as long


async def test_the_earliest_epoch(engine):
    outcome = await run(engine, "python", "import time; print(int(time.time()))", epoch=86_400)
    assert outcome.stdout.content == b"86400\n"
    with pytest.raises(InvalidRequest, match="epoch"):
        make_job("python", "", epoch=86_399)


async def test_streaming_does_not_change_the_run(engine):
    code = "for i in range(5):\n    print(i)\n    for _ in range(200_000): pass"
    job = make_job("python", code)
    events = [event async for event in engine.stream(job)]
    *_, execution = events
    pieces = [event for event in events if isinstance(event, Output)]
    assert isinstance(execution, Execution)
    assert b"".join(piece.data for piece in pieces) == execution.outcome.stdout.content == b"0\n1\n2\n3\n4\n"
    assert (await engine.run(job)).outcome == execution.outcome


async def test_the_watchdog_gives_no_result_and_leaves_nothing(faas_home: Path):
    settings = EngineSettings(machines=1, watchdog_base_seconds=1.0, watchdog_factor=0.0)
    async with await Engine.open(faas_home, settings=settings) as engine:
        with pytest.raises(MachineFailure, match="watchdog"):
            await engine.run(make_job("python", "while True: pass"))
        assert (await run(engine, "python", "print(1)")).stdout.content == b"1\n"


async def test_a_cancelled_run_leaves_no_process_and_no_descriptor(engine, processes_with):
    await run(engine, "python", "print(1)")
    before, machines = set(os.listdir("/proc/self/fd")), processes_with(owner_mark())
    task = asyncio.create_task(engine.run(make_job("python", "while True: pass")))
    async with asyncio.timeout(30):
        while processes_with(owner_mark()) <= machines:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert set(os.listdir("/proc/self/fd")) == before
    assert processes_with(owner_mark()) <= machines


async def test_many_at_once_keep_apart(engine):
    jobs = [make_job("python", f"open('own', 'w').write('{n}'); print(open('own').read())") for n in range(8)]
    executions = await asyncio.gather(*map(engine.run, jobs))
    assert [e.outcome.stdout.content for e in executions] == [f"{n}\n".encode() for n in range(8)]


async def test_a_share_of_the_processor_is_virtual_time(engine):
    code = "import time\nstart = time.perf_counter()\nfor _ in range(300_000): pass\n"
    code += "print(time.perf_counter() - start)"
    seconds = [
        float((await run(engine, "python", code, limits=Limits(cpu_millicores=share))).stdout.content)
        for share in (1000, 250)
    ]
    assert 2.5 < seconds[1] / seconds[0] < 6
