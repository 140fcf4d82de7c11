"""What the operator needs of an engine; `faas_microvm.engine.Engine` is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from faas_blueprint.digests import Digest
from faas_blueprint.operation import Operation
from faas_microvm.derived_manifest import DerivedManifest
from faas_microvm.execution import Execution
from faas_microvm.fetched_machine import ReadPiece


class JobEngine(Protocol):
    """Does what calls ask for, from one measured base; safe for concurrent calls."""

    @property
    def profile_id(self) -> Digest:
        """The kind of machine."""
        ...

    @property
    def measurement(self) -> Digest:
        """The base snapshot."""
        ...

    async def perform(
        self, operation: Operation, contents: Mapping[Digest, bytes], keeper: str | None = None
    ) -> Execution:
        """Do what a call asks for; cancelling it stops its machine. `contents` holds its blobs by SHA-256,
        checked; what it keeps is held under the name `keeper`.

        Raises NotFound for a snapshot that is not here, RequestError for what cannot be done, MachineFailure
        or InsufficientResources where another try may succeed, MissingPrerequisite where none can.
        """
        ...

    async def missing(self, operation: Operation) -> tuple[Digest, ...]:
        """The snapshots that a call works on, and cannot have here."""
        ...

    async def adopt(self, manifest: DerivedManifest, read: ReadPiece) -> None:
        """Keep a machine that another operator has published, once it is put together and measured.

        Raises InvalidRequest when it is not that machine, InsufficientResources, and what `read` raises.
        """
        ...
