"""Getting the blobs that a job names: from the node's own store, else from its peers' APIs.

Peers are those of the settings. A job cannot name one: a node that fetched from where a stranger says
would knock at doors of its own network. Whatever comes is checked against size and hash.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable

from faas_blueprint.digests import Digest, sha256, to_hex
from faas_blueprint.errors import BlobUnavailable, NotFound
from faas_blueprint.operation import Blob
from faas_operator.logs import about
from faas_operator.peers import ask_peer
from faas_operator.settings import Settings
from faas_operator.store import Store

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
"""Between two looks for a blob."""


class BlobFetcher:
    """Brings blobs into one store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._peers = settings.blob_peers
        self._seconds = settings.blob_seconds

    async def bring(self, blobs: Iterable[Blob]) -> None:
        """Have all of them in the store as a run's own. Raises BlobUnavailable for the first that is not to
        be had within the settings' time."""
        until = time.monotonic() + self._seconds
        for blob in blobs:
            await self._bring(blob, until)

    def contents(self, blobs: Iterable[Blob]) -> dict[Digest, bytes]:
        """The bytes of blobs that were brought. Raises NotFound."""
        return {blob.sha256: self._store.blobs.read(blob.sha256) for blob in blobs}

    async def _bring(self, blob: Blob, until: float) -> None:
        while True:
            content, liars = await self._look(blob)
            if content is not None:
                await asyncio.to_thread(self._store.blobs.keep, content)
                return
            if time.monotonic() >= until:
                raise _unavailable(blob, liars)
            await asyncio.sleep(min(_LOOK_SECONDS, self._seconds))

    async def _look(self, blob: Blob) -> tuple[bytes | None, int]:
        """The bytes, if anyone has them, and how many peers gave others."""
        try:
            content = await asyncio.to_thread(self._store.blobs.read, blob.sha256)
        except NotFound:
            pass
        else:
            return (content, 0) if len(content) == blob.size else (None, 0)
        liars = 0
        for peer in self._peers:
            fetched = await ask_peer(peer, f"/blobs/{to_hex(blob.sha256)}", blob.size)
            if fetched is None:
                continue
            if len(fetched) == blob.size and sha256(fetched) == blob.sha256:
                return fetched, liars
            liars += 1
            log.warning("a peer serves wrong bytes", extra=about(peer=peer, blob=to_hex(blob.sha256)))
        return None, liars


def _unavailable(blob: Blob, liars: int) -> BlobUnavailable:
    lied = f"; {liars} of its peers served other bytes for it" if liars else ""
    return BlobUnavailable(
        f"blob {to_hex(blob.sha256)} of {blob.size} bytes is not held by this operator{lied}: "
        "upload it, then submit the job again"
    )
