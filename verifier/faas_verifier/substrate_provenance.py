"""The way back of `provenance` on a Substrate chain, where nobody registers machines or says what is final.

An answer is relied on when more than half of the service's operators, two at the least, have posted it: the
same claim, signed by the key that each is registered with. Nothing is registered, so the only root that can
be relied on is the verifier's own base, and no call whose program was compiled leaves a machine to rely on.
"""

from __future__ import annotations

from faas_blueprint.agreement import agreement_digest
from faas_blueprint.digests import ZERO_DIGEST, Digest
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.operation_payload import operation_of_call
from faas_blueprint.receipt import Receipt
from faas_verifier.checks import CHECKS
from faas_verifier.evidence import PostedResult, Provenance, evidence_from_chain
from faas_verifier.provenance import AGREEING, starts_of, way_back
from faas_verifier.substrate import SubstrateReader
from faas_verifier.verdict import Status

_MOST_ANSWERED = 256
"""Calls before the one in question that are looked through, the newest of them."""


async def substrate_provenance(reader: SubstrateReader, posted: PostedResult) -> Provenance | None:
    """The way back from what a result's call works on; None for what is no result. Raises as the reader."""
    receipt = _signed(posted)
    if receipt is None:
        return None
    try:
        operation = operation_of_call(posted.job_index, posted.inputs)
    except InvalidRequest:
        return None
    history = _PostedHistory(reader, posted)
    return await way_back(history, posted.call.call_id, starts_of(receipt, operation))


class _PostedHistory:
    """Of a chain that tells only who has posted what."""

    def __init__(self, reader: SubstrateReader, posted: PostedResult) -> None:
        self._reader = reader
        self._call = posted.call
        self._results: dict[int, tuple[PostedResult, ...]] | None = None

    async def is_registered(self, machine: Digest) -> bool | None:
        return None

    async def answers(self, machine: Digest) -> list[Receipt]:
        return [
            receipt
            for _, results in sorted((await self._before()).items())
            for receipt in map(_signed, results)
            if receipt is not None and receipt.state_root == machine
        ]

    async def is_agreed(self, receipt: Receipt) -> bool:
        if receipt.toolchain != ZERO_DIGEST:
            return False
        given = map(_signed, (await self._before())[receipt.call_id])
        claimed = agreement_digest(receipt)
        agreeing = {
            other.operator for other in given if other is not None and agreement_digest(other) == claimed
        }
        operators = await self._reader.operators(self._call.service_id)
        return len(agreeing & operators) >= max(AGREEING, len(operators) // 2 + 1)

    async def starts(self, receipt: Receipt) -> tuple[Digest, ...]:
        posted = (await self._before())[receipt.call_id][0]
        return starts_of(receipt, operation_of_call(posted.job_index, posted.inputs))

    async def _before(self) -> dict[int, tuple[PostedResult, ...]]:
        """The results of earlier calls, by call."""
        if self._results is None:
            answered = await self._reader.answered_calls(self._call.service_id, 0)
            earlier = [call_id for call_id in answered if call_id < self._call.call_id][-_MOST_ANSWERED:]
            self._results = {
                call_id: await self._reader.results(self._call.service_id, call_id) for call_id in earlier
            }
        return self._results


def _signed(posted: PostedResult) -> Receipt | None:
    """A result's receipt, if that is signed by its operator and hashes to what it says."""
    try:
        evidence = evidence_from_chain(posted)
    except InvalidRequest:
        return None
    if any(check(evidence).status is Status.FAILED for check in CHECKS):
        return None
    return evidence.bundle.receipt
