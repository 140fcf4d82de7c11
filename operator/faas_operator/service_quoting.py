"""What a new service costs, as a signed quote.

Where jobs are paid one by one, a service costs nothing: the chain would take what is paid up front and the
jobs' prices besides. Where a service is paid once, its jobs are free and may fill every machine of this node,
so its quote pays for all of those over its whole time, and for the storage and egress that are asked for:
`prices.reserved_cost`. Nothing holds it to the latter, so these are quoted only where the settings say so. A
quote is given only for what this operator has room for and would approve on request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from faas_blueprint.definition import Pricing
from faas_blueprint.errors import ChainUnavailable, InvalidRequest, NotServed
from faas_blueprint.job import LIMIT_RANGES
from faas_blueprint.prices import Reserved
from faas_blueprint.receipt import ZERO_ADDRESS, Address
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.quotes import (
    EGRESS,
    MAX_TTL_SECONDS,
    MEMORY_MB,
    MIN_TTL_SECONDS,
    PROCESSORS,
    QUOTES,
    STORAGE_MB,
    QuoteTypes,
    ResourceCommitment,
    SecurityCommitment,
    ServiceQuote,
    SignedServiceQuote,
)
from faas_operator.approval import ApprovalPolicy
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.evm import EvmAdapter
from faas_operator.quote_store import QuoteStore
from faas_operator.settings import Settings
from faas_operator.signer import Signer
from faas_operator.tariff import Tariff, validity

MOST_MB = 1 << 20
"""Of storage and of egress that are quoted: a TiB."""


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """What a quote is asked for."""

    requester: Address
    """Who is going to create the service."""
    reserved: Reserved
    """Its time, and what it may use."""


class ServiceQuoting:
    """Quotes of one operator for services of its blueprint."""

    def __init__(
        self,
        chain: EvmAdapter,
        signer: Signer,
        store: QuoteStore,
        tariff: Tariff,
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        self.chain = chain
        self._signer = signer
        self._store = store
        self._tariff = tariff
        self._settings = settings
        self._clock = clock

    @property
    def types(self) -> QuoteTypes:
        """The typed data of the deployment's epoch."""
        return QUOTES[self.chain.epoch.name]

    async def quote(self, request: ServiceRequest, caller: str) -> SignedServiceQuote:
        """A quote that is stored, and that nobody else has.

        Raises InvalidRequest for what cannot be reserved, NotServed for what this operator does not quote or
        has no room for, RateLimitExceeded, ChainUnavailable.
        """
        self._check(request.reserved)
        room = await self._room(request.requester)
        reserved, total_cost = await self._priced(request.reserved)
        timestamp, expiry = await validity(self.chain, int(self._clock()), self._settings.quote_seconds)
        quote = ServiceQuote(
            request.requester,
            self.chain.blueprint_id,
            reserved.seconds,
            total_cost,
            timestamp,
            expiry,
            security=(await self._security(),),
            resources=commitments(reserved),
        )
        place = (self.chain.chain_id, self.chain.tangle)
        kept = await asyncio.to_thread(
            self._store.add_service,
            caller,
            quote,
            lambda item: self.types.service_digest(item, *place),
            self._settings.open_quotes,
            room,
        )
        signature = self._signer.quote_service(self.types, kept, *place)
        return SignedServiceQuote(kept, signature, self._signer.address)

    def _check(self, reserved: Reserved) -> None:
        low, high = LIMIT_RANGES["memory_mb"]
        for name, value, least, most in (
            ("ttl_seconds", reserved.seconds, MIN_TTL_SECONDS, MAX_TTL_SECONDS),
            ("machines", reserved.machines, 1, self._settings.parallel_jobs),
            ("memory_mb", reserved.memory_mb, low, high),
            ("storage_mb", reserved.storage_mb, 0, MOST_MB),
            ("egress_mb", reserved.egress_mb, 0, MOST_MB),
        ):
            if not least <= value <= most:
                raise InvalidRequest(f"{name} must be from {least} to {most}", {"field": name})

    async def _room(self, requester: Address) -> int | None:
        """For how many services there is room; None: for any number."""
        allowed = frozenset(self._settings.approved_requesters)
        if allowed and not self.types.binds_inputs:
            raise NotServed(
                "this operator serves only whom it knows, and quotes of this epoch name no requester: "
                "request the service instead"
            )
        chain, at_most = self.chain, self._settings.services_at_most
        registered = protocol.is_operator_registered(chain.blueprint_id, self._signer.address)
        if not await chain.rpc.read(chain.tangle, registered):
            raise NotServed(f"this operator is not registered for blueprint {chain.blueprint_id}")
        reason = ApprovalPolicy(allowed).against_requester(requester)
        if reason is not None:
            raise NotServed(reason, {"field": "requester"})
        return None if at_most is None else at_most - len(await self.chain.served.ids())

    async def _priced(self, asked: Reserved) -> tuple[Reserved, int]:
        """What is set aside, and its cost in wei."""
        chain, settings = self.chain, self._settings
        blueprint = await chain.rpc.read(chain.tangle, chain.epoch.blueprint(chain.blueprint_id))
        if blueprint.pricing == Pricing.EVENT_DRIVEN:
            return asked, 0
        if blueprint.pricing != Pricing.PAY_ONCE or not settings.quote_flat_services:
            raise NotServed("only services whose jobs are paid one by one are quoted: request one instead")
        _, memory_mb = LIMIT_RANGES["memory_mb"]
        whole = replace(asked, machines=settings.parallel_jobs, memory_mb=memory_mb)
        return whole, self._tariff.service_price(whole, ZERO_ADDRESS)

    async def _security(self) -> SecurityCommitment:
        """Without one, the chain would put all of the stake behind the service."""
        exposure = self._settings.quote_exposure_bps
        try:
            token = await self.chain.rpc.read(self.chain.tangle, protocol.tnt_token())
        except (Reverted, ChainUnavailable):
            token = ZERO_ADDRESS  # an epoch that does not tell: it looks at the exposure only
        return SecurityCommitment(int(token != ZERO_ADDRESS), token, exposure)


def commitments(reserved: Reserved) -> tuple[ResourceCommitment, ...]:
    """What is reserved, as a quote names it."""
    amounts = (
        (PROCESSORS, reserved.machines),
        (MEMORY_MB, reserved.machines * reserved.memory_mb),
        (STORAGE_MB, reserved.storage_mb),
        (EGRESS, reserved.egress_mb),
    )
    return tuple(ResourceCommitment(kind, count) for kind, count in amounts if count)
