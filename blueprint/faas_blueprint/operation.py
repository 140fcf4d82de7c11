"""What a call of one of the blueprint's jobs asks for, in types; `operation_payload` encodes it.

Everything is named by content: a snapshot by its measurement, a blob by its SHA-256, never by an id
that one operator gave. So every operator does the same, and anyone can do it again.

    Run               0 execute, 1 execute with options, 2 create a snapshot
    RestoreSnapshot   3: prove that a snapshot is held and can be run
    CreateBranch      4: a fork with a declared record
    MergeBranches     5: the files of several snapshots in one
    InstanceRequest   6 to 11: machines that stay up; declared, and served by nobody yet

Every operation is answered by one receipt: `snapshot` is where it started, `state_root` the machine
that came of it. Performing them is `faas_microvm.performing`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from itertools import pairwise

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import InvalidRequest, NotServed
from faas_blueprint.job import (
    COMPILED_LANGUAGES,
    MAX_CODE_BYTES,
    MAX_EPOCH,
    MAX_INPUT_BYTES,
    U64_MAX,
    InputFile,
    Job,
    Language,
    Mode,
    check_path,
    make_job,
)

MERGED_AT_MOST = 16
"""Branches in one merge."""

IDENTITY_BYTES = 32
"""Of a fork, at the most."""

CODE_PART, STDIN_PART, FILE_PART = "code", "stdin", "files/"
"""Parts of a program that may be a blob; the last one is followed by the file's path."""


class JobKind(IntEnum):
    """The blueprint's jobs by index."""

    EXECUTE = 0
    EXECUTE_WITH_OPTIONS = 1
    CREATE_SNAPSHOT = 2
    RESTORE_SNAPSHOT = 3
    CREATE_BRANCH = 4
    MERGE_BRANCHES = 5
    START_INSTANCE = 6
    STOP_INSTANCE = 7
    PAUSE_INSTANCE = 8
    RESUME_INSTANCE = 9
    EXPOSE_PORT = 10
    UPLOAD_FILES = 11


class Strategy(StrEnum):
    """What becomes of what both sides of a merge changed."""

    THREE_WAY = "three_way"
    OURS = "ours"
    THEIRS = "theirs"
    UNION = "union"


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes by their content address."""

    size: int
    sha256: Digest


@dataclass(frozen=True, slots=True)
class BlobPart:
    """A part of a program that stands elsewhere: `code`, `stdin`, or `files/` and a path."""

    part: str
    blob: Blob


@dataclass(frozen=True, slots=True)
class Program:
    """A job, some parts of which may be blobs."""

    job: Job
    """Code and stdin that are blobs are empty here, files that are blobs are missing."""
    blobs: tuple[BlobPart, ...] = ()
    """Sorted by part, parts unique."""

    def __post_init__(self) -> None:
        _check_blobs(self)

    def whole(self, contents: Mapping[Digest, bytes]) -> Job:
        """The job with its blobs, given by SHA-256 and checked already. Raises InvalidRequest."""
        job, files = self.job, list(self.job.files)
        for item in self.blobs:
            content = contents[item.blob.sha256]
            if item.part == CODE_PART:
                job = replace(job, code=_text(content))
            elif item.part == STDIN_PART:
                job = replace(job, stdin=content)
            else:
                files.append(InputFile(item.part.removeprefix(FILE_PART), content))
        return replace(job, files=tuple(sorted(files, key=lambda file: file.path)))


@dataclass(frozen=True, slots=True)
class ForkRecord:
    """What tells a fork from its siblings; it is part of the fork's measurement."""

    seed: int = 0
    epoch: int = 0
    """Unix seconds that the fork's clock is put forward to; 0 leaves it."""
    identity: bytes = b""

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= U64_MAX or not 0 <= self.epoch <= MAX_EPOCH:
            raise InvalidRequest("a fork's seed or epoch is out of range", {"field": "fork"})
        if len(self.identity) > IDENTITY_BYTES:
            raise InvalidRequest(
                f"a fork's identity has {IDENTITY_BYTES} bytes at the most", {"field": "fork"}
            )


@dataclass(frozen=True, slots=True)
class Run:
    """Run a program on a snapshot. It is kept if the mode says so."""

    kind: JobKind
    program: Program
    snapshot: Digest | None = None
    """Where to start; None is the base."""
    mode: Mode = Mode.EPHEMERAL
    fork: ForkRecord | None = None
    """Of mode branched: the program runs in this fork of the snapshot."""

    def __post_init__(self) -> None:
        if self.mode is Mode.PERSISTENT:
            raise InvalidRequest(
                "mode persistent has its machine at one operator alone: use checkpointed, and start the next "
                "job on the snapshot that it leaves",
                {"field": "mode"},
            )
        if (self.mode is Mode.BRANCHED) != (self.fork is not None):
            raise InvalidRequest(
                "a fork's record belongs to mode branched, and only there", {"field": "fork"}
            )
        if self.program.job.keep != self.mode.keeps:
            keeps = "true" if self.mode.keeps else "false"
            raise InvalidRequest(f"the job's keep must be {keeps} in mode {self.mode}", {"field": "keep"})


@dataclass(frozen=True, slots=True)
class RestoreSnapshot:
    """Run an empty program on a snapshot. Its end depends on the challenge, so it cannot be known before."""

    snapshot: Digest | None
    challenge: int
    """The run's seed."""


@dataclass(frozen=True, slots=True)
class CreateBranch:
    """Fork a snapshot."""

    snapshot: Digest | None
    fork: ForkRecord


@dataclass(frozen=True, slots=True)
class MergeBranches:
    """Merge the files of branches into the first one, one after the other, each against the base given.

    The base is named, since what a snapshot was made from is no part of its measurement.
    """

    base: Digest | None
    branches: tuple[Digest, ...]
    strategy: Strategy

    def __post_init__(self) -> None:
        if not 2 <= len(self.branches) <= MERGED_AT_MOST or len(set(self.branches)) < len(self.branches):
            raise InvalidRequest(f"name from 2 to {MERGED_AT_MOST} different branches", {"field": "branches"})


@dataclass(frozen=True, slots=True)
class InstanceRequest:
    """One of jobs 6 to 11, its inputs in order."""

    kind: JobKind


Operation = Run | RestoreSnapshot | CreateBranch | MergeBranches | InstanceRequest


def kind_of(operation: Operation) -> JobKind:
    """The job that an operation is an input of."""
    match operation:
        case Run() | InstanceRequest():
            return operation.kind
        case RestoreSnapshot():
            return JobKind.RESTORE_SNAPSHOT
        case CreateBranch():
            return JobKind.CREATE_BRANCH
        case MergeBranches():
            return JobKind.MERGE_BRANCHES


def blobs_of(operation: Operation) -> tuple[Blob, ...]:
    """What must be fetched before an operation can be performed, each once."""
    parts = operation.program.blobs if isinstance(operation, Run) else ()
    return tuple(dict.fromkeys(item.blob for item in parts))


def snapshots_of(operation: Operation) -> tuple[Digest | None, ...]:
    """What an operation works on, where it starts first; None is the base."""
    match operation:
        case MergeBranches():
            return (*operation.branches, operation.base)
        case InstanceRequest():
            return ()
        case _:
            return (operation.snapshot,)


def job_of(operation: Run | RestoreSnapshot, contents: Mapping[Digest, bytes]) -> Job:
    """The job that an operation runs; `contents` holds its blobs by SHA-256, checked."""
    if isinstance(operation, RestoreSnapshot):
        return make_job(Language.PYTHON, "", seed=operation.challenge)
    return operation.program.whole(contents)


def compiled_language(operation: Operation) -> Language | None:
    """Of an operation's program, if it is compiled."""
    language = operation.program.job.language if isinstance(operation, Run) else None
    return language if language in COMPILED_LANGUAGES else None


def not_served() -> NotServed:
    """What an InstanceRequest is answered with, in the same words by everyone."""
    return NotServed("instances are not served by this operator")


def _check_blobs(program: Program) -> None:
    job, in_blobs = program.job, {"field": "blobs"}
    parts = [item.part for item in program.blobs]
    if any(left >= right for left, right in pairwise(parts)):
        raise InvalidRequest("blobs must be sorted by unique part", in_blobs)
    sizes: dict[Digest, int] = {}
    for item in program.blobs:
        if sizes.setdefault(item.blob.sha256, item.blob.size) != item.blob.size:
            raise InvalidRequest(f"blob {to_hex(item.blob.sha256)} is given two sizes", in_blobs)
        if item.part.startswith(FILE_PART):
            path = item.part.removeprefix(FILE_PART)
            check_path(path)
            if any(file.path == path for file in job.files):
                raise InvalidRequest(f"file {path!r} stands here and as a blob", in_blobs)
        elif item.part not in (CODE_PART, STDIN_PART):
            raise InvalidRequest(f"{item.part[:80]!r} is no part of a program", in_blobs)
        elif job.code if item.part == CODE_PART else job.stdin:
            raise InvalidRequest(f"{item.part} stands here and as a blob", in_blobs)
        elif item.part == CODE_PART and item.blob.size > MAX_CODE_BYTES:
            raise InvalidRequest(f"code is over {MAX_CODE_BYTES} bytes", {"field": "code"})
    if sum(item.blob.size for item in program.blobs) > MAX_INPUT_BYTES:
        raise InvalidRequest(f"blobs are over {MAX_INPUT_BYTES} bytes together", in_blobs)


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("code: not UTF-8", {"field": "code"}) from error
