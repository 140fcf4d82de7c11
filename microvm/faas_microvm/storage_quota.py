"""How many bytes a snapshot store may hold.

Reservations are kept in the host's index, so that processes of one host together never exceed the
quota; what other hosts store is seen when the count is taken anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import InsufficientResources
from faas_microvm.page_index import PageIndex

COUNTED_SECONDS = 600.0
"""How long a count of used bytes is believed."""


class StorageQuota:
    """The room of one store; without a limit nothing is counted."""

    def __init__(self, index: PageIndex, allowed: int | None, count: Callable[[], Awaitable[int]]) -> None:
        self._index = index
        self._count = count
        self.allowed = allowed

    async def reserve(self, measurement: Digest, needed: int) -> None:
        """Count bytes as used before they are written. Raises InsufficientResources, and counts nothing."""
        if self.allowed is None:
            return
        if self._index.used_bytes(COUNTED_SECONDS) is None:
            await self._count_anew()
        if self._index.reserve(needed, self.allowed):
            return
        used = await self._count_anew()
        if not self._index.reserve(needed, self.allowed):
            raise InsufficientResources(
                f"the snapshot store has no room for snapshot {to_hex(measurement)}: {used} bytes used, "
                f"{needed} needed, {self.allowed} allowed; delete snapshots and collect garbage",
                {"used_bytes": used, "needed_bytes": needed, "allowed_bytes": self.allowed},
            )

    def forget(self) -> None:
        """The count is not known any more: something was removed, or a reservation was not used up."""
        self._index.set_used_bytes(None)

    async def _count_anew(self) -> int:
        used = await self._count()
        self._index.set_used_bytes(used)
        return used
