"""A dispute: the sides of a call, bisected pair by pair, and each judged by the one leg that decides.

1. Two traces that start from the same machine are equal up to a milestone; the leg after it is run again,
   from the machine of that milestone. Whoever says that it ends elsewhere is refuted.
2. Where a side withholds its trace, the leg is the whole run. If our own run ends as that side says, its
   trace is ours, and the bisection is done after all.
3. A leg that ends as neither side says is run once more, as in `rerun`: only what came out twice counts
   against both.
4. If our own run does not even come to the machine that both have in common, both are refuted, where it
   leaves them.

Sides that do not start from the same contradict nothing, nor does a failure. Not here: who said what
(`sides`), running legs (`legs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from faas_blueprint.agreement import contradict
from faas_blueprint.bisection import Point, Report, differing_leg
from faas_blueprint.digests import ZERO_DIGEST, Digest
from faas_verifier.legs import LegRun, TracedRun
from faas_verifier.sides import Side


class Standing(StrEnum):
    """What became of a side."""

    RIGHT = "right"
    """It ends the decisive leg as our own run does, against every other side."""
    REFUTED = "refuted"
    OPEN = "not judged"


@dataclass(frozen=True, slots=True)
class Bisected:
    """Two sides at the leg that decides between them."""

    left: Side
    right: Side
    leg: LegRun | None
    """As it was run here; None where it came out in two ways, of which neither is a side's."""

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole run, since a trace is withheld."""
        return self.left.trace is None or self.right.trace is None

    def other(self, side: Side) -> Side:
        """Whom a side was held against."""
        return self.right if side == self.left else self.left

    def is_refuted(self, side: Side) -> bool:
        """Whether a side says that the leg ends elsewhere."""
        return self.leg is not None and claimed_point(side, self.leg, self.is_whole) != self.leg.point


@dataclass(frozen=True, slots=True)
class Judged:
    """What is said of a side, and the pairs that it is said by."""

    side: Side
    standing: Standing
    reason: str
    decisive: Bisected | None = None
    """Of a refuted side: against the established answer where there is one."""
    report: Report | None = None
    """Of a refuted side: what witnesses sign, for its first operator."""


async def judge_sides(sides: Sequence[Side], run: TracedRun, final: Digest | None) -> tuple[Judged, ...]:
    """Judge all sides of a call, in their order. `final` is the agreement digest that stands on-chain, if one
    does. Raises MachineFailure, InvalidRequest for a program that does not compile."""
    judge = _Judge(run)
    sides = [await judge.with_own_trace(side) for side in sides] if _any_withheld(sides) else list(sides)
    pairs = [
        await judge.bisect(left, right)
        for left, right in combinations(sides, 2)
        if contradict(left.bundle.receipt, right.bundle.receipt)
    ]
    return tuple(_judged(side, pairs, final) for side in sides)


def claimed_point(side: Side, leg: LegRun, is_whole: bool) -> Point:
    """Where a side says that a leg ends."""
    return side.row[-1] if is_whole else side.row[leg.milestone]


class _Judge:
    def __init__(self, run: TracedRun) -> None:
        self._run = run
        self._legs: dict[tuple[Digest, ...] | None, LegRun] = {}
        """By the milestones before; None for the whole run."""

    async def with_own_trace(self, side: Side) -> Side:
        """A side that ends as our own run does went its way: the outcome commits to the trace."""
        if side.trace is not None or side.failed:
            return side
        own = await self._leg(None)
        return side.with_trace(own.ran.trace) if own.point == side.row[-1] else side

    async def bisect(self, left: Side, right: Side) -> Bisected:
        whole = left.trace is None or right.trace is None
        prefix = None if whole else self._prefix(left, right)
        leg = await self._leg(prefix)
        if not self._is_anyones(leg, left, right, whole):
            again = await self._leg(prefix, again=True)
            if again.point != leg.point and not self._is_anyones(again, left, right, whole):
                return Bisected(left, right, None)
            leg = again
        return Bisected(left, right, leg)

    def _prefix(self, left: Side, right: Side) -> tuple[Digest, ...]:
        leg = differing_leg(self._run.start.measurement, left.row, right.row)
        assert leg is not None  # they contradict each other in nothing but their points
        assert left.trace is not None
        return left.trace[: leg.milestone]

    def _is_anyones(self, leg: LegRun, left: Side, right: Side, whole: bool) -> bool:
        return leg.point in (claimed_point(left, leg, whole), claimed_point(right, leg, whole))

    async def _leg(self, prefix: tuple[Digest, ...] | None, *, again: bool = False) -> LegRun:
        if again or prefix not in self._legs:
            self._legs[prefix] = await (self._run.whole() if prefix is None else self._run.leg(prefix))
        return self._legs[prefix]


def _any_withheld(sides: Sequence[Side]) -> bool:
    return any(side.trace is None for side in sides)


def _judged(side: Side, pairs: Sequence[Bisected], final: Digest | None) -> Judged:
    own = [pair for pair in pairs if side in (pair.left, pair.right)]
    if side.failed:
        return Judged(
            side, Standing.OPEN, "a failure says that no machine could be had: it contradicts nothing"
        )
    if not own:
        return Judged(side, Standing.OPEN, "no other side that starts from the same says otherwise")
    against = [pair for pair in own if pair.is_refuted(side)]
    if not against:
        if any(pair.leg is None for pair in own):
            return Judged(side, Standing.OPEN, "our own run came out in two ways, and neither is a side's")
        return Judged(side, Standing.RIGHT, "it ends the decisive leg as our own run does")
    decisive = min(against, key=lambda pair: _rank(pair.other(side), pair, final))
    report = _report(side, decisive)
    return Judged(side, Standing.REFUTED, _reason(side, decisive), decisive, report)


def _rank(other: Side, pair: Bisected, final: Digest | None) -> int:
    """Against the final answer first, then against one that is right."""
    return 0 if other.agreement == final else 1 if not pair.is_refuted(other) else 2


def _reason(side: Side, pair: Bisected) -> str:
    assert pair.leg is not None
    if pair.is_whole:
        whose = "its trace" if side.trace is None else "the other side's trace"
        return f"the whole run ends elsewhere ({whose} is withheld)"
    return f"the leg after milestone {pair.leg.milestone} ends elsewhere"


def _report(side: Side, pair: Bisected) -> Report:
    """Without an established answer, its digest is zero, where the other side is refuted too."""
    assert pair.leg is not None
    leg, other = pair.leg, pair.other(side)
    return Report(
        call=side.bundle.call,
        operator=side.operators[0],
        established=ZERO_DIGEST if pair.is_refuted(other) else other.agreement,
        refuted=side.agreement,
        milestone=leg.milestone,
        start=leg.prefix[-1] if leg.prefix else side.bundle.receipt.snapshot,
        right=leg.point,
        wrong=claimed_point(side, leg, pair.is_whole),
    )
