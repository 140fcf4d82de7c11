"""Where two runs that started from the same part, and the report that says so.

A run is a row of points: the root of each milestone, then its end, which is the state root and the digest of
the outcome. Equal points at one place mean equal machines there, so between the last pair of equal points and
the first of different ones lies a single leg, and who is wrong shows by running just that again.

An operator that keeps its trace to itself has said where its run ends, and nothing on the way: then both runs
are compared without their traces, and the leg is the whole run. Not here: running legs
(`faas_microvm.tracing`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from faas_blueprint.digests import Digest, keccak256, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.outcome import TraceDigest
from faas_blueprint.receipt import Address, CallReference, Receipt


@dataclass(frozen=True, slots=True)
class Point:
    """Where a machine stood."""

    root: Digest
    """Its measurement."""
    outcome_digest: Digest | None = None
    """Of the run's outcome, at its end; None at a milestone."""


@dataclass(frozen=True, slots=True)
class Leg:
    """The first part of two runs that differs."""

    milestone: int
    """How many milestones both have in common."""
    start: Digest
    """Measurement of the machine from which both go on: the last common milestone, or the run's start."""
    first: Point
    """Where the first run says that the leg ends."""
    second: Point


@dataclass(frozen=True, slots=True)
class Report:
    """What a bisection found of one call, the same for whoever makes it. Witnesses sign its digest."""

    call: CallReference
    operator: Address
    """Whose receipt is refuted."""
    established: Digest
    """Agreement digest of the final answer."""
    refuted: Digest
    """Agreement digest of the receipt."""
    milestone: int
    start: Digest
    right: Point
    """Where the leg ends, as it was run again."""
    wrong: Point
    """Where it ends by the refuted receipt."""

    def to_json(self) -> dict[str, object]:
        """Digests as `0x…`."""
        return {
            "format": 1,
            "chain_id": self.call.chain_id,
            "tangle": self.call.tangle,
            "service_id": self.call.service_id,
            "call_id": self.call.call_id,
            "operator": self.operator,
            "established": to_hex(self.established),
            "refuted": to_hex(self.refuted),
            "milestone": self.milestone,
            "start": to_hex(self.start),
            "right": point_to_json(self.right),
            "wrong": point_to_json(self.wrong),
        }

    def digest(self) -> Digest:
        """Keccak-256 of the JSON with sorted keys and no spaces."""
        return keccak256(json.dumps(self.to_json(), sort_keys=True, separators=(",", ":")).encode())


def points(receipt: Receipt, trace: Sequence[Digest]) -> tuple[Point, ...]:
    """The row of points of a run; check the trace first. With an empty one only its end is known."""
    return (*map(Point, trace), Point(receipt.state_root, receipt.outcome_digest))


def check_trace(claimed: TraceDigest, trace: Sequence[Digest]) -> None:
    """Raises InvalidRequest unless these are the roots that an outcome committed to."""
    if TraceDigest.of(trace) != claimed:
        raise InvalidRequest("the trace is not the one that the outcome commits to")


def differing_leg(start: Digest, first: Sequence[Point], second: Sequence[Point]) -> Leg | None:
    """The first leg in which two runs from `start` differ; None when they are equal."""
    common = start
    for milestone, (left, right) in enumerate(zip_longest(first, second)):
        if left != right:
            assert left is not None  # an end is never equal to a milestone
            assert right is not None
            return Leg(milestone, common, left, right)
        common = left.root
    return None


def point_to_json(point: Point) -> Mapping[str, str | None]:
    """Digests as `0x…`; null where there is no outcome."""
    outcome = point.outcome_digest
    return {"root": to_hex(point.root), "outcome_digest": None if outcome is None else to_hex(outcome)}
