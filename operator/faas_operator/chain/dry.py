"""A chain that is followed and never written to.

For a node that tries itself out: it needs no stake, no registration and no key, sees the jobs of the
blueprint's services as their operators do, runs them, and posts nothing.
"""

from __future__ import annotations

from faas_blueprint.errors import ResultRefused
from faas_blueprint.receipt import CallReference
from faas_blueprint.tangle import protocol
from faas_operator.chain.evm import EvmAdapter, Found
from faas_operator.chain.interface import CallStanding, PostedResult

NOT_POSTED = "dry run: the result is not posted"


class DryAdapter(EvmAdapter):
    """See `ChainAdapter`. Its account is of no use to anyone: it signs nothing that leaves the node."""

    async def _while_served(self, found: list[Found]) -> list[Found]:
        """All of them, whoever serves."""
        return found

    async def standing(self, call: CallReference) -> CallStanding:
        """Open while the service is, whoever serves it and whoever has answered."""
        self._check(call)
        service = await self.rpc.read(self.tangle, protocol.service(call.service_id))
        open_now = service.is_open((await self.rpc.head()).timestamp)
        return CallStanding.OPEN if open_now else CallStanding.CLOSED

    async def post_result(self, call: CallReference, payload: bytes) -> PostedResult:
        """Raises ResultRefused, always."""
        raise ResultRefused(NOT_POSTED, {"reason": "dry"})
