"""More stake and less of it, on the real staking router."""

from __future__ import annotations

import pytest
from operator_on_devnet import Commands

from faas_blueprint.receipt import address
from faas_blueprint.tangle import staking
from faas_operator import keystore
from faas_operator.devnet.provision import OPERATOR_PASSWORD, OPERATOR_STAKE, fund_operator
from faas_operator.devnet.shared_service import register_operator

pytestmark = pytest.mark.chain

TNT = 10**18


@pytest.fixture
async def operator(fresh_chain, tmp_path):
    """A registered operator that serves nothing, with tokens left, and its commands."""
    path = tmp_path / "second.json"
    account = keystore.create(path, OPERATOR_PASSWORD, keystore.NO_SECRET_WORK)
    await register_operator(fresh_chain.rpc, fresh_chain.deployment, account)
    await fund_operator(fresh_chain.rpc, fresh_chain.deployment.staking, address(account.address), 10 * TNT)
    return account, Commands(fresh_chain, tmp_path, str(path), FAAS_KEYSTORE_PASSWORD=OPERATOR_PASSWORD)


async def held(chain, account) -> int:
    deployment = chain.deployment
    return await chain.rpc.read(deployment.bond_token, staking.balance_of(address(account.address)))


async def round_later(chain, rounds: int) -> None:
    """As keepers do it: each round is advanced when it is over."""
    for _ in range(rounds):
        await chain.rpc.request("evm_increaseTime", 21_600)
        await chain.send(staking.ADVANCE_ROUND.encode(), to=chain.deployment.staking)


async def test_stake_is_added_each_time(fresh_chain, operator) -> None:
    account, faas = operator
    before = await held(fresh_chain, account)
    assert (await faas.json("stake", str(2 * TNT)))["stake"] == OPERATOR_STAKE + 2 * TNT
    assert (await faas.json("stake", str(TNT)))["stake"] == OPERATOR_STAKE + 3 * TNT
    assert await held(fresh_chain, account) == before - 3 * TNT
    error = await faas.refused("stake", str(10**6 * TNT))
    assert error["code"] == "INVALID_REQUEST"
    assert "of the bond token" in error["message"]


async def test_who_has_no_stake_becomes_an_operator(fresh_chain, tmp_path) -> None:
    path = tmp_path / "new.json"
    account = keystore.create(path, OPERATOR_PASSWORD, keystore.NO_SECRET_WORK)
    await fund_operator(fresh_chain.rpc, fresh_chain.deployment.staking, address(account.address), 5 * TNT)
    faas = Commands(fresh_chain, tmp_path, str(path), FAAS_KEYSTORE_PASSWORD=OPERATOR_PASSWORD)
    assert (await faas.json("stake", str(5 * TNT)))["stake"] == 5 * TNT
    active = staking.is_operator_active(address(account.address))
    assert await fresh_chain.rpc.read(fresh_chain.deployment.staking, active)


async def test_a_part_is_taken_back_after_its_rounds(fresh_chain, operator) -> None:
    account, faas = operator
    assert "no stake waits" in (await faas.refused("unstake"))["message"]
    await faas.json("unstake", str(TNT))
    both = await faas.json("unstake", str(TNT))
    assert (both["unstaking"], both["paid_out"], both["stake"]) == (2 * TNT, 0, OPERATOR_STAKE)
    assert await faas.json("unstake", "--status") == both | {
        "executable_at": (await faas.json("unstake", "--status"))["executable_at"]
    }
    error = await faas.refused("unstake")
    assert f"from round {both['ready_round']} on" in error["message"]
    assert error["details"]["executable_at"] > (await fresh_chain.rpc.head()).timestamp
    rounds = both["ready_round"] - error["details"]["round"]
    await round_later(fresh_chain, rounds - 1)
    await fresh_chain.rpc.request("evm_increaseTime", 21_600)  # the last one: nobody has advanced it
    before = await held(fresh_chain, account)
    paid = await faas.json("unstake")
    assert (paid["paid_out"], paid["stake"], paid["unstaking"]) == (2 * TNT, OPERATOR_STAKE - 2 * TNT, 0)
    assert await held(fresh_chain, account) == before + 2 * TNT
    assert "only one of them" in (await faas.refused("unstake", "5", "--all"))["message"]


async def test_all_of_it_is_taken_back(fresh_chain, operator) -> None:
    account, faas = operator
    leaving = await faas.json("unstake", "--all")
    assert leaving["unstaking"] == OPERATOR_STAKE
    active = staking.is_operator_active(address(account.address))
    assert not await fresh_chain.rpc.read(fresh_chain.deployment.staking, active)
    error = await faas.refused("unstake")
    assert "can be taken back from round" in error["message"]
    await round_later(fresh_chain, leaving["ready_round"] - error["details"]["round"])
    assert (await faas.json("unstake", "--status"))["unstaking"] == OPERATOR_STAKE
    before = await held(fresh_chain, account)
    assert (await faas.json("unstake"))["paid_out"] == OPERATOR_STAKE
    assert await held(fresh_chain, account) == before + OPERATOR_STAKE


async def test_who_serves_cannot_take_all_of_it(fresh_chain, tmp_path) -> None:
    """The devnet's own router would let it: its epoch does not look."""
    deployment = fresh_chain.deployment
    error = await Commands(fresh_chain, tmp_path).refused("unstake", "--all")
    assert f"serves service {deployment.service_id}" in error["message"]
    active = staking.is_operator_active(deployment.operator)
    assert await fresh_chain.rpc.read(deployment.staking, active)
