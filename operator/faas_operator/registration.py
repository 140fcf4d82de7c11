"""How an account becomes an operator: stake, register for a blueprint, approve service requests.

Every step looks first whether it has been taken, so all can be repeated after any interruption.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import ZERO_ADDRESS, Address
from faas_blueprint.tangle import protocol, staking
from faas_blueprint.tangle.abi import word
from faas_blueprint.tangle.epoch import TangleEpoch
from faas_operator.approval import ApprovalPolicy, Approvals
from faas_operator.chain.discovery import active_services
from faas_operator.chain.endpoint import Reverted
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
        await self._send("approving the stake", token, staking.approve(self.staking, amount))
        call = staking.register_operator_with_asset(token, amount)
        await self._send("staking", self.staking, call)

    async def register(self, blueprint_id: int, public_key: bytes, rpc_address: str) -> None:
        """Register for a blueprint. Raises InvalidRequest when it is refused."""
        registered = protocol.is_operator_registered(blueprint_id, self.sender.address)
        if await self.rpc.read(self.tangle, registered):
            return
        call = protocol.register_operator(blueprint_id, public_key, rpc_address)
        await self._send(f"registering for blueprint {blueprint_id}", self.tangle, call)

    async def approve(self, request_id: int) -> TransactionReceipt:
        """Approve one request. Raises InvalidRequest when it is not this operator's to approve."""
        return await self._send(
            f"approving request {request_id}", self.tangle, self.epoch.approve_service(request_id)
        )

    async def approve_all(self, blueprint_id: int, policy: ApprovalPolicy, first_block: int = 0) -> Approvals:
        """Approve every open request of a blueprint that asks for this operator, if the policy allows it."""
        head = (await self.rpc.head()).block.number
        topics = (protocol.SERVICE_REQUESTED.topic, None, word(blueprint_id))
        services = await active_services(self.rpc, self.tangle, blueprint_id, first_block)
        serving = sum(self.sender.address in service.operators for service in services)
        approved: list[int] = []
        refused: dict[int, str] = {}
        for entry in await self.rpc.logs(self.tangle, topics, first_block, head):
            request = protocol.decode_service_requested(entry.log)
            if not await self._may_approve(request.request_id):
                continue
            reason = policy.against(request.requester, serving + len(approved))
            if reason is not None:
                refused[request.request_id] = reason
                continue
            await self.approve(request.request_id)
            approved.append(request.request_id)
        return Approvals(tuple(approved), refused)

    async def claim(self) -> int:
        """Fetch the native rewards; how much was paid out, in wei: 0 when there is nothing.

        Raises InvalidRequest when it is refused.
        """
        if not await self.rpc.read(self.tangle, protocol.pending_rewards(self.sender.address)):
            return 0
        receipt = await self._send("claiming rewards", self.tangle, protocol.CLAIM_REWARDS.encode())
        *_, amount = protocol.REWARDS_CLAIMED.find(receipt.logs)
        return cast(int, amount)

    async def _may_approve(self, request_id: int) -> bool:
        call = self.epoch.approve_service(request_id)
        try:
            await self.rpc.call(self.tangle, call, sender=self.sender.address)
        except Reverted:
            return False
        return True

    async def _send(self, what: str, to: Address, data: bytes) -> TransactionReceipt:
        try:
            return await self.sender.send(to, data)
        except Reverted as error:
            raise InvalidRequest(f"{what} was refused: {error}", {"reason": error.error.name}) from error
