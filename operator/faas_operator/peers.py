"""Asking another operator's API. Peers are those of the settings; what they answer is to be checked."""

from __future__ import annotations

import asyncio
import logging

import httpx

from faas_operator.logs import about

log = logging.getLogger(__name__)


async def ask_peer(peer: str, path: str, most_bytes: int) -> bytes | None:
    """What a peer gives at `/api/v1` and a path, cut off once it is more than there should be; None when it
    gives nothing."""
    content = bytearray()
    try:
        async with (
            asyncio.timeout(60),
            httpx.AsyncClient(timeout=10) as http,
            http.stream("GET", f"{peer}/api/v1{path}") as response,
        ):
            if response.status_code != 200:
                return None
            async for part in response.aiter_bytes():
                content += part
                if len(content) > most_bytes:
                    break
    except (httpx.HTTPError, TimeoutError) as error:
        log.warning("a peer does not answer", extra=about(peer=peer, error=error))
        return None
    return bytes(content)
