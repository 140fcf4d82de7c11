"""Calls on-chain: the receipt that this operator has signed for one, whether or not it was posted, and what
it has signed against others' receipts.

Open to everyone, as the chain is: an answer whose posting failed can be brought to the service manager by
whoever reads it here, and one that contradicts what was posted is evidence.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from faas_api.authentication import Access
from faas_blueprint.bundle import bundle_to_json, make_bundle
from faas_blueprint.digests import to_hex
from faas_blueprint.errors import NotFound
from faas_blueprint.receipt import ZERO_ADDRESS, CallReference
from faas_operator.refutation_store import Refutation as SignedRefutation
from faas_operator.settings import Settings
from faas_operator.store import Store

Number = Annotated[int, Path(ge=0, lt=1 << 63)]


class Refutation(BaseModel):
    """A report and this operator's signature under it."""

    report: dict[str, object] = Field(description="Of the bisection, see docs/court.md")
    report_digest: str = Field(description="Keccak-256 of the report with sorted keys and no spaces")
    signature: str = Field(description="Of the service manager's EIP-712 type `Refutation`")


class Refutations(BaseModel):
    """All that this operator has signed against receipts of a call."""

    refutations: list[Refutation]


def router(store: Store, settings: Settings, access: Access) -> APIRouter:
    """The route over one store."""
    routes = APIRouter(tags=["chain"])

    @routes.get(
        "/calls/{service_id}/{call_id}/receipt",
        response_model=dict[str, object],
        dependencies=[Depends(access.anyone)],
    )
    async def get_call_receipt(service_id: Number, call_id: Number) -> Response:
        """The receipt file of this operator's answer to a call on-chain: what `faas verify` takes."""
        return JSONResponse(await asyncio.to_thread(_receipt_file, store, settings, service_id, call_id))

    @routes.get(
        "/calls/{service_id}/{call_id}/refutations",
        response_model=Refutations,
        dependencies=[Depends(access.anyone)],
    )
    async def get_call_refutations(service_id: Number, call_id: Number) -> Response:
        """Reports of bisections that this operator has signed as a witness against others' receipts."""
        call = _call(settings, service_id, call_id)
        signed = await asyncio.to_thread(store.refutations.of_call, call)
        return JSONResponse({"refutations": [_refutation(item) for item in signed]})

    return routes


def _call(settings: Settings, service_id: int, call_id: int) -> CallReference:
    return CallReference(settings.chain_id or 0, settings.tangle or ZERO_ADDRESS, service_id, call_id)


def _refutation(signed: SignedRefutation) -> dict[str, object]:
    return {
        "report": signed.report,
        "report_digest": to_hex(signed.report_digest),
        "signature": to_hex(signed.signature),
    }


def _receipt_file(store: Store, settings: Settings, service_id: int, call_id: int) -> dict[str, object]:
    record = store.job_of_call(_call(settings, service_id, call_id))
    if record is None or record.signed is None:
        raise NotFound(f"this operator has signed nothing for call {call_id} of service {service_id}")
    said = record.signed.statement
    return bundle_to_json(
        make_bundle(said.receipt, said.signature, record.submitted.inputs, store.outcome(record))
    )
