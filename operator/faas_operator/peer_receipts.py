"""What other operators say of a call when they are asked: receipts and refutations, from their APIs.

Peers are those of the settings, as for blobs. What they answer is checked, and may be used against them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence

from faas_blueprint.bundle import Bundle, bundle_from_json
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import CallReference
from faas_blueprint.statement import Statement
from faas_operator.logs import about
from faas_operator.peers import ask_peer

log = logging.getLogger(__name__)

_MOST_BYTES = 192 << 20
"""The largest receipt file; one is cut off that goes on."""

_MOST_REFUTATION_BYTES = 1 << 20
_MOST_REFUTATIONS = 64
"""Of one call by one peer: there are two for each of 16 answers at the most."""


async def peer_receipts(peers: Sequence[str], call: CallReference) -> list[Bundle]:
    """The receipts that peers show for a call; each is genuine, what comes with it is not judged."""
    found = await asyncio.gather(*(_receipt(peer, call) for peer in peers))
    return [bundle for bundle in found if bundle is not None]


async def peer_signatures(peers: Sequence[str], call: CallReference) -> list[bytes]:
    """Signatures that peers show under reports of a call; not judged."""
    found = await asyncio.gather(*(_signatures(peer, call) for peer in peers))
    return [signature for signatures in found for signature in signatures]


async def _receipt(peer: str, call: CallReference) -> Bundle | None:
    body = await ask_peer(peer, f"/calls/{call.service_id}/{call.call_id}/receipt", _MOST_BYTES)
    if body is None or len(body) > _MOST_BYTES:
        return None
    try:
        bundle = bundle_from_json(json.loads(body))
    except (InvalidRequest, ValueError, RecursionError) as error:
        log.warning("a peer's receipt cannot be read", extra=about(call, peer=peer, error=error))
        return None
    return bundle if Statement(bundle.receipt, bundle.signature).is_genuine(call) else None


async def _signatures(peer: str, call: CallReference) -> list[bytes]:
    path = f"/calls/{call.service_id}/{call.call_id}/refutations"
    body = await ask_peer(peer, path, _MOST_REFUTATION_BYTES)
    if body is None or len(body) > _MOST_REFUTATION_BYTES:
        return []
    try:
        entries = json.loads(body)["refutations"][:_MOST_REFUTATIONS]
        return [bytes.fromhex(entry["signature"].removeprefix("0x")) for entry in entries]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        log.warning("a peer's refutations cannot be read", extra=about(call, peer=peer, error=error))
        return []
