"""From what a chain says of a result to its run, ready to be made again on the machine that it starts on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.job import COMPILED_LANGUAGES, Job
from faas_blueprint.operation import blobs_of, compiled_language
from faas_blueprint.operation_payload import operation_of_call
from faas_blueprint.receipt import Receipt
from faas_microvm.home import default_home
from faas_verifier.blobs import Endpoints, blob_source
from faas_verifier.evidence import PostedResult
from faas_verifier.legs import Note, TracedRun, found_machines, job_and_start
from faas_verifier.provenance import starts_of
from faas_verifier.published_machine import MachineSource
from faas_verifier.rerun import objection_to_fetching

if TYPE_CHECKING:
    from faas_microvm.engine import Engine
    from faas_microvm.snapshot import Snapshot

OpenEngine = Callable[[], AbstractAsyncContextManager["Engine"]]


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """A run, and what its job names by hash."""

    run: TracedRun
    parent: Snapshot
    """The receipt's snapshot."""
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
    opening, fetched = open_own or (lambda: own_engine(home, progress)), False
    if endpoints.addresses:
        source = MachineSource(home or default_home(), endpoints, progress)
        language, starts = compiled_language(operation), starts_of(receipt, operation)
        if await source.lacks(receipt, language, starts):
            own_base = source.own_base(receipt, language)
            objection = objection_to_fetching(starts, posted.registered, posted.provenance, own_base)
            if objection is not None:
                raise NotFound(objection)
            opening = partial(source.open, receipt, language, starts, posted.provenance)
            fetched = True
    async with opening() as engine:
        parent = await _parent(engine, receipt.snapshot, fetched)
        job, start = job_and_start(operation, inputs, parent)
        await _require_machine(engine, job, receipt)
        find = found_machines(engine, endpoints, progress)
        yield OpenedRun(TracedRun(engine, job, start, find, progress), parent, inputs)


@asynccontextmanager
async def own_engine(home: Path | None, progress: Note) -> AsyncIterator[Engine]:
    """The engine of this host. Raises MissingPrerequisite, FatalError."""
    from faas_microvm.engine import Engine  # heavy: only who re-executes loads it

    async with await Engine.open(home, progress) as engine:
        yield engine


async def _parent(engine: Engine, measurement: Digest, fetched: bool) -> Snapshot:
    """What a receipt starts from: made here, unless machines were fetched that can be relied on."""
    if not fetched and not await engine.made_here(measurement):
        raise NotFound(
            f"the receipt's snapshot {to_hex(measurement)} was not made here; if a job left it that was "
            "kept, verify that job's receipt first"
        )
    return await engine.library.get(measurement)


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
