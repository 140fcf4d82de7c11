"""`faas operator claim` on the devnet: what a paid job has earned, once."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from faas_blueprint.digests import keccak256
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_blueprint.receipt import make_receipt
from faas_blueprint.result import encode_result, make_result
from faas_blueprint.tangle import protocol

pytestmark = pytest.mark.chain


async def claim(chain, *arguments: str) -> str:
    deployment = chain.deployment
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("faas")), "operator", "claim", *arguments),
        *("--rpc", deployment.rpc_url, "--tangle", deployment.tangle),
        *("--blueprint", str(deployment.blueprint_id), "--keystore", deployment.operator_keystore),
        env=os.environ | {"FAAS_KEYSTORE_PASSWORD": deployment.operator_password},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output
    return output.decode()


async def test_what_was_earned_is_paid_out_once(fresh_chain) -> None:
    deployment, rpc = fresh_chain.deployment, fresh_chain.rpc
    assert await claim(fresh_chain) == f"nothing to claim for {deployment.operator}\n"

    call = await fresh_chain.submit(encode_job(make_job("python", "print(1)")))
    digest = keccak256(b"anything")
    outcome = Outcome(Status.EXITED, 0, 0, 1000, Stream(b"1\n"), Stream(), digest)
    receipt = make_receipt(
        profile_id=digest,
        snapshot=digest,
        job_digest=digest,
        outcome=outcome,
        call=call,
        operator=deployment.operator,
    )
    payload = encode_result(make_result(receipt, outcome, bytes(65)))
    answer = protocol.submit_result(call.service_id, call.call_id, payload)
    await fresh_chain.send(answer, account=fresh_chain.operator())
    pending = await rpc.read(deployment.tangle, protocol.pending_rewards(deployment.operator))
    assert pending > 0

    held = await _balance(fresh_chain)
    report = json.loads(await claim(fresh_chain, "--json"))
    assert report == {"operator": deployment.operator, "claimed_wei": pending}
    assert held < await _balance(fresh_chain) <= held + pending  # less the gas
    assert await rpc.read(deployment.tangle, protocol.pending_rewards(deployment.operator)) == 0
    assert json.loads(await claim(fresh_chain, "--json"))["claimed_wei"] == 0


async def _balance(chain) -> int:
    return int(await chain.rpc.request("eth_getBalance", chain.deployment.operator, "latest"), 16)
