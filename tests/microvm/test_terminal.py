"""Programs on a terminal: what is typed and when its size changes are the job's input, and the same run again
whenever and wherever it comes from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import MAX_INPUT_BYTES, Limits, decode_job, encode_job, make_job
from faas_blueprint.operation_payload import operation_of_call
from faas_blueprint.outcome import Status
from faas_blueprint.terminal import MAX_CELLS, TerminalSize, decode_events, encode_events
from faas_microvm.engine import Engine
from faas_microvm.execution import Execution, Progress
from faas_microvm.interactive import EVENT_BYTES, MAX_TYPED_BYTES, TypedEvents, typed_input

WIDE = TerminalSize(120, 40)

ASKING = {
    "python": (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGWINCH, lambda *_: print('resized', *os.get_terminal_size()))\n"
        "print(sys.stdin.isatty(), sys.stdout.isatty(), sys.stderr.isatty(), *os.get_terminal_size())\n"
        "print('hello', input('name? '), time.time_ns(), id(object()))"
    ),
    "javascript": (
        "const {stdin, stdout, stderr} = process;\n"
        "console.log(stdin.isTTY, stdout.isTTY, stderr.isTTY, ...stdout.getWindowSize());\n"
        "stdout.on('resize', () => console.log('resized ' + stdout.getWindowSize().join(' ')));\n"
        "const asked = require('readline').createInterface({input: stdin, output: stdout});\n"
        "asked.question('name? ', (name) => { console.log('hello', name, Math.random()); asked.close(); });"
    ),
    "bash": (
        "trap 'set -- $(stty size); echo resized $2 $1' WINCH\n"
        "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && stty size\n"
        "echo -n 'name? '; until read -r name; do :; done; echo \"hello $name\" $RANDOM"
    ),
    "go": (
        'package main\nimport ("bufio"; "fmt"; "os"; "os/exec")\nfunc size() string {\n'
        '\tstty := exec.Command("stty", "size")\n\tstty.Stdin = os.Stdin\n\tsaid, _ := stty.Output()\n'
        '\treturn string(said)\n}\nfunc main() {\n\tfmt.Print(size(), "name? ")\n'
        "\tname, _ := bufio.NewReader(os.Stdin).ReadString('\\n')\n"
        '\tfmt.Print("hello ", name, "resized ", size())\n}'
    ),
}


def on_terminal(language: str, code: str, *events: bytes | TerminalSize, **fields):
    """A job on a terminal of the usual size, with its input."""
    size = TerminalSize()
    return make_job(
        language, code, stdin=encode_events(events), interactive=True, terminal=size, seed=7, **fields
    )


async def said(engine: Engine, job) -> list[str]:
    """The lines that are on the terminal once the program has ended well."""
    outcome = (await engine.run(job)).outcome
    assert (outcome.status, outcome.exit_code) == (Status.EXITED, 0), outcome
    assert outcome.stderr.content == b""
    return outcome.stdout.content.decode().split("\r\n")


@pytest.mark.machine
@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("language", ASKING)
async def test_what_is_typed_and_what_is_given_are_one_run(
    engine: Engine, forking: Engine, stock: Engine, assert_as_on_stock, language: str
):
    job = on_terminal(language, ASKING[language])
    answers = [WIDE, b"gr", "\x7frün\r".encode()]
    typed = TypedEvents(patience=20)
    async for event in forking.stream(job, typed=typed):
        if isinstance(event, Progress) and event.wants_input:
            if not answers:
                typed.end()
            elif isinstance(answer := answers.pop(0), bytes):
                typed.put(answer)
            else:
                typed.resize(answer)
        elif isinstance(event, Execution):
            execution = event
    outcome = execution.outcome
    assert (outcome.status, outcome.exit_code) == (Status.EXITED, 0), outcome
    assert outcome.stdout.content.count(b"80") == 1
    assert b"24" in outcome.stdout.content
    assert b"resized 120 40" in outcome.stdout.content or b"resized 40 120" in outcome.stdout.content
    assert "hello grün".encode() in outcome.stdout.content
    assert decode_events(execution.stdin) == [WIDE, b"gr", "\x7frün\r".encode()]
    known = replace(job, stdin=execution.stdin)
    for other in (engine, forking):
        assert (await other.run(known)).outcome == outcome

    async def on_stock():
        return (await stock.run(known)).outcome

    await assert_as_on_stock(outcome, on_stock)


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_its_keys_do_what_they_do(engine: Engine):
    code = (
        "import sys\nwhile True:\n    try: print('line', repr(input('> ')))\n"
        "    except KeyboardInterrupt: print('interrupted')\n    except EOFError: break"
    )
    keys = [b"one\r", b"lost\x03", b"wrong\x15right\r", b"\x04"]
    assert await said(engine, on_terminal("python", code, *keys)) == [
        "> one",
        "line 'one'",
        "> ^Cinterrupted",  # what was not shown yet is not any more
        "> wrong\x08 \x08\x08 \x08\x08 \x08\x08 \x08\x08 \x08right",
        "line 'right'",
        "> ",
    ]
    stopped = (await engine.run(on_terminal("python", "input()", b"\x1c"))).outcome
    assert (stopped.status, stopped.signal) == (Status.SIGNALED, 3)


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_a_program_that_reads_key_by_key(engine: Engine):
    code = (
        "import os, sys, tty\ntty.setraw(0)\nkeys = b''\n"
        "while not keys.endswith(b'q'): keys += os.read(0, 64); os.write(1, b'|')\nprint(keys)"
    )
    job = on_terminal("python", code, b"a\x03", b"\x1b[A", b"\x04\rq")
    assert await said(engine, job) == [r"|||b'a\x03\x1b[A\x04\rq'" + "\n"]


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_a_program_that_fills_the_screen(engine: Engine):
    code = (
        "import curses\ndef main(screen):\n    keys = []\n    while keys[-1:] != ['q']:\n"
        "        keys.append(screen.getkey())\n    return keys, screen.getmaxyx()\n"
        "print(curses.wrapper(main))"
    )
    lines = await said(engine, on_terminal("python", code, b"\x1bOA", WIDE, b"xq"))
    assert "(['KEY_UP', 'KEY_RESIZE', 'x', 'q'], (40, 120))" in lines[-2]
    assert "\x1b[?1049h" in lines[0]
    assert await said(engine, on_terminal("bash", "tput cols; tput lines; clear")) == [
        "80",
        "24",
        "\x1b[H\x1b[2J\x1b[3J",
    ]


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_a_password_is_read_from_the_terminal_by_its_name(engine: Engine):
    code = "import getpass\nprint(getpass.getpass('secret? '))"
    assert await said(engine, on_terminal("python", code, b"swordfish\r")) == ["secret? ", "swordfish", ""]


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_a_shell_controls_its_jobs(engine: Engine):
    keys = [b"sleep 100\r", b"jobs; exit\r"]
    job = on_terminal(
        "bash", "PS1='$ ' exec bash --norc --noprofile --noediting -i", b"cat\r", b"\x1a", *keys[1:]
    )
    lines = await said(engine, job)
    assert "no job control" not in "".join(lines)
    assert any("Stopped" in line and line.endswith("cat") for line in lines)


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_all_that_is_written_arrives(engine: Engine):
    lines = [str(number) for number in range(1, 60_001)]
    assert await said(engine, on_terminal("bash", "seq 60000")) == [*lines, ""]
    text = await said(engine, on_terminal("python", "import sys\nsys.stdout.write('x' * 500_000 + 'end')"))
    assert text == ["x" * 500_000 + "end"]
    cut = on_terminal("bash", "seq 60000", limits=Limits(output_bytes=1000))
    stream = (await engine.run(cut)).outcome.stdout
    assert (len(stream.content), stream.truncated) == (1000, True)


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_whoever_goes_on_waiting_after_the_end_is_hung_up_on(engine: Engine):
    deaf = on_terminal("bash", "while :; do read -r line; echo again; done")
    outcome = (await engine.run(deaf)).outcome
    assert (outcome.status, outcome.signal) == (Status.SIGNALED, 1)
    assert outcome.stdout.content.startswith(b"again\r\n")
    assert outcome.virtual_ns < 2e9
    stubborn = on_terminal(
        "python",
        "import signal, sys\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "while sys.stdin.readline() or not sys.stdin.readline(): pass",
        limits=Limits(timeout_ms=500),
    )
    assert (await engine.run(stubborn)).outcome.status is Status.TIMEOUT


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_terminals_are_made_by_the_agent_alone(engine: Engine):
    code = (
        "import fcntl, os, termios\n"
        "for name in ('/dev/ptmx', '/dev/pts/ptmx'):\n"
        "    try: os.open(name, os.O_RDWR)\n    except PermissionError: print('refused')\n"
        "print(os.listdir('/dev/pts'))\n"
        "try: fcntl.ioctl(0, 0x5437)\nexcept PermissionError: print('refused')"
    )
    assert await said(engine, on_terminal("python", code)) == [
        *["refused"] * 2,
        "['0', 'ptmx']",
        "refused",
        "",
    ]
    outcome = (await engine.run(make_job("python", code))).outcome
    assert outcome.stdout.content.splitlines()[:3] == [b"refused", b"refused", b"['ptmx']"]


@pytest.mark.machine
@pytest.mark.asyncio(loop_scope="session")
async def test_a_program_that_is_late_or_hostile_on_its_terminal(engine: Engine):
    late = on_terminal("bash", "yes", limits=Limits(timeout_ms=200, output_bytes=5000))
    outcome = (await engine.run(late)).outcome
    assert (outcome.status, outcome.stdout.truncated) == (Status.TIMEOUT, True)
    closed = on_terminal(
        "python", "import os\nfor n in range(3): os.close(n)\nos.setsid() if os.getpid() == 0 else 0"
    )
    assert (await engine.run(closed)).outcome.status is Status.EXITED
    quiet = on_terminal(
        "bash", "stty -icanon -echo min 255 time 0; cat", b"x", limits=Limits(timeout_ms=2000)
    )
    assert (await engine.run(quiet)).outcome.status in (Status.SIGNALED, Status.TIMEOUT)


def test_events_are_a_text_of_lines():
    events = [b"ls\r", TerminalSize(1, MAX_CELLS), b"\xff\x1b[A\n", "grün".encode()]
    text = encode_events(events)
    assert text.splitlines()[:2] == [rb'["i", "ls\r"]', b'["r", "1x1000"]']
    assert decode_events(text) == events
    assert decode_events(b"") == []
    for wrong in (
        b"ls\n",
        b'["i", "a"]',
        b'["i", ""]\n',
        b'["i","a"]\n',
        b'["o", "a"]\n',
        b'["r", "0x5"]\n',
        b'["r", "05x5"]\n',
        b'["r", "1001x5"]\n',
        b'["i", "\\ud800"]\n',
        b'["i", "\\udcc3\\udca9"]\n',
        b'["i", 5]\n',
        b"[" * 5000,
    ):
        with pytest.raises(InvalidRequest) as refused:
            decode_events(wrong)
        assert refused.value.details["field"] in ("stdin", "terminal")


def test_a_job_with_a_terminal_is_told_from_others():
    job = make_job("bash", "read -r line", interactive=True, terminal=WIDE)
    plain = encode_job(replace(job, interactive=False, terminal=None))
    assert encode_job(job) == plain + bytes.fromhex("0200780028")
    assert decode_job(encode_job(job)) == job
    for rest in ("0200780028" + "00", "02007800", "0300780028"):
        with pytest.raises(InvalidRequest, match="left over"):
            decode_job(plain + bytes.fromhex(rest))
    with pytest.raises(InvalidRequest, match="columns"):
        decode_job(plain + bytes.fromhex("0200000028"))
    with pytest.raises(InvalidRequest, match=r"^5 bytes left over at the end$"):
        operation_of_call(0, encode_job(job))
    with pytest.raises(InvalidRequest, match="is interactive"):
        replace(job, interactive=False)
    with pytest.raises(InvalidRequest, match="kept"):
        replace(job, keep=True)
    with pytest.raises(InvalidRequest, match="per event"):
        replace(job, stdin=b"ls\n")
    for size in ((0, 5), (5, MAX_CELLS + 1), (True, 5)):
        with pytest.raises(InvalidRequest):
            TerminalSize(*size)


async def test_events_that_come():
    typed = TypedEvents(encode_events([b"known"]), patience=0.05)
    typed.put(b" more")
    typed.resize(TerminalSize(1, 1))
    typed.resize(WIDE)
    typed.put(b"")
    typed.put(b"x")
    assert [await typed.next() for _ in range(4)] == [b"known more", WIDE, b"x", b""]
    with pytest.raises(InvalidRequest, match="ended"):
        typed.resize(WIDE)


@pytest.mark.parametrize("terminal", [None, WIDE])
def test_a_job_has_room_for_all_that_is_typed(terminal: TerminalSize | None):
    code = "x" * 1000
    job = make_job(
        "bash", code, files={"f": b"x" * (MAX_INPUT_BYTES - 3001)}, interactive=True, terminal=terminal
    )
    typed = typed_input(job)
    typed.end()
    room = 2000 if terminal is None else 2000 // EVENT_BYTES
    with pytest.raises(InvalidRequest, match=f"{room} bytes of input at the most"):
        typed_input(job).put(b"x" * (room + 1))
    for piece in (b"\xff", b"\x1b"):
        typed = typed_input(job)
        events = []
        for _ in range(room):
            typed.put(piece)
            events.append(typed.take() if terminal else piece)
        stdin = encode_events(events) if terminal else b"".join(events)
        assert replace(job, stdin=stdin).stdin == stdin
    assert typed_input(make_job("bash", "", interactive=True))._most == MAX_TYPED_BYTES
