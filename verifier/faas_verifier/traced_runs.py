"""From what a chain says of a result to its run, ready to be made again on the machine that it starts on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.job import COMPILED_LANGUAGES, Job
from faas_blueprint.operation import Run, blobs_of
from faas_blueprint.operation_payload import operation_of_call
from faas_blueprint.receipt import Receipt
from faas_microvm.home import default_home
from faas_verifier.blobs import Endpoints, blob_source
from faas_verifier.evidence import PostedResult
from faas_verifier.legs import Note, TracedRun, found_machines, job_and_start, own_machines, parent_machine
from faas_verifier.published_machine import MachineSource

if TYPE_CHECKING:
    from faas_microvm.engine import Engine

OpenEngine = Callable[[], AbstractAsyncContextManager["Engine"]]


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """A run, and what its job names by hash."""

    run: TracedRun
    inputs: Mapping[Digest, bytes]


@asynccontextmanager
async def open_run(
    posted: PostedResult,
    receipt: Receipt,
    endpoints: Endpoints,
    home: Path | None,
    progress: Note,
    open_own: OpenEngine | None = None,
) -> AsyncIterator[OpenedRun]:
    """The run that `receipt`, of the call of `posted`, is about. On our own machines; on the receipt's,
    fetched, where they are registered on-chain and not here.

    Raises BlobUnavailable, NotFound for a machine that is not to be had, InvalidRequest for a job that has no
    run, FatalError, MissingPrerequisite.
    """
    operation = operation_of_call(posted.job_index, posted.inputs)
    read = blob_source(endpoints.addresses)
    inputs = {blob.sha256: await read(blob) for blob in blobs_of(operation)}
    language = operation.program.job.language if isinstance(operation, Run) else None
    source = MachineSource(home or default_home(), endpoints, progress)
    opening = open_own or (lambda: own_engine(home, progress))
    if endpoints.addresses and posted.registered and await source.lacks(receipt, language):
        opening = lambda: source.open(receipt, language)  # noqa: E731
    async with opening() as engine:
        parent = await parent_machine(own_machines(engine), receipt.snapshot)
        job, start = job_and_start(operation, inputs, parent)
        await _require_machine(engine, job, receipt)
        yield OpenedRun(
            TracedRun(engine, job, start, found_machines(engine, endpoints, progress), progress), inputs
        )


@asynccontextmanager
async def own_engine(home: Path | None, progress: Note) -> AsyncIterator[Engine]:
    """The engine of this host. Raises MissingPrerequisite, FatalError."""
    from faas_microvm.engine import Engine  # heavy: only who re-executes loads it

    async with await Engine.open(home, progress) as engine:
        yield engine


async def _require_machine(engine: Engine, job: Job, receipt: Receipt) -> None:
    """Another profile or toolchain than the receipt's says nothing about it."""
    _same("machine profile", receipt.profile_id, engine.profile_id)
    if job.language in COMPILED_LANGUAGES:
        prepared = await engine.prepare(job)
        _same("toolchain", receipt.toolchain, prepared.toolchain)
        if prepared.program is None:
            raise InvalidRequest("the program does not compile: there are no legs to run again")


def _same(what: str, theirs: Digest, ours: Digest) -> None:
    if theirs != ours:
        raise NotFound(f"the receipt's {what} is {to_hex(theirs)}, the one here is {to_hex(ours)}")
