"""Machines that this host lacks, fetched by hash from operators, measured, and held against the chain.

A machine that we have not built ourselves is no better than who published it: a kernel that prints lies
measures as well as any other. So one is used only where the service manager has registered all that the
receipt starts from. Nothing is built from packages when machines can be fetched.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faas_blueprint.digests import ZERO_DIGEST, Digest, to_hex
from faas_blueprint.errors import FatalError, InvalidRequest, MissingPrerequisite, NotFound
from faas_blueprint.job import Language
from faas_blueprint.operation import Blob
from faas_blueprint.receipt import Receipt
from faas_verifier.blobs import DataFalsified, DataWithheld, Endpoints, ask

if TYPE_CHECKING:
    from faas_microvm.engine import Engine
    from faas_microvm.machine_manifest import MachineManifest, Piece
    from faas_microvm.snapshot import Snapshot

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MachineSource:
    """This host's home, and the operators' APIs to fetch from what is not there."""

    home: Path
    endpoints: Endpoints
    progress: Note = lambda _: None

    async def lacks(self, receipt: Receipt, language: Language | None) -> bool:
        """Whether anything that a receipt starts from has to be fetched."""
        compiled = receipt.toolchain != ZERO_DIGEST and language is not None
        if compiled and self._known(str(language)) != receipt.toolchain:
            return True
        return self._known("base") != receipt.snapshot and not await self._keeps(receipt.snapshot)

    @asynccontextmanager
    async def open(self, receipt: Receipt, language: Language | None) -> AsyncIterator[Engine]:
        """An engine on the receipt's own machines. Raises DataWithheld, DataFalsified, FatalError where this
        host cannot run them, MissingPrerequisite."""
        from faas_microvm.base import open_base_snapshot
        from faas_microvm.engine import Engine

        async with AsyncExitStack() as stack:
            if self._known("base") == receipt.snapshot:
                base = await open_base_snapshot(self.home, self.progress)
            else:
                base = await self._machine(receipt.snapshot)
            stack.callback(base.close)
            toolchains = {}
            if receipt.toolchain != ZERO_DIGEST and language is not None:
                toolchains[language] = await self._machine(receipt.toolchain)
                stack.callback(toolchains[language].close)
            engine = await Engine.open(self.home, self.progress, base=base, toolchains=toolchains)
            stack.pop_all()  # they are the engine's now
        try:
            yield engine
        finally:
            await engine.close()

    async def _machine(self, measurement: Digest) -> Snapshot:
        from faas_microvm.fetched_machine import load_fetched, require_profile

        snapshot = load_fetched(self.home, measurement) or await self._fetch(measurement)
        try:
            require_profile(snapshot.profile)
        except BaseException:
            snapshot.close()
            raise
        return snapshot

    async def _fetch(self, measurement: Digest) -> Snapshot:
        """By the manifest of one endpoint after the other; pieces come from any."""
        reasons, falsified = [], False
        for address in self.endpoints.addresses:
            try:
                manifest = await self._manifest(address, measurement)
                return await self._put_together(manifest)
            except DataWithheld as error:
                reasons.append(error.message)
            except DataFalsified as error:
                falsified = True
                reasons.append(error.message)
        told = f"machine {to_hex(measurement)}: {'; '.join(reasons)}"
        raise DataFalsified(told) if falsified else DataWithheld(told)

    async def _manifest(self, address: str, measurement: Digest) -> MachineManifest:
        from faas_microvm.machine_manifest import MANIFEST_BYTES, decode_machine_manifest

        answer = await ask(address, f"/machines/{to_hex(measurement)}", MANIFEST_BYTES)
        if isinstance(answer, str):
            raise DataWithheld(f"{address} {answer}")
        try:
            manifest = decode_machine_manifest(answer)
        except InvalidRequest as error:
            raise DataFalsified(f"{address}: {error.message}") from error
        if manifest.measurement != measurement:
            raise DataFalsified(f"{address} has another machine's manifest for it")
        return manifest

    async def _put_together(self, manifest: MachineManifest) -> Snapshot:
        from faas_microvm.fetched_machine import fetch_machine

        parts = len(manifest.memory) + 1
        number = 0

        async def read(piece: Piece) -> bytes:
            nonlocal number
            number += 1
            self.progress(f"fetching the machine: piece {number} of {parts}")
            return await self.endpoints.blob(Blob(piece.size, piece.sha256), "the machine")

        try:
            return await fetch_machine(self.home, manifest, read)
        except FatalError as error:
            raise DataFalsified(f"its manifest's pieces do not make it up: {error.message}") from error

    def _known(self, name: str) -> Digest | None:
        from faas_microvm.base import known_measurement

        try:
            return known_measurement(name, self.home)
        except (FatalError, MissingPrerequisite):
            return None

    async def _keeps(self, measurement: Digest) -> bool:
        """Whether a job has left this machine here, on a base of our own."""
        from faas_microvm.engine import open_store

        if self._known("base") is None:
            return False
        store = await open_store(self.home)
        try:
            return bool(await store.get(measurement))
        except NotFound:
            return False
        finally:
            store.close()
