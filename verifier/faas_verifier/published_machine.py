"""Machines that this host lacks, fetched by hash from operators, measured, and held against the chain.

A machine that we have not built ourselves is no better than who published it: a kernel that prints lies
measures as well as any other. So a whole machine is used only where the service manager has registered it,
and one that jobs have left only where operators agree on those jobs' calls (`provenance`): whether that is so
is for the caller to find. Nothing is built from packages when machines can be fetched.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from faas_blueprint.digests import ZERO_DIGEST, Digest, to_hex
from faas_blueprint.errors import (
    BlobUnavailable,
    FatalError,
    InvalidRequest,
    MissingPrerequisite,
    NotFound,
)
from faas_blueprint.job import Language
from faas_blueprint.merkle import PAGE_SIZE
from faas_blueprint.operation import Blob
from faas_blueprint.receipt import Receipt
from faas_verifier.blobs import DataFalsified, DataWithheld, Endpoints, ask
from faas_verifier.evidence import Provenance

if TYPE_CHECKING:
    from faas_microvm.derived_manifest import DerivedManifest
    from faas_microvm.engine import Engine
    from faas_microvm.fetched_machine import ReadPiece
    from faas_microvm.machine_manifest import MachineManifest, Piece
    from faas_microvm.snapshot import Snapshot

Note = Callable[[str], None]
_Manifest = TypeVar("_Manifest", "MachineManifest", "DerivedManifest")


DERIVED_BYTES = 1 << 30
"""The most that pages of a derived machine may come to, unless the caller says otherwise: all of memory."""


async def fetch_derived_machine(
    endpoints: Endpoints,
    measurement: Digest,
    base: Snapshot,
    *,
    progress: Note = lambda _: None,
    most_bytes: int = DERIVED_BYTES,
) -> Snapshot:
    """A machine that a call has left, or its run has come by, from any of the endpoints; put together on
    `base`, which is the caller's own or trusted, and measured. It shares the base's memory: close only that.

    That it has the measurement says nothing about who made it: see `provenance`. Raises DataWithheld when
    none has it, or has it on another base or larger than `most_bytes`; DataFalsified when one has served
    something else for it; BlobUnavailable when there is no endpoint.
    """
    if not endpoints.addresses:
        raise BlobUnavailable(f"machine {to_hex(measurement)}: name an operator's API with --blobs")

    async def fetch(address: str) -> Snapshot:
        from faas_microvm.fetched_machine import fetch_derived

        manifest = await derived_manifest(address, measurement)
        if manifest.base != base.measurement:
            raise DataWithheld(f"{address} has it on the base {to_hex(manifest.base)}, which is another one")
        if manifest.page_count * PAGE_SIZE > most_bytes:
            raise DataWithheld(f"{address} has it with {manifest.page_count} pages: it is too large here")
        return await fetch_derived(base, manifest, _reader(endpoints, len(manifest.pieces()), progress))

    return await _first_that_serves(endpoints, measurement, fetch)


async def derived_manifest(address: str, measurement: Digest) -> DerivedManifest:
    """What one endpoint says of a derived machine. Raises DataWithheld, DataFalsified."""
    from faas_microvm.derived_manifest import decode_derived_manifest

    return await _manifest(address, measurement, decode_derived_manifest)


async def _manifest(address: str, measurement: Digest, decode: Callable[[bytes], _Manifest]) -> _Manifest:
    from faas_microvm.machine_manifest import MANIFEST_BYTES

    answer = await ask(address, f"/machines/{to_hex(measurement)}", MANIFEST_BYTES)
    if isinstance(answer, str):
        raise DataWithheld(f"{address} {answer}")
    try:
        manifest = decode(answer)
    except InvalidRequest as error:
        raise DataFalsified(f"{address}: {error.message}") from error
    if manifest.measurement != measurement:
        raise DataFalsified(f"{address} has another machine's manifest for it")
    return manifest


async def _first_that_serves(
    endpoints: Endpoints, measurement: Digest, fetch: Callable[[str], Awaitable[Snapshot]]
) -> Snapshot:
    """By the manifest of one endpoint after the other; pieces come from any. Raises DataWithheld,
    DataFalsified."""
    reasons, falsified = [], False
    for address in endpoints.addresses:
        try:
            return await fetch(address)
        except DataWithheld as error:
            reasons.append(error.message)
        except DataFalsified as error:
            falsified = True
            reasons.append(error.message)
        except FatalError as error:
            falsified = True
            reasons.append(f"its manifest's pieces do not make it up: {error.message}")
    told = f"machine {to_hex(measurement)}: {'; '.join(reasons)}"
    raise DataFalsified(told) if falsified else DataWithheld(told)


def _reader(endpoints: Endpoints, parts: int, progress: Note) -> ReadPiece:
    number = 0

    async def read(piece: Piece) -> bytes:
        nonlocal number
        number += 1
        progress(f"fetching the machine: piece {number} of {parts}")
        return await endpoints.blob(Blob(piece.size, piece.sha256), "the machine")

    return read


def _base_of(receipt: Receipt, provenance: Provenance | None) -> Digest:
    """The one machine that all stand on. Raises FatalError when they stand on several."""
    if provenance is None:
        return receipt.snapshot
    roots = {root.measurement for root in provenance.roots}
    if len(roots) != 1:
        raise FatalError(f"the call works on machines of {len(roots)} different bases")
    return roots.pop()


@dataclass(frozen=True, slots=True)
class MachineSource:
    """This host's home, and the operators' APIs to fetch from what is not there."""

    home: Path
    endpoints: Endpoints
    progress: Note = lambda _: None

    async def lacks(self, receipt: Receipt, language: Language | None, starts: Sequence[Digest] = ()) -> bool:
        """Whether anything that a receipt starts from was not made here; `starts` are all machines that its
        call works on."""
        if not self._has_toolchain(receipt, language):
            return True
        others = {receipt.snapshot, *starts} - {self._known("base")}
        return not all([await self._keeps(other) for other in others])

    def own_base(self, receipt: Receipt, language: Language | None) -> Digest | None:
        """The base of this host, if its toolchain is that of the receipt too."""
        return self._known("base") if self._has_toolchain(receipt, language) else None

    def _has_toolchain(self, receipt: Receipt, language: Language | None) -> bool:
        compiled = receipt.toolchain != ZERO_DIGEST and language is not None
        return not compiled or self._known(str(language)) == receipt.toolchain

    @asynccontextmanager
    async def open(
        self,
        receipt: Receipt,
        language: Language | None,
        starts: Sequence[Digest] = (),
        provenance: Provenance | None = None,
    ) -> AsyncIterator[Engine]:
        """An engine on the receipt's own machines, those that jobs have left being in its store.

        Without a provenance the receipt's snapshot is the base. Raises DataWithheld, DataFalsified,
        FatalError where this host cannot run them, MissingPrerequisite, InsufficientResources.
        """
        from faas_microvm.base import open_base_snapshot
        from faas_microvm.engine import Engine

        async with AsyncExitStack() as stack:
            measurement = _base_of(receipt, provenance)
            if self._known("base") == measurement:
                base = await open_base_snapshot(self.home, self.progress)
            else:
                base = await self._machine(measurement)
            stack.callback(base.close)
            toolchains = {}
            if language is not None and not self._has_toolchain(receipt, language):
                toolchains[language] = await self._machine(receipt.toolchain)
                stack.callback(toolchains[language].close)
            engine = await Engine.open(self.home, self.progress, base=base, toolchains=toolchains)
            stack.pop_all()  # they are the engine's now
        try:
            for start in starts:
                if not await engine.has(start):
                    machine = await fetch_derived_machine(self.endpoints, start, base, progress=self.progress)
                    await engine.library.keep(machine, base, "fetched")
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
        from faas_microvm.fetched_machine import fetch_machine
        from faas_microvm.machine_manifest import decode_machine_manifest

        async def fetch(address: str) -> Snapshot:
            manifest = await _manifest(address, measurement, decode_machine_manifest)
            read = _reader(self.endpoints, len(manifest.memory) + 1, self.progress)
            return await fetch_machine(self.home, manifest, read)

        return await _first_that_serves(self.endpoints, measurement, fetch)

    def _known(self, name: str) -> Digest | None:
        from faas_microvm.base import known_measurement

        try:
            return known_measurement(name, self.home)
        except (FatalError, MissingPrerequisite):
            return None

    async def _keeps(self, measurement: Digest) -> bool:
        """Whether jobs have left this machine here, from a base of our own."""
        from faas_microvm.engine import open_store

        if self._known("base") is None:
            return False
        store = await open_store(self.home)
        try:
            return await store.is_made_here(measurement)
        except NotFound:
            return False
        finally:
            store.close()
