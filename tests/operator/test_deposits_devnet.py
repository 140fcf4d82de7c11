"""The real contracts on a real chain: deposits, a reorganisation, a refund, a follower that is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_keys.datatypes import PrivateKey

from faas_blueprint.digests import keccak256, sha256
from faas_blueprint.receipt import Address
from faas_blueprint.tangle import credits, staking
from faas_blueprint.tangle.abi import Function, as_address
from faas_blueprint.tangle.credit_events import CREDITS_CLAIMED, account_id_of
from faas_blueprint.tangle.credits import Purse, SpendingLimit
from faas_operator.chain.credits import CreditsChain
from faas_operator.chain.endpoint import Reverted
from faas_operator.credit_events import DEFAULT_RATES, Rates
from faas_operator.deposits import DepositFollower
from faas_operator.ledger import PROCEEDS, REVENUE, Cause, Posting, available
from faas_operator.settings import Settings
from faas_operator.store import Store

pytestmark = pytest.mark.chain

ETHER = 10**18
CREDIT = 10**9
ACCOUNT = "acct_0123456789abcdef01234567"
OWN = available(ACCOUNT)
CRASHING = Path(__file__).with_name("crashing_follower.py")


@pytest.fixture
def store(tmp_path):
    with closing(Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")) as made:
        yield made


@pytest.fixture
def follow(fresh_chain, store, tmp_path):
    """Makes a follower of contracts."""

    def make(*contracts: Address, confirmations=1, **rates) -> DepositFollower:
        start = fresh_chain.deployment.first_block
        settings = Settings(home=tmp_path, confirmations=confirmations, start_block=start)
        source = CreditsChain(fresh_chain.rpc, fresh_chain.deployment.chain_id, contracts)
        return DepositFollower(
            source,
            store.credit_events,
            settings,
            Rates({**DEFAULT_RATES, **rates.pop("units", {})}, **rates),
            "t",
        )

    return make


async def deposit(chain, amount=ETHER) -> None:
    data = credits.deposit(account_id_of(ACCOUNT))
    await chain.send(data, amount, to=chain.deployment.credits)


async def test_a_deposit_a_token_and_a_refund(fresh_chain, store, follow):
    deployment, contract = fresh_chain.deployment, fresh_chain.deployment.credits
    token = deployment.bond_token
    owner = fresh_chain.account(deployment.owner_key)
    await fresh_chain.send(credits.ALLOW_TOKEN.encode(token, True), account=owner, to=contract)
    await fresh_chain.send(staking.approve(contract, 10), to=token)
    follower = follow(contract, units={token: 5})
    await deposit(fresh_chain, 3 * ETHER)
    await fresh_chain.send(credits.deposit_token(account_id_of(ACCOUNT), token, 10), to=contract)
    await follower.look()
    assert store.ledger.balance(OWN) == 3002 * CREDIT

    store.ledger.post(Cause("settlement", "x"), Posting(OWN, -1000 * CREDIT), Posting(REVENUE, 1000 * CREDIT))
    purse = Purse(account_id_of(ACCOUNT), deployment.customer)
    await fresh_chain.send(credits.announce_refund(purse), to=contract)
    await follower.look()
    assert store.ledger.balance(OWN) == 0  # 2002 are left, and the purse has 3000: all of it is on its way

    limit = SpendingLimit(purse, 0, ETHER, 2**40)
    signed = PrivateKey(bytes(fresh_chain.account().key)).sign_msg_hash(
        credits.limit_digest(limit, deployment.chain_id, contract)
    )
    signature = signed.to_bytes()[:64] + bytes([27 + signed.to_bytes()[64]])
    settle = credits.settle_within_limit(limit, signature, ETHER, sha256(b"usage"))
    await fresh_chain.send(settle, account=fresh_chain.operator(), to=contract)
    notice = await fresh_chain.rpc.read(contract, credits.notice_seconds())
    await fresh_chain.rpc.request("evm_increaseTime", notice)
    await fresh_chain.send(credits.refund(purse), to=contract)
    for _ in range(2):
        await follower.look()
        # the two of the token's purse, which was not refunded
        assert store.ledger.balance(OWN) == 2 * CREDIT
    assert store.ledger.balance(PROCEEDS) == -1000 * CREDIT
    store.ledger.check()


async def test_a_real_reorganisation_drops_one_deposit_and_moves_another(fresh_chain, store, follow):
    follower = follow(fresh_chain.deployment.credits)
    rpc = fresh_chain.rpc
    fork = await rpc.request("evm_snapshot")
    await deposit(fresh_chain, ETHER)
    await deposit(fresh_chain, 2 * ETHER)
    await follower.look()
    assert store.ledger.balance(OWN) == 3000 * CREDIT
    await rpc.request("evm_revert", fork)
    await rpc.request("evm_mine")
    await deposit(fresh_chain, 2 * ETHER)
    for _ in range(3):
        await rpc.request("evm_mine")
    for _ in range(2):
        await follower.look()
        assert store.ledger.balance(OWN) == 2000 * CREDIT
    kinds = [line.kind for line in store.ledger.statement(ACCOUNT, 10, 0)[0]]
    assert kinds == ["deposited", "reorganisation", "reorganisation", "deposited", "deposited"]
    store.ledger.check()


async def test_confirmations_are_waited_for(fresh_chain, store, follow):
    follower = follow(fresh_chain.deployment.credits, confirmations=3)
    await deposit(fresh_chain)
    for expected in (0, 0, 1000, 1000):
        await follower.look()
        assert store.ledger.balance(OWN) == expected * CREDIT
        await fresh_chain.rpc.request("evm_mine")


@pytest.fixture
def follower_process(fresh_chain, tmp_path) -> Callable[[str, int], int]:
    """Runs a follower in a process of its own that is killed at a commit; answers its exit code."""
    deployment = fresh_chain.deployment

    def run(url: str, commits: int) -> int:
        command = [
            *(sys.executable, str(CRASHING), deployment.rpc_url, str(deployment.chain_id)),
            *(deployment.credits, str(deployment.first_block), url, str(tmp_path), str(commits)),
        ]
        return subprocess.run(command, timeout=120).returncode

    return run


@pytest.mark.slow
async def test_a_follower_that_is_killed_at_any_commit(fresh_chain, follower_process, tmp_path):
    """Before and after each: odd numbers strike before it, even ones after."""
    await deposit(fresh_chain, ETHER)
    await deposit(fresh_chain, 2 * ETHER)
    killed = 0
    for strike in range(1, 40):
        url = f"sqlite:///{tmp_path / f'{strike}.sqlite'}"
        code = follower_process(url, strike)
        killed += code == -9
        while follower_process(url, 3) == -9:  # and is killed again and again
            pass
        with closing(Store.open(url)) as store:
            assert store.ledger.balance(OWN) == 3000 * CREDIT, strike
            store.ledger.check()
        if code == 0:
            break
    assert code == 0
    assert killed >= 6  # the cursor, two deposits, before and after


async def test_credits_claimed_from_the_protocol(fresh_chain, store, follow):
    """The protocol's own contract, as the recorded deployment has it: a root, a leaf, a claim."""
    contract = await _protocols_credits(fresh_chain)
    customer = fresh_chain.deployment.customer
    leaf = keccak256(keccak256(encode(("uint256", "address", "uint256"), (1, customer, 70))))
    owner = await fresh_chain.rpc.read(contract, Function("owner", (), ("address",)).read(as_address))
    await fresh_chain.rpc.request("anvil_impersonateAccount", owner)
    await fresh_chain.rpc.request("anvil_setBalance", owner, hex(ETHER))
    root = Function("setMerkleRoot", ("uint256", "bytes32")).encode(1, leaf)
    await fresh_chain.rpc.request(
        "eth_sendTransaction", {"from": owner, "to": contract, "data": "0x" + root.hex()}
    )
    claim = Function("claim", ("uint256", "uint256", "bytes32", "bytes32[]"))
    sent = await fresh_chain.send(claim.encode(1, 70, account_id_of(ACCOUNT), ()), to=contract)
    assert any(CREDITS_CLAIMED.matches(log) for log in sent.logs)
    await follow(contract, claimed=3).look()
    assert store.ledger.balance(OWN) == 210
    store.ledger.check()


async def _protocols_credits(chain) -> Address:
    """The replayed deployment's `Credits`: the contract that knows `merkleRoots`."""
    probe = Function("merkleRoots", ("uint256",)).encode(1)
    for number in range(chain.deployment.first_block):
        block = await chain.rpc.request("eth_getBlockByNumber", hex(number), True)
        for transaction in block["transactions"]:
            receipt = await chain.rpc.request("eth_getTransactionReceipt", transaction["hash"])
            made = receipt.get("contractAddress")
            if made and len(await _answer(chain, made, probe)) == 32:
                return Address(made.lower())
    raise AssertionError("the devnet has no Credits contract")


async def _answer(chain, contract: str, data: bytes) -> bytes:
    try:
        return await chain.rpc.call(Address(contract), data)
    except Reverted:
        return b""
