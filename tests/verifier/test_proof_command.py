"""`faas verify-proof`: exit codes, JSON, what it says to people."""

from __future__ import annotations

import json

import pytest
from typer import Typer
from typer.testing import CliRunner

from faas_blueprint.digests import Digest, sha256, to_hex
from faas_blueprint.file_manifest import (
    MANIFEST_PAGE,
    FileEntry,
    FileKind,
    FileManifest,
    encode_manifest,
)
from faas_blueprint.measurement import MachineState
from faas_blueprint.merkle import PAGE_SIZE, PageTree, hash_page
from faas_blueprint.proof import prove_file, prove_pages
from faas_blueprint.proof_json import proof_to_json
from faas_verifier.proof_command import verify_proof

NAME = "out/\x1b[2J[bold]x"
ENTRY = FileEntry(NAME, FileKind.FILE, 0o640, 6, sha256(b"result"))
REGION = encode_manifest(FileManifest((ENTRY,))).ljust(PAGE_SIZE, b"\0")
TREE = PageTree.build(1 << 18, {MANIFEST_PAGE: hash_page(REGION)})
STATE = MachineState(Digest(b"\1" * 32), TREE.root, Digest(b"\2" * 32))
MEASUREMENT = STATE.measurement()


@pytest.fixture
def run():
    app = Typer()
    app.command()(verify_proof)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def save(tmp_path):
    def write(content, name="a.proof.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.fixture
def good(save):
    return save(proof_to_json(prove_file(TREE, STATE, REGION, NAME)))


@pytest.fixture
def absent(save):
    return save(proof_to_json(prove_file(TREE, STATE, REGION, "no")), "absent.proof.json")


@pytest.fixture
def page(save):
    return save(proof_to_json(prove_pages(TREE, STATE, MANIFEST_PAGE, REGION)), "page.proof.json")


def test_it_holds(run, good, absent, page, tmp_path):
    (tmp_path / "result").write_bytes(b"result")
    result = run(good, "--measurement", to_hex(MEASUREMENT), "--content", tmp_path / "result")
    assert result.exit_code == 0, result.output
    measurement, path, digest, last = result.output.splitlines()
    assert measurement == f"measurement  {to_hex(MEASUREMENT)} (as expected)"
    assert path == "path         out/\\x1b[2J[bold]x (file, 0640, 6 bytes)"
    assert digest == f"sha256       {to_hex(ENTRY.sha256)} (equals the content)"
    assert last.startswith("HOLDS: this is the entry of 'out/")
    assert "HOLDS: there is no 'no' in" in run(absent).output
    assert "HOLDS: page 71936 is in" in run(page, "--measurement", MEASUREMENT.hex().upper()).output


def test_what_was_not_compared_is_said(run, good):
    result = run(good)
    assert result.exit_code == 0
    assert "as the file names it; not compared" in result.output
    assert "no content was compared" in result.output


def test_it_does_not_hold(run, good, absent, page, save, tmp_path):
    (tmp_path / "result").write_bytes(b"other!")
    result = run(good, "--content", tmp_path / "result")
    assert result.exit_code == 1
    assert result.output.startswith("DOES NOT HOLD: sha256 of the content is 0x")
    assert run(absent, "--content", tmp_path / "result").exit_code == 1
    for path in (good, absent, page):
        result = run(path, "--measurement", "0x" + "00" * 32)
        assert result.exit_code == 1
        assert "expected measurement is 0x" in result.output
        forged = {**json.loads(path.read_text()), "ram_root": "0x" + "00" * 32}
        assert "RAM root is 0x" in run(save(forged, "forged")).output


def test_json(run, good, absent, page, tmp_path):
    report = json.loads(run(good, "--json").stdout)
    assert set(report) == {
        "verdict", "verified", "reason", "measurement_expected", "content_checked", "proof",
    }  # fmt: skip
    assert (report["verdict"], report["verified"]) == ("holds", True)
    assert (report["measurement_expected"], report["content_checked"]) == (False, False)
    assert report["proof"]["entry"] == {
        "kind": "file", "mode": 0o640, "size": 6, "sha256": to_hex(ENTRY.sha256),
    }  # fmt: skip
    report = json.loads(run(good, "--json", "--measurement", "0x" + "00" * 32).stdout)
    assert (report["verdict"], report["verified"]) == ("refuted", False)
    assert report["proof"]["path"] == NAME
    assert json.loads(run(absent, "--json").stdout)["proof"]["entry"] is None
    assert "path" not in json.loads(run(page, "--json").stdout)["proof"]
    report = json.loads(run(tmp_path / "none", "--json").stdout)
    assert (report["verdict"], report["proof"]) == ("unreadable", None)


def test_content_within_the_proof_counts(run, save):
    proof = proof_to_json(prove_file(TREE, STATE, REGION, NAME, b"result"))
    report = json.loads(run(save(proof), "--json").stdout)
    assert (report["verdict"], report["content_checked"]) == ("holds", True)
    assert run(save({**proof, "content": "0x00"})).exit_code == 1


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"format": 1, "format": 2}', "[" * 100_000, "\xff"]
)
def test_what_is_no_proof_is_exit_code_2(run, save, text):
    result = run(save(text))
    assert result.exit_code == 2
    assert result.output.startswith("CANNOT BE READ")


def test_what_cannot_be_read_is_exit_code_2(run, good, page, save, tmp_path):
    assert run().exit_code == 2
    assert run(tmp_path).exit_code == 2
    assert run(tmp_path / "none").exit_code == 2
    assert run(good, "--content", tmp_path / "none").exit_code == 2
    assert run(page, "--content", good).exit_code == 2
    assert run(good, "--measurement", "0x12").exit_code == 2
    assert run(good, "--measurement", "0x" + "zz" * 32).exit_code == 2
    twice = good.read_text().replace('"path":', '"path": "x", "path":')
    assert "twice" in run(save(twice)).output
