"""An operator's own stake after it has registered: more of it, less of it, and taking all of it back.

Taking back waits some of the router's rounds. A round that is over may be advanced by anyone, so an execution
that finds one over advances it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import cast

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import ZERO_ADDRESS
from faas_blueprint.tangle import staking
from faas_blueprint.tangle.abi import address_word, as_int
from faas_blueprint.tangle.staking import OperatorStatus, Rounds
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.served import served_services
from faas_operator.registration import Registration


@dataclass(frozen=True, slots=True)
class Unstaking:
    """Stake that waits to be taken back."""

    amount: int
    """In the bond token's smallest unit."""
    ready_round: int
    """From which on it can be."""
    executable_at: int
    """When that can be reached at the earliest, in Unix seconds."""


@dataclass(frozen=True, slots=True)
class Bond:
    """One operator's stake with the router."""

    operator: Registration

    async def increase(self, amount: int) -> int:
        """Add to the stake; whoever has none becomes an operator by it. The stake afterwards.

        Raises InvalidRequest.
        """
        operator = self.operator
        if not await operator.rpc.read(operator.staking, staking.is_operator_active(operator.sender.address)):
            await operator.stake(amount)
        else:
            token = await operator.rpc.read(operator.staking, staking.operator_bond_token())
            if token == ZERO_ADDRESS:
                raise InvalidRequest("this deployment bonds the native token, which is not supported")
            held = await operator.rpc.read(token, staking.balance_of(operator.sender.address))
            if held < amount:
                raise InvalidRequest(
                    f"{operator.sender.address} holds {held} of the bond token, not {amount}"
                )
            await operator.send("approving the stake", token, staking.approve(operator.staking, amount))
            await operator.send("staking", operator.staking, staking.increase_stake(token, amount))
        return await self.stake()

    async def stake(self) -> int:
        """What is bonded, with what waits to be taken back."""
        return (await self._standing()).stake

    async def schedule(self, amount: int) -> Unstaking:
        """Begin to take back a part. Raises InvalidRequest."""
        receipt = await self.operator.send(
            "scheduling", self.operator.staking, staking.schedule_unstake(amount)
        )
        ready = cast(int, staking.OPERATOR_UNSTAKE_SCHEDULED.find(receipt.logs)[2])
        return await self.unstaking() or Unstaking(amount, ready, await self._reaches(ready))

    async def waiting(self) -> Unstaking | None:
        """What waits, a part or all of it; None when nothing does."""
        leaving = (await self._standing()).status is OperatorStatus.LEAVING
        return await self._leaving() if leaving else await self.unstaking()

    async def unstaking(self) -> Unstaking | None:
        """The part that waits, from the logs: no view tells. None when none does."""
        operator = self.operator
        own = address_word(operator.sender.address)
        events = (
            staking.OPERATOR_UNSTAKE_SCHEDULED,
            staking.OPERATOR_UNSTAKE_EXECUTED,
            staking.OPERATOR_LEFT,
        )
        topics = (tuple(event.topic for event in events), own)
        head = (await operator.rpc.head()).block.number
        amount, ready = 0, 0
        for entry in await operator.rpc.logs(operator.staking, topics, 0, head):
            if staking.OPERATOR_UNSTAKE_SCHEDULED.matches(entry.log):
                _, more, ready = cast(
                    "tuple[str, int, int]", staking.OPERATOR_UNSTAKE_SCHEDULED.decode(entry.log)
                )
                amount += more
            else:
                amount = 0
        return Unstaking(amount, ready, await self._reaches(ready)) if amount else None

    async def leave(self) -> Unstaking:
        """Begin to take back all of it: the operator is none any more. Raises InvalidRequest while it serves
        a service, which not every deployment checks."""
        operator = self.operator
        serving = await served_services(operator.rpc, operator.tangle, operator.sender.address)
        if serving:
            names = ", ".join(str(item) for item in serving)
            raise InvalidRequest(
                f"this operator serves service {names}: leave it first, or wait for its end",
                {"services": names},
            )
        await operator.send("leaving", operator.staking, staking.START_LEAVING.encode())
        return await self._leaving()

    async def execute(self) -> int:
        """Take back what is due; how much that is. Raises InvalidRequest, which says when it is due."""
        operator = self.operator
        leaving = (await self._standing()).status is OperatorStatus.LEAVING
        waiting = await self.waiting()
        if waiting is None:
            raise InvalidRequest("no stake waits to be taken back: give an amount to schedule")
        await self._advance_to(waiting)
        call = (staking.COMPLETE_LEAVING if leaving else staking.EXECUTE_OPERATOR_UNSTAKE).encode()
        before = await self.stake()
        await operator.send("taking the stake back", operator.staking, call)
        return before - await self.stake()

    async def rounds(self) -> Rounds:
        """The router's clock."""
        read = self.operator.rpc.read
        views = (staking.CURRENT_ROUND, staking.ROUND_DURATION, staking.LAST_ROUND_ADVANCE)
        return Rounds(*[await read(self.operator.staking, view.read(as_int)) for view in views])

    async def _leaving(self) -> Unstaking:
        standing = await self._standing()
        delay = await self.operator.rpc.read(
            self.operator.staking, staking.LEAVE_OPERATORS_DELAY.read(as_int)
        )
        ready = standing.leaving_round + delay
        return Unstaking(standing.stake, ready, await self._reaches(ready))

    async def _advance_to(self, waiting: Unstaking) -> None:
        """Each advance starts the next round anew, so there is one at most to be made at once."""
        operator = self.operator
        if (await self.rounds()).current < waiting.ready_round:
            with contextlib.suppress(Reverted):  # the round is not over
                await operator.sender.send(operator.staking, staking.ADVANCE_ROUND.encode())
        rounds = await self.rounds()
        if rounds.current < waiting.ready_round:
            when = await self._reaches(waiting.ready_round)
            raise InvalidRequest(
                f"{waiting.amount} can be taken back from round {waiting.ready_round} on, not before "
                f"{when} (Unix seconds); it is round {rounds.current}",
                {"executable_at": when, "ready_round": waiting.ready_round, "round": rounds.current},
            )

    async def _reaches(self, number: int) -> int:
        return (await self.rounds()).reaches(number, (await self.operator.rpc.head()).timestamp)

    async def _standing(self) -> staking.OperatorStanding:
        return await self.operator.rpc.read(
            self.operator.staking, staking.operator_standing(self.operator.sender.address)
        )
