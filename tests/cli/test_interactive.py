"""`faas run --interactive` on the real machine: through a pipe, a file and a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faas_blueprint.digests import to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import job_digest, make_job
from faas_cli.descriptor_lines import DescriptorLines
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


# -- the command


@pytest.fixture
def program(tmp_path) -> Path:
    path = tmp_path / "asks.py"
    path.write_text(CODE)
    return path


def run(*arguments: object, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [*FAAS, "run", "--interactive", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120)


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

    def __init__(self, *arguments: object) -> None:
        self.said = b""
        self.process, self._terminal = pty.fork()
        if self.process == 0:
            os.execv(FAAS[0], [*FAAS, "run", "--interactive", *map(str, arguments)])

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
def test_what_does_not_go_with_it(program, options, said):
    command = [*FAAS, "run", "--interactive", *options]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, timeout=60, input="")
    assert done.returncode == 1
    assert said in " ".join(done.stderr.split())


def test_without_any_stdin(program):
    command = [*FAAS, "run", "--interactive", str(program)]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, "closed" in done.stderr) == (1, True), done.stderr
