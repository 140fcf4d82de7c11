"""`faas dispute` where no machine is needed: its arguments, what cannot be reached, what witnesses show."""

from __future__ import annotations

import json

import pytest
from typer import Typer
from typer.testing import CliRunner

from faas_blueprint.bisection import Point, Report
from faas_blueprint.digests import Digest, sha256, to_hex
from faas_blueprint.errors import BlobUnavailable, InvalidRequest, MachineFailure
from faas_blueprint.receipt import CallReference
from faas_cli.dispute import dispute
from faas_verifier.blobs import DataFalsified, DataWithheld
from faas_verifier.evidence_bundle import report_from_json
from faas_verifier.verdict import Conclusion, conclusion_of, worst
from faas_verifier.witnesses import _signatures


@pytest.fixture
def run(monkeypatch):
    monkeypatch.delenv("FAAS_RPC_URL", raising=False)
    monkeypatch.delenv("FAAS_PRIVATE_KEY", raising=False)
    app = Typer()
    app.command()(dispute)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name the service"),
        (("1", "2"), "--rpc"),
        (("1", "--rpc", "http://127.0.0.1:1"), "the call"),
        (("1", "2", "--rpc", "http://127.0.0.1:1", "--tangle", "0x12"), "address"),
        (("1", "2", "--rpc", "http://127.0.0.1:1", "--propose"), "FAAS_PRIVATE_KEY"),
    ],
)
def test_what_is_missing_is_named(run, arguments, said) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_a_chain_that_is_out_of_reach_judges_nothing(run) -> None:
    for arguments in (("1", "2"), ("--service", "1", "--call", "2")):
        result = run(*arguments, "--rpc", "http://127.0.0.1:1,http://127.0.0.1:2", "--json")
        report = json.loads(result.stdout)
        assert (result.exit_code, report["verdict"]) == (2, "unchecked")
        assert "http://127.0.0.1:1 does not answer" in report["reason"]
    assert "COULD NOT BE JUDGED" in run("1", "2", "--rpc", "http://127.0.0.1:1").output


def test_a_file_that_is_no_evidence_cannot_be_checked(run, tmp_path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK")
    for path in (tmp_path / "x.zip", tmp_path / "missing.zip", tmp_path):
        result = run("--check", path, "--json")
        report = json.loads(result.stdout)
        assert (result.exit_code, report["verdict"], report["verified"]) == (2, "unchecked", False)
        assert [check["status"] for check in report["checks"]] == ["unchecked", *["skipped"] * 5]
    assert "COULD NOT BE CHECKED" in run("--check", tmp_path / "x.zip").output


def test_signatures_are_taken_from_whatever_an_endpoint_answers() -> None:
    digest, other = sha256(b"report"), sha256(b"other")
    items = [
        {"report_digest": to_hex(other), "signature": "0x01", "report": {}},
        {"report_digest": to_hex(digest), "signature": "0x02", "report": {}},
    ]
    assert list(_signatures(json.dumps({"refutations": items}).encode(), digest)) == [b"\2"]
    flood = {"refutations": [items[1]] * 1000}
    assert len(list(_signatures(json.dumps(flood).encode(), digest))) == 64
    for answer in (b"", b"[]", b"{}", b'{"refutations": 7}', b'{"refutations": [7]}', b"[" * 100_000):
        assert list(_signatures(answer, digest)) == []
    bad = {"refutations": [{**items[1], "signature": "0xzz"}]}
    assert list(_signatures(json.dumps(bad).encode(), digest)) == []


def report() -> Report:
    zero = Digest(bytes(32))
    call = CallReference(1 << 200, "0x" + "ab" * 20, 1, 2)
    return Report(call, "0x" + "cd" * 20, zero, zero, 3, zero, Point(zero), Point(zero, sha256(b"end")))


def test_a_report_comes_back_from_its_json() -> None:
    assert report_from_json(json.loads(json.dumps(report().to_json()))) == report()


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"milestone": -1},
        {"milestone": 1.5},
        {"operator": "0x12"},
        {"start": "0x12"},
        {"right": {}},
        {"wrong": {"root": "0x" + "0" * 64, "outcome_digest": 7}},
        {"more": 1},
    ],
)
def test_a_report_that_is_none_is_refused(change) -> None:
    with pytest.raises(InvalidRequest):
        report_from_json({**report().to_json(), **change})


def test_the_worst_of_several_decides() -> None:
    assert worst([]) is Conclusion.UNCHECKED
    assert worst([Conclusion.VERIFIED, Conclusion.WITHHELD, Conclusion.REFUTED]) is Conclusion.REFUTED
    assert conclusion_of(DataFalsified("x")) is Conclusion.FALSIFIED
    assert conclusion_of(DataWithheld("x")) is Conclusion.WITHHELD
    assert conclusion_of(BlobUnavailable("x")) is conclusion_of(MachineFailure("x")) is Conclusion.UNCHECKED
