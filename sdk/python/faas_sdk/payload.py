"""Job 0, `execute`, as it stands on-chain: the schema of its inputs and of its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from faas_sdk.output_files import FilesHash
from faas_sdk.tlv import Field, Kind, Value, decode, encode

EXECUTE_JOB = 0
"""Its index in the blueprint."""

RECEIPT_VERSION = 3
"""Of results and receipts."""


def _string(name: str) -> Field:
    return Field(Kind.STRING, name)


def _bytes(name: str) -> Field:
    return Field(Kind.BYTES, name)


def _list(name: str, child: Field) -> Field:
    return Field(Kind.LIST, name, (child,))


def _struct(name: str, *children: Field) -> Field:
    return Field(Kind.STRUCT, name, children)


LIMITS: Mapping[str, int] = {
    "timeout_ms": 30_000,
    "memory_mb": 512,
    "output_bytes": 1 << 20,
    "processes": 64,
    "disk_mb": 64,
    "cpu_millicores": 1000,
}
"""The limits by name, in order, with what they are when the caller names none."""

PARAMETERS: tuple[Field, ...] = (
    _string("language"),
    _string("code"),
    _bytes("stdin"),
    _list("arguments", _string("argument")),
    _list("environment", _struct("variable", _string("name"), _string("value"))),
    _list("files", _struct("file", _string("path"), _bytes("content"))),
    Field(Kind.UINT64, "seed"),
    Field(Kind.UINT64, "epoch"),
    _struct("limits", *(Field(Kind.UINT32, name) for name in LIMITS)),
    Field(Kind.BOOL, "keep"),
)

_STREAM = (Field(Kind.UINT64, "size"), Field(Kind.BYTES32, "sha256"), Field(Kind.BOOL, "truncated"))

OUTCOME: tuple[Field, ...] = (
    Field(Kind.UINT8, "status"),
    Field(Kind.INT32, "exit_code"),
    Field(Kind.UINT8, "signal"),
    Field(Kind.UINT64, "virtual_ns"),
    _struct("stdout", *_STREAM),
    _struct("stderr", *_STREAM),
    _struct("files", Field(Kind.UINT32, "count"), *_STREAM),
    _struct("trace", Field(Kind.UINT32, "count"), Field(Kind.BYTES32, "sha256")),
)

RESULT: tuple[Field, ...] = (
    Field(Kind.UINT16, "version"),
    Field(Kind.BYTES32, "profile_id"),
    Field(Kind.BYTES32, "snapshot"),
    Field(Kind.BYTES32, "toolchain"),
    Field(Kind.BYTES32, "job_digest"),
    Field(Kind.BYTES32, "state_root"),
    _struct("outcome", *OUTCOME),
    Field(Kind.OPTIONAL, "output", (_struct("streams", _bytes("stdout"), _bytes("stderr")),)),
    _bytes("signature"),
)

COMPACT_RESULT: tuple[Field, ...] = (
    Field(Kind.ARRAY, "words", (Field(Kind.BYTES32, "word"),), 10),
    Field(Kind.FIXED_BYTES, "rest", (), 24),
    *RESULT[-2:],
)
"""The same layout in fewer fields: the schema of the other jobs' results."""

STATUSES = ("exited", "signaled", "timeout", "out_of_memory", "failed")
"""How a job ended, by number."""


@dataclass(frozen=True, slots=True)
class JobInputs:
    """A program and everything that its run depends on."""

    code: str
    language: str
    stdin: bytes
    arguments: Sequence[str]
    env_vars: Mapping[str, str]
    files: Mapping[str, bytes]
    seed: int
    epoch: int
    limits: Mapping[str, int] = field(default_factory=dict)
    """Those that differ from `LIMITS`."""
    keep: bool = False
    """Keep the machine as a snapshot afterwards; exit handlers do not run then."""


def encode_inputs(inputs: JobInputs) -> bytes:
    """The canonical payload. Raises ValueError on what does not fit."""
    return encode(
        PARAMETERS,
        {
            "language": inputs.language,
            "code": inputs.code,
            "stdin": inputs.stdin,
            "arguments": list(inputs.arguments),
            "environment": [{"name": name, "value": text} for name, text in sorted(inputs.env_vars.items())],
            "files": [{"path": path, "content": data} for path, data in sorted(inputs.files.items())],
            "seed": inputs.seed,
            "epoch": inputs.epoch,
            "limits": {**LIMITS, **inputs.limits},
            "keep": inputs.keep,
        },
    )


@dataclass(frozen=True, slots=True)
class StreamHash:
    """What a result says of a stream: kept size in bytes, SHA-256, whether it was cut."""

    size: int
    sha256: bytes
    truncated: bool


@dataclass(frozen=True, slots=True)
class TraceHash:
    """What a result says of the state roots on the run's way: how many, SHA-256 of all in a row."""

    count: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class PostedOutcome:
    """A result's payload, decoded."""

    version: int
    profile_id: bytes
    snapshot: bytes
    toolchain: bytes
    """Zeros where nothing was compiled."""
    job_digest: bytes
    state_root: bytes
    status: str
    exit_code: int
    signal: int
    virtual_ns: int
    stdout: StreamHash
    stderr: StreamHash
    files: FilesHash
    trace: TraceHash
    output: tuple[bytes, bytes] | None
    """Both streams, where they were posted whole."""
    signature: bytes
    encoded_outcome: bytes
    """What the receipt's outcome digest is the Keccak-256 of."""


def decode_posted(payload: bytes) -> PostedOutcome:
    """Raises ValueError when the payload is no result of job 0, or of another version."""
    version = int.from_bytes(payload[:2], "big")
    if len(payload) >= 2 and version != RECEIPT_VERSION:
        raise ValueError(f"receipt version {version} is not known here, {RECEIPT_VERSION} is")
    values = decode(RESULT, payload)
    outcome = cast("Mapping[str, Value]", values["outcome"])
    status = cast(int, outcome["status"])
    if status >= len(STATUSES):
        raise ValueError(f"unknown status {status}")
    output = cast("Mapping[str, bytes] | None", values["output"])
    return PostedOutcome(
        cast(int, values["version"]),
        cast(bytes, values["profile_id"]),
        cast(bytes, values["snapshot"]),
        cast(bytes, values["toolchain"]),
        cast(bytes, values["job_digest"]),
        cast(bytes, values["state_root"]),
        STATUSES[status],
        cast(int, outcome["exit_code"]),
        cast(int, outcome["signal"]),
        cast(int, outcome["virtual_ns"]),
        _stream(outcome["stdout"]),
        _stream(outcome["stderr"]),
        _files(outcome["files"]),
        _trace(outcome["trace"]),
        None if output is None else (output["stdout"], output["stderr"]),
        cast(bytes, values["signature"]),
        encode(OUTCOME, outcome),
    )


def _stream(value: Value) -> StreamHash:
    values = cast("Mapping[str, Value]", value)
    return StreamHash(
        cast(int, values["size"]), cast(bytes, values["sha256"]), cast(bool, values["truncated"])
    )


def _files(value: Value) -> FilesHash:
    values = cast("Mapping[str, Value]", value)
    return FilesHash(
        cast(int, values["count"]),
        cast(int, values["size"]),
        cast(bytes, values["sha256"]),
        cast(bool, values["truncated"]),
    )


def _trace(value: Value) -> TraceHash:
    values = cast("Mapping[str, Value]", value)
    return TraceHash(cast(int, values["count"]), cast(bytes, values["sha256"]))
