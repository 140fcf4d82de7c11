"""The calls of the staking router and of its bond token, the same in every epoch."""

from __future__ import annotations

from faas_blueprint.receipt import Address
from faas_blueprint.tangle.abi import Function, Read, as_address, as_bool, as_int

REGISTER_OPERATOR_WITH_ASSET = Function("registerOperatorWithAsset", ("address", "uint256"))
OPERATOR_BOND_TOKEN = Function("operatorBondToken", (), ("address",))
IS_OPERATOR_ACTIVE = Function("isOperatorActive", ("address",), ("bool",))
IS_OPERATOR = Function("isOperator", ("address",), ("bool",))
MIN_OPERATOR_STAKE = Function("minOperatorStake", (), ("uint256",))
APPROVE = Function("approve", ("address", "uint256"), ("bool",))
TRANSFER = Function("transfer", ("address", "uint256"), ("bool",))
BALANCE_OF = Function("balanceOf", ("address",), ("uint256",))


def register_operator_with_asset(token: Address, amount: int) -> bytes:
    """Call data; the staking router must have been approved for the amount."""
    return REGISTER_OPERATOR_WITH_ASSET.encode(token, amount)


def approve(spender: Address, amount: int) -> bytes:
    """Call data of an ERC-20 approval."""
    return APPROVE.encode(spender, amount)


def transfer(to: Address, amount: int) -> bytes:
    """Call data of an ERC-20 transfer."""
    return TRANSFER.encode(to, amount)


def balance_of(account: Address) -> Read[int]:
    """An ERC-20 balance."""
    return BALANCE_OF.read(as_int, account)


def operator_bond_token() -> Read[Address]:
    """The ERC-20 that operators bond; the zero address when they bond the native token."""
    return OPERATOR_BOND_TOKEN.read(as_address)


def is_operator_active(operator: Address) -> Read[bool]:
    """Whether an account is a staked operator in good standing."""
    return IS_OPERATOR_ACTIVE.read(as_bool, operator)
