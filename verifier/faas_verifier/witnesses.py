"""The operators that have refuted a receipt themselves, and signed just the report that was found here.

A witness counts for the service manager if it has given the final answer; it takes as many as made that
final, two at the least. Operators' APIs show signatures at `/calls/{service_id}/{call_id}/refutations`,
and none is believed: who signed follows from it. Not here: sending the proof.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import Address, recover_address
from faas_blueprint.tangle import evidence, service_manager
from faas_verifier.blobs import Endpoints, ask
from faas_verifier.disputed_call import Refutation
from faas_verifier.rpc import Rpc

_MOST_BYTES = 1 << 20
_MOST_SIGNATURES = 64
"""Of one call by one operator: there are 16 answers at the most."""


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What it takes to prove a refutation to the service manager, and what is there of it."""

    refutation: Refutation
    needed: int
    """Witnesses; 0 where the call is not final."""
    signatures: Mapping[Address, bytes]
    """By witness, ascending."""
    proposed: bool
    """Whether a slash has been proposed already."""

    @property
    def missing(self) -> str | None:
        """Why it cannot be proven, if so."""
        established = self.refutation.established
        if established is None:
            return "no answer that stands was found: there is nothing to prove it against"
        if not self.needed:
            return "the call has no final answer, or another one than was found to be right here"
        if len(self.signatures) < self.needed:
            return (
                f"{len(self.signatures)} of {self.needed} witnesses have signed report "
                f"{to_hex(self.refutation.report.digest())}"
            )
        return None

    def proof(self) -> bytes:
        """Call data for the service manager; nothing may be missing."""
        refutation, established = self.refutation, self.refutation.established
        assert established is not None
        return evidence.prove_refuted(
            refutation.bundle.receipt,
            refutation.bundle.signature,
            established.receipt,
            refutation.report.digest(),
            list(self.signatures.values())[: self.needed],
        )


async def gather_witnesses(
    rpc: Rpc, manager: Address, refutation: Refutation, endpoints: Endpoints
) -> Witnessed:
    """Ask the chain what it takes, and operators for what they have signed. Raises ChainUnavailable."""
    report, established = refutation.report, refutation.established
    place = report.call.service_id, report.call.call_id
    proposed = await rpc.read(manager, evidence.is_proposed(*place, report.operator))
    if proposed or established is None:
        return Witnessed(refutation, 0, {}, proposed)
    if not await rpc.read(manager, service_manager.is_established(established.receipt)):
        return Witnessed(refutation, 0, {}, proposed)
    managed = await rpc.read(manager, service_manager.call_of(*place))
    signed = evidence.refutation_digest(
        manager, refutation.bundle.receipt, established.receipt, report.digest()
    )
    found: dict[Address, bytes] = {}
    for signature in await _shown(refutation, endpoints):
        try:
            witness = recover_address(signed, signature)
        except InvalidRequest:
            continue
        answer = await rpc.read(manager, service_manager.agreement_of(*place, witness))
        if answer == report.established:
            found[witness] = signature
    return Witnessed(refutation, max(2, managed.votes), dict(sorted(found.items())), proposed)


async def _shown(refutation: Refutation, endpoints: Endpoints) -> list[bytes]:
    """Signatures that operators show under this report, whoever made them."""
    call, digest = refutation.report.call, refutation.report.digest()
    path = f"/calls/{call.service_id}/{call.call_id}/refutations"
    answers = await asyncio.gather(*(ask(address, path, _MOST_BYTES) for address in endpoints.addresses))
    return [
        signature
        for answer in answers
        if isinstance(answer, bytes)
        for signature in _signatures(answer, digest)
    ]


def _signatures(content: bytes, digest: Digest) -> Iterator[bytes]:
    try:
        items = cast("list[Mapping[str, object]]", json.loads(content)["refutations"])
        for item in items[:_MOST_SIGNATURES]:
            if item["report_digest"] == to_hex(digest):
                yield bytes.fromhex(str(item["signature"]).removeprefix("0x"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return
