"""Service requests that ask for one operator, as the chain tells them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from faas_blueprint.definition import Pricing
from faas_blueprint.operation import JobKind
from faas_blueprint.receipt import ZERO_ADDRESS, Address
from faas_blueprint.tangle import protocol, service_request
from faas_blueprint.tangle.abi import word
from faas_blueprint.tangle.epoch import TangleEpoch
from faas_blueprint.tangle.service_request import BlueprintPricing, ServiceRequest, ServiceTerms
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.rpc import Rpc

WINDOW_SECONDS = 86_400
"""Older requests are let be, since nobody waits for them: Tangle gives an hour by default, and epoch 0.10
never ends them."""

PAID_JOBS = tuple(kind for kind in JobKind if kind < JobKind.START_INSTANCE)
"""Those that this software answers with work."""

_SETTLED = frozenset(
    {"Unauthorized", "ServiceRequestAlreadyProcessed", "ServiceRequestExpiredError", "ServiceRequestNotFound"}
)
"""Why Tangle refuses an approval for good."""


class RequestStanding(StrEnum):
    """Where a request stands for one operator."""

    OPEN = "open"
    """It could approve it now."""
    REFUSED = "refused"
    """It is asked for, and Tangle would not take its approval as things are."""
    APPROVED = "approved"
    """It has approved, others have not yet."""


@dataclass(frozen=True, slots=True)
class RequestSeen:
    """A request as it was read."""

    request_id: int
    standing: RequestStanding
    terms: ServiceTerms
    created_at: int
    """Unix seconds, by the chain's clock."""
    refusal: str | None = None
    """What Tangle says against an approval."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Reads one blueprint's requests for one operator. All of it raises ChainUnavailable."""

    rpc: Rpc
    epoch: TangleEpoch
    tangle: Address
    blueprint_id: int
    operator: Address

    async def ids(self, first_block: int, last_block: int) -> list[int]:
        """Of the requests of the blueprint that were made in a range of blocks, for whatever operators."""
        topics = (protocol.SERVICE_REQUESTED.topic, None, word(self.blueprint_id))
        entries = await self.rpc.logs(self.tangle, topics, first_block, last_block)
        return [protocol.decode_service_requested(entry.log).request_id for entry in entries]

    async def first_block(self) -> int:
        """From which on requests are looked for."""
        return await self.rpc.block_at((await self.rpc.head()).timestamp - WINDOW_SECONDS)

    async def look_at(self, request_id: int) -> RequestSeen | None:
        """A request at the newest block; None when the blueprint has none with the id that waits for the
        operator, or for others after it. Tangle says whom it asks for to operators in good standing only."""
        request = await self.rpc.read(self.tangle, service_request.service_request(request_id))
        now = (await self.rpc.head()).timestamp
        if request.blueprint_id != self.blueprint_id or not request.is_waiting:
            return None
        if request.created_at + WINDOW_SECONDS < now:
            return None
        call, refusal = self.epoch.approve_service(request_id), None
        standing = RequestStanding.OPEN
        try:
            await self.rpc.call(self.tangle, call, sender=self.operator)
        except Reverted as error:
            if error.error.name in _SETTLED:
                return None
            standing, refusal = RequestStanding.REFUSED, str(error)
            if error.error.name == "AlreadyApproved":
                standing, refusal = RequestStanding.APPROVED, None
        return RequestSeen(request_id, standing, await self._terms(request), request.created_at, refusal)

    async def waiting(self) -> list[RequestSeen]:
        """All that wait for the operator, or for others after it, oldest first."""
        last = (await self.rpc.head()).block.number
        found = [await self.look_at(item) for item in await self.ids(await self.first_block(), last)]
        return [item for item in found if item is not None]

    async def _terms(self, request: ServiceRequest) -> ServiceTerms:
        pricing = await self.rpc.read(self.tangle, service_request.blueprint_pricing(self.blueprint_id))
        by_job = pricing.pricing is Pricing.EVENT_DRIVEN
        return ServiceTerms(
            requester=request.requester,
            pricing=pricing.pricing,
            asset=await self._job_asset() if by_job else request.payment_token,
            operators=request.operator_count,
            ttl=request.ttl,
            amount=request.payment_amount,
            job_rates=await self._job_rates(pricing),
            rate=pricing.subscription_rate,
            interval=pricing.subscription_interval,
            confidentiality=request.confidentiality,
        )

    async def _job_asset(self) -> Address:
        read = self.epoch.blueprint_settlement_asset(self.blueprint_id)
        if read is None:
            return ZERO_ADDRESS
        try:
            return await self.rpc.read(self.tangle, read)
        except Reverted:  # a deployment that knows native only
            return ZERO_ADDRESS

    async def _job_rates(self, pricing: BlueprintPricing) -> dict[int, int]:
        if pricing.pricing is not Pricing.EVENT_DRIVEN:
            return {}
        return {
            int(kind): await self.rpc.read(self.tangle, protocol.job_event_rate(self.blueprint_id, kind))
            for kind in PAID_JOBS
        }
