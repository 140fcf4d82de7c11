"""A call's dispute from the chain to the evidence: gather, judge, compare, pack.

`dispute_command` prints it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from faas_blueprint.agreement import claim, contradict
from faas_blueprint.bisection import Report
from faas_blueprint.bundle import Bundle
from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import ChainUnavailable, FatalError, InvalidRequest, NotFound
from faas_blueprint.job import COMPILED_LANGUAGES, Job
from faas_blueprint.operation import Operation, Run, blobs_of
from faas_blueprint.operation_payload import operation_of_call
from faas_blueprint.receipt import Address, CallReference
from faas_blueprint.tangle import protocol, service_manager
from faas_blueprint.tangle.service_manager import Standing as CallStanding
from faas_microvm.home import default_home
from faas_verifier.blobs import Endpoints, blob_source
from faas_verifier.chain import manager_of, read_call, registered
from faas_verifier.dispute import Judged, Standing, judge_sides
from faas_verifier.evidence import PostedResult
from faas_verifier.evidence_bundle import EvidenceBundle
from faas_verifier.legs import Note, TracedRun, found_machines, job_and_start, own_machines, parent_machine
from faas_verifier.machine_difference import MachineDifference, compare_machines
from faas_verifier.packed_machine import pack_machine
from faas_verifier.published_machine import MachineSource
from faas_verifier.rpc import Refused, Rpc
from faas_verifier.sides import Side, Sides, gather_sides

if TYPE_CHECKING:
    from faas_microvm.engine import Engine

OpenEngine = Callable[[], AbstractAsyncContextManager["Engine"]]


@dataclass(frozen=True, slots=True)
class Contested:
    """A call with its sides, as chain and operators tell it."""

    sides: Sides
    posted: PostedResult
    """The first answer, which says what was asked for."""
    manager: Address | None
    final: Digest | None
    """Agreement digest of the final answer, if the service manager has one."""


@dataclass(frozen=True, slots=True)
class Refutation:
    """One operator's receipt, refuted."""

    report: Report
    judged: Judged
    bundle: Bundle
    established: Bundle | None
    virtual_ns: int
    """Of the run, at the milestone where the leg starts."""
    start_place: str
    difference: MachineDifference | None
    """None where the operator withholds the machine that it claims."""
    evidence: EvidenceBundle


@dataclass(frozen=True, slots=True)
class Dispute:
    """All that was found of a call."""

    contested: Contested
    judged: tuple[Judged, ...]
    refutations: tuple[Refutation, ...]

    @property
    def disagree(self) -> bool:
        """Whether any two sides contradict each other."""
        return _disagree([judged.side for judged in self.judged])


async def read_contested(
    rpc_url: str, tangle: Address, service_id: int, call_id: int, endpoints: Endpoints
) -> Contested:
    """Everything that is said of a call. Raises NotFound, ChainUnavailable."""
    async with Rpc(rpc_url) as rpc:
        found = await read_call(rpc, tangle, service_id, call_id)
        if not found.results:
            raise NotFound(f"call {call_id} of service {service_id} has no result yet")
        first = found.results[0]
        if endpoints.addresses:
            first = replace(first, registered=await registered(rpc, first))
        operators = await rpc.read(tangle, protocol.service_operators(service_id))
        manager, final = await _final(rpc, found.call)
    sides = await gather_sides(found.call, found.results, endpoints, frozenset(operators))
    return Contested(sides, first, manager, final)


async def dispute_call(
    contested: Contested, endpoints: Endpoints, home: Path | None = None, progress: Note = lambda _: None
) -> Dispute:
    """Judge the sides of a call. Raises as `TracedRun` does, BlobUnavailable, NotFound for a snapshot that is
    not to be had, FatalError."""
    judged: list[Judged] = []
    refutations: list[Refutation] = []
    for group in _groups(contested.sides.sides):
        if not _disagree(group):
            judged += [Judged(side, Standing.OPEN, "no other side says otherwise") for side in group]
            continue
        operation = operation_of_call(contested.posted.job_index, contested.posted.inputs)
        contents = {blob.sha256: await blob_source(endpoints.addresses)(blob) for blob in blobs_of(operation)}
        opening = await _opening(contested, group[0], operation, endpoints, home, progress)
        async with opening() as engine:
            find = found_machines(engine, endpoints, progress)
            parent = await parent_machine(own_machines(engine), group[0].bundle.receipt.snapshot)
            job, start = job_and_start(operation, contents, parent)
            await _require_toolchain(engine, job, group[0])
            run = TracedRun(engine, job, start, find, progress)
            found = await judge_sides(group, run, contested.final)
            judged += found
            for one in found:
                refutations += [
                    await _refutation(one, bundle, run, contents) for bundle in one.side.bundles if one.report
                ]
    order = {side: number for number, side in enumerate(side.agreement for side in contested.sides.sides)}
    judged.sort(key=lambda one: order[one.side.agreement])
    return Dispute(contested, tuple(judged), tuple(refutations))


async def _refutation(
    judged: Judged, bundle: Bundle, run: TracedRun, contents: dict[Digest, bytes]
) -> Refutation:
    pair, side = judged.decisive, judged.side
    assert pair is not None
    assert pair.leg is not None
    assert judged.report is not None
    report = replace(judged.report, operator=bundle.receipt.operator)
    other = pair.other(side)
    established = None if pair.is_refuted(other) else other.bundle
    base, receipt = run.engine.library.base, bundle.receipt
    origin = await parent_machine(own_machines(run.engine), receipt.snapshot)
    claimed = await run.find(report.wrong.root)
    difference = None
    if claimed is not None:
        run.progress("comparing the machines")
        difference = await compare_machines(run.engine, pair.leg.ran.end, claimed.snapshot)
    evidence = EvidenceBundle(
        base.measurement,
        report,
        bundle,
        established,
        origin=None if receipt.snapshot == base.measurement else pack_machine(origin),
        start=pack_machine(pair.leg.machine) if report.milestone else None,
        claimed=None if claimed is None else pack_machine(claimed.snapshot),
        inputs=contents,
    )
    virtual_ns = pair.leg.machine.devices.virtual_ns - run.start.devices.virtual_ns
    return Refutation(report, judged, bundle, established, virtual_ns, pair.leg.place, difference, evidence)


async def _final(rpc: Rpc, call: CallReference) -> tuple[Address | None, Digest | None]:
    try:
        manager = await manager_of(rpc, call)
        if manager is None:
            return None, None
        managed = await rpc.read(manager, service_manager.call_of(call.service_id, call.call_id))
    except (Refused, FatalError, ChainUnavailable):
        return None, None
    return manager, managed.agreement if managed.standing is CallStanding.FINAL else None


def _groups(sides: Sequence[Side]) -> list[list[Side]]:
    """Those that start from the same: profile, snapshot, toolchain, job."""
    groups: dict[tuple[object, ...], list[Side]] = {}
    for side in sides:
        groups.setdefault(claim(side.bundle.receipt)[:4], []).append(side)
    return list(groups.values())


def _disagree(sides: Sequence[Side]) -> bool:
    receipts = [side.bundle.receipt for side in sides]
    return any(contradict(left, right) for left in receipts for right in receipts)


async def _opening(
    contested: Contested,
    side: Side,
    operation: Operation,
    endpoints: Endpoints,
    home: Path | None,
    progress: Note,
) -> OpenEngine:
    """Our own machines; those of the receipt, fetched, where they are registered on-chain and not here."""
    receipt, posted = side.bundle.receipt, contested.posted
    language = operation.program.job.language if isinstance(operation, Run) else None
    source = MachineSource(home or default_home(), endpoints, progress)
    if endpoints.addresses and posted.registered and await source.lacks(receipt, language):
        return lambda: source.open(receipt, language)
    return lambda: own_engine(home, progress)


@asynccontextmanager
async def own_engine(home: Path | None, progress: Note) -> AsyncIterator[Engine]:
    """The engine of this host. Raises MissingPrerequisite, FatalError."""
    from faas_microvm.engine import Engine  # heavy: only who re-executes loads it

    async with await Engine.open(home, progress) as engine:
        yield engine


async def _require_toolchain(engine: Engine, job: Job, side: Side) -> None:
    receipt = side.bundle.receipt
    if receipt.profile_id != engine.profile_id:
        raise NotFound(
            f"the receipts' machine profile is {to_hex(receipt.profile_id)}, the one here is "
            f"{to_hex(engine.profile_id)}"
        )
    if job.language in COMPILED_LANGUAGES:
        prepared = await engine.prepare(job)
        if prepared.toolchain != receipt.toolchain:
            raise NotFound(
                f"the receipts' toolchain is {to_hex(receipt.toolchain)}, the one here is "
                f"{to_hex(prepared.toolchain)}"
            )
        if prepared.program is None:
            raise InvalidRequest("the program does not compile: there are no legs to run again")
