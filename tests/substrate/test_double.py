"""The double is as a real node to two clients that know nothing of it, and refuses what one refuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from genesis import BLUEPRINT_ID, SERVICE_ID
from people import CUSTOMER, SECOND_OPERATOR

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
