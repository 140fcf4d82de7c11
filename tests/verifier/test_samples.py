"""Every frozen sample gets the verdict that its name promises, by the check that must see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faas_blueprint.bundle import bundle_from_json
from faas_blueprint.errors import UnknownVersion
from faas_blueprint.receipt import CallReference, address
from faas_verifier.evidence import PostedResult
from faas_verifier.verdict import Status, Verdict, verdict_to_json
from faas_verifier.verify import unreadable, verify_bundle, verify_posted

RECEIPTS = Path(__file__).parents[1] / "vectors" / "receipts"
NAMES = sorted(path.stem for path in RECEIPTS.glob("*.json"))


def load(name):
    return json.loads((RECEIPTS / f"{name}.json").read_text())


def posted_of(chain) -> PostedResult | None:
    if chain is None:
        return None
    call = chain["call"]
    return PostedResult(
        CallReference(call["chain_id"], address(call["tangle"]), call["service_id"], call["call_id"]),
        bytes.fromhex(chain["inputs"][2:]),
        bytes.fromhex(chain["payload"][2:]),
        address(chain["operator"]),
        chain["serves"],
        "0x" + "11" * 32,
        "0x" + "22" * 32,
    )


async def judge(sample, open_machine) -> Verdict:
    posted = posted_of(sample["chain"])
    if sample["file"] is not None:
        try:
            bundle = bundle_from_json(sample["file"])
        except UnknownVersion as error:
            return unreadable(error.message)
        return await verify_bundle(bundle, open_machine, posted)
    assert posted is not None
    return await verify_posted(posted, open_machine)


def test_the_committed_samples_are_the_ones_that_are_made(make_receipts):
    made = dict(make_receipts.samples())
    assert sorted(made) == NAMES
    assert {name: load(name) for name in NAMES} == made


@pytest.mark.parametrize("name", NAMES)
async def test_verdict(name, machine):
    sample = load(name)
    verdict = await judge(sample, machine.open)
    assert verdict.conclusion == sample["verdict"], verdict.findings
    deciding = {"refuted": Status.FAILED, "unchecked": Status.UNCHECKED}.get(sample["verdict"])
    numbers = {finding.number for finding in verdict.findings if finding.status is deciding}
    assert numbers >= set(sample["deciding"])
    assert numbers == set() or sample["deciding"]
    assert json.loads(json.dumps(verdict_to_json(verdict)))["verified"] is (sample["verdict"] == "verified")


@pytest.mark.parametrize("name", [name for name in NAMES if load(name)["verdict"] == "verified"])
async def test_a_verified_one_went_through_all_eight_checks(name, machine):
    verdict = await judge(load(name), machine.open)
    assert [finding.number for finding in verdict.findings] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert machine.runs == (0 if name == "good-failed" else 1)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("wrong-output-byte", {"stdout.sha256"}),
        ("swapped-job", {"job_digest"}),
        ("another-calls-receipt", {"call_id"}),
        ("strangers-signature", {"signer"}),
        ("lie-state-root", {"state_root"}),
        ("lie-output-byte", {"outcome_digest", "stdout", "stdout.sha256"}),
        ("lie-virtual-time", {"outcome_digest", "virtual_ns"}),
        ("lie-file-byte", {"outcome_digest", "files.sha256"}),
        ("lie-no-file", {"files.count", "files.size", "files.sha256"}),
        ("lie-files-truncated", {"outcome_digest", "files.truncated"}),
        ("lie-toolchain", {"toolchain"}),
        ("no-toolchain", {"toolchain"}),
        ("wrong-file-byte", {"file 'table.csv'"}),
        ("wrong-manifest", {"files.sha256"}),
        ("wrong-milestone", {"trace.sha256"}),
        ("lie-milestone", {"outcome_digest", "trace.sha256", "milestone 2"}),
        ("missing-file", {"files.count", "files.size", "files.sha256"}),
    ],
)
async def test_what_differs_is_named_with_both_values(name, fields, machine):
    verdict = await judge(load(name), machine.open)
    assert fields <= {item.field for item in verdict.differences}
    assert all(item.claimed != item.found for item in verdict.differences)
    assert all(str(item.claimed) and str(item.found) for item in verdict.differences)


async def test_nothing_is_run_for_a_refuted_receipt(machine):
    await judge(load("strangers-signature"), machine.open)
    assert machine.runs == 0
