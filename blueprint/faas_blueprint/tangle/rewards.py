"""What Tangle owes an operator: its share of payments, by token, and the reward vaults' commission.

The vaults are a contract of their own, which pays in one token for what was delegated in each of its assets.
"""

from __future__ import annotations

from typing import cast

from faas_blueprint.receipt import Address
from faas_blueprint.tangle.abi import Event, Function, Read, as_address, as_addresses, as_int

REWARD_TOKENS = Function("rewardTokens", ("address",), ("address[]",))
PENDING_REWARDS_IN = Function("pendingRewards", ("address", "address"), ("uint256",))
CLAIM_REWARDS_IN = Function("claimRewards", ("address",))
REWARD_VAULTS = Function("rewardVaults", (), ("address",))

GET_VAULT_ASSETS = Function("getVaultAssets", (), ("address[]",))
TNT_TOKEN = Function("tntToken", (), ("address",))
PENDING_OPERATOR_COMMISSION = Function("pendingOperatorCommission", ("address", "address"), ("uint256",))
CLAIM_OPERATOR_COMMISSION = Function("claimOperatorCommission", ("address",), ("uint256",))
OPERATOR_COMMISSION_CLAIMED = Event("OperatorCommissionClaimed", ("address", "address", "uint256"), (0, 1))

VAULT_FUNCTIONS = (GET_VAULT_ASSETS, TNT_TOKEN, PENDING_OPERATOR_COMMISSION, CLAIM_OPERATOR_COMMISSION)
"""Those of the vaults' contract; the others are the Tangle router's."""


def reward_tokens(account: Address) -> Read[tuple[Address, ...]]:
    """In which tokens something waits; the zero address is the native one."""
    return REWARD_TOKENS.read(as_addresses, account)


def pending_rewards_in(account: Address, token: Address) -> Read[int]:
    """What waits in a token, in its smallest unit."""
    return PENDING_REWARDS_IN.read(as_int, account, token)


def claim_rewards_in(token: Address) -> bytes:
    """Call data."""
    return CLAIM_REWARDS_IN.encode(token)


def reward_vaults() -> Read[Address]:
    """Where the vaults are; the zero address when there are none."""
    return REWARD_VAULTS.read(as_address)


def vault_assets() -> Read[tuple[Address, ...]]:
    """What can be delegated with a reward."""
    return GET_VAULT_ASSETS.read(as_addresses)


def vault_token() -> Read[Address]:
    """What the vaults pay in."""
    return TNT_TOKEN.read(as_address)


def pending_operator_commission(asset: Address, operator: Address) -> Read[int]:
    """An operator's commission for what was delegated to it in an asset."""
    return PENDING_OPERATOR_COMMISSION.read(lambda values: cast(int, values[0]), asset, operator)


def claim_operator_commission(asset: Address) -> bytes:
    """Call data for the vaults."""
    return CLAIM_OPERATOR_COMMISSION.encode(asset)
