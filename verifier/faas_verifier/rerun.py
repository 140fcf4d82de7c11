"""Checks 7 and 8: our own snapshot, and our own run from it.

A result FAILED ("the job could not be started") is judged without a machine: an invalid job fails
in the same words for everyone who decodes it. FAILED for a job that *is* valid proves nothing about
an output, for there is none, and cannot be told from an operator's honest trouble: it is left
unchecked, with that reason. A result other than FAILED for an invalid job is refuted.

A call of jobs 1 to 5 names where it starts, and may name blobs: a snapshot that is not here, or a blob that
nobody gives, leaves it unchecked. Verifying the call that made a snapshot makes it here too.

A compiled program's toolchain is like the snapshot: another one than ours we cannot check. One that
is named where nothing is compiled, or not named where something is, is refuted.

Where operators' APIs are named, a machine that was not made here is fetched from them (`published_machine`),
if all of it is registered on-chain, or was left by calls that operators agree on (`provenance`). The finding
says which of these a verdict rests on. Data that is not to be had has its own ends: withheld, falsified.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from faas_blueprint.bundle import Bundle
from faas_blueprint.digests import ZERO_DIGEST, Digest, to_hex
from faas_blueprint.errors import BlobUnavailable, FaaSError, InvalidRequest
from faas_blueprint.job import COMPILED_LANGUAGES, Job
from faas_blueprint.operation import (
    InstanceRequest,
    JobKind,
    Operation,
    Run,
    blobs_of,
    compiled_language,
    kind_of,
    not_served,
    snapshots_of,
)
from faas_blueprint.operation_payload import decode_operation, operation_of_call
from faas_blueprint.outcome import Outcome, OutcomeDigest, StreamDigest, failed_outcome
from faas_blueprint.outcome import Status as OutcomeStatus
from faas_microvm.execution import Execution
from faas_verifier.blobs import BlobSource, DataFalsified, DataWithheld, blob_source
from faas_verifier.checks import Judgement, compared, passed, skipped, unchecked
from faas_verifier.evidence import Provenance
from faas_verifier.output_files import Pair, digest_pairs, first_difference
from faas_verifier.provenance import starts_of
from faas_verifier.published_machine import MachineSource
from faas_verifier.traces import first_milestone, trace_pairs
from faas_verifier.verdict import Finding, Status


class Machine(Protocol):
    """Something that runs jobs for us; `faas_microvm.engine.Engine` is one."""

    @property
    def profile_id(self) -> Digest:
        """Of the machine."""
        ...

    @property
    def measurement(self) -> Digest:
        """Of the base snapshot."""
        ...

    async def has(self, snapshot: Digest) -> bool:
        """Whether jobs can be run on a snapshot: the base, or one of the store."""
        ...

    async def made_here(self, snapshot: Digest) -> bool:
        """Whether a snapshot is the base, or was left by our own runs from there on."""
        ...

    async def run(self, job: Job, snapshot: Digest | None = None) -> Execution:
        """Run a job, on the base by default. Raises MachineFailure when there is no outcome."""
        ...

    async def perform(self, operation: Operation, contents: Mapping[Digest, bytes]) -> Execution:
        """Do what a call asks for, its blobs given by SHA-256. Raises likewise."""
        ...


OpenMachine = Callable[[], AbstractAsyncContextManager[Machine]]


def own_machine(home: Path | None = None, progress: Callable[[str], None] | None = None) -> OpenMachine:
    """Opens the engine of this host; entering raises MissingPrerequisite when it is not there."""

    @asynccontextmanager
    async def open_machine() -> AsyncIterator[Machine]:
        from faas_microvm.engine import Engine  # heavy: only who re-executes loads it

        engine = await Engine.open(home, progress)
        try:
            yield engine
        finally:
            await engine.close()

    return open_machine


NO_BLOBS = blob_source(())
"""No operator's API is known."""


async def rerun(
    bundle: Bundle,
    open_machine: OpenMachine,
    *,
    job_index: int | None = None,
    blobs: BlobSource = NO_BLOBS,
    source: MachineSource | None = None,
    registered: bool | None = None,
    provenance: Provenance | None = None,
) -> tuple[Finding, Finding]:
    """Checks 7 and 8. `job_index` is the called job's where a chain was asked; `registered` says whether the
    service manager knows all that the receipt starts from, None when nobody was asked; `provenance` where
    that comes from, where the chain could say."""
    try:
        operation = _operation(bundle, job_index)
    except InvalidRequest as error:
        return _findings(skipped("the job is invalid: no machine runs it"), _compare_failure(bundle, error))
    if isinstance(operation, InstanceRequest):
        return _findings(skipped("instances are not run again"), _compare_not_served(bundle))
    if bundle.outcome.status is OutcomeStatus.FAILED:
        reason = "the operator says that it could not run this job, which is valid: nothing to compare with"
        return _findings(skipped("no machine ran"), unchecked(reason))
    judgement = _named_start(bundle, operation)
    if judgement.status is Status.FAILED:
        return _findings(judgement, skipped("needs the snapshot"))
    try:
        contents = {blob.sha256: await blobs(blob) for blob in blobs_of(operation)}
    except BlobUnavailable as error:
        return _findings(judgement, _not_to_be_had(error))
    try:
        opening, fetched = open_machine, False
        language, starts = compiled_language(operation), starts_of(bundle.receipt, operation)
        if source is not None and await source.lacks(bundle.receipt, language, starts):
            objection = objection_to_fetching(
                starts, registered, provenance, source.own_base(bundle.receipt, language)
            )
            if objection is not None:
                return _findings(unchecked(objection), skipped("needs the snapshot"))
            opening, fetched = partial(source.open, bundle.receipt, language, starts, provenance), True
        async with opening() as machine:
            judgement = await snapshot(bundle, machine, operation, job_index, fetched=fetched)
            if judgement.status is not Status.PASSED:
                return _findings(judgement, skipped("needs the snapshot"))
            if fetched:
                judgement = passed(_relied_on(bundle.receipt.snapshot, provenance))
            return _findings(judgement, await _compare_run(bundle, operation, contents, machine))
    except BlobUnavailable as error:
        return _findings(_not_to_be_had(error), skipped("needs the snapshot"))
    except FaaSError as error:
        return _findings(unchecked(error.message), skipped("needs the snapshot"))


def objection_to_fetching(
    starts: Sequence[Digest],
    registered: bool | None,
    provenance: Provenance | None,
    own_base: Digest | None,
) -> str | None:
    """Why machines that were not made here are not to be run, if so."""
    if provenance is not None:
        return provenance.objection(own_base)
    return None if registered and len(starts) == 1 else _UNREGISTERED[registered or None]


def _relied_on(start: Digest, provenance: Provenance | None) -> str:
    if provenance is None or not provenance.calls:
        return f"{to_hex(start)}, fetched, measured, and registered on-chain"
    calls = ", ".join(map(str, provenance.calls))
    return (
        f"{to_hex(start)}, fetched and measured; it rests on the agreement of the service's operators about "
        f"call {calls}, which was not run again here"
    )


_UNREGISTERED = {
    False: "the service manager has not registered the receipt's machine: its publisher may have made it up",
    None: "the receipt's machine is not ours, and only a chain can say whether it is registered: give --rpc",
}


def _not_to_be_had(error: BlobUnavailable) -> Judgement:
    if isinstance(error, DataFalsified):
        return Judgement(Status.FALSIFIED, error.message)
    if isinstance(error, DataWithheld):
        return Judgement(Status.WITHHELD, error.message)
    return unchecked(error.message)


def _operation(bundle: Bundle, job_index: int | None) -> Operation:
    """What the inputs ask for: by the job that was called, or by themselves."""
    if job_index is None:
        return decode_operation(bundle.job)
    return operation_of_call(job_index, bundle.job)


def _named_start(bundle: Bundle, operation: Operation) -> Judgement:
    """7. The receipt starts from the snapshot that the call names, if it names one."""
    start, claimed = snapshots_of(operation)[0], to_hex(bundle.receipt.snapshot)
    return compared(f"snapshot {claimed}", ("snapshot", claimed, claimed if start is None else to_hex(start)))


async def snapshot(
    bundle: Bundle,
    machine: Machine,
    operation: Operation,
    job_index: int | None = None,
    *,
    fetched: bool = False,
) -> Judgement:
    """7. Profile and snapshots are our own, and the call's. With `fetched` those in the store of the machine
    may be other people's: then it was found before that they can be relied on."""
    receipt = bundle.receipt
    is_there = machine.has if fetched else machine.made_here
    if receipt.profile_id != machine.profile_id:
        theirs, ours = to_hex(receipt.profile_id), to_hex(machine.profile_id)
        return unchecked(f"the receipt's machine profile is {theirs}, the one here is {ours}")
    for other in snapshots_of(operation)[1:]:
        if other is not None and not await is_there(other):
            return unchecked(f"there is no snapshot {to_hex(other)} here; {_MADE_BY_A_CALL}")
    if receipt.snapshot == machine.measurement:
        return passed(f"snapshot {to_hex(receipt.snapshot)}, our own")
    on_chain = job_index is not None or kind_of(operation) is not JobKind.EXECUTE
    on_base = on_chain and snapshots_of(operation)[0] is None
    if not on_base and await is_there(receipt.snapshot):
        return passed(f"snapshot {to_hex(receipt.snapshot)}, kept here and measured anew")
    theirs, ours = to_hex(receipt.snapshot), to_hex(machine.measurement)
    return unchecked(f"the receipt's snapshot is {theirs}, the one here is {ours}; {_MADE_BY_A_CALL}")


_MADE_BY_A_CALL = "if a job left it that was kept, verify that job's receipt first"


async def _compare_run(
    bundle: Bundle, operation: Operation, contents: Mapping[Digest, bytes], machine: Machine
) -> Judgement:
    """8. Our own run gives the same outcome and state root.

    A run that differs is made once more: the host's QEMU, without our `idle` patch, is off by a few
    nanoseconds of idle time in one job of a thousand (docs/fork-server.md). No lie agrees by such luck.
    """
    judgement = await _compare_one_run(bundle, operation, contents, machine)
    if judgement.status is Status.FAILED:
        return await _compare_one_run(bundle, operation, contents, machine)
    return judgement


async def _compare_one_run(
    bundle: Bundle, operation: Operation, contents: Mapping[Digest, bytes], machine: Machine
) -> Judgement:
    job = operation.program.job if isinstance(operation, Run) else None
    try:
        if job is not None and kind_of(operation) is JobKind.EXECUTE:
            execution = await machine.run(job, bundle.receipt.snapshot)
        else:
            execution = await machine.perform(operation, contents)
    except FaaSError as error:
        return unchecked(f"our own run gave no outcome: {error.message}")
    theirs, ours = bundle.receipt.toolchain, execution.toolchain
    compiled = job is not None and job.language in COMPILED_LANGUAGES
    if compiled and theirs not in (ZERO_DIGEST, ours):
        return unchecked(f"the receipt's toolchain is {to_hex(theirs)}, the one here is {to_hex(ours)}")
    detail = f"the same in our own run of {execution.wall_ms:.0f} ms"
    return compare_outcome(bundle, execution.outcome, detail, ours)


def _compare_failure(bundle: Bundle, error: InvalidRequest) -> Judgement:
    return compare_outcome(bundle, failed_outcome(error), f"the job is invalid here too: {error.message}")


def _compare_not_served(bundle: Bundle) -> Judgement:
    if bundle.outcome.status is not OutcomeStatus.FAILED:
        return unchecked("an instance is not run again: nothing to compare with")
    return compare_outcome(bundle, failed_outcome(not_served()), "instances are not served here either")


def compare_outcome(bundle: Bundle, own: Outcome, detail: str, toolchain: Digest = ZERO_DIGEST) -> Judgement:
    """Passed with `detail` when outcome, state root and toolchain agree; else all that differ, of the
    output files and of the milestones the first."""
    receipt = bundle.receipt
    pairs: list[Pair] = [
        ("outcome_digest", to_hex(receipt.outcome_digest), to_hex(own.digest())),
        ("state_root", to_hex(receipt.state_root), to_hex(own.state_root)),
        ("toolchain", to_hex(receipt.toolchain), to_hex(toolchain)),
        *_outcome_pairs(bundle.outcome, own.summary()),
    ]
    if bundle.output is not None:
        pairs.append(("stdout", _shown(bundle.output.stdout), _shown(own.stdout.content)))
        pairs.append(("stderr", _shown(bundle.output.stderr), _shown(own.stderr.content)))
    if bundle.manifest is not None:
        pairs += first_difference(bundle.manifest, own.manifest())
    if bundle.trace is not None:
        pairs += first_milestone(bundle.trace, own.trace)
    return compared(detail, *pairs)


def _outcome_pairs(claimed: OutcomeDigest, own: OutcomeDigest) -> list[Pair]:
    return [
        ("status", claimed.status.name.lower(), own.status.name.lower()),
        ("exit_code", claimed.exit_code, own.exit_code),
        ("signal", claimed.signal, own.signal),
        ("virtual_ns", claimed.virtual_ns, own.virtual_ns),
        *_stream_pairs("stdout", claimed.stdout, own.stdout),
        *_stream_pairs("stderr", claimed.stderr, own.stderr),
        *digest_pairs(claimed.files, own.files),
        *trace_pairs(claimed.trace, own.trace),
    ]


def _stream_pairs(name: str, claimed: StreamDigest, own: StreamDigest) -> list[Pair]:
    return [
        (f"{name}.size", claimed.size, own.size),
        (f"{name}.sha256", to_hex(claimed.sha256), to_hex(own.sha256)),
        (f"{name}.truncated", claimed.truncated, own.truncated),
    ]


def _shown(content: bytes) -> str:
    """Text for a reader; equal bytes give equal text, and long ones are compared by hash anyway."""
    text = content[:200].decode("utf-8", "backslashreplace")
    return text if len(content) <= 200 else f"{text}… ({len(content)} bytes)"


def _findings(seventh: Judgement, eighth: Judgement) -> tuple[Finding, Finding]:
    return (
        Finding(7, "snapshot", seventh.status, seventh.detail, seventh.differences),
        Finding(8, "re-execution", eighth.status, eighth.detail, eighth.differences),
    )


NOT_RUN = _findings(skipped("refuted already"), skipped("refuted already"))
"""What stands in the report when an earlier check has failed."""

NOT_ASKED = _findings(unchecked("not asked for"), unchecked("not asked for: only signature and digests"))
"""What stands in the report when the caller wanted no machine."""
