"""Quotes: what a job on-chain costs, signed by the operator, so that it can be submitted for exactly that.

Open to everyone, as the chain is; requests are counted by where they come from, and so are quotes.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from faas_api.authentication import Access
from faas_blueprint.digests import to_hex
from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.receipt import address
from faas_blueprint.tangle.quotes import SignedJobQuote
from faas_operator.quoting import JobRequest, Quoting

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


def router(quoting: Quoting | None, access: Access) -> APIRouter:
    """The route over one operator's quotes; None: it gives none."""
    routes = APIRouter(tags=["chain"])

    @routes.post("/quotes/jobs", dependencies=[Depends(access.anyone)])
    async def create_job_quote(body: JobQuoteRequest, request: Request) -> JobQuote:
        """What a job costs at the most by its limits, signed. Holds for some minutes, for one submission."""
        if quoting is None:
            raise NotFound("this operator gives no quotes")
        asked = JobRequest(address(body.requester), body.service_id, body.job_index, _inputs(body.inputs))
        caller = request.client.host if request.client else "nowhere"
        return _answer(quoting, await quoting.quote_job(asked, caller))

    return routes


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
