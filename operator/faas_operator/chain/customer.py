"""Submitting jobs as a customer, with the checks that the protocol leaves to its callers.

Tangle keeps value that is sent along with a free job, with no way to get it back, and takes a paid
job on a service whose operators are gone; both are refused here before anything is sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from faas_blueprint.definition import Pricing
from faas_blueprint.errors import Forbidden, InvalidRequest, NotFound, PaymentRequired
from faas_blueprint.receipt import ZERO_ADDRESS, Address, CallReference
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.epoch import TangleEpoch
from faas_blueprint.tangle.values import Service
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.interface import Block
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionSender


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that is on-chain."""

    call: CallReference
    block: Block
    transaction_hash: str
    price_wei: int


@dataclass(frozen=True, slots=True)
class Customer:
    """One account that submits jobs to one Tangle deployment."""

    rpc: Rpc
    sender: TransactionSender
    epoch: TangleEpoch
    tangle: Address

    async def price(self, service_id: int, job_index: int) -> int:
        """What to send along, in wei. Raises NotFound, and InvalidRequest when it is not native."""
        service = await self._open_service(service_id)
        if service.pricing != Pricing.EVENT_DRIVEN:
            return 0
        asset = self.epoch.service_payment_asset(service_id)
        if asset is not None and await self.rpc.read(self.tangle, asset) != ZERO_ADDRESS:
            raise InvalidRequest(f"service {service_id} is paid in a token; only native payment is supported")
        return await self.rpc.read(self.tangle, protocol.job_event_rate(service.blueprint_id, job_index))

    async def submit(
        self, service_id: int, job_index: int, inputs: bytes, *, most_wei: int | None = None
    ) -> Submission:
        """Submit a job for its price.

        Raises NotFound, Forbidden, PaymentRequired when the price is over `most_wei` or the account's
        balance, InvalidRequest when Tangle refuses the job, ChainUnavailable.
        """
        price = await self.price(service_id, job_index)
        permitted = protocol.is_permitted_caller(service_id, self.sender.address)
        if not await self.rpc.read(self.tangle, permitted):
            raise Forbidden(f"{self.sender.address} may not submit jobs to service {service_id}")
        balance = int(await self.rpc.request("eth_getBalance", self.sender.address, "latest"), 16)
        if price > (balance if most_wei is None else min(balance, most_wei)):
            raise PaymentRequired(
                f"the job costs {price} wei",
                {"price_wei": price, "balance_wei": balance, "most_wei": most_wei},
            )
        try:
            receipt = await self.sender.send(
                self.tangle, protocol.submit_job(service_id, job_index, inputs), price
            )
        except Reverted as error:
            raise InvalidRequest(f"Tangle refused the job: {error}", {"reason": error.error.name}) from error
        job = next(
            protocol.decode_job_submitted(log) for log in receipt.logs if protocol.JOB_SUBMITTED.matches(log)
        )
        chain_id = await self.rpc.chain_id()
        call = CallReference(chain_id, self.tangle, job.service_id, job.call_id)
        return Submission(call, receipt.block, receipt.transaction_hash, price)

    async def _open_service(self, service_id: int) -> Service:
        service = await self.rpc.read(self.tangle, protocol.service(service_id))
        if not service.created_at:
            raise NotFound(f"there is no service {service_id}")
        if not service.is_open((await self.rpc.head()).timestamp):
            raise InvalidRequest(f"service {service_id} is terminated or expired")
        if not await self.rpc.read(self.tangle, protocol.service_operators(service_id)):
            raise InvalidRequest(f"service {service_id} has no operators")
        return service
