"""Branches of accounts: lines of snapshots that runs move on, and their merges."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from faas_blueprint.digests import to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.file_manifest import FileEntry
from faas_blueprint.job import Mode
from faas_blueprint.operation import MERGED_AT_MOST, Strategy
from faas_microvm.comparing import merge_snapshots
from faas_microvm.merge import Conflict as FileConflict
from faas_operator.execution_record import Conflict
from faas_operator.executions import ExecutionService
from faas_operator.snapshot_catalog import BASE, BranchEntry, Details, SnapshotEntry, SnapshotOrigin
from faas_operator.snapshot_keeping import store_branch


@dataclass(frozen=True, slots=True)
class MergedBranches:
    """A new snapshot with the files of several branches."""

    snapshot: SnapshotEntry
    branch_ids: tuple[str, ...]
    strategy: Strategy


class BranchService:
    """Branches by the ids of their accounts."""

    def __init__(self, executions: ExecutionService) -> None:
        self._engine = executions.engine
        self._keeping = executions.keeping
        self._catalog = executions.store.snapshots

    async def create(
        self, account: str, snapshot_id: str | None, parent_branch: str | None, details: Details
    ) -> BranchEntry:
        """A branch that begins at a snapshot, or where another branch stands. Raises NotFound."""
        if snapshot_id is None:
            if parent_branch is None:
                raise InvalidRequest("name the snapshot to begin at", {"field": "snapshot_id"})
            snapshot_id = (await self.get(account, parent_branch)).head_id
        elif parent_branch is not None:
            await self.get(account, parent_branch)
        await self._keeping.require_runnable(account, snapshot_id)
        if parent_branch is None:
            parent_branch = await self._made_in(account, snapshot_id)
        branch = await asyncio.to_thread(
            self._catalog.add_branch, account, snapshot_id, parent_branch, details
        )
        await self._keeping.point(branch)
        return branch

    async def page(
        self, account: str, limit: int, offset: int, snapshot_id: str | None, parent_branch: str | None
    ) -> tuple[Sequence[BranchEntry], int]:
        """Branches of an account, newest first, and how many there are in all."""
        return await asyncio.to_thread(
            self._catalog.branches, account, limit, offset, snapshot_id, parent_branch
        )

    async def get(self, account: str, branch_id: str) -> BranchEntry:
        """Raises NotFound."""
        return await asyncio.to_thread(self._catalog.branch, account, branch_id)

    async def delete(self, account: str, branch_id: str) -> None:
        """Forget a branch; its snapshots stay. Raises NotFound."""
        await asyncio.to_thread(self._catalog.remove_branch, account, branch_id)
        await self._keeping.unpoint(store_branch(account, branch_id))

    async def merge(
        self, account: str, branch_ids: Sequence[str], strategy: Strategy, details: Details
    ) -> MergedBranches:
        """Merge the heads of branches, one after the other, into a new snapshot; no branch is moved.

        Raises Conflict that lists every path which the strategy does not decide.
        """
        if not 2 <= len(branch_ids) <= MERGED_AT_MOST or len(set(branch_ids)) < len(branch_ids):
            raise InvalidRequest(
                f"name from 2 to {MERGED_AT_MOST} different branches", {"field": "branch_ids"}
            )
        branches = [await self.get(account, branch_id) for branch_id in branch_ids]
        heads = [await self._keeping.measurement(account, branch.head_id) for branch in branches]
        merged = heads[0]
        for branch, head in zip(branches[1:], heads[1:], strict=True):
            result = await merge_snapshots(self._engine, merged, head, strategy)
            if result.record is None:
                raise _conflict(branches[0].id, branch.id, strategy, result.conflicts)
            merged = result.record.measurement
        origin = SnapshotOrigin(Mode.BRANCHED, parent_id=branches[0].head_id)
        entry = await self._keeping.enter(account, merged, origin, details)
        return MergedBranches(entry, tuple(branch_ids), strategy)

    async def _made_in(self, account: str, snapshot_id: str) -> str | None:
        """The branch in which a snapshot was made."""
        if snapshot_id == BASE:
            return None
        return (await asyncio.to_thread(self._catalog.snapshot, account, snapshot_id)).branch_id


def _conflict(ours: str, theirs: str, strategy: Strategy, conflicts: Sequence[FileConflict]) -> Conflict:
    return Conflict(
        f"{len(conflicts)} paths were changed in both {ours} and {theirs}; choose the strategy ours, theirs "
        "or union, or settle them in one of the branches",
        {
            "branch_ids": [ours, theirs],
            "strategy": str(strategy),
            "conflicts": [
                {
                    "path": conflict.path,
                    "kind": str(conflict.kind),
                    "ours": _side(conflict.ours_entry),
                    "theirs": _side(conflict.theirs_entry),
                    "base": _side(conflict.base_entry),
                }
                for conflict in conflicts
            ],
        },
    )


def _side(entry: FileEntry | None) -> dict[str, object] | None:
    if entry is None:
        return None
    return {"kind": entry.kind.name.lower(), "size": entry.size, "sha256": to_hex(entry.sha256)}
