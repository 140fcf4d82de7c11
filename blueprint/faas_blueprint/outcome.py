"""What came out of a job, its canonical encoding and its digest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import cast

from faas_blueprint import tlv
from faas_blueprint.digests import ZERO_DIGEST, Digest, keccak256, sha256
from faas_blueprint.errors import FaaSError, InvalidRequest
from faas_blueprint.job import check_no_nesting, check_path

MAX_OUTPUT_FILES = tlv.MAX_LIST_ITEMS
MAX_OUTPUT_FILES_BYTES = 32 << 20
"""Of all output files together; what is over is left out, with `files_truncated` set."""


class Status(IntEnum):
    """How a job ended."""

    EXITED = 0
    """By itself, with `exit_code`."""
    SIGNALED = 1
    """Killed by `signal`; `exit_code` is 128 + signal, as a shell reports it."""
    TIMEOUT = 2
    """At its virtual time limit; `exit_code` is 124, `signal` 9."""
    OUT_OF_MEMORY = 3
    """At its memory limit; `exit_code` is 137, `signal` 9."""
    FAILED = 4
    """It could not be started: stderr says why. No machine ran, `state_root` is zero."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes that a job wrote, up to its limit."""

    content: bytes = b""
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class StreamDigest:
    """What the outcome digest says of a stream: its kept size in bytes and SHA-256."""

    size: int
    sha256: Digest
    truncated: bool

    @classmethod
    def of(cls, stream: Stream) -> StreamDigest:
        """The digest of a stream at hand."""
        return cls(len(stream.content), sha256(stream.content), stream.truncated)


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A regular file that a job left below its output folder; `path` is relative to that folder."""

    path: str
    content: bytes

    def __post_init__(self) -> None:
        check_path(self.path)


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A line of the manifest: an output file without its bytes."""

    path: str
    size: int
    sha256: Digest

    def __post_init__(self) -> None:
        check_path(self.path)

    @classmethod
    def of(cls, file: OutputFile) -> FileDigest:
        """The line of a file at hand."""
        return cls(file.path, len(file.content), sha256(file.content))


@dataclass(frozen=True, slots=True)
class FilesDigest:
    """What the outcome digest says of all output files."""

    count: int
    size: int
    """Sum of their sizes in bytes."""
    sha256: Digest
    """Of the canonical manifest."""
    truncated: bool

    @classmethod
    def of(cls, manifest: Sequence[FileDigest], truncated: bool) -> FilesDigest:
        """The digest of a manifest at hand. Raises InvalidRequest when it is not in canonical order."""
        size = sum(line.size for line in manifest)
        return cls(len(manifest), size, sha256(encode_manifest(manifest)), truncated)


@dataclass(frozen=True, slots=True)
class TraceDigest:
    """What the outcome digest says of a run's trace: how many roots, and SHA-256 of all in a row."""

    count: int
    sha256: Digest

    @classmethod
    def of(cls, trace: Sequence[Digest]) -> TraceDigest:
        """The digest of a trace at hand."""
        return cls(len(trace), sha256(encode_trace(trace)))


@dataclass(frozen=True, slots=True)
class OutcomeDigest:
    """An outcome with hashes for streams, files and trace: what is hashed, signed and posted."""

    status: Status
    exit_code: int
    signal: int
    virtual_ns: int
    stdout: StreamDigest
    stderr: StreamDigest
    files: FilesDigest
    trace: TraceDigest


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything a run produced. Bit-identical in every run of the same job on the same snapshot."""

    status: Status
    exit_code: int
    signal: int
    """0 unless the job was killed."""
    virtual_ns: int
    """Guest time from hand-over to the end in nanoseconds; one instruction is one nanosecond."""
    stdout: Stream
    stderr: Stream
    state_root: Digest
    """Measurement of the stopped machine; not part of the digest, a receipt holds it beside."""
    files: tuple[OutputFile, ...] = ()
    """Sorted by path, paths unique."""
    files_truncated: bool = False
    """Whether something in the output folder was left out: it was too much, or it was neither a folder
    nor a regular file with a proper path."""
    trace: tuple[Digest, ...] = ()
    """State roots on the way, one for each of the profile's intervals that the run was longer than."""

    def __post_init__(self) -> None:
        _check_order([file.path for file in self.files])

    def manifest(self) -> tuple[FileDigest, ...]:
        """A line for each output file."""
        return tuple(map(FileDigest.of, self.files))

    def summary(self) -> OutcomeDigest:
        """The outcome with hashes for streams, files and trace."""
        return OutcomeDigest(
            self.status,
            self.exit_code,
            self.signal,
            self.virtual_ns,
            StreamDigest.of(self.stdout),
            StreamDigest.of(self.stderr),
            FilesDigest.of(self.manifest(), self.files_truncated),
            TraceDigest.of(self.trace),
        )

    def digest(self) -> Digest:
        """Keccak-256 of the canonical encoding."""
        return outcome_digest(self.summary())


def failed_outcome(error: FaaSError) -> Outcome:
    """The outcome of a job that could not be started; the same for everyone who finds it invalid."""
    text = f"{error.code}: {error.message}\n".encode()
    return Outcome(Status.FAILED, 0, 0, 0, Stream(), Stream(text[:4096], len(text) > 4096), ZERO_DIGEST)


_STREAM_FIELDS = (
    tlv.Field(tlv.Kind.UINT64, "size"),
    tlv.Field(tlv.Kind.BYTES32, "sha256"),
    tlv.Field(tlv.Kind.BOOL, "truncated"),
)

OUTCOME_FIELDS: tuple[tlv.Field, ...] = (
    tlv.Field(tlv.Kind.UINT8, "status"),
    tlv.Field(tlv.Kind.INT32, "exit_code"),
    tlv.Field(tlv.Kind.UINT8, "signal"),
    tlv.Field(tlv.Kind.UINT64, "virtual_ns"),
    tlv.struct("stdout", *_STREAM_FIELDS),
    tlv.struct("stderr", *_STREAM_FIELDS),
    tlv.struct(
        "files",
        tlv.Field(tlv.Kind.UINT32, "count"),
        tlv.Field(tlv.Kind.UINT64, "size"),
        tlv.Field(tlv.Kind.BYTES32, "sha256"),
        tlv.Field(tlv.Kind.BOOL, "truncated"),
    ),
    tlv.struct(
        "trace",
        tlv.Field(tlv.Kind.UINT32, "count"),
        tlv.Field(tlv.Kind.BYTES32, "sha256"),
    ),
)
"""Schema of an outcome inside a job's result."""

FILES_MANIFEST: tuple[tlv.Field, ...] = (
    tlv.list_of(
        "files",
        tlv.struct(
            "file",
            tlv.Field(tlv.Kind.STRING, "path"),
            tlv.Field(tlv.Kind.UINT64, "size"),
            tlv.Field(tlv.Kind.BYTES32, "sha256"),
        ),
    ),
)
"""Schema of the manifest, which goes by its hash; it is not posted."""


def files_manifest(files: Iterable[OutputFile]) -> bytes:
    """The canonical manifest of files in canonical order. Raises InvalidRequest when they are not."""
    return encode_manifest(tuple(map(FileDigest.of, files)))


def check_manifest(manifest: Sequence[FileDigest]) -> None:
    """Raises InvalidRequest unless paths are sorted and unique, and no file lies below another."""
    _check_order([line.path for line in manifest])


def encode_manifest(manifest: Sequence[FileDigest]) -> bytes:
    """The canonical bytes of a manifest. Raises InvalidRequest when it is not in canonical order."""
    check_manifest(manifest)
    lines: list[tlv.Value] = [
        {"path": line.path, "size": line.size, "sha256": line.sha256} for line in manifest
    ]
    return tlv.encode(FILES_MANIFEST, {"files": lines})


def decode_manifest(data: bytes) -> tuple[FileDigest, ...]:
    """The inverse of `encode_manifest`. Raises InvalidRequest."""
    lines = cast("list[dict[str, tlv.Value]]", tlv.decode(FILES_MANIFEST, data)["files"])
    manifest = tuple(
        FileDigest(cast(str, line["path"]), cast(int, line["size"]), Digest(cast(bytes, line["sha256"])))
        for line in lines
    )
    check_manifest(manifest)
    return manifest


def encode_trace(trace: Sequence[Digest]) -> bytes:
    """The canonical bytes of a trace: its roots in a row."""
    return b"".join(trace)


def decode_trace(data: bytes) -> tuple[Digest, ...]:
    """The inverse of `encode_trace`. Raises InvalidRequest."""
    if len(data) % 32:
        raise InvalidRequest(f"a trace is a row of 32-byte roots, not {len(data)} bytes")
    return tuple(Digest(data[start : start + 32]) for start in range(0, len(data), 32))


def outcome_values(summary: OutcomeDigest) -> dict[str, tlv.Value]:
    """The TLV values of an outcome."""
    return {
        "status": int(summary.status),
        "exit_code": summary.exit_code,
        "signal": summary.signal,
        "virtual_ns": summary.virtual_ns,
        "stdout": _stream_values(summary.stdout),
        "stderr": _stream_values(summary.stderr),
        "files": _files_values(summary.files),
        "trace": {"count": summary.trace.count, "sha256": summary.trace.sha256},
    }


def outcome_from_values(values: dict[str, tlv.Value]) -> OutcomeDigest:
    """The inverse of `outcome_values`. Raises InvalidRequest on an unknown status."""
    status = cast(int, values["status"])
    if status not in Status._value2member_map_:
        raise InvalidRequest(f"unknown outcome status {status}")
    return OutcomeDigest(
        Status(status),
        cast(int, values["exit_code"]),
        cast(int, values["signal"]),
        cast(int, values["virtual_ns"]),
        _stream_from_values(values["stdout"]),
        _stream_from_values(values["stderr"]),
        _files_from_values(values["files"]),
        _trace_from_values(values["trace"]),
    )


def outcome_digest(summary: OutcomeDigest) -> Digest:
    """Keccak-256 of the canonical encoding."""
    return keccak256(tlv.encode(OUTCOME_FIELDS, outcome_values(summary)))


def _stream_values(stream: StreamDigest) -> dict[str, tlv.Value]:
    return {"size": stream.size, "sha256": stream.sha256, "truncated": stream.truncated}


def _stream_from_values(value: tlv.Value) -> StreamDigest:
    values = cast("dict[str, tlv.Value]", value)
    return StreamDigest(
        cast(int, values["size"]), Digest(cast(bytes, values["sha256"])), cast(bool, values["truncated"])
    )


def _files_values(files: FilesDigest) -> dict[str, tlv.Value]:
    return {
        "count": files.count,
        "size": files.size,
        "sha256": files.sha256,
        "truncated": files.truncated,
    }


def _files_from_values(value: tlv.Value) -> FilesDigest:
    values = cast("dict[str, tlv.Value]", value)
    return FilesDigest(
        cast(int, values["count"]),
        cast(int, values["size"]),
        Digest(cast(bytes, values["sha256"])),
        cast(bool, values["truncated"]),
    )


def _trace_from_values(value: tlv.Value) -> TraceDigest:
    values = cast("dict[str, tlv.Value]", value)
    return TraceDigest(cast(int, values["count"]), Digest(cast(bytes, values["sha256"])))


def _check_order(paths: Sequence[str]) -> None:
    """Code points sort as their UTF-8 bytes do."""
    if len(paths) > MAX_OUTPUT_FILES:
        raise InvalidRequest(f"{len(paths)} output files, {MAX_OUTPUT_FILES} at the most")
    if any(left >= right for left, right in pairwise(paths)):
        raise InvalidRequest("output files must be sorted by unique path", {"field": "files"})
    check_no_nesting(paths)
