"""What the frozen samples do not show: machines that fail, who was expected, what is left out."""

from __future__ import annotations

from dataclasses import replace

from faas_blueprint.bundle import Bundle
from faas_blueprint.digests import to_hex
from faas_blueprint.outcome import Stream
from faas_blueprint.receipt import CallReference
from faas_verifier.evidence import PostedResult
from faas_verifier.verdict import Conclusion, Status, combine
from faas_verifier.verify import unreadable, verify_bundle, verify_posted


def posted(made, bundle: Bundle, **changes) -> PostedResult:
    result = PostedResult(made.CALL, bundle.job, made.payload_of(bundle), made.OPERATOR, True, "0x01", "0x02")
    return replace(result, **changes)


async def test_without_a_machine_nothing_is_verified(make_receipts):
    verdict = await verify_bundle(make_receipts.bundle(), None)
    assert verdict.conclusion is Conclusion.UNCHECKED
    assert [item.number for item in verdict.findings if item.status is Status.UNCHECKED] == [7, 8]


async def test_a_missing_snapshot_is_unchecked_and_says_what_to_do(make_receipts, doubles):
    verdict = await verify_bundle(make_receipts.bundle(), doubles.missing_machine)
    assert verdict.conclusion is Conclusion.UNCHECKED
    assert "faas snapshot measure" in verdict.reason


async def test_a_machine_that_dies_refutes_nobody(make_receipts, doubles):
    made = make_receipts
    machine = doubles.DyingMachine(made.PROFILE, made.SNAPSHOT, {}, made.OUTCOME)
    verdict = await verify_bundle(made.bundle(), machine.open)
    assert verdict.conclusion is Conclusion.UNCHECKED
    assert "watchdog" in verdict.reason


async def test_another_operator_than_the_expected_one(make_receipts, machine):
    made = make_receipts
    verdict = await verify_bundle(made.bundle(), machine.open, expected_operator=made.STRANGER)
    assert verdict.conclusion is Conclusion.REFUTED
    assert [item.field for item in verdict.differences] == ["operator"]


async def test_an_endpoint_that_cannot_say_who_serves_leaves_it_open(make_receipts, machine):
    answer = posted(make_receipts, make_receipts.bundle(), serves=None)
    verdict = await verify_posted(answer, machine.open)
    assert verdict.conclusion is Conclusion.UNCHECKED
    assert machine.runs == 0


async def test_every_check_is_made_even_when_one_fails(make_receipts, machine):
    made = make_receipts
    call = CallReference(1, made.CALL.tangle, 2, 3)
    other = posted(made, made.bundle(), call=call, serves=False)
    bundle = replace(
        made.bundle(), job=b"\x01", signature=made.sign(made.bundle().receipt, made.STRANGER_KEY)
    )
    verdict = await verify_bundle(bundle, machine.open, other)
    failed = [item.number for item in verdict.findings if item.status is Status.FAILED]
    assert failed == [2, 3, 4, 5]


async def test_a_file_that_differs_from_what_was_posted(make_receipts, machine):
    made = make_receipts
    lie = replace(made.OUTCOME, stdout=Stream(b"another\n"))
    verdict = await verify_bundle(made.bundle(lie), machine.open, posted(made, made.bundle()))
    assert {item.field for item in verdict.differences} >= {"outcome_digest on-chain"}
    assert to_hex(made.OUTCOME.digest()) in {item.found for item in verdict.differences}


async def test_a_rerun_names_the_first_file_that_differs(make_receipts, machine):
    made = make_receipts
    same, other = made.FILES
    for files, named in (
        ((same, replace(other, content=b"")), "file 'table.csv'"),
        ((replace(same, path="plots/a"), other), "file 'plots/a'"),
        ((same,), "file 'table.csv'"),
        ((*made.FILES, replace(other, path="z")), "file 'z'"),
    ):
        verdict = await verify_bundle(made.bundle(replace(made.OUTCOME, files=files)), machine.open)
        assert verdict.conclusion is Conclusion.REFUTED
        assert [item.field for item in verdict.differences if item.field.startswith("file ")] == [named]


async def test_a_posted_toolchain_that_differs_from_the_files(make_receipts, machine):
    made = make_receipts
    compiled = made.bundle(toolchain=made.TOOLCHAIN)
    verdict = await verify_bundle(compiled, machine.open, posted(made, made.bundle()))
    assert [item.field for item in verdict.differences] == ["toolchain on-chain"]


async def test_the_worst_of_several_decides(make_receipts, machine):
    made = make_receipts
    good = await verify_posted(posted(made, made.bundle()), machine.open)
    refuted = await verify_posted(posted(made, made.bundle(), serves=False), machine.open)
    assert combine([good, unreadable("no endpoint"), refuted]) is refuted
    assert combine([good, unreadable("no endpoint")]).conclusion is Conclusion.UNCHECKED
    assert combine([good]) is good


def test_exit_codes():
    assert [item.exit_code for item in (Conclusion.VERIFIED, Conclusion.REFUTED, Conclusion.UNCHECKED)] == [
        0,
        1,
        2,
    ]
