"""`faas run --interactive` and `--terminal` on the real machine: through a pipe, a file and a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faas_blueprint.digests import to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import job_digest, make_job
from faas_blueprint.terminal import TerminalSize, encode_events
from faas_cli.descriptor_lines import DescriptorLines
from faas_cli.terminal import TerminalInput, size_of
from faas_microvm.interactive import MAX_TYPED_BYTES

FAAS = (sys.executable, "-m", "faas_cli.main")
CODE = """import sys
print("to", input("name? "))
print(input("age? "), sys.stdin.buffer.read())
sys.exit("over")
"""


# -- the lines


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = list(os.pipe())
    try:
        yield ends[0], ends[1]
    finally:
        for descriptor in ends:
            os.close(descriptor)


async def test_lines_come_as_they_are_asked_for():
    with pipe() as (reading, writing):
        lines = DescriptorLines(reading, b"known\nand ")
        assert await lines.next() == b"known\n"
        waiting = asyncio.create_task(lines.next())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        os.write(writing, b"mo")
        await asyncio.sleep(0.05)
        os.write(writing, b"re\ntwo\n\nrest")
        assert await waiting == b"and more\n"
        assert [await lines.next(), await lines.next()] == [b"two\n", b"\n"]
        os.dup2(reading, writing)  # closes the only end that is written to
        assert [await lines.next(), await lines.next(), await lines.next()] == [b"rest", b"", b""]


async def test_nothing_is_read_before_it_is_asked_for_nor_after_a_wait_is_given_up():
    with pipe() as (reading, writing):
        lines = DescriptorLines(reading)
        waiting = asyncio.create_task(lines.next())
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        os.write(writing, b"kept\n")
        await asyncio.sleep(0.05)
        assert os.read(reading, 100) == b"kept\n"


async def test_a_plain_file_and_a_folder(tmp_path):
    (tmp_path / "typed").write_bytes(b"one\ntwo")
    file, folder = os.open(tmp_path / "typed", os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)
    try:
        lines = DescriptorLines(file)
        assert [await lines.next() for _ in range(3)] == [b"one\n", b"two", b""]
        with pytest.raises(InvalidRequest, match="cannot read the input"):
            await DescriptorLines(folder).next()
    finally:
        os.close(file)
        os.close(folder)


async def test_too_much_is_refused(tmp_path):
    (tmp_path / "typed").write_bytes(bytes(2 * MAX_TYPED_BYTES))
    file = os.open(tmp_path / "typed", os.O_RDONLY)
    try:
        with pytest.raises(InvalidRequest, match="1048576 bytes"):
            await DescriptorLines(file).next()
    finally:
        os.close(file)


# -- the keys


@contextmanager
def terminal_pair(columns: int = 100, rows: int = 30) -> Iterator[tuple[int, int]]:
    """The end that is typed at, and the terminal."""
    there, here = os.openpty()
    try:
        set_size(there, columns, rows)
        before = termios.tcgetattr(here)
        yield there, here
        assert termios.tcgetattr(here) == before
    finally:
        os.close(there)
        os.close(here)


def set_size(descriptor: int, columns: int, rows: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def input_of(descriptor: int, known: bytes = b"") -> TerminalInput:
    stdin = encode_events([known])
    job = make_job("python", "1", stdin=stdin, interactive=True, terminal=size_of(descriptor))
    return TerminalInput(descriptor, job)


async def test_keys_and_sizes_come_in_order():
    with terminal_pair() as (there, here):
        typed = input_of(here, b"known")
        set_size(there, 110, 30)
        with typed.reading():
            assert not termios.tcgetattr(here)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)
            assert [await typed.next(), await typed.next()] == [b"known", TerminalSize(110, 30)]
            assert not typed.ready
            os.write(there, b"ls\r\x03\x04")
            assert await typed.next() == b"ls\r\x03\x04"
            set_size(there, 120, 40)
            signal.raise_signal(signal.SIGWINCH)
            assert await typed.next() == TerminalSize(120, 40)
            signal.raise_signal(signal.SIGWINCH)  # of the same size
            os.write(there, b"\xff")
            assert await typed.next() == b"\xff"


async def test_keys_are_read_before_they_are_asked_for():
    with terminal_pair() as (there, here):
        typed = input_of(here)
        with typed.reading():
            for key in (b"a", b"b", b"c"):
                os.write(there, key)
                await asyncio.sleep(0.05)
            assert typed.ready
            assert await typed.next() == b"abc"


async def test_one_key_ends_the_session():
    async def session(typed: TerminalInput) -> None:
        with typed.reading():
            await asyncio.sleep(60)

    with terminal_pair() as (there, here):
        task = asyncio.create_task(session(input_of(here)))
        await asyncio.sleep(0.05)
        os.write(there, b"typed\x1d")
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_terminal_is_restored_after_an_error():
    with terminal_pair() as (_, here), pytest.raises(ZeroDivisionError), input_of(here).reading():
        raise ZeroDivisionError


async def test_a_pipe_is_typed_as_it_is_and_its_end_is_the_inputs():
    with pipe() as (reading, writing):
        typed = input_of(reading, b"known")
        with typed.reading():
            assert await typed.next() == b"known"
            os.write(writing, b"a\nb\x1d")
            assert await typed.next() == b"a\nb\x1d"
            os.dup2(reading, writing)  # closes the only end that is written to
            assert [await typed.next(), await typed.next()] == [b"", b""]


async def test_typed_from_a_plain_file_and_a_folder(tmp_path):
    (tmp_path / "typed").write_bytes(b"x" * 100_000)
    (tmp_path / "long").write_bytes(bytes(MAX_TYPED_BYTES))
    opened = [os.open(tmp_path / name, os.O_RDONLY) for name in ("typed", "long", ".")]
    file, long, folder = (input_of(descriptor) for descriptor in opened)
    try:
        with file.reading():
            assert [await file.next(), await file.next()] == [b"x" * 100_000, b""]
        with long.reading(), pytest.raises(InvalidRequest, match="bytes of input at the most"):
            await long.next()
        with folder.reading(), pytest.raises(InvalidRequest, match="cannot read the input"):
            await folder.next()
    finally:
        for descriptor in opened:
            os.close(descriptor)


def test_the_size_of_what_is_no_terminal(monkeypatch):
    with pipe() as (reading, _), terminal_pair(0, 0) as (_, unsized), terminal_pair(5000, 5) as (_, wide):
        monkeypatch.setenv("COLUMNS", "132")
        monkeypatch.setenv("LINES", "50")
        assert size_of(reading) == TerminalSize(132, 50)
        assert size_of(unsized) == TerminalSize(80, 24)
        assert size_of(wide) == TerminalSize(1000, 5)


# -- the command


@pytest.fixture
def program(tmp_path) -> Path:
    path = tmp_path / "asks.py"
    path.write_text(CODE)
    return path


def run(
    *arguments: object, stdin: bytes, option: str = "--interactive"
) -> subprocess.CompletedProcess[bytes]:
    command = [*FAAS, "run", option, *map(str, arguments)]
    sizeless = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, env=sizeless)


@pytest.mark.machine
def test_through_a_pipe(program):
    done = run(program, stdin=b"Ada\n36\nand so on")
    assert (done.returncode, done.stdout) == (1, b"name? to Ada\nage? 36 b'and so on'\n")
    assert done.stderr.endswith(b"over\n")


@pytest.mark.machine
def test_the_report_has_the_input_and_answers_for_it(program, tmp_path):
    (tmp_path / "known").write_bytes(b"Ada\n3")
    typed = run(program, "--json", stdin=b"Ada\n36\n\xff")
    known = run(program, "--json", "--stdin", tmp_path / "known", stdin=b"6\n\xff")
    assert (typed.returncode, known.returncode) == (0, 0), typed.stderr
    assert b"name? to Ada\nage? 36 b'\\xff'\n" in typed.stderr
    reported, other = json.loads(typed.stdout), json.loads(known.stdout)
    assert (reported["stdin"], reported["stdin_base64"]) == ("Ada\n36\n\ufffd", "QWRhCjM2Cv8=")
    job = make_job("python", CODE, stdin=b"Ada\n36\n\xff", interactive=True)
    assert reported["job_digest"] == to_hex(job_digest(job))
    del reported["wall_ms"], other["wall_ms"]
    assert reported == other


class Terminal:
    """A terminal on which the command runs in the foreground, as its session's leader."""

    def __init__(self, *arguments: object, option: str = "--interactive") -> None:
        self.said = b""
        self.process, self._terminal = pty.fork()
        if self.process == 0:
            os.execv(FAAS[0], [*FAAS, "run", option, *map(str, arguments)])
        self.resize(100, 30)
        self._before = termios.tcgetattr(self._terminal)

    def see(self, words: bytes, seconds: float = 60.0) -> None:
        until = time.monotonic() + seconds
        os.set_blocking(self._terminal, False)
        while words not in self.said:
            assert time.monotonic() < until, self.said
            try:
                self.said += os.read(self._terminal, 4096)
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:  # nobody has it open any more
                assert words in self.said, self.said
        self.said = self.said.partition(words)[2]

    def rest(self) -> bytes:
        """What it said besides, after its end."""
        with contextlib.suppress(OSError):
            self.said += os.read(self._terminal, 65536)
        return self.said

    def type(self, keys: bytes) -> None:
        os.write(self._terminal, keys)

    def resize(self, columns: int, rows: int) -> None:
        set_size(self._terminal, columns, rows)

    def is_as_before(self) -> bool:
        """Whether no one has changed how keys are read, or it was changed back."""
        return termios.tcgetattr(self._terminal) == self._before

    def exit_code(self, seconds: float = 30.0) -> int:
        until = time.monotonic() + seconds
        while True:
            process, status = os.waitpid(self.process, os.WNOHANG)
            if process:
                self.process = 0
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < until
            time.sleep(0.02)

    def close(self) -> None:
        if self.process:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
        os.close(self._terminal)


@pytest.fixture
def terminal(program) -> Iterator[Terminal]:
    made = Terminal(program)
    yield made
    made.close()


@pytest.mark.machine
def test_on_a_terminal(terminal):
    terminal.see(b"name? ")
    terminal.type(b"Eva\x7fe\n")  # the terminal's own line editing
    terminal.see(b"to Eve\r\nage? ")
    terminal.type(b"36\nlast\n\x04")
    terminal.see(b"36 b'last\\n'\r\nover\r\n")
    assert terminal.exit_code() == 1


@pytest.mark.machine
def test_an_interrupt_ends_the_run_that_waits(terminal):
    terminal.see(b"name? ")
    terminal.type(b"\x03")
    terminal.see(b"^C")
    assert terminal.exit_code() == 130
    assert b"Traceback" not in terminal.rest()


@pytest.mark.machine
def test_the_end_of_the_program_is_not_held_up_by_the_terminal(tmp_path):
    (tmp_path / "quiet.py").write_text("print('asks nothing')")
    terminal = Terminal(tmp_path / "quiet.py")
    try:
        terminal.see(b"asks nothing\r\n")
        assert terminal.exit_code() == 0
    finally:
        terminal.close()


ON_A_TERMINAL = """import os, signal, sys
signal.signal(signal.SIGWINCH, lambda *_: os.write(1, b"resized\\n"))
print(all(map(os.isatty, range(3))), os.get_terminal_size(), flush=True)
print("to", input("name? "), os.get_terminal_size(), file=sys.stderr)
try:
    input("more? ")
except KeyboardInterrupt:
    sys.exit(5)
"""


@pytest.fixture
def full(tmp_path) -> Iterator[Terminal]:
    (tmp_path / "full.py").write_text(ON_A_TERMINAL)
    made = Terminal(tmp_path / "full.py", option="--terminal")
    yield made
    made.close()


@pytest.mark.machine
def test_a_program_has_the_terminal(full):
    full.see(b"Ctrl-] ends the session")
    full.see(b"True os.terminal_size(columns=100, lines=30)\r\nname? ")
    assert not full.is_as_before()
    full.resize(120, 40)
    full.see(b"resized\r\n")
    full.type(b"Eva\x7fe\r")
    full.see(b"Eva\b \be\r\nto Eve os.terminal_size(columns=120, lines=40)\r\nmore? ")
    full.type(b"\x03")
    full.see(b"^C")
    assert full.exit_code() == 5
    assert full.is_as_before()


@pytest.mark.machine
@pytest.mark.parametrize("way", ["key", "signal"])
def test_the_session_is_ended(full, way):
    full.see(b"name? ")
    if way == "key":
        full.type(b"Ev\x1d")
    else:
        os.kill(full.process, signal.SIGTERM)
    assert full.exit_code() == 130
    assert full.is_as_before()
    assert b"Traceback" not in full.rest()


@pytest.mark.machine
def test_the_session_of_a_program_that_computes_is_ended(tmp_path):
    (tmp_path / "busy.py").write_text("print('begun', flush=True)\nwhile True: pass")
    terminal = Terminal(tmp_path / "busy.py", option="-t")
    try:
        terminal.see(b"begun\r\n")
        terminal.type(b"\x03")  # is for the program, once it waits
        time.sleep(0.5)
        assert os.waitpid(terminal.process, os.WNOHANG) == (0, 0)
        terminal.type(b"\x1d")
        assert terminal.exit_code() == 130
        assert terminal.is_as_before()
    finally:
        terminal.close()


@pytest.mark.machine
def test_a_pipe_is_typed_on_a_terminal(tmp_path):
    code = "import os, sys\nprint(os.get_terminal_size().lines, sys.stdin.read().split())"
    (tmp_path / "reads.py").write_text(code)
    plain = run(tmp_path / "reads.py", stdin=b"Ada\r36\r", option="-t")
    assert (plain.returncode, plain.stdout) == (0, b"Ada\r\n36\r\n24 ['Ada', '36']\r\n"), plain.stderr
    done = run(tmp_path / "reads.py", "--json", stdin=b"Ada\r36\r", option="--terminal")
    assert b"24 ['Ada', '36']\r\n" in done.stderr
    reported = json.loads(done.stdout)
    stdin = '["i", "Ada\\r36\\r"]\n'
    assert (reported["stdin"], reported["terminal"]) == (stdin, {"cols": 80, "rows": 24})
    job = make_job("python", code, stdin=stdin.encode(), interactive=True, terminal=TerminalSize())
    assert reported["job_digest"] == to_hex(job_digest(job))


@pytest.mark.parametrize("option", ["--interactive", "--terminal"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-",), "--stdin can be -"),
        (("asks.py", "--stdin", "-"), "--stdin can be -"),
        (("asks.py", "--mode", "cached"), "takes mode ephemeral"),
        (("asks.py", "--mode", "checkpointed"), "takes mode ephemeral"),
        (("asks.py", "--snapshot", "1" * 64), "without --snapshot"),
        (("asks.py", "--branch", "main"), "and --branch"),
    ],
)
def test_what_does_not_go_with_it(program, option, options, said):
    command = [*FAAS, "run", option, *options]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, timeout=60, input="")
    assert done.returncode == 1
    assert said in " ".join(done.stderr.split())


def test_without_any_stdin(program):
    command = [*FAAS, "run", "--interactive", str(program)]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, "closed" in done.stderr) == (1, True), done.stderr
