"""Input that comes while a job runs: taken when the job can only go on with it, and the same run whenever and
wherever it comes from."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import Limits, decode_job, encode_job, make_job
from faas_blueprint.operation_payload import operation_of_call
from faas_blueprint.outcome import Status
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.execution import Execution, Output, Progress
from faas_microvm.interactive import MAX_TYPED_BYTES, TypedLines
from faas_microvm.modes import Mode, Setting
from faas_microvm.modes import run as run_in_mode

ASKING = {
    "python": (
        "import time\nname = input('name? ')\nprint('hello', name, time.time_ns(), id(object()))\n"
        "while True:\n    try: print(input().upper())\n    except EOFError: break\n"
        "print('end', time.monotonic_ns())"
    ),
    "javascript": (
        "const asked = require('readline').createInterface({input: process.stdin});\n"
        "console.log('name? ');\n"
        "asked.on('line', (line) => console.log(line.toUpperCase(), Date.now(), Math.random()));\n"
        "asked.on('close', () => console.log('end'));"
    ),
    "bash": (
        'echo "name? "\nwhile read -r line || [ -n "$line" ]; do\n'
        '    echo "${line^^}" "$(date +%N)"\ndone\necho end'
    ),
    "go": (
        'package main\nimport ("bufio"; "fmt"; "os"; "strings")\nfunc main() {\n'
        '\tfmt.Println("name? ")\n\tlines := bufio.NewScanner(os.Stdin)\n'
        '\tfor lines.Scan() { fmt.Println(strings.ToUpper(lines.Text())) }\n\tfmt.Println("end")\n}'
    ),
    "rust": (
        'fn main() {\n    println!("name? ");\n'
        '    for line in std::io::stdin().lines() { println!("{}", line.unwrap().to_uppercase()); }\n'
        '    println!("end");\n}'
    ),
}

READERS = {
    "a child reads": "import subprocess\nprint(subprocess.run(['cat'], capture_output=True).stdout)",
    "select, with a time limit": (
        "import select, sys\nwhile select.select([sys.stdin], [], [], 5)[0]:\n"
        "    line = sys.stdin.readline()\n    if not line: break\n    print(line)"
    ),
    "poll": (
        "import select, sys\np = select.poll(); p.register(0, select.POLLIN)\n"
        "while p.poll(5000):\n    line = sys.stdin.readline()\n    if not line: break\n    print(line)"
    ),
    "an event loop": (
        "import asyncio, sys\nasync def main():\n    reader = asyncio.StreamReader()\n"
        "    protocol = asyncio.StreamReaderProtocol(reader)\n"
        "    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)\n"
        "    while line := await asyncio.wait_for(reader.readline(), 5): print(line)\nasyncio.run(main())"
    ),
    "a thread, beside one that sleeps": (
        "import sys, threading, time\n"
        "threading.Thread(target=lambda: time.sleep(100), daemon=True).start()\n"
        "reader = threading.Thread(target=lambda: print(sys.stdin.read()))\nreader.start(); reader.join()"
    ),
}


async def converse(engine: Engine, job, answers):
    """Answers what the job asks, one line each time, then the end. The execution, and what was said before
    each line was taken."""
    lines, said, before = TypedLines(patience=20), b"", []
    async for event in engine.stream(job, typed=lines):
        if isinstance(event, Output):
            said += event.data
        elif isinstance(event, Progress) and event.wants_input:
            before.append(said)
            if len(before) <= len(answers):
                lines.put(answers[len(before) - 1])
            if len(before) > len(answers) or not answers[len(before) - 1].endswith(b"\n"):
                lines.end()
        elif isinstance(event, Execution):
            execution = event
    return execution, before


@pytest.mark.machine
@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("language", ASKING)
async def test_typed_and_given_input_are_one_run(
    engine: Engine, forking: Engine, stock: Engine, assert_as_on_stock, language: str
):
    job = make_job(language, ASKING[language], interactive=True, seed=7)
    execution, before = await converse(forking, job, [b"ada\n", "grün\n".encode()])
    said = execution.outcome.stdout.content
    assert execution.outcome.status is Status.EXITED, execution.outcome
    assert execution.stdin == "ada\ngrün\n".encode()
    assert before[0].rstrip(b"\n") == b"name? "
    assert said.upper().count(b"ADA") == 1
    assert b"ADA" in before[1].upper()
    assert b"end" not in before[2]
    assert b"end" in said
    known = replace(job, stdin=execution.stdin)
    for other in (engine, forking):
        assert (await other.run(known)).outcome == execution.outcome

    async def on_stock():
        return (await stock.run(known)).outcome

    await assert_as_on_stock(execution.outcome, on_stock)


@pytest.mark.machine
@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("how", READERS)
async def test_whoever_waits_for_input_gets_it(engine: Engine, how: str):
    job = make_job("python", READERS[how], interactive=True, limits=Limits(timeout_ms=20_000))
    execution, before = await converse(engine, job, [b"one\n", b"two"])
    assert len(before) == 2  # the end is there by then
    said = execution.outcome.stdout.content
    assert execution.outcome.status is Status.EXITED
    assert b"one" in said
    assert b"two" in said
    assert execution.stdin == b"one\ntwo"


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_an_answer_that_comes_by_a_timer_comes_before_the_next_question(engine: Engine):
    job = make_job(
        "javascript",
        "const asked = require('readline').createInterface({input: process.stdin});\n"
        "asked.on('line', (line) => setTimeout(() => console.log('heard', line), 300));",
        interactive=True,
    )
    execution, before = await converse(engine, job, [b"one\n", b"two\n"])
    assert before == [b"", b"heard one\n", b"heard one\nheard two\n"]
    assert execution.outcome.virtual_ns < 2e9


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_a_clock_that_ticks_on_keeps_no_input_away(engine: Engine):
    job = make_job(
        "javascript",
        "let ticks = 0\nconst clock = setInterval(() => ticks++, 50)\n"
        "const asked = require('readline').createInterface({input: process.stdin});\n"
        "asked.on('line', (line) => console.log(line, ticks));\n"
        "asked.on('close', () => clearInterval(clock));",
        interactive=True,
    )
    execution, before = await converse(engine, job, [b"one\n", b"two\n"])
    assert len(before) == 3
    ticks = [int(line.split()[1]) for line in execution.outcome.stdout.content.splitlines()]
    assert 15 <= ticks[0] <= 20
    assert 35 <= ticks[1] <= 40


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_time_stands_still_while_a_job_waits(engine: Engine):
    job = make_job(
        "python",
        "import time\nbegun = time.monotonic()\ninput()\nprint(time.monotonic() - begun < 0.1)",
        interactive=True,
    )
    lines = TypedLines(patience=20)
    async for event in engine.stream(job, typed=lines):
        if isinstance(event, Progress) and event.wants_input:
            asyncio.get_running_loop().call_later(0.4, lines.put, b"late\n")
        elif isinstance(event, Execution):
            execution = event
    assert execution.outcome.stdout.content == b"True\n"
    assert execution.wall_ms > 400
    assert execution.outcome == (await engine.run(replace(job, stdin=b"late\n"))).outcome


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_a_busy_or_sleeping_job_is_not_asked(engine: Engine):
    job = make_job(
        "python",
        "import time\ntime.sleep(1)\nsum(range(3_000_000))\nprint('done')",
        interactive=True,
    )
    execution, before = await converse(engine, job, [b"nobody asked\n"])
    assert (before, execution.stdin, execution.outcome.stdout.content) == ([], b"", b"done\n")


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_what_a_job_does_not_take_is_not_its_input(engine: Engine):
    job = make_job("python", "print(input())", interactive=True)
    lines = TypedLines(b"one\ntwo\nthree\n", patience=20)
    events = [event async for event in engine.stream(job, typed=lines)]
    assert events[-1].stdin == b"one\n"
    assert events[-1].outcome == (await engine.run(replace(job, stdin=b"one\n"))).outcome
    assert events[-1].outcome == (await engine.run(replace(job, stdin=b"one\ntwo\nthree\n"))).outcome


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_a_job_that_closes_its_input_or_never_reads_ends_as_it_would(engine: Engine):
    closes = make_job("python", "import os\nos.close(0)\nprint('closed')", stdin=b"a\nb\n", interactive=True)
    assert (await engine.run(closes)).outcome.stdout.content == b"closed\n"
    stuck = make_job(
        "python",
        "import threading\nthreading.Event().wait()",
        stdin=b"a\nb\n",
        interactive=True,
        limits=Limits(timeout_ms=500),
    )
    assert (await engine.run(stuck)).outcome.status is Status.TIMEOUT


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_a_long_line_arrives_whole(engine: Engine):
    line = b"x" * 3_000_000 + b"\n"
    job = make_job("python", "print(len(input()), len(input()))", stdin=line + b"y\n", interactive=True)
    assert (await engine.run(job)).outcome.stdout.content == b"3000000 1\n"


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_runs_that_wait_keep_nobody_from_running(faas_home):
    async with await Engine.open(faas_home, settings=EngineSettings(machines=1)) as single:
        lines, waits = TypedLines(patience=20), asyncio.Event()

        async def conversation():
            async for event in single.stream(
                make_job("python", "print(input())", interactive=True), typed=lines
            ):
                if isinstance(event, Progress) and event.wants_input:
                    waits.set()
            return event

        talking = asyncio.create_task(conversation())
        async with asyncio.timeout(60):
            await waits.wait()
            assert (await single.run(make_job("python", "print(1)"))).outcome.exit_code == 0
            lines.put(b"now\n")
            assert (await talking).outcome.stdout.content == b"now\n"
            waits.clear()
            cancelled = asyncio.create_task(conversation())
            await waits.wait()
            cancelled.cancel()
            await asyncio.gather(cancelled, return_exceptions=True)
            for _ in range(2):  # its place is free, once
                assert (await single.run(make_job("python", "print(2)"))).outcome.exit_code == 0
        assert single.processors._value == 1


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_where_it_cannot_be(engine: Engine):
    job = make_job("python", "input()", interactive=True)
    fork = await engine.fork(engine.measurement, seed=5)
    with pytest.raises(InvalidRequest, match="base snapshot"):
        await engine.run(job, fork.measurement)
    with pytest.raises(InvalidRequest, match="on its way"):
        await engine.snapshot_at(job, virtual_ms=10)
    for mode in (Mode.CACHED, Mode.CHECKPOINTED):
        with pytest.raises(InvalidRequest):
            await run_in_mode(engine, job, Setting(mode))
    end = await engine.snapshot_at(replace(job, stdin=b"a\n"))
    assert end.measurement == (await engine.run(replace(job, stdin=b"a\n"))).outcome.state_root


async def test_lines_of_input_that_comes():
    lines = TypedLines(b"known\nhal", patience=0.05)
    assert await lines.next() == b"known\n"
    lines.put(b"f\r\n\nrest")
    assert [await lines.next() for _ in "12"] == [b"half\r\n", b"\n"]
    assert [await lines.next() for _ in "12"] == [b"rest", b""]  # nobody types on
    with pytest.raises(InvalidRequest, match="ended"):
        lines.put(b"late")
    with pytest.raises(InvalidRequest, match="at the most"):
        TypedLines().put(b"x" * (MAX_TYPED_BYTES + 1))


def test_an_interactive_job_is_told_from_others():
    job = make_job("python", "input()", stdin=b"a\n", interactive=True)
    plain = encode_job(replace(job, interactive=False))
    assert encode_job(job) == plain + b"\x01"
    assert decode_job(encode_job(job)) == job
    for rest in (b"\x00", b"\x02", b"\x01\x01"):
        with pytest.raises(InvalidRequest, match="left over"):
            decode_job(plain + rest)
    with pytest.raises(InvalidRequest, match=r"^1 bytes left over at the end$"):
        operation_of_call(0, encode_job(job))
    with pytest.raises(InvalidRequest, match="kept"):
        replace(job, keep=True)


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_a_run_says_that_it_waits_only_while_it_does(engine: Engine):
    code = "import time\nfor n in range(3): input()\ntime.sleep(0.2)"
    lines, told = TypedLines(b"known\n", patience=20), []
    async for event in engine.stream(make_job("python", code, interactive=True), typed=lines):
        if isinstance(event, Progress):
            told.append(event.wants_input)
            if event.wants_input:
                lines.put(b"typed\nahead\n")
    assert told.count(True) == 1
    assert not told[told.index(True) + 1]
