"""What other operators say of a call when they are asked: their receipts, from their APIs.

Who is a peer is for `peers` to say. What they answer is checked, and may be used against them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence

from faas_blueprint.bundle import bundle_from_json
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import CallReference
from faas_blueprint.statement import Statement
from faas_operator.logs import about
from faas_operator.peers import Peer, ask_peer

log = logging.getLogger(__name__)

_MOST_BYTES = 192 << 20
"""The largest receipt file; one is cut off that goes on."""


async def peer_receipts(peers: Sequence[Peer], call: CallReference) -> list[Statement]:
    """The genuine receipts that peers show for a call."""
    found = await asyncio.gather(*(_receipt(peer, call) for peer in peers))
    return [statement for statement in found if statement is not None]


async def _receipt(peer: Peer, call: CallReference) -> Statement | None:
    body = await ask_peer(peer, f"/calls/{call.service_id}/{call.call_id}/receipt", _MOST_BYTES)
    if body is None or len(body) > _MOST_BYTES:
        return None
    try:
        bundle = bundle_from_json(json.loads(body))
    except (InvalidRequest, ValueError, RecursionError) as error:
        log.warning("a peer's receipt cannot be read", extra=about(call, peer=peer.origin, error=error))
        return None
    statement = Statement(bundle.receipt, bundle.signature)
    return statement if statement.is_genuine(call) else None
