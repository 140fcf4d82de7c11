"""Data by hash, fetched from operators' APIs and checked; none is believed.

What no endpoint gives is *withheld*; where one has served other bytes for it, *falsified*. An endpoint that
is out of reach withholds too: from here that looks the same. The client is imported when something is
fetched: most commands fetch nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from faas_blueprint.digests import sha256, to_hex
from faas_blueprint.errors import BlobUnavailable
from faas_blueprint.operation import Blob

if TYPE_CHECKING:
    import httpx

BlobSource = Callable[[Blob], Awaitable[bytes]]
"""The bytes of a blob, checked. Raises BlobUnavailable."""

_PATIENCE = 3
"""How often to wait for an endpoint that counts requests."""

_MOST_WAITED = 90.0


class DataWithheld(BlobUnavailable):
    """No endpoint gives it."""


class DataFalsified(BlobUnavailable):
    """No endpoint gives it, and one has served something else instead."""


class Endpoints:
    """Operators' APIs, asked one after the other."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = tuple(address.rstrip("/") for address in addresses)

    async def fetch(self, path: str, what: str, most_bytes: int, is_right: Callable[[bytes], bool]) -> bytes:
        """The first right answer to `GET /api/v1/…`; `what` names it in errors.

        Raises DataWithheld or DataFalsified, and BlobUnavailable when there is no endpoint at all.
        """
        reasons: list[str] = []
        falsified = False
        for address in self.addresses:
            answer = await ask(address, path, most_bytes)
            if isinstance(answer, str):
                reasons.append(f"{address} {answer}")
            elif is_right(answer):
                return answer
            else:
                falsified = True
                reasons.append(f"{address} serves other bytes for it")
        if not self.addresses:
            raise BlobUnavailable(f"{what}: name an operator's API with --blobs")
        told = f"{what}: {'; '.join(reasons)}"
        raise DataFalsified(told) if falsified else DataWithheld(told)

    async def blob(self, blob: Blob, part_of: str) -> bytes:
        """A blob's bytes. Raises likewise."""
        name = to_hex(blob.sha256)
        what = f"blob {name} of {blob.size} bytes is part of {part_of}"
        return await self.fetch(
            f"/blobs/{name}",
            what,
            blob.size,
            lambda content: (len(content), sha256(content)) == (blob.size, blob.sha256),
        )


def blob_source(addresses: Sequence[str]) -> BlobSource:
    """The blobs of jobs, from the APIs at these addresses."""
    endpoints = Endpoints(addresses)

    async def fetch(blob: Blob) -> bytes:
        return await endpoints.blob(blob, "the job")

    return fetch


async def ask(address: str, path: str, most_bytes: int) -> bytes | str:
    """What one endpoint answers, up to a byte more than there should be; or why it gives nothing."""
    import httpx

    for _ in range(_PATIENCE):
        try:
            async with (
                httpx.AsyncClient(timeout=30) as http,
                http.stream("GET", f"{address}/api/v1{path}") as response,
            ):
                if response.status_code == 429:
                    wait = _seconds(response.headers.get("Retry-After"))
                elif response.status_code != 200:
                    return "does not have it"
                else:
                    return await _content(response, most_bytes)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"does not answer: {error or type(error).__name__}"
        await asyncio.sleep(wait)
    return "answers no more requests for now"


async def _content(response: httpx.Response, most_bytes: int) -> bytes:
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > most_bytes:
            break
    return bytes(content)


def _seconds(text: str | None) -> float:
    return min(float(text), _MOST_WAITED) if text is not None and text.isdecimal() else 1.0
