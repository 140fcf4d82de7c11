"""What `POST /execute` takes, and the run that it asks for. Its older form: `command_request`."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field

from faas_api.platform.describing import matching, one_of
from faas_blueprint.digests import sha256
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import DEFAULT_EPOCH, LIMIT_RANGES, U64_MAX, Job, Language, Limits, Mode, make_job
from faas_blueprint.terminal import MAX_CELLS, TerminalSize, encode_events
from faas_operator.execution_record import IdempotencyKey, Placement
from faas_operator.execution_run import RunRequest
from faas_operator.snapshot_catalog import BASE

RANDOM_SEED_BITS = 53
"""Seeds of our own choice stay exact in clients whose numbers are doubles."""

_EXECUTION_ID = re.compile(r"exec_[A-Za-z0-9_-]{1,64}")


def _check_text(text: str) -> str:
    """JSON can spell lone surrogates, which are no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode (no lone surrogates)") from None
    return text


Text = Annotated[str, AfterValidator(_check_text)]
ModeName = Annotated[Text, one_of(Mode)]
LanguageName = Annotated[Text, one_of(Language)]
ExecutionId = Annotated[Text, matching(f"^{_EXECUTION_ID.pattern}$")]
Unsigned64 = Annotated[int, Field(ge=0, le=U64_MAX)]
Cells = Annotated[int, Field(ge=1, le=MAX_CELLS)]

_DEFAULTS = Limits()


class Strict(BaseModel):
    """A body in which nothing is converted and nothing is passed over."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def limit(name: str, unit: str) -> Any:
    """The field of a limit, whose range the job checks."""
    low, high = LIMIT_RANGES[name]
    return Field(
        getattr(_DEFAULTS, name),
        description=f"{unit}, {low} to {high}",
        json_schema_extra={"minimum": low, "maximum": high},
    )


class Resources(Strict):
    """What a run may use; going over is an answer, not an error."""

    cpu_cores: int | float = Field(
        1,
        description="0.01 to 1: a deterministic machine has one processor; less is a share of it",
        json_schema_extra={"minimum": 0.01, "maximum": 1},
    )
    memory_mb: int = limit("memory_mb", "MiB, beside what its interpreter holds before")
    timeout_ms: int = limit("timeout_ms", "Virtual milliseconds")
    output_bytes: int = limit("output_bytes", "Of stdout and of stderr")
    processes: int = limit("processes", "At once, beside 16 threads of an interpreter")
    disk_mb: int = limit("disk_mb", "MiB")
    gpu_count: int = Field(0, description="0: there are none", json_schema_extra={"enum": [0]})

    def limits(self) -> Limits:
        """Raises InvalidRequest."""
        if not 0.01 <= self.cpu_cores <= 1:
            raise InvalidRequest(
                "cpu_cores must be 0.01 to 1: a deterministic machine has one processor",
                {"field": "resources.cpu_cores"},
            )
        if self.gpu_count != 0:
            raise InvalidRequest("gpu_count must be 0", {"field": "resources.gpu_count"})
        return Limits(
            timeout_ms=self.timeout_ms,
            memory_mb=self.memory_mb,
            output_bytes=self.output_bytes,
            processes=self.processes,
            disk_mb=self.disk_mb,
            cpu_millicores=round(self.cpu_cores * 1000),
        )


class Size(Strict):
    """How large a terminal is, in characters."""

    cols: Cells
    rows: Cells

    def size(self) -> TerminalSize:
        """The same, as jobs have it."""
        return TerminalSize(self.cols, self.rows)


class Terminal(Size):
    """A terminal, and how large it is at first."""

    cols: Cells = 80
    rows: Cells = 24


class TextContent(Strict):
    """A file given as text."""

    text: Text


class Base64Content(Strict):
    """A file given as base64, like a plain string."""

    base64: Text


class Asked(Strict):
    """What both forms have."""

    mode: ModeName | None = Field(
        None, description=f"One of {', '.join(Mode)}; default: ephemeral, persistent where a session is named"
    )
    snapshot_id: Text | None = Field(
        None,
        validation_alias=AliasChoices("snapshot_id", "parent_snapshot", "checkpoint", "checkpoint_id"),
        description="Start on this snapshot; `base` is the machine that every run starts on by default",
    )
    branch_id: Text | None = Field(
        None, description="Start on this branch's head; checkpointed and branched runs move it on"
    )
    branch_from: Text | None = Field(None, description="A snapshot's or a branch's id, for mode branched")
    session: Text | None = Field(
        None,
        validation_alias=AliasChoices("session", "session_id"),
        description="Mode persistent: the session to go on in, or a name of your own for one that begins; "
        "a new `sess_…` where it is left out. A name that begins so is one that is there",
    )
    execution_id: ExecutionId | None = Field(
        None, description="`exec_…` of your own choice; default: a new one"
    )
    asynchronous: bool = Field(
        False, alias="async", description="Answer 202 at once, like `Prefer: respond-async`"
    )
    seed: Unsigned64 | None = Field(
        None, description="Default: a random number, told in the answer; 0 in mode cached"
    )
    epoch: Unsigned64 | None = Field(
        None, description="Unix seconds; default: now, told in the answer; 2026-01-01 in mode cached"
    )

    def placement(self) -> Placement:
        """Raises InvalidRequest."""
        mode = self.mode
        if mode is None:
            mode = Mode.EPHEMERAL if self.session is None else Mode.PERSISTENT
        if mode not in list(Mode):
            served = [str(known) for known in Mode]
            raise InvalidRequest(
                f"mode {mode!r} does not exist; choose one of: {', '.join(served)}",
                {"field": "mode", "served": served},
            )
        snapshot_id, branch_id = self.snapshot_id, self.branch_id
        if self.branch_from is not None:
            if snapshot_id is not None or branch_id is not None:
                raise InvalidRequest(
                    "branch_from stands for a snapshot or a branch", {"field": "branch_from"}
                )
            is_branch = self.branch_from.startswith("branch_")
            snapshot_id, branch_id = (None, self.branch_from) if is_branch else (self.branch_from, None)
        return Placement(Mode(mode), snapshot_id, branch_id, self.session)

    def run(self, job: Job, key: str | None) -> RunRequest:
        """The run that is asked for. Raises InvalidRequest."""
        if self.execution_id is not None and not _EXECUTION_ID.fullmatch(self.execution_id):
            raise InvalidRequest(
                "execution_id is 'exec_' and up to 64 letters, digits, '_' and '-'", {"field": "execution_id"}
            )
        return RunRequest(job, self.placement(), self._key(key), self.execution_id)

    def chosen(self) -> tuple[int, int]:
        """Seed and epoch. Mode cached chooses the same ones each time, or nothing would be known already."""
        same = self.mode == Mode.CACHED
        seed = 0 if same else secrets.randbits(RANDOM_SEED_BITS)
        epoch = DEFAULT_EPOCH if same else int(time.time())
        return seed if self.seed is None else self.seed, epoch if self.epoch is None else self.epoch

    def _key(self, name: str | None) -> IdempotencyKey | None:
        if name is None:
            return None
        if not 1 <= len(name) <= 255 or not name.isascii() or not name.isprintable():
            raise InvalidRequest(
                "an idempotency key has 1 to 255 printable ASCII characters", {"field": "Idempotency-Key"}
            )
        asked = self.model_dump_json(exclude={"asynchronous"}).encode()
        return IdempotencyKey(name, sha256(asked))


ENVIRONMENT = {"environment": "env_vars"}
_NAMES = ENVIRONMENT | {name: f"resources.{name}" for name in LIMIT_RANGES}


@contextmanager
def in_names_of_the_request(names: Mapping[str, str]) -> Iterator[None]:
    """What the job finds wrong is told by the request's field: `names` has it by the job's."""
    try:
        yield
    except InvalidRequest as error:
        field = names.get(str(error.details.get("field")))
        if field is None:
            raise
        raise InvalidRequest(error.message, {**error.details, "field": field}) from error


class ExecuteRequest(Asked):
    """Run code. All of it is the job that a receipt answers for, stdin too, even if that comes on the way."""

    code: Text
    language: LanguageName
    resources: Resources = Resources()
    env_vars: dict[Text, Text] = Field(default_factory=dict)
    files: dict[Text, Text | TextContent | Base64Content] = Field(
        default_factory=dict,
        description="Path to content; a string is base64. Paths are relative and may be nested",
    )
    stdin: Text = ""
    interactive: bool = Field(
        False,
        description="Mode ephemeral: the run gets its stdin line by line, each one when it can only go on "
        "with it. What is not in `stdin` is sent while it runs, as `input` over the WebSocket or to "
        "`/executions/{execution_id}/input`; the job that the receipt answers for has all of it",
    )
    terminal: Terminal | None = Field(
        None,
        description="The run is `interactive`, whether that is said or not, on a terminal: what it writes is "
        "all `stdout`, and what is typed comes as it is, not by the line; `stdin` is typed first. `resize`, "
        "over the WebSocket or to `/executions/{execution_id}/resize`, changes its size",
    )
    arguments: list[Text] = Field(default_factory=list)

    def job(self) -> Job:
        """The job; seed and epoch are chosen where the request leaves them open. Raises InvalidRequest."""
        seed, epoch = self.chosen()
        stdin, terminal = self.stdin.encode(), None
        if self.terminal is not None:
            stdin, terminal = encode_events([stdin]), self.terminal.size()
        with in_names_of_the_request(_NAMES):
            return make_job(
                self.language,
                self.code,
                stdin=stdin,
                arguments=tuple(self.arguments),
                environment=self.env_vars,
                files={path: _content(path, given) for path, given in self.files.items()},
                seed=seed,
                epoch=epoch,
                limits=self.resources.limits(),
                interactive=self.interactive or terminal is not None,
                terminal=terminal,
            )

    def placement(self) -> Placement:
        """Raises InvalidRequest."""
        placement = super().placement()
        field = "terminal" if self.terminal is not None else "interactive" if self.interactive else None
        if field is not None and placement not in (Placement(), Placement(snapshot_id=BASE)):
            raise InvalidRequest(
                "an interactive run starts on the base snapshot, in mode ephemeral", {"field": field}
            )
        return placement


def _content(path: str, given: str | TextContent | Base64Content) -> bytes:
    if isinstance(given, TextContent):
        return given.text.encode()
    return decode_base64(path, given if isinstance(given, str) else given.base64)


def decode_base64(path: str, text: str) -> bytes:
    """A file's content: standard alphabet, padded, nothing else. Raises InvalidRequest."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"file {path!r} is not valid base64", {"field": f"files.{path}"}) from error
