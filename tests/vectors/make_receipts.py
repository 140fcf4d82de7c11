"""Writes `receipts/*.json`: frozen good and bad receipts, each named after what is wrong with it.

Run it to write them again; `tests/verifier/test_samples.py` fails when what it makes and what is
committed differ. Keys are fixed, signatures are RFC 6979: the same bytes every time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from eth_keys.datatypes import PrivateKey

from faas_blueprint import tlv
from faas_blueprint.bundle import Bundle, bundle_to_json, make_bundle
from faas_blueprint.digests import ZERO_DIGEST, Digest, keccak256, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import EXECUTE_PARAMETERS, decode_job, encode_job, make_job
from faas_blueprint.outcome import (
    FileDigest,
    Outcome,
    OutputFile,
    Status,
    Stream,
    failed_outcome,
    outcome_digest,
)
from faas_blueprint.receipt import (
    SECP256K1_ORDER,
    CallReference,
    Receipt,
    address,
    make_receipt,
    signing_digest,
)
from faas_blueprint.result import InlineOutput, decode_result, encode_result, make_result

RECEIPTS = Path(__file__).parent / "receipts"

OPERATOR_KEY = PrivateKey(keccak256(b"operator of the samples"))
STRANGER_KEY = PrivateKey(keccak256(b"stranger of the samples"))
OPERATOR = address(OPERATOR_KEY.public_key.to_address())
STRANGER = address(STRANGER_KEY.public_key.to_address())
PROFILE = keccak256(b"profile of the samples")
SNAPSHOT = keccak256(b"snapshot of the samples")
STATE_ROOT = keccak256(b"state root of the samples")
CALL = CallReference(31337, address("0xcf7ed3acca5a467e9e704c703e8d87f634fb0fc9"), 1, 7)

JOB = make_job("python", 'print("hello")', stdin=b"in", seed=5, environment={"A": "1"})
FILES = (OutputFile("plots/a.svg", b"<svg/>"), OutputFile("table.csv", b"x,y\n1,2\n"))
TRACE = (keccak256(b"milestone 1 of the samples"), keccak256(b"milestone 2 of the samples"))
OUTCOME = Outcome(
    Status.EXITED, 0, 0, 12_345_678, Stream(b"hello\n"), Stream(), STATE_ROOT, FILES, trace=TRACE
)
OTHER_FILES = (FILES[0], OutputFile("table.csv", b"x,y\n1,3\n"))
OTHER_JOB = make_job("python", 'print("other")', seed=5)
COMPILED_JOB = make_job("rust", 'fn main() { println!("hello"); }', seed=5)
TOOLCHAIN = keccak256(b"toolchain of the samples")
"""What compiles COMPILED_JOB here."""


def invalid_payload() -> bytes:
    """Inputs that satisfy the schema, in a language that nobody serves."""
    values = tlv.decode(EXECUTE_PARAMETERS, encode_job(JOB))
    return tlv.encode(EXECUTE_PARAMETERS, {**values, "language": "cobol"})


def honest_failure() -> Outcome:
    """What everyone who decodes `invalid_payload` says of it."""
    try:
        decode_job(invalid_payload())
    except InvalidRequest as error:
        return failed_outcome(error)
    raise AssertionError("the invalid payload decodes")


def sign(receipt: Receipt, key: PrivateKey = OPERATOR_KEY) -> bytes:
    """r ‖ s ‖ v."""
    raw = key.sign_msg_hash(signing_digest(receipt)).to_bytes()
    return bytes(raw[:64]) + bytes([raw[64] + 27])


def bundle(
    outcome: Outcome = OUTCOME,
    job: bytes | None = None,
    key: PrivateKey = OPERATOR_KEY,
    **changes: object,
) -> Bundle:
    """A truthfully signed bundle; `changes` are made to the receipt before it is signed."""
    payload = encode_job(JOB) if job is None else job
    receipt = make_receipt(
        profile_id=PROFILE,
        snapshot=SNAPSHOT,
        job_digest=keccak256(payload),
        outcome=outcome,
        call=CALL,
        operator=address(key.public_key.to_address()),
    )
    receipt = replace(receipt, **changes)  # type: ignore[arg-type]
    return make_bundle(receipt, sign(receipt, key), payload, outcome)


def payload_of(made: Bundle, outcome: Outcome = OUTCOME) -> bytes:
    """What the operator posts for a bundle."""
    return encode_result(make_result(made.receipt, outcome, made.signature))


def posted(
    payload: bytes,
    inputs: bytes | None = None,
    call: CallReference = CALL,
    operator: str = OPERATOR,
    serves: bool = True,
) -> dict[str, object]:
    """The chain's side of a sample."""
    return {
        "call": {
            "chain_id": call.chain_id,
            "tangle": call.tangle,
            "service_id": call.service_id,
            "call_id": call.call_id,
        },
        "inputs": to_hex(encode_job(JOB) if inputs is None else inputs),
        "payload": to_hex(payload),
        "operator": operator,
        "serves": serves,
    }


def high_s(signature: bytes) -> bytes:
    """The other signature of the same key and digest, which the EVM's libraries refuse."""
    s = SECP256K1_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([27 + 28 - signature[64]])


def sample(
    what: str, verdict: str, *deciding: int, file: Bundle | None = None, chain: object = None
) -> dict[str, object]:
    """One sample: what is wrong, what must be said of it, and which checks must say it."""
    return {
        "what": what,
        "verdict": verdict,
        "deciding": list(deciding),
        "file": None if file is None else bundle_to_json(file),
        "chain": chain,
    }


def samples() -> Iterator[tuple[str, dict[str, object]]]:
    """Every sample by name."""
    yield from good_samples()
    yield from forged_samples()
    yield from lying_samples()
    yield from failed_samples()
    yield from uncheckable_samples()


def good_samples() -> Iterator[tuple[str, dict[str, object]]]:
    good = bundle()
    yield "good-file", sample("Nothing.", "verified", file=good)
    yield "good-chain", sample("Nothing.", "verified", chain=posted(payload_of(good)))
    both = sample("Nothing.", "verified", file=good, chain=posted(payload_of(good)))
    yield "good-file-and-chain", both
    hashed = replace(good, output=None)
    yield "good-by-hash", sample("Nothing; the output is not in the file.", "verified", file=hashed)
    listed = replace(good, files=None)
    yield "good-files-by-hash", sample("Nothing; of the files only a list.", "verified", file=listed)
    unlisted = replace(listed, manifest=None)
    untraced = replace(good, trace=None)
    yield "good-without-trace", sample("Nothing; of the trace only its hash.", "verified", file=untraced)
    compiled = bundle(job=encode_job(COMPILED_JOB), toolchain=TOOLCHAIN)
    yield "good-compiled", sample("Nothing; the program was compiled.", "verified", file=compiled)
    yield "good-without-manifest", sample("Nothing; of the files not even a list.", "verified", file=unlisted)


def forged_samples() -> Iterator[tuple[str, dict[str, object]]]:
    """Someone changed what an operator signed."""
    good = bundle()
    wrong = replace(good, output=InlineOutput(b"hellp\n", b""))
    yield "wrong-output-byte", sample("A byte of the output.", "refuted", 6, file=wrong)
    wrong_root = replace(OUTCOME, state_root=keccak256(b"another state root"))
    forged = encode_result(make_result(bundle(wrong_root).receipt, wrong_root, good.signature))
    yield (
        "wrong-state-root",
        sample("The state root, after signing.", "refuted", 2, chain=posted(forged)),
    )
    stranger = replace(good, signature=sign(good.receipt, STRANGER_KEY))
    yield "strangers-signature", sample("Signed by a stranger.", "refuted", 2, file=stranger)
    named = bundle(key=STRANGER_KEY)
    outsider = posted(payload_of(named), operator=STRANGER, serves=False)
    yield "strangers-receipt", sample("The signer serves no such service.", "refuted", 3, chain=outsider)
    swapped = replace(good, job=encode_job(OTHER_JOB))
    yield "swapped-job", sample("The job in the file is another.", "refuted", 4, file=swapped)
    other_inputs = posted(payload_of(good), inputs=encode_job(OTHER_JOB))
    yield "swapped-job-on-chain", sample("The call asked for another job.", "refuted", 4, chain=other_inputs)
    elsewhere = replace(CALL, call_id=8)
    copied = posted(payload_of(good), call=elsewhere)
    yield "another-calls-result", sample("Copied from call 7 to call 8.", "refuted", 2, chain=copied)
    yield (
        "another-calls-receipt",
        sample("A receipt for call 7, shown for call 8.", "refuted", 5, file=good, chain=copied),
    )
    resigned = bundle(snapshot=keccak256(b"another"))
    yield (
        "file-of-another-snapshot",
        sample(
            "Signed, but not what was posted.", "refuted", 6, file=resigned, chain=posted(payload_of(good))
        ),
    )
    another_chain = posted(payload_of(good), call=replace(CALL, chain_id=1))
    yield (
        "another-chains-receipt",
        sample("A receipt for another chain.", "refuted", 5, file=good, chain=another_chain),
    )
    relayed = posted(payload_of(good), operator=STRANGER)
    yield "another-operators-result", sample("Sent by another operator.", "refuted", 2, chain=relayed)
    edited = replace(good, files=OTHER_FILES)
    yield "wrong-file-byte", sample("A byte of an output file.", "refuted", 6, file=edited)
    relisted = replace(good, manifest=tuple(map(FileDigest.of, OTHER_FILES)), files=OTHER_FILES)
    yield "wrong-manifest", sample("The list of files, and a file to match.", "refuted", 6, file=relisted)
    fewer = replace(good, manifest=(FileDigest.of(FILES[0]),), files=FILES[:1])
    yield "missing-file", sample("A file is left out.", "refuted", 6, file=fewer)
    rerooted = replace(good, trace=(TRACE[0], STATE_ROOT))
    yield "wrong-milestone", sample("A root of the trace.", "refuted", 6, file=rerooted)
    compiler = posted(encode_result(replace(decode_result(payload_of(good)), toolchain=SNAPSHOT)))
    yield "wrong-toolchain", sample("The toolchain, after signing.", "refuted", 2, chain=compiler)
    exit_code = replace(good, outcome=replace(good.outcome, exit_code=1))
    yield "wrong-exit-code", sample("The exit code in the file.", "refuted", 6, file=exit_code)
    faster = bundle(virtual_ns=1)
    yield "wrong-virtual-time", sample("Receipt and outcome name two times.", "refuted", 6, file=faster)
    upper = replace(good, signature=high_s(good.signature))
    yield "high-s-signature", sample("The signature's s is in the upper half.", "refuted", 2, file=upper)
    short = replace(good, signature=good.signature[:64])
    yield "short-signature", sample("The signature has 64 bytes.", "refuted", 2, file=short)
    garbage = posted(b"\x00\x03garbage")
    yield "garbage-posted", sample("What was posted is no result.", "refuted", 1, chain=garbage)


def lying_samples() -> Iterator[tuple[str, dict[str, object]]]:
    """Everything fits together and was signed by the operator; only a run of one's own tells."""
    for name, what, outcome in (
        ("lie-output-byte", "A byte of the output.", replace(OUTCOME, stdout=Stream(b"hellp\n"))),
        ("lie-state-root", "The state root.", replace(OUTCOME, state_root=keccak256(b"another"))),
        ("lie-virtual-time", "The virtual time.", replace(OUTCOME, virtual_ns=12_345_679)),
        ("lie-exit-code", "The exit code.", replace(OUTCOME, exit_code=3)),
        ("lie-file-byte", "A byte of an output file.", replace(OUTCOME, files=OTHER_FILES)),
        ("lie-no-file", "The output files are left out.", replace(OUTCOME, files=())),
        ("lie-files-truncated", "Files are said to be left out.", replace(OUTCOME, files_truncated=True)),
    ):
        lie = payload_of(bundle(outcome), outcome)
        yield name, sample(f"{what} Signed so by the operator.", "refuted", 8, chain=posted(lie))
    traced = replace(OUTCOME, trace=(TRACE[0], STATE_ROOT))
    yield "lie-milestone", sample("A milestone. Signed so.", "refuted", 8, file=bundle(traced))
    compiled = payload_of(bundle(toolchain=SNAPSHOT))
    yield (
        "lie-toolchain",
        sample(
            "A toolchain, though nothing is compiled. Signed so by the operator.",
            "refuted",
            8,
            chain=posted(compiled),
        ),
    )


def failed_samples() -> Iterator[tuple[str, dict[str, object]]]:
    """Jobs that could not be started, and such as are said to be."""
    invalid = invalid_payload()
    failure = honest_failure()
    honest = bundle(failure, invalid)
    yield (
        "good-failed",
        sample(
            "Nothing; the job is invalid.", "verified", chain=posted(payload_of(honest, failure), invalid)
        ),
    )
    words = replace(failure, stderr=Stream(b"no\n"))
    yield (
        "failed-for-another-reason",
        sample("Not why the job is invalid.", "refuted", 8, file=bundle(words, invalid)),
    )
    invented = bundle(OUTCOME, invalid)
    yield "output-of-invalid-job", sample("An invalid job has no output.", "refuted", 8, file=invented)
    refused = Outcome(Status.FAILED, 0, 0, 0, Stream(), Stream(b"too busy\n"), ZERO_DIGEST)
    yield (
        "failed-though-valid",
        sample("A valid job is said to have failed.", "unchecked", 8, file=bundle(refused)),
    )


def uncheckable_samples() -> Iterator[tuple[str, dict[str, object]]]:
    """Not ours to judge."""
    other = Digest(keccak256(b"another"))
    yield "other-profile", sample("Another machine.", "unchecked", 7, file=bundle(profile_id=other))
    yield "other-snapshot", sample("Another snapshot.", "unchecked", 7, file=bundle(snapshot=other))
    before = posted(b"\x00\x02" + payload_of(bundle())[2:])
    yield "earlier-version", sample("A version from before.", "unchecked", 1, chain=before)
    later = posted(b"\x00\x04" + payload_of(bundle())[2:])
    yield "later-version", sample("A version of later software.", "unchecked", 1, chain=later)
    yield "other-version", sample("A version yet to come.", "unchecked", 1, file=bundle(version=4))
    payload = encode_job(COMPILED_JOB)
    theirs = bundle(job=payload, toolchain=other)
    yield "other-toolchain", sample("Another compiler.", "unchecked", 8, file=theirs)
    none = bundle(job=payload)
    yield "no-toolchain", sample("A program that nobody compiled.", "refuted", 8, file=none)


def main() -> None:
    """Write them all."""
    assert outcome_digest(OUTCOME.summary()) == OUTCOME.digest()
    RECEIPTS.mkdir(exist_ok=True)
    for stale in RECEIPTS.glob("*.json"):
        stale.unlink()
    for name, content in samples():
        (RECEIPTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
