"""Receipts and results: what is signed is what EIP-712 says, and what is posted comes back."""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from faas_blueprint.digests import Digest
from faas_blueprint.errors import ExecutionTimeout, InvalidRequest
from faas_blueprint.outcome import Outcome, OutputFile, Status, Stream, failed_outcome
from faas_blueprint.receipt import (
    RECEIPT_TYPE,
    CallReference,
    address,
    make_receipt,
    receipt_from_json,
    receipt_to_json,
    recover_signer,
    signing_digest,
)
from faas_blueprint.result import INLINE_BYTES, decode_result, encode_result, make_result

ACCOUNT = Account.from_key(b"\x11" * 32)
CALL = CallReference(31337, address("0x" + "cf" * 20), 7, 9)


def digest(byte: int) -> Digest:
    return Digest(bytes([byte]) * 32)


FILES = (OutputFile("a/b.txt", b"one"), OutputFile("c", b""))


def outcome(stdout: bytes = b"out", stderr: bytes = b"err", **changes) -> Outcome:
    values = {"status": Status.EXITED, "exit_code": 3, "signal": 0, "virtual_ns": 12345, **changes}
    values = {"files": FILES, **values}
    return Outcome(**values, stdout=Stream(stdout), stderr=Stream(stderr, True), state_root=digest(5))


def receipt(ended: Outcome):
    return make_receipt(
        profile_id=digest(1),
        snapshot=digest(2),
        toolchain=digest(4),
        job_digest=digest(3),
        outcome=ended,
        call=CALL,
        operator=address(ACCOUNT.address),
    )


def test_the_signing_digest_is_eip_712():
    """An independent library signs the same typed data."""
    made = receipt(outcome())
    fields = RECEIPT_TYPE.removeprefix("Receipt(").removesuffix(")").split(",")
    types = [dict(zip(("type", "name"), field.split(" "), strict=True)) for field in fields]
    values = dict(zip((field["name"] for field in types), receipt_to_json(made).values(), strict=True))
    message = encode_typed_data(
        domain_data={
            "name": "FaaS Receipt",
            "version": "3",
            "chainId": CALL.chain_id,
            "verifyingContract": CALL.tangle,
        },
        message_types={"Receipt": types},
        message_data=values,
    )
    signed = ACCOUNT.sign_message(message)
    assert bytes(signed.message_hash) == signing_digest(made)
    assert recover_signer(made, bytes(signed.signature)) == address(ACCOUNT.address)


@given(
    st.builds(
        outcome,
        st.binary(max_size=60),
        st.binary(max_size=60),
        status=st.sampled_from(Status),
        exit_code=st.integers(-(1 << 31), (1 << 31) - 1),
        signal=st.integers(0, 255),
        virtual_ns=st.integers(0, (1 << 64) - 1),
        files_truncated=st.booleans(),
    )
)
def test_a_result_comes_back_as_it_was_posted(ended: Outcome):
    made = receipt(ended)
    result = make_result(made, ended, b"\x01" * 65)
    decoded = decode_result(encode_result(result))
    assert decoded == result
    assert decoded.receipt(CALL, made.operator) == made
    assert decoded.output is not None
    assert (decoded.output.stdout, decoded.output.stderr) == (ended.stdout.content, ended.stderr.content)


@pytest.mark.parametrize(("size", "inline"), [(0, True), (INLINE_BYTES - 3, True), (INLINE_BYTES - 2, False)])
def test_long_output_is_posted_by_hash(size, inline):
    ended = outcome(b"x" * size)
    result = make_result(receipt(ended), ended, b"")
    assert (result.output is not None) is inline
    assert result.outcome.stdout.size == size


def test_every_field_counts():
    made = receipt(outcome())
    seen = {signing_digest(made)}
    for name, value in receipt_to_json(made).items():
        changed = value + 1 if isinstance(value, int) else value[:-1] + ("0" if value[-1] != "0" else "1")
        other = receipt_from_json({**receipt_to_json(made), name: changed})
        assert signing_digest(other) not in seen, name
        seen.add(signing_digest(other))


@pytest.mark.parametrize(
    "changes",
    [
        {"exit_code": 4},
        {"signal": 1},
        {"virtual_ns": 1},
        {"status": Status.SIGNALED},
        {"stdout": b"ouT"},
        {"stderr": b""},
        {"files": ()},
        {"files": (OutputFile("a/b.txt", b"two"), OutputFile("c", b""))},
        {"files": (OutputFile("a/b.tx", b"one"), OutputFile("c", b""))},
        {"files_truncated": True},
    ],
)
def test_every_part_of_an_outcome_counts(changes):
    assert outcome(**changes).digest() != outcome().digest()


def test_a_cut_is_part_of_the_outcome():
    whole = Outcome(Status.EXITED, 0, 0, 1, Stream(b"a"), Stream(), digest(1))
    cut = Outcome(Status.EXITED, 0, 0, 1, Stream(b"a", True), Stream(), digest(1))
    assert whole.digest() != cut.digest()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", -1),
        ("version", 1 << 16),
        ("snapshot", "0x12"),
        ("operator", "0x12"),
        ("call_id", "1"),
        ("tangle", 5),
    ],
)
def test_a_bad_receipt_names_its_field(name, value):
    with pytest.raises(InvalidRequest, match=f"receipt: {name}"):
        receipt_from_json({**receipt_to_json(receipt(outcome())), name: value})


@pytest.mark.parametrize(
    "signature", [b"", b"\x01" * 64, b"\x01" * 64 + b"\x00", b"\xff" * 64 + b"\x1b", bytes(64) + b"\x1b"]
)
def test_a_malformed_signature_is_refused(signature):
    with pytest.raises(InvalidRequest):
        recover_signer(receipt(outcome()), signature)


def test_a_failed_outcome_is_the_same_for_everyone():
    one, two = (failed_outcome(ExecutionTimeout("no such thing")) for _ in range(2))
    assert one == two
    assert one.stderr.content == b"EXECUTION_TIMEOUT: no such thing\n"
    assert (one.status, one.state_root) == (Status.FAILED, bytes(32))
    assert (one.files, one.files_truncated) == ((), False)


def test_the_toolchain_is_zero_unless_it_is_named():
    ended = outcome()
    made = make_receipt(
        profile_id=digest(1),
        snapshot=digest(2),
        job_digest=digest(3),
        outcome=ended,
        call=CALL,
        operator=address(ACCOUNT.address),
    )
    assert made.toolchain == bytes(32)
    assert make_result(receipt(ended), ended, b"").toolchain == digest(4)
