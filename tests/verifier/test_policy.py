"""Policies: what is run again, what a call's results come to, and what is said to be left out."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from faas_blueprint.errors import InvalidRequest
from faas_verifier.policy import RERUN, Policy, Requirement, parse_policy
from faas_verifier.verdict import Conclusion
from faas_verifier.verify import verify_bundle


@pytest.mark.parametrize("text", ["signed", "quorum:2", "rerun", "rerun-sample:0.25", "rerun-sample:1"])
def test_policies_are_written_as_they_are_read(text) -> None:
    assert str(parse_policy(text)) == text


WRONG = ["", "sign", "signed:1", "quorum", "quorum:0", "quorum:-1", "quorum:two", "quorum:1.5", "rerun:1",
         "rerun-sample", "rerun-sample:0", "rerun-sample:1.01", "rerun-sample:nan", "RERUN"]  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_anything_else_is_refused(text) -> None:
    with pytest.raises(InvalidRequest, match="not a policy"):
        parse_policy(text)


def test_what_is_drawn() -> None:
    sample = parse_policy("rerun-sample:0.25")
    numbers = iter((0.0, 0.2499, 0.25, 0.999))
    assert [sample.draw(lambda: next(numbers)) for _ in range(4)] == [True, True, False, False]
    assert parse_policy("rerun-sample:1").draw()
    assert RERUN.draw()
    assert not parse_policy("signed").draw()
    assert not parse_policy("quorum:2").draw()


async def test_signed_says_what_it_leaves_out(make_receipts) -> None:
    verdict = await verify_bundle(make_receipts.bundle(), None)
    assert verdict.conclusion is Conclusion.UNCHECKED
    concluded = parse_policy("signed").conclude([verdict], reruns=False)
    assert concluded.conclusion is Conclusion.VERIFIED
    assert "re-execution" in concluded.reason
    assert [finding.detail for finding in concluded.findings[-2:]] == ["not required: signed"] * 2


async def test_no_policy_makes_a_lie_true(make_receipts) -> None:
    forged = replace(make_receipts.bundle(), job=b"another job")
    verdict = await verify_bundle(forged, None)
    for text in ("signed", "quorum:1", "rerun-sample:0.5"):
        concluded = parse_policy(text).conclude([verdict], reruns=False)
        assert concluded.conclusion is not Conclusion.VERIFIED, text
    assert parse_policy("signed").conclude([verdict], reruns=False).conclusion is Conclusion.REFUTED


async def test_one_operator_is_no_quorum_however_often_it_says_it(make_receipts) -> None:
    verdict = await verify_bundle(make_receipts.bundle(), None)
    concluded = Policy(Requirement.QUORUM, 2).conclude([verdict, verdict], reruns=False)
    assert concluded.conclusion is Conclusion.UNCHECKED
    assert "1 of 2 results agree, 2 are required" in concluded.reason


def test_the_command_runs_again_what_is_drawn(run, good, machine) -> None:
    drawn = json.loads(run(good, "--require", "rerun-sample:1", "--json").stdout)
    assert (drawn["verdict"], drawn["require"], machine.runs) == ("verified", "rerun-sample:1", 1)
    result = run(good, "--require", "rerun-sample:0.000000001", "--json")
    left = json.loads(result.stdout)
    assert (result.exit_code, left["verdict"], machine.runs) == (0, "verified", 1)
    assert [check["status"] for check in left["checks"][-2:]] == ["skipped", "skipped"]
    assert "not drawn" in left["checks"][-1]["detail"]


def test_the_command_with_a_signature_only(run, good, machine) -> None:
    result = run(good, "--require", "signed")
    assert (result.exit_code, machine.runs) == (0, 0)
    assert "not required: signed" in result.output
    assert run(good, "--signature-only").exit_code == 2


@pytest.mark.parametrize(
    "more", [("--require", "most"), ("--require", "signed", "--signature-only"), ("--require", "quorum:2")]
)
def test_what_does_not_fit_together_is_refused(run, good, more) -> None:
    assert run(good, *more).exit_code == 2
