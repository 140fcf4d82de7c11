"""The calls of the staking router and of its bond token, the same in every epoch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import cast

from faas_blueprint.errors import ChainUnavailable
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.abi import Event, Function, Read, Value, as_address, as_bool, as_int

REGISTER_OPERATOR_WITH_ASSET = Function("registerOperatorWithAsset", ("address", "uint256"))
OPERATOR_BOND_TOKEN = Function("operatorBondToken", (), ("address",))
IS_OPERATOR_ACTIVE = Function("isOperatorActive", ("address",), ("bool",))
IS_OPERATOR = Function("isOperator", ("address",), ("bool",))
MIN_OPERATOR_STAKE = Function("minOperatorStake", (), ("uint256",))
INCREASE_STAKE_WITH_ASSET = Function("increaseStakeWithAsset", ("address", "uint256"))
SCHEDULE_OPERATOR_UNSTAKE = Function("scheduleOperatorUnstake", ("uint256",))
EXECUTE_OPERATOR_UNSTAKE = Function("executeOperatorUnstake")
START_LEAVING = Function("startLeaving")
COMPLETE_LEAVING = Function("completeLeaving")
ADVANCE_ROUND = Function("advanceRound")
GET_OPERATOR_METADATA = Function("getOperatorMetadata", ("address",), ("(uint256,uint32,uint8,uint64)",))
CURRENT_ROUND = Function("currentRound", (), ("uint64",))
ROUND_DURATION = Function("roundDuration", (), ("uint64",))
LAST_ROUND_ADVANCE = Function("lastRoundAdvance", (), ("uint64",))
LEAVE_OPERATORS_DELAY = Function("leaveOperatorsDelay", (), ("uint64",))
APPROVE = Function("approve", ("address", "uint256"), ("bool",))
TRANSFER = Function("transfer", ("address", "uint256"), ("bool",))
BALANCE_OF = Function("balanceOf", ("address",), ("uint256",))

OPERATOR_UNSTAKE_SCHEDULED = Event("OperatorUnstakeScheduled", ("address", "uint256", "uint64"), (0,))
OPERATOR_UNSTAKE_EXECUTED = Event("OperatorUnstakeExecuted", ("address", "uint256"), (0,))
OPERATOR_LEFT = Event("OperatorLeft", ("address",), (0,))


class OperatorStatus(IntEnum):
    """Where an operator stands with the staking router."""

    ACTIVE = 0
    INACTIVE = 1
    LEAVING = 2


@dataclass(frozen=True, slots=True)
class OperatorStanding:
    """An operator's own stake; all zero when there is none, so `ACTIVE` says nothing without a stake."""

    stake: int
    status: OperatorStatus
    leaving_round: int
    """In which it began to leave."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """The router's clock: delays are counted in rounds, which anyone may advance when they are over."""

    current: int
    seconds: int
    advanced_at: int
    """Unix seconds, by the chain's clock; 0 when none was."""

    def reaches(self, number: int, now: int) -> int:
        """When a round can be reached at the earliest, in Unix seconds, seen from `now`: each begins when the
        one before is advanced, however long that was over."""
        missing = number - self.current
        if missing <= 0:
            return now
        return max(now, self.advanced_at + self.seconds) + (missing - 1) * self.seconds


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


def increase_stake(token: Address, amount: int) -> bytes:
    """Call data; the staking router must have been approved for the amount."""
    return INCREASE_STAKE_WITH_ASSET.encode(token, amount)


def schedule_unstake(amount: int) -> bytes:
    """Call data: what is scheduled already is added to, and waits anew."""
    return SCHEDULE_OPERATOR_UNSTAKE.encode(amount)


def operator_standing(operator: Address) -> Read[OperatorStanding]:
    """An operator's stake and status."""

    def standing(values: tuple[Value, ...]) -> OperatorStanding:
        stake, _, status, leaving_round = cast("tuple[tuple[int, int, int, int]]", values)[0]
        if status not in OperatorStatus._value2member_map_:
            raise ChainUnavailable(f"operator status {status} is unknown")
        return OperatorStanding(stake, OperatorStatus(status), leaving_round)

    return GET_OPERATOR_METADATA.read(standing, operator)
