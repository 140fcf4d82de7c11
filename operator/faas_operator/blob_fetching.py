"""Getting the blobs that a job names: from the node's own store, else from its peers' APIs.

Who is a peer is for `peers` to say; a job cannot name one. Whatever comes is checked against size and hash.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence

from faas_blueprint.digests import sha256, to_hex
from faas_blueprint.errors import BlobUnavailable, NotFound
from faas_blueprint.operation import Blob
from faas_operator.logs import about
from faas_operator.peers import Peer, Peers, ask_peer
from faas_operator.settings import Settings
from faas_operator.store import Store

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
"""Between two looks for a blob."""


class BlobFetcher:
    """Brings blobs into one store."""

    def __init__(self, store: Store, settings: Settings, peers: Peers) -> None:
        self._store = store
        self._peers = peers
        self._seconds = settings.blob_seconds

    async def bring(self, blobs: Iterable[Blob], service_id: int) -> None:
        """Have all of them in the store as a run's own, for a call of a service. Raises BlobUnavailable for
        the first that is not to be had within the settings' time."""
        until = time.monotonic() + self._seconds
        for blob in blobs:
            await self._bring(blob, service_id, until)

    async def _bring(self, blob: Blob, service_id: int, until: float) -> None:
        while True:
            content, liars = await self._look(blob, service_id)
            if content is not None:
                await asyncio.to_thread(self._store.blobs.keep, content)
                return
            if time.monotonic() >= until:
                raise _unavailable(blob, liars)
            await asyncio.sleep(min(_LOOK_SECONDS, self._seconds))

    async def _look(self, blob: Blob, service_id: int) -> tuple[bytes | None, int]:
        """The bytes, if anyone has them, and how many peers gave others."""
        try:
            content = await asyncio.to_thread(self._store.blobs.read, blob.sha256)
        except NotFound:
            pass
        else:
            return (content, 0) if len(content) == blob.size else (None, 0)
        peers = await self._peers.of_service(service_id)
        liars = 0
        for peer in peers:
            if peer.is_named:
                fetched = await self._fetched(peer, blob)
                if isinstance(fetched, bytes):
                    return fetched, liars
                liars += fetched
        registered = [peer for peer in peers if not peer.is_named]
        found, more = await self._fetched_first(registered, blob)
        return found, liars + more

    async def _fetched_first(self, peers: Sequence[Peer], blob: Blob) -> tuple[bytes | None, int]:
        """As `_look`, of peers that are asked at once, so that none of them holds the job up."""
        asked = [asyncio.create_task(self._fetched(peer, blob)) for peer in peers]
        liars = 0
        try:
            for answer in asyncio.as_completed(asked):
                fetched = await answer
                if isinstance(fetched, bytes):
                    return fetched, liars
                liars += fetched
        finally:
            for task in asked:
                task.cancel()
        return None, liars

    async def _fetched(self, peer: Peer, blob: Blob) -> bytes | bool:
        """The bytes, or whether the peer gave others."""
        fetched = await ask_peer(peer, f"/blobs/{to_hex(blob.sha256)}", blob.size)
        if fetched is None:
            return False
        if len(fetched) == blob.size and sha256(fetched) == blob.sha256:
            return fetched
        log.warning("a peer serves wrong bytes", extra=about(peer=peer.origin, blob=to_hex(blob.sha256)))
        return True


def _unavailable(blob: Blob, liars: int) -> BlobUnavailable:
    lied = f"; {liars} of its peers served other bytes for it" if liars else ""
    return BlobUnavailable(
        f"blob {to_hex(blob.sha256)} of {blob.size} bytes is not held by this operator{lied}: "
        "upload it, then submit the job again"
    )
