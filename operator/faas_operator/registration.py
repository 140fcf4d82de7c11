"""How an account becomes an operator: stake, register for a blueprint, approve service requests.

Every step looks first whether it has been taken, so all can be repeated after any interruption.
"""

from __future__ import annotations

from dataclasses import dataclass

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import ZERO_ADDRESS, Address
from faas_blueprint.tangle import protocol, service_request, staking
from faas_blueprint.tangle.epoch import TangleEpoch
from faas_operator.approval import ApprovalPolicy, Approvals
from faas_operator.chain.discovery import active_services
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.requests import Requests, RequestSeen, RequestStanding
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionReceipt, TransactionSender


@dataclass(frozen=True, slots=True)
class Registration:
    """One account on its way into one Tangle deployment."""

    rpc: Rpc
    sender: TransactionSender
    epoch: TangleEpoch
    tangle: Address
    staking: Address

    async def stake(self, amount: int) -> None:
        """Bond `amount` of the bond token's smallest unit. Raises InvalidRequest when it is refused."""
        if await self.rpc.read(self.staking, staking.is_operator_active(self.sender.address)):
            return
        token = await self.rpc.read(self.staking, staking.operator_bond_token())
        if token == ZERO_ADDRESS:
            raise InvalidRequest("this deployment bonds the native token, which is not supported")
        balance = await self.rpc.read(token, staking.balance_of(self.sender.address))
        if balance < amount:
            raise InvalidRequest(f"{self.sender.address} holds {balance} of the bond token, {amount} needed")
        await self.send("approving the stake", token, staking.approve(self.staking, amount))
        call = staking.register_operator_with_asset(token, amount)
        await self.send("staking", self.staking, call)

    async def register(self, blueprint_id: int, public_key: bytes, rpc_address: str) -> None:
        """Register for a blueprint. Raises InvalidRequest when it is refused."""
        registered = protocol.is_operator_registered(blueprint_id, self.sender.address)
        if await self.rpc.read(self.tangle, registered):
            return
        call = protocol.register_operator(blueprint_id, public_key, rpc_address)
        await self.send(f"registering for blueprint {blueprint_id}", self.tangle, call)

    async def approve(self, request_id: int) -> TransactionReceipt:
        """Approve one request. Raises InvalidRequest when it is not this operator's to approve."""
        return await self.send(
            f"approving request {request_id}", self.tangle, self.epoch.approve_service(request_id)
        )

    async def reject(self, request_id: int) -> TransactionReceipt:
        """Reject one request, for all its operators. Raises InvalidRequest when it is refused."""
        return await self.send(
            f"rejecting request {request_id}", self.tangle, service_request.reject_service(request_id)
        )

    async def approve_all(self, blueprint_id: int, policy: ApprovalPolicy) -> Approvals:
        """Approve every open request of a blueprint that asks for this operator, if the policy allows it."""
        approved: list[int] = []
        refused: dict[int, str] = {}
        place = (self.rpc, self.epoch, self.tangle, self.sender.address)
        for request, reason in await judged_requests(*place, blueprint_id, policy):
            if request.standing is RequestStanding.APPROVED:
                continue
            if reason is None:
                await self.approve(request.request_id)
                approved.append(request.request_id)
            else:
                refused[request.request_id] = reason
        return Approvals(tuple(approved), refused)

    async def send(self, what: str, to: Address, data: bytes, value: int = 0) -> TransactionReceipt:
        """A transaction. Raises InvalidRequest, which says what was refused and why."""
        try:
            return await self.sender.send(to, data, value)
        except Reverted as error:
            raise InvalidRequest(f"{what} was refused: {error}", {"reason": error.error.name}) from error


async def judged_requests(
    rpc: Rpc,
    epoch: TangleEpoch,
    tangle: Address,
    operator: Address,
    blueprint_id: int,
    policy: ApprovalPolicy,
) -> list[tuple[RequestSeen, str | None]]:
    """Every request of a blueprint that waits for an operator, or for others after it, with why it is not to
    be approved; the earlier ones first, and counted as served if they are."""
    waiting = await Requests(rpc, epoch, tangle, blueprint_id, operator).waiting()
    services = await active_services(rpc, tangle, blueprint_id)
    serving = sum(operator in service.operators for service in services)
    serving += sum(item.standing is RequestStanding.APPROVED for item in waiting)
    judged = []
    for item in waiting:
        is_open = item.standing is not RequestStanding.APPROVED
        reason = item.refusal or (policy.against(item.terms, serving) if is_open else None)
        serving += is_open and reason is None
        judged.append((item, reason))
    return judged
