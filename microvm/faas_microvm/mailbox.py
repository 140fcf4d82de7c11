"""The host's side of the mailbox: how a request is laid into guest memory and a result read.

The guest's side is `microvm/guest/mailbox.h`; change both together.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import Job, Language

PHYSICAL = 0x10000000
SIZE = 32 << 20
REQUEST_CAPACITY = 16 << 20
RESULT_OFFSET = 16 << 20
STREAM_CAPACITY = 4 << 20
STDOUT_OFFSET = RESULT_OFFSET + (1 << 20)
STDERR_OFFSET = STDOUT_OFFSET + STREAM_CAPACITY

_MAGIC = b"FAMSREQ1"
_HEADER = struct.Struct("<8sQ")
_FIXED = struct.Struct("<IIIIIIQQ")
_RESULT = struct.Struct("<IIiIQQII256s")
_LANGUAGES = (Language.PYTHON, Language.JAVASCRIPT, Language.BASH)
"""In the order of the agent's runners."""


class State(IntEnum):
    """How far the agent is."""

    BOOTING = 0
    READY = 1
    RUNNING = 2
    FINISHED = 3
    BROKEN = 4


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
    message: str


RESULT_SIZE = _RESULT.size


def encode_request(job: Job) -> bytes:
    """The bytes to write at the start of the mailbox. Raises InvalidRequest when they do not fit."""
    limits = job.limits
    body = b"".join(
        (
            _FIXED.pack(
                _LANGUAGES.index(job.language),
                limits.timeout_ms,
                limits.memory_mb,
                limits.output_bytes,
                limits.processes,
                limits.disk_mb,
                job.seed,
                job.epoch,
            ),
            _blob(_context(job)),
            _number(len(job.files)),
            *(part for file in job.files for part in (_blob(file.path.encode()), _blob(file.content))),
            _blob(job.stdin),
            _blob(job.code.encode()),
        )
    )
    if _HEADER.size + len(body) > REQUEST_CAPACITY:
        raise InvalidRequest(f"inputs are {len(body)} bytes, {REQUEST_CAPACITY} at the most")
    return _HEADER.pack(_MAGIC, len(body)) + body


def decode_result(data: bytes) -> Result:
    """The report at RESULT_OFFSET. Raises ValueError when it cannot be one."""
    fields = _RESULT.unpack_from(data)
    message = bytes(fields[8]).split(b"\0", 1)[0].decode("utf-8", "replace")
    if fields[4] > STREAM_CAPACITY or fields[5] > STREAM_CAPACITY:
        raise ValueError("a stream is longer than its room")
    return Result(
        State(fields[0]),
        Reason(fields[1]),
        fields[2],
        fields[3],
        fields[4],
        fields[5],
        bool(fields[6]),
        bool(fields[7]),
        message,
    )


def _number(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _blob(data: bytes) -> bytes:
    return _number(len(data)) + data


def _context(job: Job) -> bytes:
    """What the runner gets; none of the texts holds a zero byte."""
    texts = (str(len(job.arguments)), *job.arguments, *(text for pair in job.environment for text in pair))
    return b"".join(text.encode() + b"\0" for text in texts)
