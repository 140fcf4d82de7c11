"""A job: what to run, on what input, at what declared time and randomness, within what limits.

The canonical encoding of a job is the payload of the blueprint's `execute` job (TLV, see
`definition.EXECUTE_PARAMETERS`). Its Keccak-256 is the job digest, which therefore equals the
hash of inputs that the protocol itself keeps on-chain.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import cast

from faas_blueprint import tlv
from faas_blueprint.digests import Digest, keccak256
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.terminal import TerminalSize, decode_events

DEFAULT_EPOCH = 1_767_225_600
"""2026-01-01T00:00:00Z: the time that a job sees when it names none."""

MIN_EPOCH = 86_400
"""The guest's clock cannot be set to before its own start."""
MAX_EPOCH = 4_102_444_800

MAX_CODE_BYTES = 4 << 20
MAX_INPUT_BYTES = 14 << 20
"""Code, stdin, files, arguments and environment together; the mailbox holds 16 MiB."""

U64_MAX = (1 << 64) - 1
_DISK_BLOCK = 4096


class Language(StrEnum):
    """Languages that a job may be written in."""

    PYTHON = "python"
    JAVASCRIPT = "javascript"
    BASH = "bash"
    RUST = "rust"
    GO = "go"
    TYPESCRIPT = "typescript"


COMPILED_LANGUAGES = frozenset({Language.RUST, Language.GO, Language.TYPESCRIPT})
"""Compiled on a toolchain snapshot first; the others have a runner in the base snapshot."""


class Mode(StrEnum):
    """What a job starts on and what becomes of its machine; `faas_microvm.modes` runs them."""

    EPHEMERAL = "ephemeral"
    CACHED = "cached"
    CHECKPOINTED = "checkpointed"
    BRANCHED = "branched"
    PERSISTENT = "persistent"

    @property
    def keeps(self) -> bool:
        """Whether the machine is kept, which is part of the job and of its digest."""
        return self in (Mode.CHECKPOINTED, Mode.BRANCHED, Mode.PERSISTENT)


ENTRY_FILES: Mapping[Language, str] = {
    Language.PYTHON: "main.py",
    Language.JAVASCRIPT: "main.js",
    Language.BASH: "main.sh",
    Language.RUST: "main.rs",
    Language.GO: "main.go",
    Language.TYPESCRIPT: "main.ts",
}
"""The name under which the code stands in the job's working directory."""

PROGRAM_FILES: Mapping[Language, str] = {
    Language.RUST: "main",
    Language.GO: "main",
    Language.TYPESCRIPT: "main.js",
}
"""The name under which the compiled program stands there."""

OUTPUT_FOLDER = "output"
"""What a job leaves below this folder of its working directory is part of its outcome."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a job may use at the most; going over is an outcome, not an error."""

    timeout_ms: int = 30_000
    """Virtual milliseconds, as the job's own clocks count them."""
    memory_mb: int = 512
    output_bytes: int = 1 << 20
    """For stdout and stderr each; what is over is cut, with `truncated` set."""
    processes: int = 64
    disk_mb: int = 64
    cpu_millicores: int = 1000
    """Share of the one processor; less makes the job's own clocks run further meanwhile."""

    def __post_init__(self) -> None:
        for name, (low, high) in LIMIT_RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise InvalidRequest(
                    f"{name} must be an integer from {low} to {high}, got {value!r}", {"field": name}
                )


LIMIT_RANGES: Mapping[str, tuple[int, int]] = {
    "timeout_ms": (1, 3_600_000),
    "memory_mb": (16, 512),
    "output_bytes": (0, 4 << 20),
    "processes": (1, 256),
    "disk_mb": (1, 128),
    "cpu_millicores": (10, 1000),
}


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file laid into the job's working directory before it starts."""

    path: str
    content: bytes

    def __post_init__(self) -> None:
        check_path(self.path)


@dataclass(frozen=True, slots=True)
class Job:
    """One run of one program. Equal jobs have equal digests and, on one snapshot, equal outcomes."""

    language: Language
    code: str
    stdin: bytes = b""
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    """Sorted by name, names unique."""
    files: tuple[InputFile, ...] = ()
    """Sorted by path, paths unique."""
    seed: int = 0
    """Seeds every source of randomness in the machine; an unsigned 64-bit number."""
    epoch: int = DEFAULT_EPOCH
    """Unix seconds that the machine's clock shows when the job starts."""
    limits: Limits = field(default_factory=Limits)
    keep: bool = False
    """Keep the machine as a snapshot afterwards. It changes the run: the interpreter stays alive, so
    exit handlers do not run."""
    interactive: bool = False
    """The program gets its standard input line by line, each one when nothing in it can go on without, and
    then the end. So input that was typed while it ran and the same input given at once are the same run."""
    terminal: TerminalSize | None = None
    """What an interactive program's standard streams are, in the place of pipes. Then its input comes as it
    was typed, not by the line, and `stdin` is a list of events: see `terminal.encode_events`."""

    def __post_init__(self) -> None:
        _check_job(self)


def check_path(path: str) -> None:
    """Raises InvalidRequest unless a file's `path` is a plain relative one, such as `data/input.txt`."""
    in_files = {"field": "files"}
    try:
        sizes = [len(part.encode()) for part in path.split("/")]
    except UnicodeEncodeError as error:
        raise InvalidRequest("file paths must be valid Unicode (no lone surrogates)", in_files) from error
    if any(part in ("", ".", "..") for part in path.split("/")):
        message = f"file path {path!r} must be relative, without empty, '.' or '..' parts"
        raise InvalidRequest(message, in_files)
    if "\0" in path or max(sizes) > 255 or len(path.encode()) > 1024:
        raise InvalidRequest(f"file path {path[:80]!r} is too long or holds a NUL", in_files)


def make_job(
    language: str,
    code: str,
    *,
    stdin: bytes = b"",
    arguments: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    files: Mapping[str, bytes] | None = None,
    seed: int = 0,
    epoch: int = DEFAULT_EPOCH,
    limits: Limits | None = None,
    keep: bool = False,
    interactive: bool = False,
    terminal: TerminalSize | None = None,
) -> Job:
    """A job from loose parts, put into canonical order. Raises InvalidRequest."""
    known = _language(language)
    return Job(
        language=known,
        code=code,
        stdin=stdin,
        arguments=tuple(arguments),
        environment=tuple(sorted((environment or {}).items())),
        files=tuple(InputFile(path, content) for path, content in sorted((files or {}).items())),
        seed=seed,
        epoch=epoch,
        limits=limits or Limits(),
        keep=keep,
        interactive=interactive,
        terminal=terminal,
    )


EXECUTE_PARAMETERS: tuple[tlv.Field, ...] = (
    tlv.Field(tlv.Kind.STRING, "language"),
    tlv.Field(tlv.Kind.STRING, "code"),
    tlv.Field(tlv.Kind.BYTES, "stdin"),
    tlv.list_of("arguments", tlv.Field(tlv.Kind.STRING, "argument")),
    tlv.list_of(
        "environment",
        tlv.struct("variable", tlv.Field(tlv.Kind.STRING, "name"), tlv.Field(tlv.Kind.STRING, "value")),
    ),
    tlv.list_of(
        "files",
        tlv.struct("file", tlv.Field(tlv.Kind.STRING, "path"), tlv.Field(tlv.Kind.BYTES, "content")),
    ),
    tlv.Field(tlv.Kind.UINT64, "seed"),
    tlv.Field(tlv.Kind.UINT64, "epoch"),
    tlv.struct(
        "limits",
        tlv.Field(tlv.Kind.UINT32, "timeout_ms"),
        tlv.Field(tlv.Kind.UINT32, "memory_mb"),
        tlv.Field(tlv.Kind.UINT32, "output_bytes"),
        tlv.Field(tlv.Kind.UINT32, "processes"),
        tlv.Field(tlv.Kind.UINT32, "disk_mb"),
        tlv.Field(tlv.Kind.UINT32, "cpu_millicores"),
    ),
    tlv.Field(tlv.Kind.BOOL, "keep"),
)
"""Schema of job 0's inputs on-chain."""

_INTERACTIVE = b"\x01"
_TERMINAL = struct.Struct(">BHH")
"""A 2, then columns and rows."""


def encode_job(job: Job) -> bytes:
    """The canonical payload."""
    limits: dict[str, tlv.Value] = {name: getattr(job.limits, name) for name in LIMIT_RANGES}
    payload = tlv.encode(
        EXECUTE_PARAMETERS,
        {
            "language": str(job.language),
            "code": job.code,
            "stdin": job.stdin,
            "arguments": job.arguments,
            "environment": [{"name": name, "value": value} for name, value in job.environment],
            "files": [{"path": file.path, "content": file.content} for file in job.files],
            "seed": job.seed,
            "epoch": job.epoch,
            "limits": limits,
            "keep": job.keep,
        },
    )
    return payload + encode_interaction(job)


def encode_interaction(job: Job) -> bytes:
    """What the payload of an interactive job has more than the schema on-chain."""
    if job.terminal is not None:
        return _TERMINAL.pack(2, job.terminal.columns, job.terminal.rows)
    return _INTERACTIVE if job.interactive else b""


def decode_job(payload: bytes) -> Job:
    """The job of a canonical payload. Raises InvalidRequest."""
    values, rest = tlv.decode_first(EXECUTE_PARAMETERS, payload)
    terminal = None
    if len(rest) == _TERMINAL.size and rest[0] == 2:
        terminal = TerminalSize(*_TERMINAL.unpack(rest)[1:])
    elif rest not in (b"", _INTERACTIVE):
        raise tlv.left_over(rest)
    variables = cast("list[dict[str, str]]", values["environment"])
    files = cast("list[dict[str, str | bytes]]", values["files"])
    return Job(
        language=_language(cast(str, values["language"])),
        code=cast(str, values["code"]),
        stdin=cast(bytes, values["stdin"]),
        arguments=tuple(cast("list[str]", values["arguments"])),
        environment=tuple((item["name"], item["value"]) for item in variables),
        files=tuple(InputFile(cast(str, item["path"]), cast(bytes, item["content"])) for item in files),
        seed=cast(int, values["seed"]),
        epoch=cast(int, values["epoch"]),
        limits=Limits(**cast("dict[str, int]", values["limits"])),
        keep=cast(bool, values["keep"]),
        interactive=rest != b"",
        terminal=terminal,
    )


def job_digest(job: Job) -> Digest:
    """Keccak-256 of the canonical payload."""
    return keccak256(encode_job(job))


def input_bytes(job: Job) -> int:
    """What counts towards MAX_INPUT_BYTES."""
    return _input_bytes(job, [len(text.encode()) for text in _texts(job)])


def _texts(job: Job) -> list[str]:
    """The code, then what else is text but for the paths."""
    return [job.code, *job.arguments, *(text for pair in job.environment for text in pair)]


def _input_bytes(job: Job, texts: list[int]) -> int:
    return sum(texts) + len(job.stdin) + sum(len(file.content) + len(file.path) for file in job.files)


def _language(name: str) -> Language:
    try:
        return Language(name)
    except ValueError as error:
        # the message goes into a signed outcome: the list, which grows, stays out of it
        raise InvalidRequest(
            f"language {name!r} is not served", {"field": "language", "served": ", ".join(Language)}
        ) from error


def _check_job(job: Job) -> None:
    for name, value in (("seed", job.seed), ("epoch", job.epoch)):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= U64_MAX:
            raise InvalidRequest(f"{name} must be an unsigned 64-bit integer", {"field": name})
    if not MIN_EPOCH <= job.epoch <= MAX_EPOCH:
        raise InvalidRequest("epoch must lie from 1970-01-02 to 2100-01-01", {"field": "epoch"})
    if not isinstance(job.keep, bool):
        raise InvalidRequest("keep must be a boolean", {"field": "keep"})
    if job.interactive and job.keep:
        raise InvalidRequest("an interactive job's machine cannot be kept", {"field": "interactive"})
    if job.terminal is not None:
        if not job.interactive:
            raise InvalidRequest("a job with a terminal is interactive", {"field": "terminal"})
        decode_events(job.stdin)
    if not isinstance(job.code, str):
        raise InvalidRequest("code must be a string", {"field": "code"})
    texts = _texts(job)
    try:
        sizes = [len(text.encode()) for text in texts]
    except UnicodeEncodeError as error:
        raise InvalidRequest("text must be valid Unicode (no lone surrogates)") from error
    if sizes[0] > MAX_CODE_BYTES:
        raise InvalidRequest(f"code is over {MAX_CODE_BYTES} bytes", {"field": "code"})
    if any("\0" in text for text in texts[1:]):
        # the message goes into a signed outcome: it is the same for both
        wrong = "arguments" if any("\0" in text for text in job.arguments) else "environment"
        raise InvalidRequest("arguments and environment must not hold NUL characters", {"field": wrong})
    _check_environment(job.environment)
    _check_files(job)
    on_disk = [sizes[0], *(len(file.content) for file in job.files)]
    if sum(-(-size // _DISK_BLOCK) * _DISK_BLOCK for size in on_disk) > job.limits.disk_mb << 20:
        raise InvalidRequest(f"files do not fit on a disk of {job.limits.disk_mb} MiB", {"field": "disk_mb"})
    total = _input_bytes(job, sizes)
    if total > MAX_INPUT_BYTES:
        raise InvalidRequest(f"inputs are {total} bytes, {MAX_INPUT_BYTES} at the most")


def _check_environment(environment: tuple[tuple[str, str], ...]) -> None:
    names = [name for name, _ in environment]
    if any(not name or "=" in name for name in names):
        raise InvalidRequest("environment names must not be empty or hold '='", {"field": "environment"})
    if any(left >= right for left, right in pairwise(names)):
        raise InvalidRequest("environment must be sorted by unique name", {"field": "environment"})


def _check_files(job: Job) -> None:
    paths = [file.path for file in job.files]
    if any(left >= right for left, right in pairwise(paths)):
        raise InvalidRequest("files must be sorted by unique path", {"field": "files"})
    reserved = reserved_files(job.language)
    for path in paths:
        if path in reserved:
            raise InvalidRequest(f"{path!r} is {reserved[path]}", {"field": "files"})
    check_no_nesting(paths, {path for path in reserved if path != OUTPUT_FOLDER})


def reserved_files(language: Language) -> Mapping[str, str]:
    """Names in the working directory that no input file may have, with what stands there instead."""
    names = {ENTRY_FILES[language]: "the code's own name", OUTPUT_FOLDER: "the folder of output files"}
    if language in PROGRAM_FILES:
        names[PROGRAM_FILES[language]] = "the compiled program's own name"
    return names


def check_no_nesting(paths: Collection[str], others: Collection[str] = ()) -> None:
    """Raises InvalidRequest when one of `paths` lies below another one, or below one of `others`."""
    by_parts = sorted({*paths, *others}, key=lambda path: path.split("/"))
    for file, after in pairwise(by_parts):
        if after.startswith(file + "/"):
            raise InvalidRequest(f"{after!r} lies below another file", {"field": "files"})
