"""The example values in `docs/receipts.md` are the ones that the code gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from faas_blueprint import tlv
from faas_blueprint.digests import Digest, keccak256, sha256, to_hex
from faas_blueprint.job import encode_job, job_digest, make_job
from faas_blueprint.outcome import (
    OUTCOME_FIELDS,
    Outcome,
    OutputFile,
    Status,
    Stream,
    files_manifest,
    outcome_values,
)
from faas_blueprint.receipt import RECEIPT_TYPE, CallReference, address, make_receipt, signing_digest
from faas_blueprint.result import encode_result, make_result

PAGE = (Path(__file__).parents[2] / "docs" / "receipts.md").read_text()

JOB = make_job("python", "print(6 * 7)\n")
FILES = (OutputFile("a.txt", b"hi\n"),)
OUTCOME = Outcome(Status.EXITED, 0, 0, 1_000_000, Stream(b"42\n"), Stream(), Digest(b"\x03" * 32), FILES)
RECEIPT = make_receipt(
    profile_id=Digest(b"\x01" * 32),
    snapshot=Digest(b"\x02" * 32),
    job_digest=job_digest(JOB),
    outcome=OUTCOME,
    call=CallReference(31337, address("0x" + "44" * 20), 1, 7),
    operator=address("0x" + "55" * 20),
)
RESULT = encode_result(make_result(RECEIPT, OUTCOME, bytes(64) + b"\x1b"))

EXAMPLES = {
    "job": encode_job(JOB).hex(),
    "job length": f"{len(encode_job(JOB))} bytes",
    "job digest": to_hex(job_digest(JOB)),
    "manifest": files_manifest(FILES).hex(),
    "manifest hash": to_hex(sha256(files_manifest(FILES))),
    "empty manifest hash": to_hex(sha256(files_manifest(()))),
    "outcome": tlv.encode(OUTCOME_FIELDS, outcome_values(OUTCOME.summary())).hex(),
    "outcome digest": to_hex(OUTCOME.digest()),
    "receipt type": RECEIPT_TYPE,
    "receipt type hash": to_hex(keccak256(RECEIPT_TYPE.encode())),
    "receipt digest": to_hex(signing_digest(RECEIPT)),
    "result length": f"{len(RESULT)} bytes",
    "result digest": to_hex(keccak256(RESULT)),
}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_page_shows_what_the_code_gives(name):
    joined = "".join(PAGE.split())  # long values stand in several lines
    assert "".join(EXAMPLES[name].split()) in joined
