"""Blobs: bytes by their SHA-256, for inputs and outputs of jobs that are too large for a chain.

Whoever knows a hash may read: on-chain it stands in the open. Uploading takes a key, and counts against
its account. The pieces of the machines that jobs run on are blobs too, and each machine has a manifest.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from faas_api.authentication import Access, AccountId
from faas_api.platform.describing import matching
from faas_api.platform.times import timestamp
from faas_blueprint.digests import Digest, digest_from_hex, sha256, to_hex
from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.job import MAX_INPUT_BYTES
from faas_microvm.engine import Engine
from faas_microvm.published import PublishedMachines
from faas_microvm.published_snapshots import PublishedSnapshots
from faas_operator.account_record import Scope
from faas_operator.settings import Settings
from faas_operator.store import Store

Sha256 = Annotated[str, matching("^(0x)?[0-9a-fA-F]{64}$")]
Measurement = Annotated[str, matching("^(0x)?[0-9a-fA-F]{64}$")]

_BYTES = {200: {"content": {"application/octet-stream": {}}, "description": "The bytes"}}
_MANIFEST = {
    200: {"content": {"application/json": {}}, "description": "The manifest, as docs/court.md has it"}
}
_BODY = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}
_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "attachment",
}


class UploadedBlob(BaseModel):
    """A blob that is held for a job to come."""

    sha256: str = Field(description="`0x` and 64 hexadecimal digits")
    size: int = Field(description="In bytes")
    expires_at: str = Field(description="When it is gone, unless a job on-chain has named it by then")


def router(store: Store, engine: Engine, settings: Settings, access: Access) -> APIRouter:
    """The routes over one store, over the machines of the settings' home and those that calls have left."""
    routes = APIRouter(tags=["chain"])
    machines = PublishedMachines(settings.home)
    derived = PublishedSnapshots(settings.home, engine)
    uploader = access.account_to(Scope.EXECUTE)

    @routes.get(
        "/blobs/{sha256}",
        response_model=None,
        responses=_BYTES,  # type: ignore[arg-type]
        dependencies=[Depends(access.anyone)],
    )
    async def get_blob(sha256: Sha256) -> Response:
        """Bytes that a job or result on-chain names by their hash: a part of the inputs, a stream, an output
        file, or the manifest of all files; or a piece of a machine. Open to everyone who knows the hash."""
        content = await asyncio.to_thread(_read, store, machines, derived, _digest(sha256))
        return Response(content, media_type="application/octet-stream", headers=_HEADERS)

    @routes.get(
        "/machines/{measurement}",
        response_model=None,
        responses=_MANIFEST,  # type: ignore[arg-type]
        dependencies=[Depends(access.anyone)],
    )
    async def get_machine(measurement: Measurement) -> Response:
        """The pieces of a machine, by its measurement: of one that jobs run on, with the image that was
        booted where it is in use here; or of one that a call on-chain has left or, for a while, come by, as
        what differs from such a machine. Each piece is a blob. Open to everyone."""
        digest = _digest(measurement, "measurement")
        try:
            content = await asyncio.to_thread(machines.manifest, digest)
        except NotFound:
            content = await derived.manifest(digest)
        return Response(content, media_type="application/json", headers=_HEADERS)

    @routes.put("/blobs/{sha256}", openapi_extra={"requestBody": _BODY})
    async def put_blob(sha256: Sha256, request: Request, account: AccountId = uploader) -> UploadedBlob:
        """Bring bytes that a job on-chain is about to name by their hash. Repeating it holds them for longer;
        a job that names them in time keeps them."""
        content = await request.body()
        _require_content(_digest(sha256), content)
        seconds = settings.blob_days * 86_400
        held = await asyncio.to_thread(
            store.blobs.upload, account, content, settings.blob_account_bytes, seconds
        )
        return UploadedBlob(sha256=to_hex(held.sha256), size=held.size, expires_at=timestamp(held.expires_at))

    return routes


def _require_content(digest: Digest, content: bytes) -> None:
    if len(content) > MAX_INPUT_BYTES:
        raise InvalidRequest(f"a blob has {MAX_INPUT_BYTES} bytes at the most", {"limit": MAX_INPUT_BYTES})
    found = sha256(content)
    if found != digest:
        raise InvalidRequest(
            f"the body's SHA-256 is {to_hex(found)}", {"field": "sha256", "sha256": to_hex(found)}
        )


def _read(store: Store, machines: PublishedMachines, derived: PublishedSnapshots, digest: Digest) -> bytes:
    for read in (store.blobs.read, machines.piece):
        with contextlib.suppress(NotFound):
            return read(digest)
    return derived.piece(digest)


def _digest(text: str, field: str = "sha256") -> Digest:
    try:
        return digest_from_hex(text if text.startswith("0x") else "0x" + text)
    except ValueError as error:
        raise InvalidRequest(f"expected a {field} as 64 hexadecimal digits", {"field": field}) from error
