"""Bisection: where two rows of points part, and what is reported of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas_blueprint.bisection import Leg, Point, Report, check_trace, differing_leg, points
from faas_blueprint.digests import Digest, keccak256
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.outcome import Outcome, Status, Stream, TraceDigest
from faas_blueprint.receipt import CallReference, address, make_receipt

START = Digest(bytes(32))
CALL = CallReference(31337, address("0x" + "44" * 20), 1, 7)
OPERATOR = address("0x" + "55" * 20)

roots = st.sampled_from([Digest(bytes([number]) * 32) for number in range(1, 5)])
rows = st.builds(
    lambda trace, root, end: (*map(Point, trace), Point(root, end)), st.lists(roots, max_size=6), roots, roots
)


@given(rows, rows)
def test_the_leg_is_the_first_that_differs(first, second):
    leg = differing_leg(START, first, second)
    if leg is None:
        assert first == second
        return
    assert first[: leg.milestone] == second[: leg.milestone]
    assert (leg.first, leg.second) == (first[leg.milestone], second[leg.milestone])
    assert leg.first != leg.second
    assert leg.start == (first[leg.milestone - 1].root if leg.milestone else START)


@given(rows, rows)
def test_both_sides_find_the_same(first, second):
    left, right = differing_leg(START, first, second), differing_leg(START, second, first)
    if left is None:
        assert right is None
    else:
        assert right == Leg(left.milestone, left.start, left.second, left.first)


@given(rows)
def test_a_run_does_not_differ_from_itself(row):
    assert differing_leg(START, row, row) is None


def test_the_points_of_a_receipt_are_its_trace_and_its_end():
    trace = (keccak256(b"1"), keccak256(b"2"))
    outcome = Outcome(Status.EXITED, 0, 0, 9, Stream(), Stream(), keccak256(b"end"), trace=trace)
    receipt = make_receipt(
        profile_id=START, snapshot=START, job_digest=START, outcome=outcome, call=CALL, operator=OPERATOR
    )
    end = Point(outcome.state_root, outcome.digest())
    assert points(receipt, trace) == (Point(trace[0]), Point(trace[1]), end)
    assert points(receipt, ()) == (end,)


def test_a_trace_is_held_against_what_the_outcome_says():
    trace = (keccak256(b"1"), keccak256(b"2"))
    check_trace(TraceDigest.of(trace), trace)
    check_trace(TraceDigest.of(()), ())
    for other in (trace[:1], trace[::-1], (*trace, trace[0]), ()):
        with pytest.raises(InvalidRequest, match="not the one"):
            check_trace(TraceDigest.of(trace), other)


REPORT = Report(
    CALL, OPERATOR, keccak256(b"e"), keccak256(b"r"), 1, START, Point(START), Point(START, keccak256(b"o"))
)


@pytest.mark.parametrize(
    "change",
    [
        {"call": replace(CALL, call_id=8)},
        {"operator": address("0x" + "66" * 20)},
        {"established": START},
        {"refuted": START},
        {"milestone": 2},
        {"start": keccak256(b"s")},
        {"right": Point(START, START)},
        {"wrong": Point(START)},
    ],
)
def test_a_reports_digest_is_of_all_that_it_says(change):
    assert replace(REPORT, **change).digest() != REPORT.digest()
    assert replace(REPORT).digest() == REPORT.digest()
