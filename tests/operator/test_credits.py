"""Prepaid credits on the devnet: deposit, settlement within a signed limit, refund after the notice."""

from __future__ import annotations

import pytest
from eth_account.signers.local import LocalAccount
from eth_keys.datatypes import PrivateKey

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.receipt import ZERO_ADDRESS, address
from faas_blueprint.tangle import credits, staking
from faas_blueprint.tangle.credits import Purse, SpendingLimit
from faas_operator.chain.endpoint import Reverted

pytestmark = pytest.mark.chain

ETHER = 10**18
ACCOUNT = sha256(b"an account of the node")
USAGE = sha256(b"what was used")
FAR = 2**40


def sign(account: LocalAccount, digest: Digest) -> bytes:
    signature = PrivateKey(bytes(account.key)).sign_msg_hash(digest).to_bytes()
    return signature[:64] + bytes([27 + signature[64]])


async def pass_time(chain, seconds: int) -> None:
    await chain.rpc.request("evm_increaseTime", seconds)
    await chain.rpc.request("evm_mine")


async def test_deposit_settle_refund(fresh_chain) -> None:
    deployment, contract = fresh_chain.deployment, fresh_chain.deployment.credits
    customer, operator = fresh_chain.account(), fresh_chain.operator()
    purse = Purse(ACCOUNT, deployment.customer)
    deposited = await fresh_chain.send(credits.deposit(ACCOUNT), 5 * ETHER, to=contract)
    (log,) = [log for log in deposited.logs if credits.DEPOSITED.matches(log)]
    assert credits.decode_deposited(log) == credits.Deposited(
        ACCOUNT, deployment.customer, ZERO_ADDRESS, 5 * ETHER, 0
    )

    limit = SpendingLimit(purse, 0, 3 * ETHER, FAR)
    signature = sign(customer, credits.limit_digest(limit, deployment.chain_id, contract))
    over = credits.settle_within_limit(limit, signature, 4 * ETHER, USAGE)
    within = credits.settle_within_limit(limit, signature, 2 * ETHER, USAGE)
    with pytest.raises(Reverted):
        await fresh_chain.send(over, account=operator, to=contract)
    with pytest.raises(Reverted):  # signed, but not the operator's to settle
        await fresh_chain.send(within, to=contract)
    settled = await fresh_chain.send(within, account=operator, to=contract)
    (log,) = [log for log in settled.logs if credits.SETTLED.matches(log)]
    assert credits.SETTLED.decode(log)[3:] == (2 * ETHER, 2 * ETHER, USAGE)
    with pytest.raises(Reverted):  # the same again
        await fresh_chain.send(within, account=operator, to=contract)
    assert await fresh_chain.rpc.read(contract, credits.owed(deployment.owner)) == 2 * ETHER

    await fresh_chain.send(credits.announce_refund(purse), to=contract)
    with pytest.raises(Reverted):
        await fresh_chain.send(credits.refund(purse), to=contract)
    statement = credits.usage_digest(purse, 0, 3 * ETHER, USAGE, deployment.chain_id, contract)
    last = credits.settle_usage(purse, 3 * ETHER, USAGE, sign(customer, statement))
    await fresh_chain.send(last, account=operator, to=contract)
    await pass_time(fresh_chain, await fresh_chain.rpc.read(contract, credits.notice_seconds()))
    await fresh_chain.send(credits.refund(purse), to=contract)
    account = await fresh_chain.rpc.read(contract, credits.account_of(purse))
    assert (account.balance, account.series) == (0, 1)

    recipient = address("0x" + "be" * 20)
    await fresh_chain.send(credits.withdraw(recipient), to=contract)
    balance = await fresh_chain.rpc.request("eth_getBalance", recipient, "latest")
    assert int(balance, 16) == 2 * ETHER
    assert await fresh_chain.rpc.read(contract, credits.liabilities()) == 3 * ETHER


async def test_tokens_that_the_owner_allows(fresh_chain) -> None:
    """With the protocol's own token."""
    deployment, contract = fresh_chain.deployment, fresh_chain.deployment.credits
    token = deployment.bond_token
    await fresh_chain.send(staking.approve(contract, 10), to=token)
    depositing = credits.deposit_token(ACCOUNT, token, 10)
    with pytest.raises(Reverted):
        await fresh_chain.send(depositing, to=contract)
    owner = fresh_chain.account(deployment.owner_key)
    await fresh_chain.send(credits.ALLOW_TOKEN.encode(token, True), account=owner, to=contract)
    await fresh_chain.send(depositing, to=contract)
    assert await fresh_chain.rpc.read(token, staking.balance_of(contract)) == 10
    purse = Purse(ACCOUNT, deployment.customer, token)
    assert (await fresh_chain.rpc.read(contract, credits.account_of(purse))).balance == 10
