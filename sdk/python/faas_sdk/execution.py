"""What the REST API answers, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from faas_sdk.errors import ConnectionFailed
from faas_sdk.output_files import OutputFile, check_path


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of one program. Until it is over, as its status says, output, files and cost are empty: nobody
    knows them yet. `logs` has what it has written so far.
    """

    execution_id: str
    status: str
    """`queued` and `running`; `completed` whatever the exit code, `timeout`, `cancelled`, `restored`;
    `failed` when it could not be run."""
    exit_code: int | None
    stdout: str
    stderr: str
    duration_ms: float | None
    mode: str
    cached: bool
    cost: Mapping[str, float]
    receipt: Mapping[str, object] | None
    """The signed fields, where the service gives them."""
    signature: str | None
    virtual_ns: int | None
    """Guest time; the same in every run of the same job."""
    files: tuple[OutputFile, ...]
    """What it left in its output folder; `output_file` fetches the bytes."""
    files_truncated: bool
    """Whether something there was left out."""
    response: Mapping[str, object] = field(repr=False)
    """The whole answer."""
    snapshot_id: str | None = None
    """The machine after the run, where it was kept."""
    session_id: str | None = None
    """Of a persistent run: `session` of the next one."""
    error: str | None = None
    """Why there is no outcome."""

    @property
    def id(self) -> str:
        """The same as `execution_id`."""
        return self.execution_id


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that was asked for and not waited for; `execution` has the rest of it, once there is any."""

    execution_id: str
    status: str
    """As of an execution: over already where an earlier request with its idempotency key was answered."""
    mode: str
    response: Mapping[str, object] = field(repr=False)
    """The whole answer."""

    @property
    def id(self) -> str:
        """The same as `execution_id`."""
        return self.execution_id


@dataclass(frozen=True, slots=True)
class ExecutionLine:
    """An execution in a list: what lists say of it. `execution` has the rest, output and receipt too."""

    execution_id: str
    status: str
    mode: str
    language: str | None
    exit_code: int | None
    duration_ms: float | None
    cached: bool
    snapshot_id: str | None
    created_at: str
    updated_at: str
    response: Mapping[str, object] = field(repr=False)
    """The whole line."""

    @property
    def id(self) -> str:
        """The same as `execution_id`."""
        return self.execution_id


@dataclass(frozen=True, slots=True)
class Health:
    """What the service says of itself."""

    status: str
    response: Mapping[str, object] = field(repr=False)


def execution_from_json(data: object) -> Execution:
    """Raises ConnectionFailed when it is not an execution."""
    body, identity, status = _identified(data)
    receipt = body.get("receipt")
    receipt = receipt if isinstance(receipt, dict) else None
    cost = body.get("cost")
    return Execution(
        identity,
        status,
        _integer(body.get("exit_code")),
        _text(body.get("stdout")),
        _text(body.get("stderr")),
        _number(body.get("duration_ms")),
        _text(body.get("mode")),
        body.get("cached") is True,
        {str(name): float(value) for name, value in cost.items()} if isinstance(cost, dict) else {},
        receipt,
        _text(body.get("signature")) or None,
        _integer(body.get("virtual_ns", receipt.get("virtual_ns") if receipt else None)),
        _files(body.get("files")),
        body.get("files_truncated") is True,
        body,
        _text(body.get("snapshot_id")) or None,
        _text(body.get("session_id")) or None,
        _text(body.get("error")) or None,
    )


def begun_from_json(data: object) -> Begun:
    """Raises ConnectionFailed likewise."""
    body, identity, status = _identified(data)
    return Begun(identity, status, _text(body.get("mode")), body)


def execution_line_from_json(data: object) -> ExecutionLine:
    """Raises ConnectionFailed likewise."""
    body, identity, status = _identified(data)
    return ExecutionLine(
        identity,
        status,
        _text(body.get("mode")),
        _text(body.get("language")) or None,
        _integer(body.get("exit_code")),
        _number(body.get("duration_ms")),
        body.get("cached") is True,
        _text(body.get("snapshot_id")) or None,
        _text(body.get("created_at")),
        _text(body.get("updated_at")),
        body,
    )


def health_from_json(data: object) -> Health:
    """Raises ConnectionFailed when it is not a health report."""
    body = _object(data)
    return Health(_text(body.get("status")), body)


def _identified(data: object) -> tuple[dict[str, object], str, str]:
    """An execution's fields, its id and its status."""
    body = _object(data)
    identity, status = body.get("execution_id", body.get("id")), body.get("status")
    if not isinstance(identity, str) or not isinstance(status, str):
        raise ConnectionFailed("the answer is not an execution: execution_id or status is missing")
    return body, identity, status


def _object(data: object) -> dict[str, object]:
    if not isinstance(data, dict):
        raise ConnectionFailed("the answer is not a JSON object: is this the API's address?")
    return data


def _files(value: object) -> tuple[OutputFile, ...]:
    """Raises ConnectionFailed for a list that is none; a service that names no files left none."""
    try:
        return tuple(map(_file, value)) if isinstance(value, list) else ()
    except ValueError as error:
        raise ConnectionFailed(f"the answer's files cannot be read: {error}") from error


def _file(value: object) -> OutputFile:
    line = value if isinstance(value, dict) else {}
    path, size, sha256 = line.get("path"), _integer(line.get("size")), line.get("sha256")
    if not isinstance(path, str) or size is None or not isinstance(sha256, str):
        raise ValueError("path, size or sha256 is missing")
    check_path(path)
    return OutputFile(path, size, sha256)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
