"""`faas operator claim` on the devnet: what jobs, services and delegations have earned, once."""

from __future__ import annotations

import pytest
from operator_on_devnet import Commands, ask, new_blueprint, registration

from faas_blueprint.definition import Pricing
from faas_blueprint.digests import keccak256
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_blueprint.receipt import ZERO_ADDRESS, Address, make_receipt
from faas_blueprint.result import encode_result, make_result
from faas_blueprint.tangle import protocol, rewards, staking
from faas_blueprint.tangle.abi import Function
from faas_operator.devnet.provision import TOKEN_ACCOUNT, anvil_account

pytestmark = pytest.mark.chain


async def test_what_was_earned_is_paid_out_once(fresh_chain, tmp_path) -> None:
    deployment, rpc = fresh_chain.deployment, fresh_chain.rpc
    faas = Commands(fresh_chain, tmp_path)
    assert await faas("claim") == (0, f"nothing to claim for {deployment.operator}\n")

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
    pending = await rpc.read(deployment.tangle, rewards.pending_rewards_in(deployment.operator, ZERO_ADDRESS))
    assert pending > 0

    held = await _balance(fresh_chain)
    assert await faas.json("claim") == {
        "operator": deployment.operator,
        "claimed_wei": pending,
        "rewards": {ZERO_ADDRESS: pending},
        "commission": {},
        "refused": {},
    }
    assert held < await _balance(fresh_chain) <= held + pending  # less the gas
    left = rewards.pending_rewards_in(deployment.operator, ZERO_ADDRESS)
    assert await rpc.read(deployment.tangle, left) == 0
    assert (await faas.json("claim"))["claimed_wei"] == 0


async def paid_in_token(chain, amount: int) -> int:
    """A service that was paid for once in the devnet's token; what of it is the operator's."""
    deployment, rpc = chain.deployment, chain.rpc
    blueprint_id = await new_blueprint(chain, Pricing.PAY_ONCE)
    token = deployment.payment_token
    await chain.send(staking.approve(deployment.tangle, amount), to=token)
    request_id = await ask(chain, blueprint_id=blueprint_id, ttl=7200, token=token, amount=amount)
    await registration(chain).approve(request_id)
    return await rpc.read(deployment.tangle, rewards.pending_rewards_in(deployment.operator, token))


async def test_tokens_are_claimed_too(fresh_chain, tmp_path) -> None:
    deployment, rpc = fresh_chain.deployment, fresh_chain.rpc
    token = deployment.payment_token
    pending = await paid_in_token(fresh_chain, 10**9)
    assert pending > 0
    held = await rpc.read(token, staking.balance_of(deployment.operator))
    faas = Commands(fresh_chain, tmp_path)
    report = await faas.json("claim")
    assert (report["rewards"], report["claimed_wei"]) == ({token: pending}, 0)
    assert await rpc.read(token, staking.balance_of(deployment.operator)) == held + pending
    assert await faas("claim") == (0, f"nothing to claim for {deployment.operator}\n")


async def test_a_token_that_cannot_be_paid_out_hinders_no_other(fresh_chain, tmp_path) -> None:
    deployment, rpc = fresh_chain.deployment, fresh_chain.rpc
    token, pending = deployment.payment_token, await paid_in_token(fresh_chain, 10**9)
    code = await rpc.request("eth_getCode", token, "latest")
    await rpc.request("anvil_setCode", token, "0x60006000fd")
    vaults = await pay_commission(fresh_chain, 10**18)
    faas = Commands(fresh_chain, tmp_path)
    code_of_exit, text = await faas("claim")
    assert code_of_exit == 0
    assert f"not paid out: {token}: claiming rewards was refused" in text
    assert f"of {deployment.bond_token}" in text
    assert not await rpc.read(
        vaults, rewards.pending_operator_commission(deployment.bond_token, deployment.operator)
    )
    await rpc.request("anvil_setCode", token, code)
    assert (await faas.json("claim"))["rewards"] == {token: pending}


async def pay_commission(chain, amount: int) -> Address:
    """As the inflation pool does it each epoch; the vaults."""
    deployment, rpc = chain.deployment, chain.rpc
    vaults = await rpc.read(deployment.tangle, rewards.reward_vaults())
    holder, owner = anvil_account(TOKEN_ACCOUNT), chain.account(deployment.owner_key)
    await chain.send(staking.transfer(vaults, amount), account=holder, to=deployment.bond_token)
    distribute = Function("distributeRewards", ("address", "address", "uint256"))
    call = distribute.encode(deployment.bond_token, deployment.operator, amount)
    await chain.send(call, account=owner, to=vaults)
    return vaults


async def test_the_commission_for_delegations_is_fetched_from_the_vaults(fresh_chain, tmp_path) -> None:
    deployment, rpc = fresh_chain.deployment, fresh_chain.rpc
    token = deployment.bond_token
    vaults = await pay_commission(fresh_chain, 10**18)
    pending = await rpc.read(vaults, rewards.pending_operator_commission(token, deployment.operator))
    assert pending >= 10**18 * 15 // 100  # the vaults' rate
    held = await rpc.read(token, staking.balance_of(deployment.operator))
    faas = Commands(fresh_chain, tmp_path)
    report = await faas.json("claim")
    assert (report["rewards"], report["commission"]) == ({}, {token: pending})
    assert await rpc.read(token, staking.balance_of(deployment.operator)) == held + pending
    assert (await faas.json("claim"))["commission"] == {}


async def _balance(chain) -> int:
    return int(await chain.rpc.request("eth_getBalance", chain.deployment.operator, "latest"), 16)
