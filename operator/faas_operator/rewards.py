"""Fetches what Tangle owes an operator: its share of payments in each token, and commission for delegations.

Each is fetched by a transaction of its own: a token that cannot be paid out hinders no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from faas_blueprint.errors import ChainUnavailable, InvalidRequest
from faas_blueprint.receipt import ZERO_ADDRESS, Address
from faas_blueprint.tangle import protocol, rewards
from faas_operator.chain.endpoint import Reverted
from faas_operator.registration import Registration


@dataclass(frozen=True, slots=True)
class Claimed:
    """What was fetched, in each token's smallest unit; the zero address is the native one."""

    rewards: dict[Address, int]
    """Of what customers paid."""
    commission: dict[Address, int]
    """Of what delegators earn, in the vaults' token."""
    refused: dict[Address, str]
    """Tokens, and for a commission delegated assets, that could not be paid out, and why."""


async def claim(operator: Registration) -> Claimed:
    """Fetch everything. Raises ChainUnavailable; what was fetched by then is fetched."""
    claimed = Claimed({}, {}, {})
    await _claim_rewards(operator, claimed)
    await _claim_commission(operator, claimed)
    return claimed


async def _claim_rewards(operator: Registration, claimed: Claimed) -> None:
    rpc, own = operator.rpc, operator.sender.address
    tokens = {ZERO_ADDRESS, *await rpc.read(operator.tangle, rewards.reward_tokens(own))}
    for token in sorted(tokens):
        if not await rpc.read(operator.tangle, rewards.pending_rewards_in(own, token)):
            continue
        try:
            call = rewards.claim_rewards_in(token)
            receipt = await operator.send("claiming rewards", operator.tangle, call)
        except InvalidRequest as error:
            claimed.refused[token] = error.message
        else:
            claimed.rewards[token] = cast(int, protocol.REWARDS_CLAIMED.find(receipt.logs)[2])


async def _claim_commission(operator: Registration, claimed: Claimed) -> None:
    rpc, own = operator.rpc, operator.sender.address
    try:
        vaults = await rpc.read(operator.tangle, rewards.reward_vaults())
        if vaults == ZERO_ADDRESS:
            return
        assets = await rpc.read(vaults, rewards.vault_assets())
        token = await rpc.read(vaults, rewards.vault_token())
        pending = {
            asset: await rpc.read(vaults, rewards.pending_operator_commission(asset, own)) for asset in assets
        }
    except (Reverted, ChainUnavailable) as error:
        if isinstance(error, ChainUnavailable) and error.details.get("retry"):
            raise
        return  # a deployment without vaults, or with others than we know
    for asset in (asset for asset, amount in pending.items() if amount):
        try:
            call = rewards.claim_operator_commission(asset)
            receipt = await operator.send("claiming commission", vaults, call)
        except InvalidRequest as error:
            claimed.refused[asset] = error.message
        else:
            amount = cast(int, rewards.OPERATOR_COMMISSION_CLAIMED.find(receipt.logs)[2])
            claimed.commission[token] = claimed.commission.get(token, 0) + amount
