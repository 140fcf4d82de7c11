"""What the platform dialect answers about executions."""

from __future__ import annotations

import math
from urllib.parse import quote

from pydantic import BaseModel, Field

from faas_api.platform.requests import Size
from faas_api.platform.times import timestamp
from faas_blueprint.bundle import bundle_to_json, make_bundle, manifest_to_json
from faas_blueprint.digests import to_hex
from faas_blueprint.errors import NotFound
from faas_blueprint.job import LIMIT_RANGES, Job, encode_job, job_digest
from faas_blueprint.outcome import MAX_OUTPUT_FILES, MAX_OUTPUT_FILES_BYTES
from faas_blueprint.prices import Cost as Price
from faas_blueprint.prices import in_credits
from faas_blueprint.receipt import receipt_to_json
from faas_operator.execution_record import Attested, ExecutionRecord, ExecutionSummary, Written

Json = dict[str, object]

_LEFT_OUT = (
    f"Whether something in `output/` was left out: what goes over {MAX_OUTPUT_FILES_BYTES >> 20} MiB or "
    f"{MAX_OUTPUT_FILES:,} files, a path that is too long, too deep or no UTF-8, what is no regular file"
)


class FileLine(BaseModel):
    """An output file."""

    path: str
    size: int
    sha256: str


class Cost(BaseModel):
    """In credits, by the price table in force; `GET /usage/executions` has it in whole nanocredits."""

    compute: float
    network: float
    total: float


def cost_answer(cost: Price) -> Cost:
    """In credits."""
    return Cost(
        compute=in_credits(cost.compute), network=in_credits(cost.network), total=in_credits(cost.total)
    )


class JobBlock(BaseModel):
    """What it takes besides the request to run the same job again."""

    digest: str
    language: str
    seed: int
    epoch: int
    limits: dict[str, int]
    interactive: bool = Field(description="Whether its stdin came while it ran")
    terminal: Size | None = Field(description="What it ran on at first; then its stdin is a text of events")


class Execution(BaseModel):
    """One run. What is not known yet, or never will be, is null."""

    execution_id: str
    id: str = Field(description="The same as execution_id")
    status: str = Field(description="queued, running, completed, failed, timeout, cancelled or restored")
    mode: str
    cached: bool = Field(False, description="Whether the outcome was known already")
    reason: str | None = Field(None, description="exited, signaled, timeout, out_of_memory or failed")
    exit_code: int | None = None
    signal: int | None = None
    stdout: str | None = None
    stderr: str | None = None
    truncated: bool | None = None
    files: list[FileLine] | None = Field(None, description="What it left in its output folder")
    files_truncated: bool | None = Field(None, description=_LEFT_OUT)
    duration_ms: int | None = Field(None, description="By this host's clock, from request to outcome")
    virtual_ns: int | None = Field(None, description="Guest time; the same in every run of this job")
    cost: Cost | None = None
    snapshot_id: str | None = Field(None, description="The machine after the run, where it was kept")
    started_on: str | None = Field(None, description="Id of the snapshot that it was asked to start on")
    branch_id: str | None = None
    session_id: str | None = Field(None, description="Of a persistent run: name it to go on")
    receipt: dict[str, str | int] | None = Field(None, description="What the node signs; see `faas verify`")
    signature: str | None = None
    job: JobBlock | None = None
    error: str | None = None
    created_at: str


class CommandExecution(Execution):
    """The answer to a command: the fields of the older form beside those of the newer."""

    request_id: str
    output: str | None
    response: str | None
    logs: str | None


class ExecutionLine(BaseModel):
    """An execution in a list."""

    execution_id: str
    id: str
    status: str
    mode: str
    language: str | None
    exit_code: int | None
    duration_ms: int | None
    cached: bool
    snapshot_id: str | None
    created_at: str
    updated_at: str


class ExecutionList(BaseModel):
    """A part of the account's executions, newest first."""

    executions: list[ExecutionLine]
    total: int
    limit: int
    offset: int


class Logs(BaseModel):
    """What an execution has written."""

    execution_id: str
    status: str
    stdout: str
    stderr: str
    complete: bool = Field(description="Whether nothing more comes")
    truncated: bool = Field(description="Whether some of it went over the limit and was cut")


class Artifact(FileLine):
    """An output file, and where to get it."""

    url: str


class Artifacts(BaseModel):
    """The output files of an execution."""

    execution_id: str
    files: list[Artifact]
    truncated: bool = Field(description=_LEFT_OUT)


def execution_answer(record: ExecutionRecord) -> Execution:
    """An execution, as far as it is."""
    placement, job = record.placement, record.job
    return Execution.model_validate(
        {
            **_head(record),
            **({} if record.written is None else _written(record.written)),
            **({} if record.attested is None else _outcome(record.attested)),
            "cost": None if record.cost is None else cost_answer(record.cost),
            "cached": record.cached,
            "snapshot_id": record.kept_snapshot_id,
            "started_on": placement.snapshot_id,
            "branch_id": placement.branch_id,
            "session_id": placement.session,
            "job": None if job is None else _job(job, record.attested),
            "error": record.error,
        }
    )


def command_answer(record: ExecutionRecord) -> CommandExecution:
    """The same in the fields of both forms."""
    answer = execution_answer(record)
    both = None if answer.stdout is None else answer.stdout + (answer.stderr or "")
    older = {"request_id": record.id, "output": both, "response": answer.stdout, "logs": answer.stderr}
    return CommandExecution.model_validate({**answer.model_dump(), **older})


def list_answer(lines: list[ExecutionSummary], total: int, limit: int, offset: int) -> ExecutionList:
    """A part of a list."""
    return ExecutionList(executions=[_line(line) for line in lines], total=total, limit=limit, offset=offset)


def artifacts_answer(record: ExecutionRecord, prefix: str) -> Artifacts:
    """The output files; `prefix` is where the API stands. Raises NotFound for a run without an outcome."""
    attested = _attested(record, "output")
    base = f"{prefix}/executions/{quote(record.id, safe='')}/files"
    files = [
        Artifact.model_validate({**line, "url": f"{base}/{quote(str(line['path']))}"})
        for line in manifest_to_json(attested.outcome.manifest())
    ]
    return Artifacts(execution_id=record.id, files=files, truncated=attested.outcome.files_truncated)


def receipt_file(record: ExecutionRecord) -> Json:
    """What `faas verify` takes. Raises NotFound for a run without an outcome."""
    attested = _attested(record, "receipt")
    assert record.job is not None
    return bundle_to_json(
        make_bundle(attested.receipt, attested.signature, encode_job(record.job), attested.outcome)
    )


def duration_ms(wall_ms: float | None) -> int | None:
    """Whole milliseconds, rounded up."""
    return None if wall_ms is None else math.ceil(wall_ms)


def _attested(record: ExecutionRecord, what: str) -> Attested:
    if record.attested is None:
        raise NotFound(f"execution {record.id} has no {what}: it is {record.status}")
    return record.attested


def _head(record: ExecutionRecord) -> Json:
    return {
        "execution_id": record.id,
        "id": record.id,
        "status": str(record.status),
        "mode": str(record.placement.mode),
        "duration_ms": duration_ms(record.wall_ms),
        "created_at": timestamp(record.created_at),
    }


def _written(written: Written) -> Json:
    return {
        "stdout": written.stdout.content.decode(errors="replace"),
        "stderr": written.stderr.content.decode(errors="replace"),
        "truncated": written.truncated,
    }


def _outcome(attested: Attested) -> Json:
    outcome = attested.outcome
    return {
        "reason": outcome.status.name.lower(),
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "files": manifest_to_json(outcome.manifest()),
        "files_truncated": outcome.files_truncated,
        "virtual_ns": outcome.virtual_ns,
        "receipt": receipt_to_json(attested.receipt),
        "signature": to_hex(attested.signature),
    }


def _job(job: Job, attested: Attested | None) -> Json:
    digest = job_digest(job) if attested is None else attested.receipt.job_digest
    terminal = job.terminal
    return {
        "digest": to_hex(digest),
        "language": str(job.language),
        "seed": job.seed,
        "epoch": job.epoch,
        "limits": {name: getattr(job.limits, name) for name in LIMIT_RANGES},
        "interactive": job.interactive,
        "terminal": None if terminal is None else {"cols": terminal.columns, "rows": terminal.rows},
    }


def _line(line: ExecutionSummary) -> ExecutionLine:
    return ExecutionLine(
        execution_id=line.id,
        id=line.id,
        status=str(line.status),
        mode=str(line.mode),
        language=line.language,
        exit_code=line.exit_code,
        duration_ms=duration_ms(line.wall_ms),
        cached=line.cached,
        snapshot_id=line.snapshot_id,
        created_at=timestamp(line.created_at),
        updated_at=timestamp(line.updated_at),
    )
