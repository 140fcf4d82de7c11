"""The host's side of the mailbox: how a request is laid into guest memory and a result read.

The guest's side is `microvm/guest/agent/mailbox.h`; change both together.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import Job, Language
from faas_blueprint.terminal import Event, TerminalSize

PHYSICAL = 0x10000000
SIZE = 64 << 20
REQUEST_CAPACITY = 16 << 20
RESULT_OFFSET = 16 << 20
FORK_OFFSET = RESULT_OFFSET + 4096
STREAM_CAPACITY = 4 << 20
STDOUT_OFFSET = 17 << 20
STDERR_OFFSET = STDOUT_OFFSET + STREAM_CAPACITY
FILES_OFFSET = 32 << 20
FILES_CAPACITY = 32 << 20
TICK_MS = 10

_MAGIC = b"FAMSREQ1"
_INPUT_MAGIC = b"FAMSINP1"
_RESIZE_MAGIC = b"FAMSWIN1"
_FORK_MAGIC = b"FAMSFRK1"
_HEADER = struct.Struct("<8sQ")
_FIXED = struct.Struct("<IIIIIIIIQQIIIHH")
_SIZE = struct.Struct("<HH")
_RESULT = struct.Struct("<IIiIQQIIQIIQ256s")
_FORK = struct.Struct("<8sQQ32s")
_FILE = struct.Struct("<IIQ")
_EXPORT = 0x100
_APPLY = 0x101


class Runner(IntEnum):
    """The waiting processes, in the order of the agent's table; an image has some of them."""

    PYTHON = 0
    JAVASCRIPT = 1
    BASH = 2
    PROGRAM = 3
    COMPILE_RUST = 4
    COMPILE_GO = 5
    COMPILE_TYPESCRIPT = 6


INTERPRETERS = {
    Language.PYTHON: Runner.PYTHON,
    Language.JAVASCRIPT: Runner.JAVASCRIPT,
    Language.BASH: Runner.BASH,
}
"""Of the languages whose programs run from their source."""


class ChangeKind(IntEnum):
    """What a change to the job's disk does to its path."""

    DELETE = 0
    FILE = 1
    LINK = 2
    FOLDER = 3


@dataclass(frozen=True, slots=True)
class DiskChange:
    """One step: a file's bytes or a link's target, and permission bits."""

    kind: ChangeKind
    path: str
    content: bytes = b""
    mode: int = 0


class State(IntEnum):
    """How far the agent is."""

    BOOTING = 0
    READY = 1
    RUNNING = 2
    FINISHED = 3
    BROKEN = 4
    PAUSED = 5
    MILESTONE = 6
    """Stopped amid a job since one of the profile's intervals has passed; it is to go on."""
    INPUT = 7
    """Stopped amid a job that can only go on with input; it gets some, or word of the end."""


class Reason(IntEnum):
    """Why a job ended."""

    EXITED = 0
    SIGNALED = 1
    TIMEOUT = 2
    OUT_OF_MEMORY = 3


@dataclass(frozen=True, slots=True)
class Result:
    """The agent's report; streams are read apart, up to their lengths."""

    state: State
    reason: Reason
    exit_code: int
    signal: int
    stdout_length: int
    stderr_length: int
    stdout_truncated: bool
    stderr_truncated: bool
    files_length: int
    files_count: int
    files_truncated: bool
    ticks: int
    """Of TICK_MS virtual milliseconds, since the job's start."""
    message: str


RESULT_SIZE = _RESULT.size


@dataclass(frozen=True, slots=True)
class Program:
    """What the guest is to run: a runner's number, and the text or binary that it takes."""

    runner: int
    code: bytes


def encode_request(job: Job, program: Program, interval_ms: int = 0, pause_tick: int = 0) -> bytes:
    """The bytes to write at the start of the mailbox. Raises InvalidRequest when they do not fit.

    The machine stops each time that `interval_ms` have passed, unless that is 0, and once at `pause_tick`.
    """
    limits = job.limits
    body = b"".join(
        (
            _FIXED.pack(
                program.runner,
                limits.timeout_ms,
                limits.memory_mb,
                limits.output_bytes,
                limits.processes,
                limits.disk_mb,
                limits.cpu_millicores,
                interval_ms,
                job.seed,
                job.epoch,
                job.keep,
                pause_tick,
                job.interactive,
                *((0, 0) if job.terminal is None else (job.terminal.columns, job.terminal.rows)),
            ),
            _blob(_context(job)),
            _number(len(job.files)),
            *(part for file in job.files for part in (_blob(file.path.encode()), _blob(file.content))),
            _blob(b"" if job.interactive else job.stdin),
            _blob(program.code),
        )
    )
    if _HEADER.size + len(body) > REQUEST_CAPACITY:
        raise InvalidRequest(f"inputs are {len(body)} bytes, {REQUEST_CAPACITY} at the most")
    return _HEADER.pack(_MAGIC, len(body)) + body


def encode_input(event: Event) -> bytes:
    """What a job that waits for input gets, in the request's place; without data it is told of the end."""
    if isinstance(event, TerminalSize):
        return _HEADER.pack(_RESIZE_MAGIC, _SIZE.size) + _SIZE.pack(event.columns, event.rows)
    return _HEADER.pack(_INPUT_MAGIC, len(event)) + event


def encode_export(paths: Sequence[str]) -> bytes:
    """A request for files of the job's disk, which come back like output files."""
    return _disk_request(_EXPORT, [_blob(path.encode()) for path in paths])


def encode_changes(changes: Sequence[DiskChange]) -> bytes:
    """A request to change the job's disk, in this order. Raises InvalidRequest when it does not fit."""
    return _disk_request(
        _APPLY,
        [
            _number(change.kind) + _number(change.mode) + _blob(change.path.encode()) + _blob(change.content)
            for change in changes
        ],
    )


def _disk_request(request: int, items: Sequence[bytes]) -> bytes:
    body = _FIXED.pack(request, *(0 for _ in range(14))) + _number(len(items)) + b"".join(items)
    if _HEADER.size + len(body) > REQUEST_CAPACITY:
        raise InvalidRequest(f"the changes are {len(body)} bytes, {REQUEST_CAPACITY} at the most")
    return _HEADER.pack(_MAGIC, len(body)) + body


def encode_fork(seed: int, epoch: int, identity: bytes) -> bytes:
    """The record at FORK_OFFSET that tells a fork from its siblings."""
    return _FORK.pack(_FORK_MAGIC, seed, epoch, identity)


def decode_result(data: bytes) -> Result:
    """The report at RESULT_OFFSET. Raises ValueError when it cannot be one."""
    (state, reason, exit_code, signal, *numbers, message) = _RESULT.unpack_from(data)
    out, error, out_cut, error_cut, files_length, files_count, files_cut, ticks = numbers
    if max(out, error) > STREAM_CAPACITY or files_length > FILES_CAPACITY:
        raise ValueError("a stream is longer than its room")
    return Result(
        State(state),
        Reason(reason),
        exit_code,
        signal,
        out,
        error,
        bool(out_cut),
        bool(error_cut),
        files_length,
        files_count,
        bool(files_cut),
        ticks,
        bytes(message).split(b"\0", 1)[0].decode("utf-8", "replace"),
    )


def decode_files(data: bytes, count: int) -> list[tuple[bytes, bytes]]:
    """Paths and contents of the files at FILES_OFFSET. Raises ValueError when they cannot be that."""
    files = []
    position = 0
    for _ in range(count):
        if len(data) - position < _FILE.size:
            raise ValueError("the files are cut short")
        path_size, _, size = _FILE.unpack_from(data, position)
        content = position + _FILE.size + path_size
        if content + size > len(data):
            raise ValueError("the files are cut short")
        files.append((data[position + _FILE.size : content], data[content : content + size]))
        position = content + size
    return files


def _number(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _blob(data: bytes) -> bytes:
    return _number(len(data)) + data


def _context(job: Job) -> bytes:
    """What the runner gets; none of the texts holds a zero byte."""
    texts = (str(len(job.arguments)), *job.arguments, *(text for pair in job.environment for text in pair))
    return b"".join(text.encode() + b"\0" for text in texts)
