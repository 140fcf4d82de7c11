"""The payloads of the blueprint's jobs: schemas, encoding, and what a payload asks for.

Job 0's payload is `job.encode_job`'s. Every other one begins with the name and version of its own job, so
that no payload can be read as two: job 0's begins with a language. Versions grow with a change of meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

from faas_blueprint import tlv
from faas_blueprint.digests import ZERO_DIGEST, Digest
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import EXECUTE_PARAMETERS, Mode, decode_job, encode_interaction, encode_job
from faas_blueprint.operation import (
    Blob,
    BlobPart,
    CreateBranch,
    ForkRecord,
    InstanceRequest,
    JobKind,
    MergeBranches,
    Operation,
    Program,
    RestoreSnapshot,
    Run,
    Strategy,
    kind_of,
)

Values = dict[str, tlv.Value]
Choice = TypeVar("Choice", Mode, Strategy)

_TAG = tlv.Field(tlv.Kind.STRING, "kind")
_SNAPSHOT = tlv.Field(tlv.Kind.BYTES32, "snapshot")
_BLOB = (tlv.Field(tlv.Kind.UINT64, "size"), tlv.Field(tlv.Kind.BYTES32, "sha256"))
_FORK = tlv.struct(
    "fork",
    tlv.Field(tlv.Kind.UINT64, "seed"),
    tlv.Field(tlv.Kind.UINT64, "epoch"),
    tlv.Field(tlv.Kind.BYTES, "identity"),
)
_PROGRAM = (
    tlv.Field(tlv.Kind.BYTES, "job"),
    tlv.list_of("blobs", tlv.struct("blob", tlv.Field(tlv.Kind.STRING, "part"), *_BLOB)),
)
_INSTANCE = tlv.Field(tlv.Kind.UINT64, "instance")
"""The call that started it."""

PARAMETERS: Mapping[JobKind, tuple[tlv.Field, ...]] = {
    JobKind.EXECUTE: EXECUTE_PARAMETERS,
    JobKind.EXECUTE_WITH_OPTIONS: (
        _TAG,
        tlv.Field(tlv.Kind.STRING, "mode"),
        _SNAPSHOT,
        tlv.optional("fork", _FORK),
        *_PROGRAM,
    ),
    JobKind.CREATE_SNAPSHOT: (_TAG, _SNAPSHOT, *_PROGRAM),
    JobKind.RESTORE_SNAPSHOT: (_TAG, _SNAPSHOT, tlv.Field(tlv.Kind.UINT64, "challenge")),
    JobKind.CREATE_BRANCH: (_TAG, _SNAPSHOT, _FORK),
    JobKind.MERGE_BRANCHES: (
        _TAG,
        tlv.Field(tlv.Kind.BYTES32, "base"),
        tlv.list_of("branches", tlv.Field(tlv.Kind.BYTES32, "branch")),
        tlv.Field(tlv.Kind.STRING, "strategy"),
    ),
    JobKind.START_INSTANCE: (
        _TAG,
        _SNAPSHOT,
        tlv.Field(tlv.Kind.UINT32, "cpu_millicores"),
        tlv.Field(tlv.Kind.UINT32, "memory_mb"),
        tlv.Field(tlv.Kind.UINT32, "disk_mb"),
    ),
    JobKind.STOP_INSTANCE: (_TAG, _INSTANCE),
    JobKind.PAUSE_INSTANCE: (_TAG, _INSTANCE),
    JobKind.RESUME_INSTANCE: (_TAG, _INSTANCE, _SNAPSHOT),
    JobKind.EXPOSE_PORT: (
        _TAG,
        _INSTANCE,
        tlv.Field(tlv.Kind.UINT16, "port"),
        tlv.Field(tlv.Kind.STRING, "protocol"),
    ),
    JobKind.UPLOAD_FILES: (_TAG, _INSTANCE, tlv.Field(tlv.Kind.STRING, "path"), tlv.struct("blob", *_BLOB)),
}
"""Schemas of the jobs' inputs on-chain. A snapshot of zeros is the base."""


def tag_of(kind: JobKind) -> str:
    """What the payload of any job but 0 begins with."""
    return f"{kind.name.lower()}/1"


_TAGS: Mapping[str, JobKind] = {tag_of(kind): kind for kind in JobKind if kind is not JobKind.EXECUTE}


def encode_operation(operation: Operation) -> bytes:
    """The canonical payload of any operation but an InstanceRequest."""
    kind = kind_of(operation)
    match operation:
        case Run(kind=JobKind.EXECUTE):
            return encode_job(operation.program.job)
        case Run():
            values = _snapshot(operation.snapshot) | _program_values(operation.program)
            if kind is JobKind.EXECUTE_WITH_OPTIONS:
                fork = operation.fork
                values |= {"mode": str(operation.mode), "fork": None if fork is None else _fork_values(fork)}
        case RestoreSnapshot():
            values = _snapshot(operation.snapshot) | {"challenge": operation.challenge}
        case CreateBranch():
            values = _snapshot(operation.snapshot) | {"fork": _fork_values(operation.fork)}
        case MergeBranches():
            base = operation.base or ZERO_DIGEST
            values = {"base": base, "branches": operation.branches, "strategy": str(operation.strategy)}
        case InstanceRequest():
            raise InvalidRequest(f"{kind.name} has no inputs of ours")
    return tlv.encode(PARAMETERS[kind], {"kind": tag_of(kind), **values})


def decode_operation(payload: bytes) -> Operation:
    """What a payload asks for, by the tag that it begins with; without one it is job 0's.

    Raises InvalidRequest, in words that are part of a failed result.
    """
    kind = _TAGS.get(_first_text(payload))
    if kind is None:
        job = decode_job(payload)
        return Run(JobKind.EXECUTE, Program(job), None, Mode.CHECKPOINTED if job.keep else Mode.EPHEMERAL)
    values = tlv.decode(PARAMETERS[kind], payload)
    match kind:
        case JobKind.EXECUTE_WITH_OPTIONS:
            fork = values["fork"]
            record = None if fork is None else _fork(fork)
            mode = _one_of(Mode, "mode", values["mode"])
            return Run(kind, _program(values), _digest(values["snapshot"]), mode, record)
        case JobKind.CREATE_SNAPSHOT:
            return Run(kind, _program(values), _digest(values["snapshot"]), Mode.CHECKPOINTED)
        case JobKind.RESTORE_SNAPSHOT:
            return RestoreSnapshot(_digest(values["snapshot"]), cast(int, values["challenge"]))
        case JobKind.CREATE_BRANCH:
            return CreateBranch(_digest(values["snapshot"]), _fork(values["fork"]))
        case JobKind.MERGE_BRANCHES:
            branches = tuple(Digest(branch) for branch in cast("list[bytes]", values["branches"]))
            strategy = _one_of(Strategy, "strategy", values["strategy"])
            return MergeBranches(_digest(values["base"]), branches, strategy)
        case _:
            return InstanceRequest(kind)


def operation_of_call(job_index: int, payload: bytes) -> Operation:
    """What a call asks for. Raises InvalidRequest, also for the inputs of another job."""
    operation = decode_operation(payload)
    kind = kind_of(operation)
    if kind != job_index:
        raise InvalidRequest(f"these are the inputs of job {int(kind)}, sent to job {job_index}")
    if isinstance(operation, Run) and operation.program.job.interactive:
        # the schema of calls has no such field
        raise tlv.left_over(encode_interaction(operation.program.job))
    return operation


def _first_text(payload: bytes) -> str:
    """Tags are short, so their length is one byte."""
    return payload[1 : 1 + payload[0]].decode("utf-8", "replace") if payload else ""


def _snapshot(snapshot: Digest | None) -> Values:
    return {"snapshot": snapshot or ZERO_DIGEST}


def _digest(value: tlv.Value) -> Digest | None:
    return None if value == ZERO_DIGEST else Digest(cast(bytes, value))


def _program_values(program: Program) -> Values:
    blobs: list[tlv.Value] = [
        {"part": item.part, "size": item.blob.size, "sha256": item.blob.sha256} for item in program.blobs
    ]
    return {"job": encode_job(program.job), "blobs": blobs}


def _program(values: Values) -> Program:
    blobs = cast("list[dict[str, tlv.Value]]", values["blobs"])
    return Program(
        decode_job(cast(bytes, values["job"])),
        tuple(
            BlobPart(
                cast(str, item["part"]), Blob(cast(int, item["size"]), Digest(cast(bytes, item["sha256"])))
            )
            for item in blobs
        ),
    )


def _fork_values(fork: ForkRecord) -> Values:
    return {"seed": fork.seed, "epoch": fork.epoch, "identity": fork.identity}


def _fork(value: tlv.Value) -> ForkRecord:
    values = cast("dict[str, tlv.Value]", value)
    return ForkRecord(cast(int, values["seed"]), cast(int, values["epoch"]), cast(bytes, values["identity"]))


def _one_of(choices: type[Choice], name: str, value: tlv.Value) -> Choice:
    try:
        return choices(cast(str, value))
    except ValueError as error:
        # the message goes into a signed outcome: the list, which may grow, stays out of it
        raise InvalidRequest(f"{name} {value!r} is not known", {"field": name}) from error
