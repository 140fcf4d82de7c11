"""What a job on-chain costs, as a signed quote: the price table's figure for the most that it can use, in the
asset of its service.

A quote is given only for what this operator would answer, and where the chain passes the money on. Tangle
takes each once; `quote_store` sees to it that no two are the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from faas_blueprint.definition import Pricing
from faas_blueprint.digests import keccak256
from faas_blueprint.errors import InvalidRequest, NotFound, NotServed
from faas_blueprint.operation import InstanceRequest, JobKind, Run, not_served
from faas_blueprint.operation_payload import operation_of_call
from faas_blueprint.receipt import ZERO_ADDRESS, Address
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.quotes import QUOTES, JobQuote, QuoteTypes, SignedJobQuote
from faas_blueprint.tangle.values import Service
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.evm import EvmAdapter
from faas_operator.quote_store import QuoteStore
from faas_operator.service_quoting import ServiceQuoting
from faas_operator.settings import Settings
from faas_operator.signer import Signer
from faas_operator.tariff import Tariff, validity


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a quote is asked for."""

    requester: Address
    """Who is going to submit the job."""
    service_id: int
    job_index: int
    inputs: bytes


class Quoting:
    """Quotes of one operator on one deployment."""

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
        self.services = ServiceQuoting(chain, signer, store, tariff, settings, clock)
        """Quotes for services, likewise."""

    @property
    def types(self) -> QuoteTypes:
        """The typed data of the deployment's epoch."""
        return QUOTES[self.chain.epoch.name]

    async def quote_job(self, request: JobRequest, caller: str) -> SignedJobQuote:
        """A quote that is stored, and that nobody else has.

        Raises InvalidRequest for inputs that are not of the job, and where the chain would keep the money or
        refuse the call; NotServed for what this operator does not quote; NotFound, RateLimitExceeded,
        ChainUnavailable.
        """
        run = _run(request)
        service = await self._service(request)
        asset = await self._asset(request.service_id)
        if self.types.binds_inputs:
            price = self._tariff.price(run.program.job, run.mode, asset)
        else:  # it may be used for any job
            price = self._tariff.dearest_price(asset)
        now, seconds = int(self._clock()), self._settings.quote_seconds
        timestamp, expiry = await validity(self.chain, now, seconds)
        quote = JobQuote(
            request.requester,
            request.service_id,
            request.job_index,
            price,
            timestamp,
            expiry,
            service.confidentiality,
            keccak256(request.inputs),
        )
        place = (self.chain.chain_id, self.chain.tangle)
        kept = await asyncio.to_thread(
            self._store.add,
            caller,
            quote,
            lambda item: self.types.job_digest(item, *place),
            self._settings.open_quotes,
        )
        signature = self._signer.quote_job(self.types, kept, *place)
        return SignedJobQuote(kept, signature, self._signer.address)

    async def _service(self, request: JobRequest) -> Service:
        service_id, tangle = request.service_id, self.chain.tangle
        if self._settings.service_id not in (None, service_id):
            raise NotFound(f"this operator does not serve service {service_id}")
        try:
            service = await self.chain.rpc.read(tangle, protocol.service(service_id))
        except Reverted:
            raise NotFound(f"there is no service {service_id}") from None
        serves = protocol.is_service_operator(service_id, self._signer.address)
        if service.blueprint_id != self.chain.blueprint_id or not await self.chain.rpc.read(tangle, serves):
            raise NotFound(f"this operator does not serve service {service_id}")
        if not service.is_open(int(self._clock())):
            raise InvalidRequest(f"service {service_id} has ended: its jobs are not answered")
        if service.pricing != Pricing.EVENT_DRIVEN:
            raise InvalidRequest(
                f"jobs of service {service_id} are not paid one by one: the chain would keep what is sent"
            )
        permitted = protocol.is_permitted_caller(service_id, request.requester)
        if not await self.chain.rpc.read(tangle, permitted):
            raise InvalidRequest(
                f"{request.requester} may not submit jobs to service {service_id}", {"field": "requester"}
            )
        return service

    async def _asset(self, service_id: int) -> Address:
        read = self.chain.epoch.service_payment_asset(service_id)
        return ZERO_ADDRESS if read is None else await self.chain.rpc.read(self.chain.tangle, read)


def _run(request: JobRequest) -> Run:
    operation = operation_of_call(request.job_index, request.inputs)
    if isinstance(operation, InstanceRequest):
        raise not_served()
    if not isinstance(operation, Run):
        kind = JobKind(request.job_index).name.lower()
        raise NotServed(
            f"jobs that run a program are quoted, {kind} is not", {"job_index": request.job_index}
        )
    return operation
