"""The agreement digest: equal for every operator, and bound to everything that a job's run decides."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from faas_blueprint.agreement import agreement_digest, claim, contradict
from faas_blueprint.digests import ZERO_DIGEST, Digest, keccak256, to_hex
from faas_blueprint.receipt import RECEIPT_VERSION, Receipt, address
from faas_blueprint.tangle import credits, evidence, service_manager
from faas_blueprint.tangle.credits import Purse, SpendingLimit
from faas_blueprint.tangle.service_manager import Assurance

ONES, TWOS, THREES = (Digest(bytes([number]) * 32) for number in (1, 2, 3))
MANAGER = address("0x" + "66" * 20)

RECEIPT = Receipt(
    RECEIPT_VERSION,
    ONES,
    TWOS,
    Digest(bytes(32)),
    Digest(bytes.fromhex("9755ea53d19c0fa92d8d3cd37d1fcbd43930fe0a846f24d7fff4d41695e113b2")),
    Digest(bytes.fromhex("c76effa5d80ecbbbd1f7fcc659ec8b38ad7e8d3eeefeb3a098185c7a0698fdbd")),
    THREES,
    1_000_000,
    31337,
    address("0x" + "44" * 20),
    1,
    7,
    address("0x" + "55" * 20),
)
"""The one of docs/receipts.md."""

PLACE = {"version", "chain_id", "tangle", "service_id", "call_id", "operator"}


def test_the_documented_receipt() -> None:
    assert to_hex(agreement_digest(RECEIPT)) == (
        "0x84f05294ca84dd38f3df8cc8529268e1035bb355f814184d56e72c551b426d81"
    )


def test_place_and_operator_are_not_part_of_it() -> None:
    other = replace(RECEIPT, operator=MANAGER, chain_id=1, tangle=MANAGER, service_id=2, call_id=9, version=3)
    assert agreement_digest(other) == agreement_digest(RECEIPT)
    assert not contradict(other, RECEIPT)


@pytest.mark.parametrize("name", [f.name for f in fields(Receipt) if f.name not in PLACE])
def test_everything_else_is(name: str) -> None:
    value = 5 if name == "virtual_ns" else keccak256(b"other")
    other = replace(RECEIPT, **{name: value})
    assert agreement_digest(other) != agreement_digest(RECEIPT)
    starts = {"profile_id", "snapshot", "toolchain", "job_digest"}
    assert contradict(other, RECEIPT) == (name not in starts)
    assert len(claim(other)) == len(fields(Receipt)) - len(PLACE)


def test_a_failed_outcome_contradicts_nothing() -> None:
    failed = replace(RECEIPT, outcome_digest=ONES, state_root=ZERO_DIGEST, virtual_ns=0)
    assert not contradict(failed, RECEIPT)
    assert not contradict(RECEIPT, failed)
    assert agreement_digest(failed) != agreement_digest(RECEIPT)


def test_a_configuration_is_four_words() -> None:
    configuration = service_manager.service_configuration(Assurance(2, 3, 0, True))
    assert [int.from_bytes(configuration[at : at + 32], "big") for at in range(0, 128, 32)] == [2, 3, 0, 1]
    assert len(configuration) == 128


def test_what_is_signed_names_contract_chain_and_series() -> None:
    refuted = replace(RECEIPT, outcome_digest=ONES)
    assert evidence.refutation_digest(MANAGER, refuted, RECEIPT, ONES) != evidence.refutation_digest(
        RECEIPT.tangle, refuted, RECEIPT, ONES
    )
    limit = SpendingLimit(Purse(ONES, RECEIPT.operator), 0, 10, 99)
    digests = {
        credits.limit_digest(limit, 1, MANAGER),
        credits.limit_digest(limit, 2, MANAGER),
        credits.limit_digest(limit, 1, RECEIPT.tangle),
        credits.limit_digest(replace(limit, series=1), 1, MANAGER),
        credits.usage_digest(limit.purse, 0, 10, Digest((99).to_bytes(32, "big")), 1, MANAGER),
    }
    assert len(digests) == 5
