"""A call's dispute from the chain to the evidence: gather, judge, compare, pack.

`dispute_command` prints it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from faas_blueprint.agreement import claim, contradict
from faas_blueprint.bisection import Report
from faas_blueprint.bundle import Bundle
from faas_blueprint.digests import Digest
from faas_blueprint.errors import ChainUnavailable, FatalError
from faas_blueprint.merkle import PAGE_SIZE
from faas_blueprint.receipt import Address, CallReference
from faas_blueprint.tangle import service_manager
from faas_blueprint.tangle.genesis import is_substrate
from faas_blueprint.tangle.service_manager import Standing as CallStanding
from faas_verifier.blobs import Endpoints
from faas_verifier.chain import manager_of
from faas_verifier.dispute import Judged, Standing, judge_sides
from faas_verifier.evidence import PostedResult
from faas_verifier.evidence_bundle import EvidenceBundle
from faas_verifier.legs import Note
from faas_verifier.machine_difference import MachineDifference, compare_machines
from faas_verifier.packed_machine import PackedMachine, pack_machine
from faas_verifier.posted import answered_call
from faas_verifier.rpc import Refused, Rpc
from faas_verifier.sides import Side, Sides, gather_sides
from faas_verifier.traced_runs import OpenedRun, open_run

if TYPE_CHECKING:
    from faas_microvm.snapshot import Snapshot


CLAIMED_BYTES = 128 << 20
"""Of changed pages, for a claimed machine to be part of the evidence."""


@dataclass(frozen=True, slots=True)
class Contested:
    """A call with its sides, as chain and operators tell it."""

    sides: Sides
    posted: tuple[PostedResult, ...]
    """At least one."""
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
    registers: dict[str, int]
    """Of our own machine at the leg's end."""
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
    rpc_url: str, tangle: Address | None, service_id: int, call_id: int, endpoints: Endpoints
) -> Contested:
    """Everything that is said of a call; where no contract is named the endpoint is asked which chain it is.
    Raises NotFound, ChainUnavailable, MissingPrerequisite."""
    async with Rpc(rpc_url) as rpc:
        found = await answered_call(rpc, tangle, service_id, call_id, bool(endpoints.addresses))
        manager, final = await _final(rpc, found.call)
    sides = await gather_sides(found.call, found.results, endpoints, found.operators)
    return Contested(sides, found.results, manager, final)


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
        receipt = group[0].bundle.receipt
        async with open_run(_asked(contested, group), receipt, endpoints, home, progress) as opened:
            found = await judge_sides(group, opened.run, contested.final)
            judged += found
            for one in found:
                refutations += [
                    await _refutation(one, bundle, opened) for bundle in one.side.bundles if one.report
                ]
    order = {side: number for number, side in enumerate(side.agreement for side in contested.sides.sides)}
    judged.sort(key=lambda one: order[one.side.agreement])
    return Dispute(contested, tuple(judged), tuple(refutations))


async def _refutation(judged: Judged, bundle: Bundle, opened: OpenedRun) -> Refutation:
    pair, side, run = judged.decisive, judged.side, opened.run
    assert pair is not None
    assert pair.leg is not None
    assert judged.report is not None
    report = replace(judged.report, operator=bundle.receipt.operator)
    other = pair.other(side)
    established = None if pair.is_refuted(other) else other.bundle
    base, receipt = run.engine.library.base, bundle.receipt
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
        origin=None if receipt.snapshot == base.measurement else pack_machine(opened.parent),
        start=pack_machine(pair.leg.machine) if report.milestone else None,
        claimed=None if claimed is None else _packed_claim(claimed.snapshot),
        inputs=opened.inputs,
    )
    virtual_ns = pair.leg.machine.devices.virtual_ns - run.start.devices.virtual_ns
    return Refutation(
        report,
        judged,
        bundle,
        established,
        virtual_ns,
        pair.leg.place,
        pair.leg.ran.end.devices.registers(),
        difference,
        evidence,
    )


def _packed_claim(claimed: Snapshot) -> PackedMachine | None:
    """None where it is so large that it would keep the evidence from being written."""
    return pack_machine(claimed) if len(claimed.overlay) * PAGE_SIZE <= CLAIMED_BYTES else None


async def _final(rpc: Rpc, call: CallReference) -> tuple[Address | None, Digest | None]:
    """The service manager, and what it says is final; a Substrate chain has none of ours."""
    if is_substrate(call.chain_id):
        return None, None
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


def _asked(contested: Contested, group: Sequence[Side]) -> PostedResult:
    """What was asked for, with what the chain knows of the machines that the group starts from."""
    operators = {operator for side in group for operator in side.operators}
    own = next((result for result in contested.posted if result.operator in operators), None)
    return own or replace(contested.posted[0], registered=None, provenance=None)


def _disagree(sides: Sequence[Side]) -> bool:
    receipts = [side.bundle.receipt for side in sides]
    return any(contradict(left, right) for left in receipts for right in receipts)
