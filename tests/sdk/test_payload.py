"""Jobs and results as the SDK writes and reads them are the node's own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from faas_blueprint.bundle import bundle_from_json
from faas_blueprint.digests import sha256, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import encode_job, job_digest, make_job
from faas_blueprint.outcome import OutputFile, files_manifest
from faas_sdk import FilesHash, ResultUnreadable, SubmissionRefused
from faas_sdk import OutputFile as SdkFile
from faas_sdk.effects import run
from faas_sdk.inputs import check, checked
from faas_sdk.output_files import decode_manifest
from faas_sdk.payload import JobInputs, decode_posted, encode_inputs
from faas_sdk.receipt import recover_signer
from faas_sdk.rest import RestApi
from faas_sdk.results import Submitted, TangleResult, _files, read_output_file
from faas_sdk.submission import JobCall

RECEIPTS = Path(__file__).parents[1] / "vectors" / "receipts"


def inputs(**changes) -> JobInputs:
    values = {
        "code": "print(1)",
        "language": "python",
        "stdin": b"",
        "arguments": (),
        "env_vars": {},
        "files": {},
        "seed": 1,
        "epoch": 2_000_000,
        "limits": {},
    }
    return JobInputs(**(values | changes))


def checked_payload(made: JobInputs) -> bytes:
    payload = checked(lambda: encode_inputs(made))
    check(made)
    return payload


def node_job(made: JobInputs):
    from faas_blueprint.job import Limits

    return make_job(
        made.language,
        made.code,
        stdin=made.stdin,
        arguments=tuple(made.arguments),
        environment=made.env_vars,
        files=made.files,
        seed=made.seed,
        epoch=made.epoch,
        limits=Limits(**made.limits),
        keep=made.keep,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"language": "javascript", "code": "console.log('ž')"},
        {"stdin": b"\x00\xff", "arguments": ("a", "")},
        {"env_vars": {"B": "2", "A": "1"}, "files": {"z": b"", "a/b.txt": b"x"}},
        {"limits": {"timeout_ms": 5, "memory_mb": 64}, "seed": (1 << 64) - 1},
        {"keep": True},
        {"language": "rust", "code": "fn main() {}", "files": {"main.py": b"", "output/a": b""}},
        {"language": "go", "code": "package main"},
        {"language": "typescript", "code": "console.log(1)", "files": {"main": b""}},
    ],
)
def test_the_payload_is_the_nodes(changes):
    made = inputs(**changes)
    assert checked_payload(made) == encode_job(node_job(made))


@pytest.mark.parametrize(
    "changes",
    [
        {"language": "cobol"},
        {"seed": -1},
        {"seed": 1 << 64},
        {"epoch": 4_102_444_801},
        {"limits": {"timeout_ms": 0}},
        {"limits": {"memory_mb": 513}},
        {"arguments": ("a\0",)},
        {"env_vars": {"": "x"}},
        {"env_vars": {"A=B": "x"}},
        {"env_vars": {"A": "\0"}},
        {"files": {"/etc/passwd": b""}},
        {"files": {"a/../b": b""}},
        {"files": {"main.py": b""}},
        {"files": {"main.py/x": b""}},
        {"files": {"output": b""}},
        {"language": "rust", "files": {"main": b""}},
        {"language": "go", "files": {"main/x": b""}},
        {"language": "typescript", "files": {"main.js": b""}},
        {"files": {"a": b"", "a/b": b""}},
        {"files": {"a" * 256: b""}},
        {"files": {"a\0": b""}},
        {"code": "\ud800"},
        {"code": "x" * ((4 << 20) + 1)},
        {"stdin": bytes(15 << 20)},
    ],
)
def test_what_an_operator_would_refuse_is_refused_before_it_is_paid(changes):
    made = inputs(**changes)
    with pytest.raises(InvalidRequest):
        node_job(made)
    with pytest.raises(SubmissionRefused) as caught:
        checked_payload(made)
    assert caught.value.reason == "invalid_inputs"


def test_a_job_calls_digest_is_the_job_digest():
    made = inputs()
    call = JobCall(1, 2, "0x", 3, 4, checked_payload(made))
    assert call.job_digest == to_hex(job_digest(node_job(made)))
    assert int(call) == 2


def result_of(name: str) -> TangleResult:
    sample = json.loads((RECEIPTS / f"{name}.json").read_text())
    chain = sample["chain"]
    data = bytes.fromhex(chain["payload"][2:])
    posted = decode_posted(data)
    place = chain["call"]
    from faas_sdk.results import _receipt

    call = Submitted(place["service_id"], place["call_id"], "0x", bytes.fromhex(chain["inputs"][2:]), "0x", 1)
    receipt = _receipt((place["chain_id"], place["tangle"]), call, posted, chain["operator"])
    assert posted.output is not None
    return TangleResult(
        call.service_id,
        call.call_id,
        chain["operator"],
        posted.status,
        posted.exit_code,
        posted.signal,
        posted.virtual_ns,
        *posted.output,
        False,
        receipt,
        "0x" + posted.signature.hex(),
        "0x",
        call.inputs,
        posted,
    )


def test_a_receipt_that_the_node_signed_is_read_and_verified_here():
    result = result_of("good-chain")
    assert result.verify_signature()
    assert (result.status, result.exit_code, result.stdout) == ("exited", 0, "hello\n")
    assert (result.files_hash.count, result.files_hash.size, result.files) == (2, 14, None)


def test_a_compiled_programs_receipt_names_its_toolchain_here_too():
    sample = json.loads((RECEIPTS / "good-compiled.json").read_text())["file"]
    receipt = sample["receipt"]
    assert receipt["toolchain"] != "0x" + 64 * "0"
    assert recover_signer(receipt, bytes.fromhex(sample["signature"][2:])) == receipt["operator"]


@pytest.mark.parametrize(
    "name",
    [
        "wrong-state-root",
        "wrong-toolchain",
        "another-calls-result",
        "swapped-job-on-chain",
        "another-operators-result",
    ],
)
def test_forgeries_have_no_valid_signature(name):
    assert not result_of(name).verify_signature()


FILES = (OutputFile("a/b.txt", b"one"), OutputFile("c", b""))
MANIFEST = files_manifest(FILES)
FILES_HASH = FilesHash(2, 3, sha256(MANIFEST), False)


def test_the_manifest_is_the_nodes():
    listed = decode_manifest(MANIFEST, FILES_HASH)
    assert [(file.path, file.size) for file in listed] == [("a/b.txt", 3), ("c", 0)]
    assert [file.sha256 for file in listed] == [to_hex(sha256(file.content)) for file in FILES]


@pytest.mark.parametrize(
    "line", [b"\x02..", b"\x02/a", b"\x03a\0b", b"\x04a//b"], ids=["up", "absolute", "zero", "empty part"]
)
def test_a_manifest_that_leads_out_of_its_folder_is_refused(line):
    data = b"\x01\x03" + line + bytes(40)
    with pytest.raises(ValueError, match="not a path"):
        decode_manifest(data, FilesHash(1, 0, sha256(data), False))


@pytest.mark.parametrize("changes", [{"count": 1}, {"size": 4}, {"sha256": bytes(32)}])
def test_a_manifest_that_is_not_what_was_signed_is_refused(changes):
    with pytest.raises(ValueError, match="manifest"):
        decode_manifest(MANIFEST, replace(FILES_HASH, **changes))


@pytest.fixture
def endpoint(flaky_server):
    return RestApi.at(flaky_server.url, None, 0)


@pytest.fixture
def carried_out():
    """Plans are run with this."""
    with httpx.Client(timeout=5) as http:
        yield lambda plan: run(plan, http)


def test_output_files_come_from_the_endpoint_and_are_checked(flaky_server, endpoint, carried_out):
    flaky_server.will_answer(200, MANIFEST)
    listed = carried_out(_files(FILES_HASH, endpoint))
    result = replace(result_of("good-chain"), files=listed)
    flaky_server.will_answer(200, b"one")
    assert carried_out(read_output_file(result, "a/b.txt", endpoint)) == b"one"
    paths = [request["path"] for request in flaky_server.requests]
    assert paths == [f"/api/v1/blobs/{sha256(content).hex()}" for content in (MANIFEST, b"one")]
    flaky_server.will_answer(200, b"two")
    with pytest.raises(ResultUnreadable, match="SHA-256 differs"):
        carried_out(read_output_file(result, "a/b.txt", endpoint))
    with pytest.raises(ResultUnreadable, match="no output file 'b'"):
        carried_out(read_output_file(result, "b", endpoint))
    with pytest.raises(ResultUnreadable, match="endpoint"):
        carried_out(read_output_file(result, "c", None))


def test_without_the_list_a_result_stands_and_a_wrong_one_is_refused(flaky_server, endpoint, carried_out):
    assert carried_out(_files(FILES_HASH, None)) is None
    assert carried_out(_files(FilesHash(0, 0, sha256(b"\0"), False), None)) == ()
    flaky_server.will_answer(404, {"error": {"code": "NOT_FOUND", "message": "no", "details": {}}})
    assert carried_out(_files(FILES_HASH, endpoint)) is None
    flaky_server.will_answer(200, b"\0")
    with pytest.raises(ResultUnreadable, match="list of output files"):
        carried_out(_files(FILES_HASH, endpoint))


def test_the_receipt_file_is_the_nodes_bundle():
    made = result_of("good-chain")
    without = json.loads((RECEIPTS / "good-without-manifest.json").read_text())["file"]
    del without["outcome"]["trace"]["roots"]  # no endpoint is asked for them
    assert made.receipt_file() == without
    assert bundle_from_json(made.receipt_file()).receipt.virtual_ns == 12_345_678
    listed = json.loads((RECEIPTS / "good-files-by-hash.json").read_text())["file"]
    del listed["outcome"]["trace"]["roots"]
    lines = [SdkFile(**line) for line in listed["outcome"]["files"]["manifest"]]
    assert replace(made, files=tuple(lines)).receipt_file() == listed


@pytest.mark.parametrize("signature", [b"", bytes(64), bytes(64) + b"\x1b", b"\xff" * 64 + b"\x1c"])
def test_a_signature_that_is_none(signature):
    receipt = json.loads((RECEIPTS / "good-file.json").read_text())["file"]["receipt"]
    assert recover_signer(receipt, signature) is None


def test_a_signature_has_one_spelling():
    sample = json.loads((RECEIPTS / "high-s-signature.json").read_text())["file"]
    assert recover_signer(sample["receipt"], bytes.fromhex(sample["signature"][2:])) is None


@pytest.mark.parametrize("version", [2, 4])
def test_a_result_of_another_version_is_not_read(version):
    payload = json.loads((RECEIPTS / "good-chain.json").read_text())["chain"]["payload"]
    with pytest.raises(ValueError, match=f"receipt version {version} is not known here"):
        decode_posted(version.to_bytes(2, "big") + bytes.fromhex(payload[6:]))
