"""What other operators say of a call when they are asked: their receipts, from their APIs.

Peers are those of the settings, as for blobs. What they answer is checked, and may be used against them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence

import httpx

from faas_blueprint.bundle import bundle_from_json
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import CallReference
from faas_blueprint.statement import Statement

log = logging.getLogger(__name__)

_MOST_BYTES = 192 << 20
"""The largest receipt file; one is cut off that goes on."""


async def peer_receipts(peers: Sequence[str], call: CallReference) -> list[Statement]:
    """The genuine receipts that peers show for a call."""
    found = await asyncio.gather(*(_receipt(peer, call) for peer in peers))
    return [statement for statement in found if statement is not None]


async def _receipt(peer: str, call: CallReference) -> Statement | None:
    url = f"{peer}/api/v1/calls/{call.service_id}/{call.call_id}/receipt"
    try:
        async with (
            asyncio.timeout(60),
            httpx.AsyncClient(timeout=10) as http,
            http.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                return None
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _MOST_BYTES:
                    return None
        bundle = bundle_from_json(json.loads(bytes(body)))
    except (httpx.HTTPError, TimeoutError, InvalidRequest, ValueError, RecursionError) as error:
        log.warning("a peer's receipt cannot be had", extra={"peer": peer, "error": str(error)})
        return None
    statement = Statement(bundle.receipt, bundle.signature)
    return statement if statement.is_genuine(call) else None
