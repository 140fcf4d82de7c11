"""What came out of a job, its canonical encoding and its digest."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import cast

from faas_blueprint import tlv
from faas_blueprint.digests import ZERO_DIGEST, Digest, keccak256, sha256
from faas_blueprint.errors import FaaSError, InvalidRequest


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
class OutcomeDigest:
    """An outcome with its streams replaced by their hashes: what is hashed, signed and posted."""

    status: Status
    exit_code: int
    signal: int
    virtual_ns: int
    stdout: StreamDigest
    stderr: StreamDigest


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

    def summary(self) -> OutcomeDigest:
        """The outcome with hashes for streams."""
        return OutcomeDigest(
            self.status,
            self.exit_code,
            self.signal,
            self.virtual_ns,
            StreamDigest.of(self.stdout),
            StreamDigest.of(self.stderr),
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
)
"""Schema of an outcome inside a job's result."""


def outcome_values(summary: OutcomeDigest) -> dict[str, tlv.Value]:
    """The TLV values of an outcome."""
    return {
        "status": int(summary.status),
        "exit_code": summary.exit_code,
        "signal": summary.signal,
        "virtual_ns": summary.virtual_ns,
        "stdout": _stream_values(summary.stdout),
        "stderr": _stream_values(summary.stderr),
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
