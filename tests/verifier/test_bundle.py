"""The receipt file: round trips, and everything that is not one."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest

from faas_blueprint.bundle import BUNDLED_FILE_BYTES, bundle_from_json, bundle_to_json, make_bundle
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.outcome import OutputFile
from faas_verifier.bundle import load_bundle, save_bundle


@pytest.fixture
def good(make_receipts):
    return make_receipts.bundle()


def test_round_trip(good, tmp_path):
    path = tmp_path / "receipt.json"
    listed = replace(good, files=None)
    for bundle in (good, replace(good, output=None), listed, replace(listed, manifest=None)):
        save_bundle(bundle, path)
        assert load_bundle(path) == bundle


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("note",), "extra", "unknown field 'note'"),
        (("receipt", "note"), 1, "unknown field 'note'"),
        (("receipt", "version"), "1", "version"),
        (("receipt", "job_digest"), "0x12", "job_digest"),
        (("receipt", "operator"), "0x12", "not an address"),
        (("signature",), "zz", "signature"),
        (("job",), "0xabc", "job"),
        (("outcome", "status"), "great", "outcome.status"),
        (("outcome", "exit_code"), True, "outcome.exit_code"),
        (("outcome", "signal"), 256, "outcome.signal"),
        (("outcome", "virtual_ns"), -1, "outcome.virtual_ns"),
        (("outcome", "stdout", "truncated"), 0, "outcome.stdout.truncated"),
        (("outcome", "stdout", "sha256"), None, "outcome.stdout.sha256"),
        (("outcome", "stderr", "size"), 1.5, "outcome.stderr.size"),
        (("outcome", "stderr"), [], "outcome.stderr"),
        (("outcome", "files"), None, "outcome.files"),
        (("outcome", "files", "count"), 1 << 32, "outcome.files.count"),
        (("outcome", "files", "size"), -1, "outcome.files.size"),
        (("outcome", "files", "sha256"), "0x12", "outcome.files.sha256"),
        (("outcome", "files", "truncated"), 1, "outcome.files.truncated"),
        (("outcome", "files", "note"), 1, "unknown field 'note'"),
        (("outcome", "files", "manifest"), {}, "outcome.files.manifest"),
        (("outcome", "files", "manifest", 1), [], r"manifest\[1\]"),
        (("outcome", "files", "manifest", 1, "path"), 5, r"manifest\[1\].path"),
        (("outcome", "files", "manifest", 1, "path"), "../table.csv", "relative"),
        (("outcome", "files", "manifest", 1, "path"), "a.csv", "sorted"),
        (("outcome", "files", "manifest", 1, "path"), "plots/a.svg/b", "below another file"),
        (("outcome", "files", "manifest", 1, "size"), True, r"manifest\[1\].size"),
        (("outcome", "files", "manifest", 1, "sha256"), None, r"manifest\[1\].sha256"),
        (("outcome", "files", "manifest", 1, "content"), "text", r"manifest\[1\].content"),
        (("outcome", "files", "manifest", 1, "note"), 1, "unknown field 'note'"),
        (("outcome",), None, "outcome"),
    ],
)
def test_strict(good, path, value, message):
    data = copy.deepcopy(bundle_to_json(good))
    parent = data
    for name in path[:-1]:
        parent = parent[name]
    parent[path[-1]] = value
    with pytest.raises(InvalidRequest, match=message):
        bundle_from_json(data)


@pytest.mark.parametrize("name", ["receipt", "signature", "job", "outcome"])
def test_a_missing_part(good, name):
    data = bundle_to_json(good)
    del data[name]
    with pytest.raises(InvalidRequest, match=f"'{name}' is missing"):
        bundle_from_json(data)


def test_content_in_one_stream_only(good):
    data = copy.deepcopy(bundle_to_json(good))
    del data["outcome"]["stderr"]["content"]
    with pytest.raises(InvalidRequest, match="in both streams or in neither"):
        bundle_from_json(data)


def test_content_of_some_files_only(good):
    data = copy.deepcopy(bundle_to_json(good))
    del data["outcome"]["files"]["manifest"][0]["content"]
    with pytest.raises(InvalidRequest, match="in all files or in none"):
        bundle_from_json(data)


@pytest.mark.parametrize(("size", "whole"), [(BUNDLED_FILE_BYTES, True), (BUNDLED_FILE_BYTES + 1, False)])
def test_large_files_go_by_hash(make_receipts, good, size, whole):
    outcome = replace(make_receipts.OUTCOME, files=(OutputFile("large", bytes(size)),))
    made = make_bundle(good.receipt, good.signature, good.job, outcome)
    assert made.manifest == outcome.manifest()
    assert made.files == (outcome.files if whole else None)
    assert bundle_from_json(bundle_to_json(made)) == made


@pytest.mark.parametrize("text", ["", "[1", "[" * 100_000, '"text"', "[]", "null"])
def test_not_a_receipt_file(tmp_path, text):
    path = tmp_path / "receipt.json"
    path.write_text(text)
    with pytest.raises(InvalidRequest):
        load_bundle(path)


def test_no_such_file(tmp_path):
    with pytest.raises(InvalidRequest, match="cannot be read"):
        load_bundle(tmp_path / "none.json")


def test_the_documented_shape(good):
    data = json.loads(json.dumps(bundle_to_json(good)))
    assert set(data) == {"receipt", "signature", "job", "outcome"}
    assert set(data["outcome"]["stdout"]) == {"size", "sha256", "truncated", "content"}
    files = data["outcome"]["files"]
    assert set(files) == {"count", "size", "sha256", "truncated", "manifest"}
    assert [set(line) for line in files["manifest"]] == 2 * [{"path", "size", "sha256", "content"}]
    assert data["receipt"]["toolchain"] == "0x" + 64 * "0"
