"""Blobs that a job names by their hash, fetched from operators' APIs and checked; none is believed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import httpx

from faas_blueprint.digests import sha256, to_hex
from faas_blueprint.errors import BlobUnavailable
from faas_blueprint.operation import Blob

BlobSource = Callable[[Blob], Awaitable[bytes]]
"""The bytes of a blob, checked. Raises BlobUnavailable."""


def blob_source(endpoints: Sequence[str]) -> BlobSource:
    """Asks the APIs at these addresses, one after the other."""

    async def fetch(blob: Blob) -> bytes:
        name = to_hex(blob.sha256)
        reasons: list[str] = []
        async with httpx.AsyncClient(timeout=30) as http:
            for endpoint in endpoints:
                try:
                    answer = await http.get(f"{endpoint.rstrip('/')}/api/v1/blobs/{name}")
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    reasons.append(f"{endpoint} does not answer: {error}")
                    continue
                if answer.status_code != 200:
                    reasons.append(f"{endpoint} does not have it")
                elif (len(answer.content), sha256(answer.content)) != (blob.size, blob.sha256):
                    reasons.append(f"{endpoint} serves other bytes for it")
                else:
                    return answer.content
        told = "; ".join(reasons) or "name an operator's API with --blobs"
        raise BlobUnavailable(f"blob {name} of {blob.size} bytes is part of the job: {told}")

    return fetch
