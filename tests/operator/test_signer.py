"""A signer signs its own receipts as everyone else checks them, and shows its key to nobody."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest
from eth_account import Account
from eth_keys.backends import CoinCurveECCBackend, get_backend
from hypothesis import given
from hypothesis import strategies as st

from faas_blueprint.digests import sha256
from faas_blueprint.errors import FatalError
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_blueprint.receipt import (
    SECP256K1_ORDER,
    ZERO_ADDRESS,
    CallReference,
    receipt_to_json,
    recover_signer,
)
from faas_operator.signer import Signer

KEY = bytes(range(1, 33))
OUTCOME = Outcome(Status.EXITED, 0, 0, 5, Stream(b"x"), Stream(), sha256(b"root"))


def attest(signer, call_id=0, chain_id=1):
    return signer.attest(
        profile_id=sha256(b"p"), snapshot=sha256(b"s"), job_digest=sha256(b"j"), outcome=OUTCOME,
        call=CallReference(chain_id, ZERO_ADDRESS, 0, call_id),
    )  # fmt: skip


@given(st.integers(1, SECP256K1_ORDER - 1), st.integers(0, (1 << 64) - 1))
def test_signatures_are_canonical_and_recover_to_the_signer(key, call_id):
    signer = Signer(key.to_bytes(32, "big"))
    receipt, signature = attest(signer, call_id)
    assert receipt.operator == signer.address
    assert len(signature) == 65
    assert signature[64] in (27, 28)
    assert int.from_bytes(signature[32:64], "big") <= SECP256K1_ORDER // 2
    assert recover_signer(receipt, signature) == signer.address


def test_signing_is_deterministic():
    assert attest(Signer(KEY)) == attest(Signer(KEY))


def test_wallets_agree_on_the_typed_data():
    """eth_account, given the EIP-712 type in JSON, makes the same signature."""
    receipt, signature = attest(Signer(KEY), call_id=7, chain_id=31337)
    camel = {name: "".join([head, *map(str.capitalize, tail)])
             for name in receipt_to_json(receipt) for head, *tail in [name.split("_")]}  # fmt: skip
    kinds = {"version": "uint16", "virtual_ns": "uint64", "chain_id": "uint256", "service_id": "uint64",
             "call_id": "uint64", "tangle": "address", "operator": "address"}  # fmt: skip
    signed = Account.sign_typed_data(
        KEY,
        {"name": "FaaS Receipt", "version": "3", "chainId": 31337, "verifyingContract": ZERO_ADDRESS},
        {"Receipt": [{"name": camel[name], "type": kinds.get(name, "bytes32")} for name in camel]},
        {camel[name]: value for name, value in receipt_to_json(receipt).items()},
    )
    assert bytes(signed.signature) == signature


def test_a_receipt_of_someone_else_is_not_signed():
    receipt, _ = attest(Signer(KEY))
    with pytest.raises(FatalError):
        Signer(KEY).sign(replace(receipt, operator=ZERO_ADDRESS))


def test_an_account_and_its_key_are_the_same_signer():
    assert Signer.from_account(Account.from_key(KEY)).address == Signer(KEY).address


def test_the_key_is_not_shown():
    signer = Signer(KEY)
    assert repr(signer) == str(signer) == f"Signer({signer.address})"
    assert not hasattr(signer, "__dict__")
    for leak in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            leak(signer)


def test_signing_is_done_by_the_library_that_is_fast():
    """Pure Python takes milliseconds, in which a node does nothing else."""
    assert isinstance(get_backend(), CoinCurveECCBackend)
