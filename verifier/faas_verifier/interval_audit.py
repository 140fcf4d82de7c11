"""Spot checks of single legs: a random sample of the legs of a service's finished jobs is run again.

A leg costs what lies between two milestones, so long jobs are looked at as often as short ones, by their
length. Which legs are drawn is this host's secret until it runs them. Each starts from the machine of its
milestone where an operator serves that, and is else reached by running from the start. Whole jobs: `audit`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from faas_blueprint.bisection import Point, point_to_json
from faas_blueprint.digests import ZERO_DIGEST, Digest, to_hex
from faas_blueprint.errors import FaaSError, InvalidRequest
from faas_blueprint.merkle import HASH_SIZE
from faas_blueprint.operation import JobKind
from faas_blueprint.receipt import Address
from faas_blueprint.result import decode_result
from faas_verifier.blobs import Endpoints
from faas_verifier.evidence import PostedResult
from faas_verifier.posted import origin_of, posted_results
from faas_verifier.rpc import Rpc
from faas_verifier.sides import MOST_TRACE_BYTES, Side, gather_sides
from faas_verifier.traced_runs import OpenedRun, OpenEngine, open_run
from faas_verifier.verdict import Conclusion, conclusion_of

_RUNS = (
    JobKind.EXECUTE,
    JobKind.EXECUTE_WITH_OPTIONS,
    JobKind.CREATE_SNAPSHOT,
    JobKind.RESTORE_SNAPSHOT,
)


@dataclass(frozen=True, slots=True)
class AnsweredLeg:
    """A leg of an operator's result: the one after so many milestones."""

    posted: PostedResult
    milestone: int


@dataclass(frozen=True, slots=True)
class AuditedLeg:
    """A drawn leg."""

    leg: AnsweredLeg
    conclusion: Conclusion
    reason: str
    start: Digest | None = None
    claimed: Point | None = None
    found: Point | None = None

    def to_json(self) -> dict[str, object]:
        """Digests as `0x…`; null where it did not come so far."""
        return {
            "call_id": self.leg.posted.call.call_id,
            "operator": self.leg.posted.operator,
            "milestone": self.leg.milestone,
            "verdict": str(self.conclusion),
            "reason": self.reason,
            "start": None if self.start is None else to_hex(self.start),
            "claimed": None if self.claimed is None else point_to_json(self.claimed),
            "found": None if self.found is None else point_to_json(self.found),
        }


@dataclass(frozen=True, slots=True)
class IntervalAudit:
    """What was found."""

    legs: int
    """Of all finished results of the service."""
    drawn: tuple[AuditedLeg, ...]


@dataclass(frozen=True, slots=True)
class IntervalAuditor:
    """Where to ask, and what to run on."""

    rpc_url: str
    tangle: Address | None
    """None where the endpoint is asked which chain it is."""
    service_id: int
    endpoints: Endpoints
    home: Path | None
    open_own: OpenEngine
    progress: Callable[[str], None] = lambda _: None

    async def audit(
        self, calls: Sequence[int], intervals: int, draw: random.Random | None = None
    ) -> IntervalAudit:
        """Draw so many legs of these calls, at the most, and run them. Raises ChainUnavailable, NotFound."""
        legs = [leg for call_id in calls for leg in await self._legs(call_id)]
        drawn = (draw or random.SystemRandom()).sample(legs, min(intervals, len(legs)))
        drawn.sort(key=lambda leg: (leg.posted.call.call_id, leg.posted.operator, leg.milestone))
        return IntervalAudit(len(legs), tuple([await self._audited(leg) for leg in drawn]))

    async def _legs(self, call_id: int) -> list[AnsweredLeg]:
        async with Rpc(self.rpc_url) as rpc:
            results = await posted_results(rpc, self.tangle, self.service_id, call_id)
        return [
            AnsweredLeg(posted, milestone) for posted in results for milestone in range(_leg_count(posted))
        ]

    async def _audited(self, leg: AnsweredLeg) -> AuditedLeg:
        call = leg.posted.call
        self.progress(f"call {call.call_id}: the leg after milestone {leg.milestone}")
        try:
            posted = leg.posted
            if self.endpoints.addresses:
                async with Rpc(self.rpc_url) as rpc:
                    posted = await origin_of(rpc, posted)
            sides = await gather_sides(call, [posted], self.endpoints, frozenset())
            if not sides.sides:
                return AuditedLeg(leg, Conclusion.REFUTED, sides.rejected[0][1])
            side = sides.sides[0]
            if side.trace is None:
                return _without_trace(leg, bool(self.endpoints.addresses))
            receipt = side.bundle.receipt
            async with open_run(
                posted, receipt, self.endpoints, self.home, self.progress, self.open_own
            ) as opened:
                return await _run(leg, side, opened)
        except FaaSError as error:
            return AuditedLeg(leg, conclusion_of(error), error.message)


async def _run(leg: AnsweredLeg, side: Side, opened: OpenedRun) -> AuditedLeg:
    """Once more where it ends elsewhere: see `rerun`."""
    assert side.trace is not None
    prefix = side.trace[: leg.milestone]
    for _ in range(2):
        ran = await opened.run.leg(prefix)
        claimed = side.row[ran.milestone]
        if ran.point == claimed and ran.milestone == leg.milestone:
            break
    start = ran.machine.measurement
    if ran.point == claimed:
        return AuditedLeg(leg, Conclusion.VERIFIED, f"the same here ({ran.place})", start, claimed, ran.point)
    where = f"the leg after milestone {ran.milestone} ends elsewhere"
    return AuditedLeg(leg, Conclusion.REFUTED, where, start, claimed, ran.point)


def _leg_count(posted: PostedResult) -> int:
    """0 for what cannot be read, a failure, and a job that runs no program."""
    if posted.job_index not in _RUNS:
        return 0
    try:
        result = decode_result(posted.payload)
    except InvalidRequest:
        return 0
    # a count beyond what can be shown must not draw all of the sample to itself
    milestones = min(result.outcome.trace.count, MOST_TRACE_BYTES // HASH_SIZE)
    return 0 if result.state_root == ZERO_DIGEST else milestones + 1


def _without_trace(leg: AnsweredLeg, asked: bool) -> AuditedLeg:
    if asked:
        return AuditedLeg(leg, Conclusion.WITHHELD, "no endpoint shows the trace of this result")
    return AuditedLeg(
        leg, Conclusion.UNCHECKED, "its trace is not on-chain: name operators' APIs with --blobs"
    )
