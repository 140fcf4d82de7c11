"""A Substrate chain that is followed and never written to; see `chain.dry`."""

from __future__ import annotations

import secrets
from typing import Any, Self

from faas_blueprint.errors import ResultRefused
from faas_blueprint.receipt import CallReference
from faas_operator.chain.dry import NOT_POSTED
from faas_operator.chain.interface import CallStanding, PostedResult
from faas_operator.chain.substrate.adapter import SubstrateAdapter
from faas_operator.chain.substrate.key import AccountKey


class DrySubstrateAdapter(SubstrateAdapter):
    """See `ChainAdapter`. Its account is of no use to anyone: it signs nothing that leaves the node."""

    @classmethod
    async def follow(cls, rpc_url: str, blueprint_id: int, service_id: int | None) -> Self:
        """Connect. Raises ChainUnavailable, and FatalError when the chain is not Tangle's."""
        key = AccountKey.from_seed(secrets.token_bytes(32), "sr25519")
        return await cls.connect(rpc_url, blueprint_id, key, b"", service_id=service_id)

    async def standing(self, call: CallReference) -> CallStanding:
        """Open while the service is, whoever serves it and whoever has answered."""
        self._check(call)
        best = (await self._rpc.best()).block_hash
        if not await self.runtime.exists(best, "Services", "JobCalls", call.service_id, call.call_id):
            return CallStanding.CLOSED
        there = await self.runtime.exists(best, "Services", "Instances", call.service_id)
        return CallStanding.OPEN if there else CallStanding.CLOSED

    def _serves(self, service: Any) -> bool:
        """Whoever serves."""
        return service is not None

    async def post_result(self, call: CallReference, payload: bytes) -> PostedResult:
        """Raises ResultRefused, always."""
        raise ResultRefused(NOT_POSTED, {"reason": "dry"})
