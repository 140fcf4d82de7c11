"""The double is as a real node to two clients that know nothing of it, and refuses what one refuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from extrinsics import InvalidTransaction
from genesis import BLUEPRINT_ID, SERVICE_ID
from people import CUSTOMER, OTHER_CUSTOMER, SECOND_OPERATOR, STRANGER

from faas_operator.chain.interface import Block
from faas_operator.chain.substrate.extrinsic import Signing, compact, sign
from faas_operator.chain.substrate.key import AccountKey

HERE = Path(__file__).parent
VECTORS = json.loads((HERE.parent / "vectors/fields.json").read_text())

pytestmark = pytest.mark.slow


def drive(*command: str, cwd: Path = HERE) -> dict[str, object]:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    seen: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return seen


def arguments(double) -> tuple[str, ...]:
    seeds = ("0x" + CUSTOMER.seed.hex(), "0x" + SECOND_OPERATOR.seed.hex())
    return (double.websocket_url, str(BLUEPRINT_ID), str(SERVICE_ID), *seeds)


def test_py_substrate_interface_drives_it(double, faas_home):
    double.produce(0.1)
    python = faas_home / "substrate/client/bin/python"
    seen = drive(str(python), "drive_substrate_interface.py", *arguments(double))
    assert seen["chain"] == "Tangle devnet double"
    assert seen["spec"] == 1403
    assert seen["owner_is_customer"] is True
    assert seen["job"] == "execute"
    assert seen["services"] == [SERVICE_ID]
    assert seen["mistyped"]["ok"] is False
    assert seen["mistyped"]["error"]["name"] == "TypeCheck"
    assert seen["not_permitted"]["error"]["name"] == "BadOrigin"
    assert seen["no_such_call"]["error"]["name"] == "ServiceOrJobCallNotFound"
    assert seen["remark"]["ok"] is True
    assert seen["remark"]["events"] == ["Withdraw", "TransactionFeePaid", "ExtrinsicSuccess"]
    assert seen["nonce"] == 1
    assert seen["paid"] is True
    assert seen["stale"]["data"] == "Transaction is outdated"


def test_polkadot_js_drives_it(double):
    double.produce(0.1)
    job, result = VECTORS["jobs"][1]["fields"], VECTORS["results"][1]["fields"]
    fields = ("0x" + job, "0x" + result)
    seen = drive("node", "drive.mjs", *arguments(double), *fields, cwd=HERE / "polkadot")
    assert seen["metadata"] in (14, 15)
    assert seen["spec"] == 1403
    assert seen["owner"] is True
    assert seen["services"] == [str(SERVICE_ID)]
    assert seen["same_bytes"] is True
    assert seen["called"]["call"] == "40"
    assert seen["called"]["args"] is True
    assert "services.JobCalled" in seen["called"]["names"]
    assert seen["posted"]["error"] is None
    assert seen["posted"]["result"] is True
    assert seen["stored"] is True
    assert "credits.CreditsGrantedFromBurn" in seen["burned"]
    assert seen["refused"] == "JobDefinitionNotFound"
    assert seen["header_hash"] is True
    assert seen["nonce"] == 3


CALL = b"\x33\x08" + compact(SERVICE_ID) + compact(0) + bytes.fromhex(VECTORS["jobs"][0]["fields"])


def signed(double, person=CUSTOMER, nonce=0, call=CALL, **changes):
    """A customer's extrinsic, signed for this chain but for the changes."""
    extensions = [
        entry.value["identifier"] for entry in double.runtime.metadata[1][1]["extrinsic"]["signed_extensions"]
    ]
    meant = {
        "genesis": double.tree.genesis.hash,
        "spec_version": 1403,
        "transaction_version": 1,
        "extensions": tuple(extensions),
        "birth": Block(double.tree.finalised.number, double.tree.finalised.hash),
    } | changes
    return sign(call, AccountKey.from_seed(person.seed, person.scheme), nonce, Signing(**meant)).encoded


@pytest.mark.parametrize("person", [CUSTOMER, OTHER_CUSTOMER], ids=lambda person: person.scheme)
def test_a_good_extrinsic_is_taken_once(double, person):
    raw = signed(double, person)
    double.tree.take(raw)
    with pytest.raises(InvalidTransaction) as known:
        double.tree.take(raw)
    assert known.value.code == 1013
    double.make_block()
    with pytest.raises(InvalidTransaction) as stale:
        double.tree.take(raw)
    assert stale.value.data == "Transaction is outdated"


@pytest.mark.parametrize(
    "changes",
    [
        {"genesis": "0x" + "11" * 32},
        {"spec_version": 1402},
        {"transaction_version": 2},
        {"birth": Block(1, "0x" + "22" * 32)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_signature_for_something_else_is_refused(double, changes):
    with pytest.raises(InvalidTransaction) as refused:
        double.tree.take(signed(double, **changes))
    assert refused.value.data == "Transaction has a bad signature"


def test_any_changed_byte_is_refused(double):
    raw = signed(double)
    for at in range(0, len(raw), 7):
        changed = bytearray(raw)
        changed[at] ^= 1
        with pytest.raises(InvalidTransaction):
            double.tree.take(bytes(changed))
    assert not double.tree.pool


def test_an_extrinsic_dies(double):
    raw = signed(double)
    for _ in range(64):
        double.make_block()
    with pytest.raises(InvalidTransaction) as dead:
        double.tree.take(raw)
    assert dead.value.data == "Transaction has a bad signature"


def test_nonces_go_one_by_one(double):
    double.tree.take(signed(double, nonce=1))
    assert len(double.make_block().extrinsics) == 1
    double.tree.take(signed(double, nonce=0))
    assert len(double.make_block().extrinsics) == 3


def test_who_cannot_pay_is_refused(double):
    with pytest.raises(InvalidTransaction) as poor:
        double.tree.take(signed(double, STRANGER))
    assert poor.value.data.startswith("Inability to pay some fees")


@pytest.mark.parametrize(
    "fields",
    [b"\x04\x0a" + compact(1025) + bytes(1025), b"\x04\x0d\x02" + compact(1025) + b"\x02\x00" * 1025],
    ids=["string", "list"],
)
def test_fields_over_the_bounds_are_not_even_decoded(double, fields):
    call = b"\x33\x08" + compact(SERVICE_ID) + compact(0) + fields
    with pytest.raises(InvalidTransaction) as refused:
        double.tree.take(signed(double, call=call))
    assert refused.value.code == 1002
