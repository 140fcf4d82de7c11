"""Getting the snapshots that a call works on from peers, where earlier calls have not left them here: a node
that joins a service later goes on from what the others hold.

As with blobs, peers are those of the settings. What comes is put together on this node's own base and
measured, so it is the machine that the call names, or nothing. Who made it is not known from that: the
receipt names it, and a verifier asks the chain (docs/court.md).
"""

from __future__ import annotations

import asyncio
import logging

from faas_blueprint.digests import Digest, sha256, to_hex
from faas_blueprint.errors import InsufficientResources, InvalidRequest, NotFound
from faas_blueprint.merkle import PAGE_SIZE
from faas_blueprint.operation import Operation
from faas_microvm.derived_manifest import decode_derived_manifest
from faas_microvm.machine_manifest import MANIFEST_BYTES, Piece
from faas_operator.engine import JobEngine
from faas_operator.logs import about
from faas_operator.peers import ask_peer
from faas_operator.settings import Settings

log = logging.getLogger(__name__)

_TRIES = 3
"""Of a piece: peers count requests."""

_PAUSE_SECONDS = 2.0


class SnapshotFetcher:
    """Brings snapshots into one engine's store, one at a time."""

    def __init__(self, engine: JobEngine, settings: Settings) -> None:
        """Only peers that the settings name are asked: the emulator has to parse a machine's device state."""
        self._engine = engine
        self._peers = settings.blob_peers
        self._most_bytes = settings.snapshot_fetch_bytes
        self._seconds = settings.snapshot_fetch_seconds
        self._fetching = asyncio.Lock()

    async def bring(self, operation: Operation) -> bool:
        """Have what an operation works on. Says whether all that was missing has come, and something was; the
        reasons why not are in the log."""
        if not self._peers or not self._most_bytes:
            return False
        missing = await self._engine.missing(operation)
        try:
            async with asyncio.timeout(self._seconds), self._fetching:
                found = [await self._bring(measurement) for measurement in missing]
        except TimeoutError:
            log.warning("a snapshot was not fetched in time", extra=about(seconds=self._seconds))
            return False
        except InsufficientResources as error:
            log.warning("there is no room for a snapshot", extra=about(error=error))
            return False
        return bool(found) and all(found)

    async def _bring(self, measurement: Digest) -> bool:
        name = to_hex(measurement)
        for peer in self._peers:
            content = await ask_peer(peer, f"/machines/{name}", MANIFEST_BYTES)
            if content is None:
                continue
            try:
                await self._adopt(measurement, content)
            except (InvalidRequest, NotFound) as error:
                log.warning(
                    "a peer's snapshot is not used", extra=about(peer=peer, snapshot=name, error=error)
                )
            else:
                log.info("a snapshot was fetched", extra=about(peer=peer, snapshot=name))
                return True
        return False

    async def _adopt(self, measurement: Digest, content: bytes) -> None:
        manifest = decode_derived_manifest(content)
        if manifest.measurement != measurement:
            raise InvalidRequest("it is the manifest of another machine")
        if manifest.page_count * PAGE_SIZE > self._most_bytes:
            raise InvalidRequest(f"its {manifest.page_count} pages are more than this node fetches")
        await self._engine.adopt(manifest, self._read)

    async def _read(self, piece: Piece) -> bytes:
        for number in range(_TRIES):
            await asyncio.sleep(_PAUSE_SECONDS if number else 0)
            for peer in self._peers:
                content = await ask_peer(peer, f"/blobs/{to_hex(piece.sha256)}", piece.size)
                if content is not None and (len(content), sha256(content)) == (piece.size, piece.sha256):
                    return content
        raise NotFound(f"no peer has its piece {to_hex(piece.sha256)}")
