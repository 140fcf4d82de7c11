"""The terminal that `faas run --terminal` is used on, whose keys and sizes are the run's input."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import Job
from faas_blueprint.terminal import MAX_CELLS, Event, TerminalSize
from faas_cli.console import note
from faas_microvm.interactive import typed_input

ESCAPE = b"\x1d"
"""Ctrl-]: the only key that is not the program's, Ctrl-C being so."""

_CHUNK_BYTES = 1 << 16


def size_of(descriptor: int) -> TerminalSize:
    """Of a terminal; of anything else, what COLUMNS and LINES say, or stdout's terminal, or 80 by 24."""
    columns, rows = os.get_terminal_size(descriptor) if os.isatty(descriptor) else shutil.get_terminal_size()
    return TerminalSize(min(columns or 80, MAX_CELLS), min(rows or 24, MAX_CELLS))


@contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """Every key of a terminal is read as it is, and what is written appears as it is."""
    before = termios.tcgetattr(descriptor)
    note("Ctrl-] ends the session")
    try:
        tty.setraw(descriptor, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class TerminalInput:
    """What is typed on a terminal or written into a pipe, which is read all the time.

    First comes what the job has as its standard input. The end of the file is the input's.
    """

    def __init__(self, descriptor: int, job: Job) -> None:
        self._descriptor = descriptor
        self._is_terminal = os.isatty(descriptor)
        self._typed = typed_input(job, patience=None)
        self._size = job.terminal
        self._problem: InvalidRequest | None = None
        self._task: asyncio.Task[object] | None = None

    @property
    def ready(self) -> bool:
        """Whether the next event, or the end, is there, or why none comes."""
        return self._typed.ready

    async def next(self) -> Event:
        """The next event, however long it takes; nothing at the end.

        Raises InvalidRequest when there is too much, or when it cannot be read.
        """
        event = await self._typed.next()
        if self._problem is not None:
            raise self._problem
        return event

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read until this is left, a terminal in raw mode. Ctrl-] cancels the task that entered it."""
        loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        with raw(self._descriptor) if self._is_terminal else nullcontext():
            try:
                if self._is_terminal:
                    loop.add_signal_handler(signal.SIGWINCH, self._resize)
                    self._resize()
                self._listen(loop)
                yield
            finally:
                loop.remove_reader(self._descriptor)
                loop.remove_signal_handler(signal.SIGWINCH)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.add_reader(self._descriptor, self._read)
        except PermissionError:  # a plain file, which is not waited for
            while self._read():
                pass

    def _read(self) -> bool:
        """Takes what is there. Answers whether there may be more."""
        data = b""
        try:
            data = os.read(self._descriptor, _CHUNK_BYTES)
            if self._is_terminal and ESCAPE in data:
                assert self._task is not None
                self._task.cancel()
            elif data:
                self._typed.put(data)
            else:
                self._typed.end()
        except OSError as error:
            self._fail(InvalidRequest(f"cannot read the input: {error.strerror}"))
        except InvalidRequest as error:
            self._fail(error)
        more = bool(data) and self._problem is None
        if not more:
            asyncio.get_running_loop().remove_reader(self._descriptor)
        return more

    def _resize(self) -> None:
        if (size := size_of(self._descriptor)) == self._size:
            return
        self._size = size
        try:
            self._typed.resize(size)
        except InvalidRequest as error:
            self._fail(error)

    def _fail(self, problem: InvalidRequest) -> None:
        self._problem = problem
        self._typed.end()
