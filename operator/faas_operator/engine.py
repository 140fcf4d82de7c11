"""What the operator needs of an engine; `faas_microvm.engine.Engine` is one."""

from __future__ import annotations

from typing import Protocol

from faas_blueprint.digests import Digest
from faas_blueprint.job import Job
from faas_microvm.execution import Execution


class JobEngine(Protocol):
    """Runs jobs from one measured snapshot; safe for concurrent calls."""

    @property
    def profile_id(self) -> Digest:
        """The kind of machine."""
        ...

    @property
    def measurement(self) -> Digest:
        """The snapshot that every job starts from."""
        ...

    async def run(self, job: Job) -> Execution:
        """Run one job; cancelling the call stops its machine.

        Raises InvalidRequest for a job that cannot be run, MachineFailure or InsufficientResources
        where another try may succeed, MissingPrerequisite where none can.
        """
        ...
