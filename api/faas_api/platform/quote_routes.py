"""Quotes: what a job or a service on-chain costs, signed by the operator, to be had for exactly that.

Open to everyone, as the chain is; requests are counted by where they come from, and so are quotes.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from faas_api.authentication import Access
from faas_api.json_bodies import JsonRoute
from faas_blueprint.digests import to_hex
from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.prices import Reserved
from faas_blueprint.receipt import address
from faas_blueprint.tangle.quotes import SignedJobQuote, SignedServiceQuote
from faas_operator.quoting import JobRequest, Quoting
from faas_operator.service_quoting import ServiceQuoting, ServiceRequest

Number = Annotated[int, Field(ge=0, lt=1 << 63)]


class JobQuoteRequest(BaseModel):
    """What is to be submitted, and by whom."""

    requester: str = Field(description="Address that is going to submit the job")
    service_id: Number
    job_index: Annotated[int, Field(ge=0, le=255)]
    inputs: str = Field(description="The call's inputs, `0x` and hexadecimal digits")


class JobQuoteTerms(BaseModel):
    """What is signed, where the protocol's epoch knows the field."""

    requester: str
    service_id: int
    job_index: int
    price: str = Field(description="In the smallest unit of the service's asset, as decimal digits")
    timestamp: int = Field(description="Unix seconds")
    expiry: int = Field(description="Unix seconds")
    confidentiality: int = Field(description="That of the service")
    inputs_hash: str = Field(description="Keccak-256 of the inputs")


class JobQuote(BaseModel):
    """A quote for `submitJobFromQuote`. Tangle takes it once."""

    quote: JobQuoteTerms
    operator: str
    signature: str = Field(description="Of EIP-712 type `JobQuoteDetails`, domain `TangleQuote`")
    digest: str = Field(description="What is signed")
    chain_id: int
    tangle: str
    epoch: str = Field(description="Of the protocol's ABI: it says which fields are signed, see docs/jobs.md")


class ServiceQuoteRequest(BaseModel):
    """A service of the operator's blueprint, and what it may use where its jobs are free."""

    requester: str = Field(description="Address that is going to create the service")
    ttl_seconds: Number = Field(description="How long it lasts: an hour to a year")
    machines: Number = Field(1, description="That run at once, each with a whole processor")
    memory_mb: Number = Field(512, description="Of each machine")
    storage_mb: Number = Field(0, description="Of kept snapshots, at any time")
    egress_mb: Number = Field(0, description="Of output, over the whole time")


class SecurityCommitmentTerms(BaseModel):
    """How much of the operator's stake stands behind the service."""

    kind: int = Field(description="0 for the native asset, 1 for a token")
    token: str
    exposure_bps: int = Field(description="Ten-thousandths of the stake")


class ResourceCommitmentTerms(BaseModel):
    """What is set aside for the service."""

    kind: int = Field(description="0 processors, 1 MB of memory, 2 MB of storage, 3 MB of egress")
    count: int


class ServiceQuoteTerms(BaseModel):
    """What is signed, where the protocol's epoch knows the field."""

    requester: str
    blueprint_id: int
    ttl: int = Field(description="Seconds")
    total_cost: str = Field(description="In wei, as decimal digits; 0 where jobs are paid one by one")
    timestamp: int = Field(description="Unix seconds")
    expiry: int = Field(description="Unix seconds")
    confidentiality: int = Field(description="That of the service: 0, any")
    security: list[SecurityCommitmentTerms]
    resources: list[ResourceCommitmentTerms]


class ServiceQuote(BaseModel):
    """A quote for `createServiceFromQuotes`. Tangle takes it once."""

    quote: ServiceQuoteTerms
    operator: str
    signature: str = Field(description="Of EIP-712 type `QuoteDetails`, domain `TangleQuote`")
    digest: str = Field(description="What is signed")
    chain_id: int
    tangle: str
    epoch: str = Field(description="Of the protocol's ABI: it says which fields are signed")


def router(quoting: Quoting | None, access: Access) -> APIRouter:
    """The route over one operator's quotes; None: it gives none."""
    routes = APIRouter(tags=["chain"], route_class=JsonRoute)

    @routes.post("/quotes/jobs", dependencies=[Depends(access.anyone)])
    async def create_job_quote(body: JobQuoteRequest, request: Request) -> JobQuote:
        """What a job costs at the most by its limits, signed. Holds for some minutes, for one submission."""
        if quoting is None:
            raise NotFound("this operator gives no quotes")
        asked = JobRequest(address(body.requester), body.service_id, body.job_index, _inputs(body.inputs))
        return _answer(quoting, await quoting.quote_job(asked, _origin(request)))

    @routes.post("/quotes/services", dependencies=[Depends(access.anyone)])
    async def create_service_quote(body: ServiceQuoteRequest, request: Request) -> ServiceQuote:
        """What a service costs up front, signed. Holds for some minutes, for one service."""
        if quoting is None:
            raise NotFound("this operator gives no quotes")
        use = (body.machines, body.memory_mb, body.storage_mb, body.egress_mb)
        asked = ServiceRequest(address(body.requester), Reserved(body.ttl_seconds, *use))
        services = quoting.services
        return _service_answer(services, await services.quote(asked, _origin(request)))

    return routes


def _origin(request: Request) -> str:
    return request.client.host if request.client else "nowhere"


def _inputs(text: str) -> bytes:
    try:
        if not text.startswith("0x"):
            raise ValueError
        return bytes.fromhex(text[2:])
    except ValueError:
        raise InvalidRequest("inputs must be 0x and hexadecimal digits", {"field": "inputs"}) from None


def _answer(quoting: Quoting, signed: SignedJobQuote) -> JobQuote:
    quote, chain = signed.quote, quoting.chain
    return JobQuote(
        quote=JobQuoteTerms(
            requester=quote.requester,
            service_id=quote.service_id,
            job_index=quote.job_index,
            price=str(quote.price),
            timestamp=quote.timestamp,
            expiry=quote.expiry,
            confidentiality=quote.confidentiality,
            inputs_hash=to_hex(quote.inputs_hash),
        ),
        operator=signed.operator,
        signature=to_hex(signed.signature),
        digest=to_hex(quoting.types.job_digest(quote, chain.chain_id, chain.tangle)),
        chain_id=chain.chain_id,
        tangle=chain.tangle,
        epoch=chain.epoch.name,
    )


def _service_answer(quoting: ServiceQuoting, signed: SignedServiceQuote) -> ServiceQuote:
    quote, chain = signed.quote, quoting.chain
    return ServiceQuote(
        quote=ServiceQuoteTerms(
            requester=quote.requester,
            blueprint_id=quote.blueprint_id,
            ttl=quote.ttl,
            total_cost=str(quote.total_cost),
            timestamp=quote.timestamp,
            expiry=quote.expiry,
            confidentiality=quote.confidentiality,
            security=[SecurityCommitmentTerms(**asdict(item)) for item in quote.security],
            resources=[ResourceCommitmentTerms(**asdict(item)) for item in quote.resources],
        ),
        operator=signed.operator,
        signature=to_hex(signed.signature),
        digest=to_hex(quoting.types.service_digest(quote, chain.chain_id, chain.tangle)),
        chain_id=chain.chain_id,
        tangle=chain.tangle,
        epoch=chain.epoch.name,
    )
