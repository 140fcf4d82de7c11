"""Jobs 1 to 5 of the blueprint as they stand on-chain: the schemas of their inputs, and the inputs.

Snapshots go by their measurement, `0x` and 64 digits, as `receipt["state_root"]` of the call that made them
says; None is the base. Parts of a program that are too large for a chain go by their SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from faas_sdk import payload
from faas_sdk.payload import EXECUTE_JOB, JobInputs, encode_inputs
from faas_sdk.tlv import Field, Kind, Value, encode

EXECUTE_WITH_OPTIONS = 1
CREATE_SNAPSHOT = 2
RESTORE_SNAPSHOT = 3
CREATE_BRANCH = 4
MERGE_BRANCHES = 5

MODES = ("ephemeral", "cached", "checkpointed", "branched")
STRATEGIES = ("three_way", "ours", "theirs", "union")
MAX_EPOCH = 4_102_444_800

INLINE_BYTES = 16 << 10
"""Inputs over this size go by hash where there is an operator's API to bring them to. Some chains store all
inputs: there, 20 kB take more gas than many chains allow a transaction."""

PART_BYTES = 1 << 10
"""Parts of such inputs over this size become blobs."""

_KIND = Field(Kind.STRING, "kind")
_SNAPSHOT = Field(Kind.BYTES32, "snapshot")
_FORK = Field(
    Kind.STRUCT,
    "fork",
    (Field(Kind.UINT64, "seed"), Field(Kind.UINT64, "epoch"), Field(Kind.BYTES, "identity")),
)
_BLOB = Field(
    Kind.STRUCT,
    "blob",
    (Field(Kind.STRING, "part"), Field(Kind.UINT64, "size"), Field(Kind.BYTES32, "sha256")),
)
_PROGRAM = (Field(Kind.BYTES, "job"), Field(Kind.LIST, "blobs", (_BLOB,)))

PARAMETERS: Mapping[int, tuple[Field, ...]] = {
    EXECUTE_JOB: payload.PARAMETERS,
    EXECUTE_WITH_OPTIONS: (
        _KIND,
        Field(Kind.STRING, "mode"),
        _SNAPSHOT,
        Field(Kind.OPTIONAL, "fork", (_FORK,)),
        *_PROGRAM,
    ),
    CREATE_SNAPSHOT: (_KIND, _SNAPSHOT, *_PROGRAM),
    RESTORE_SNAPSHOT: (_KIND, _SNAPSHOT, Field(Kind.UINT64, "challenge")),
    CREATE_BRANCH: (_KIND, _SNAPSHOT, _FORK),
    MERGE_BRANCHES: (
        _KIND,
        Field(Kind.BYTES32, "base"),
        Field(Kind.LIST, "branches", (Field(Kind.BYTES32, "branch"),)),
        Field(Kind.STRING, "strategy"),
    ),
}
"""By job index."""


@dataclass(frozen=True, slots=True)
class Fork:
    """What tells a fork of a snapshot from its siblings."""

    seed: int = 0
    epoch: int = 0
    """Unix seconds that its clock is put forward to; 0 leaves it."""
    identity: bytes = b""
    """32 bytes at the most."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 1 << 64 or not 0 <= self.epoch <= MAX_EPOCH:
            raise ValueError("a fork's seed or epoch is out of range")
        if len(self.identity) > 32:
            raise ValueError("a fork's identity has 32 bytes at the most")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is submitted: a job's index and its payload, and the blobs that it names."""

    job_index: int
    payload: bytes = field(repr=False)
    blobs: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    """By SHA-256."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a program is run, beyond what job 0 says."""

    mode: str | None = None
    """`ephemeral`, `cached`, `checkpointed` or `branched`."""
    snapshot: str | None = None
    fork: Fork | None = None
    """Of mode branched."""


def program_inputs(inputs: JobInputs, options: Options, by_hash: bool) -> Inputs:
    """The inputs of job 0, or of job 1 where they need it. Raises ValueError."""
    whole = encode_inputs(inputs)
    large = by_hash and len(whole) > INLINE_BYTES
    if options == Options() and not large:
        return Inputs(EXECUTE_JOB, whole)
    mode = options.mode or ("checkpointed" if inputs.keep else "ephemeral")
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is not served on-chain; choose one of: {', '.join(MODES)}")
    if options.fork is not None and mode != "branched":
        raise ValueError("a fork belongs to mode branched")
    kept = replace(inputs, keep=mode in ("checkpointed", "branched"))
    fork = options.fork
    if mode == "branched" and fork is None:
        fork = Fork()
    program, blobs = _program(kept, large)
    values: dict[str, Value] = {
        "mode": mode,
        "snapshot": _measurement(options.snapshot),
        "fork": None if fork is None else _fork_values(fork),
        **program,
    }
    return Inputs(EXECUTE_WITH_OPTIONS, _encode(EXECUTE_WITH_OPTIONS, values), blobs)


def create_snapshot(inputs: JobInputs, snapshot: str | None, by_hash: bool) -> Inputs:
    """Run a program and keep its machine. Raises ValueError."""
    kept = replace(inputs, keep=True)
    program, blobs = _program(kept, by_hash and len(encode_inputs(kept)) > INLINE_BYTES)
    values = {"snapshot": _measurement(snapshot), **program}
    return Inputs(CREATE_SNAPSHOT, _encode(CREATE_SNAPSHOT, values), blobs)


def restore_snapshot(snapshot: str | None, challenge: int) -> Inputs:
    """Have the operator show that it holds a snapshot. Raises ValueError."""
    values: dict[str, Value] = {"snapshot": _measurement(snapshot), "challenge": challenge}
    return Inputs(RESTORE_SNAPSHOT, _encode(RESTORE_SNAPSHOT, values))


def create_branch(snapshot: str | None, fork: Fork) -> Inputs:
    """Fork a snapshot. Raises ValueError."""
    values: dict[str, Value] = {"snapshot": _measurement(snapshot), "fork": _fork_values(fork)}
    return Inputs(CREATE_BRANCH, _encode(CREATE_BRANCH, values))


def merge_branches(branches: Sequence[str], base: str | None, strategy: str) -> Inputs:
    """Merge the files of branches into the first one, against the base. Raises ValueError."""
    if not 2 <= len(branches) <= 16 or len(set(branches)) < len(branches):
        raise ValueError("name from 2 to 16 different branches")
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy {strategy!r} is not known; choose one of: {', '.join(STRATEGIES)}")
    values: dict[str, Value] = {
        "base": _measurement(base),
        "branches": [_measurement(branch) for branch in branches],
        "strategy": strategy,
    }
    return Inputs(MERGE_BRANCHES, _encode(MERGE_BRANCHES, values))


_NAMES = {
    EXECUTE_WITH_OPTIONS: "execute_with_options/1",
    CREATE_SNAPSHOT: "create_snapshot/1",
    RESTORE_SNAPSHOT: "restore_snapshot/1",
    CREATE_BRANCH: "create_branch/1",
    MERGE_BRANCHES: "merge_branches/1",
}


def _encode(job_index: int, values: Mapping[str, Value]) -> bytes:
    return encode(PARAMETERS[job_index], {"kind": _NAMES[job_index], **values})


def _program(inputs: JobInputs, large: bool) -> tuple[dict[str, Value], dict[bytes, bytes]]:
    """The fields of a program, its larger parts as blobs if so, and those blobs by SHA-256."""
    parts: dict[str, bytes] = {}
    if large:
        candidates = {
            "code": inputs.code.encode(),
            "stdin": inputs.stdin,
            **{f"files/{path}": content for path, content in inputs.files.items()},
        }
        parts = {name: content for name, content in candidates.items() if len(content) > PART_BYTES}
        inputs = replace(
            inputs,
            code="" if "code" in parts else inputs.code,
            stdin=b"" if "stdin" in parts else inputs.stdin,
            files={path: data for path, data in inputs.files.items() if f"files/{path}" not in parts},
        )
    hashes = {name: hashlib.sha256(content).digest() for name, content in parts.items()}
    listed: list[Value] = [
        {"part": name, "size": len(parts[name]), "sha256": hashes[name]} for name in sorted(parts)
    ]
    blobs = {hashes[name]: content for name, content in parts.items()}
    return {"job": encode_inputs(inputs), "blobs": listed}, blobs


def _fork_values(fork: Fork) -> Value:
    return {"seed": fork.seed, "epoch": fork.epoch, "identity": fork.identity}


def _measurement(text: str | None) -> bytes:
    """Raises ValueError."""
    if text is None:
        return bytes(32)
    if len(text) != 66 or not text.startswith("0x"):
        raise ValueError(f"a snapshot is named by 0x and 64 hexadecimal digits, not {text!r}")
    return bytes.fromhex(text[2:])
