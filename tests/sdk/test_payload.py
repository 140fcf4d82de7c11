"""Jobs and results as the SDK writes and reads them are the node's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faas_blueprint.bundle import bundle_from_json
from faas_blueprint.digests import to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import encode_job, job_digest, make_job
from faas_sdk import SubmissionRefused
from faas_sdk.inputs import checked_payload
from faas_sdk.payload import JobInputs, decode_posted
from faas_sdk.receipt import recover_signer
from faas_sdk.results import Submitted, TangleResult
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
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"language": "javascript", "code": "console.log('ž')"},
        {"stdin": b"\x00\xff", "arguments": ("a", "")},
        {"env_vars": {"B": "2", "A": "1"}, "files": {"z": b"", "a/b.txt": b"x"}},
        {"limits": {"timeout_ms": 5, "memory_mb": 64}, "seed": (1 << 64) - 1},
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
    from faas_sdk.guard import Deployment
    from faas_sdk.results import _receipt
    from faas_sdk.rpc import Rpc

    at = Deployment(Rpc("http://127.0.0.1:1"), place["tangle"])
    call = Submitted(place["service_id"], place["call_id"], "0x", bytes.fromhex(chain["inputs"][2:]), "0x", 1)
    receipt = _receipt(at, call, posted, place["chain_id"], chain["operator"])
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


@pytest.mark.parametrize(
    "name", ["wrong-state-root", "another-calls-result", "swapped-job-on-chain", "another-operators-result"]
)
def test_forgeries_have_no_valid_signature(name):
    assert not result_of(name).verify_signature()


def test_the_receipt_file_is_the_nodes_bundle():
    sample = json.loads((RECEIPTS / "good-file.json").read_text())
    made = result_of("good-chain").receipt_file()
    assert made == sample["file"]
    assert bundle_from_json(made).receipt.virtual_ns == 12_345_678


@pytest.mark.parametrize("signature", [b"", bytes(64), bytes(64) + b"\x1b", b"\xff" * 64 + b"\x1c"])
def test_a_signature_that_is_none(signature):
    receipt = json.loads((RECEIPTS / "good-file.json").read_text())["file"]["receipt"]
    assert recover_signer(receipt, signature) is None
