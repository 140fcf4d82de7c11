"""What was posted to whichever chain an endpoint serves: Tangle's contract, or a Substrate chain's pallet.

The endpoint is asked what it is where no contract is named. Reading is `chain`'s and `substrate`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from faas_blueprint.errors import MissingPrerequisite, NotFound
from faas_blueprint.receipt import Address, CallReference
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.genesis import is_substrate
from faas_verifier.audit import answered_calls
from faas_verifier.chain import DEVNET_TANGLE, read_call
from faas_verifier.evidence import PostedResult
from faas_verifier.provenance import with_origin
from faas_verifier.rpc import Refused, Rpc

if TYPE_CHECKING:
    from faas_verifier.substrate import SubstrateReader


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A call with its answers."""

    call: CallReference
    results: tuple[PostedResult, ...]
    """At least one."""
    operators: frozenset[Address]
    """All of its service."""


async def posted_results(
    rpc: Rpc, tangle: Address | None, service_id: int, call_id: int, with_registration: bool = False
) -> tuple[PostedResult, ...]:
    """All results of a call; on request with whether the service manager knows what each starts from, and the
    way back from there. Raises NotFound, ChainUnavailable, MissingPrerequisite, FatalError."""
    reader = await _substrate_reader(rpc, tangle)
    return await _results(rpc, reader, tangle, service_id, call_id, with_registration)


async def answered_call(
    rpc: Rpc, tangle: Address | None, service_id: int, call_id: int, with_registration: bool = False
) -> AnsweredCall:
    """A call, its results as `posted_results` has them, and who serves. Raises likewise; NotFound also when
    there is no result yet."""
    reader = await _substrate_reader(rpc, tangle)
    results = await _results(rpc, reader, tangle, service_id, call_id, with_registration)
    if not results:
        raise NotFound(f"call {call_id} of service {service_id} has no result yet")
    call = results[0].call
    if reader is not None:
        return AnsweredCall(call, results, await reader.operators(service_id))
    operators = await rpc.read(call.tangle, protocol.service_operators(service_id))
    return AnsweredCall(call, results, frozenset(operators))


async def _results(
    rpc: Rpc,
    reader: SubstrateReader | None,
    tangle: Address | None,
    service_id: int,
    call_id: int,
    with_registration: bool,
) -> tuple[PostedResult, ...]:
    if reader is not None:
        found = await reader.results(service_id, call_id)
    else:
        found = (await read_call(rpc, tangle or DEVNET_TANGLE, service_id, call_id)).results
    if not with_registration:
        return found
    return tuple([await _with_origin(rpc, reader, result) for result in found])


async def origin_of(rpc: Rpc, posted: PostedResult) -> PostedResult:
    """A result with what its chain says of where its machines come from. Raises as `posted_results`."""
    substrate = is_substrate(posted.call.chain_id)
    return await _with_origin(rpc, await _substrate_reader(rpc, None) if substrate else None, posted)


async def _with_origin(rpc: Rpc, reader: SubstrateReader | None, posted: PostedResult) -> PostedResult:
    if reader is None:
        return await with_origin(rpc, posted)
    from faas_verifier.substrate_provenance import substrate_provenance

    return replace(posted, provenance=await substrate_provenance(reader, posted))


async def finished_calls(rpc: Rpc, tangle: Address | None, service_id: int, first_block: int) -> list[int]:
    """The calls of a service that have a result, but for older ones. Raises as `posted_results`."""
    reader = await _substrate_reader(rpc, tangle)
    if reader is not None:
        return await reader.answered_calls(service_id, first_block)
    contract = tangle or DEVNET_TANGLE
    if not (await rpc.read(contract, protocol.service(service_id))).created_at:
        raise NotFound(f"there is no service {service_id}")
    return await answered_calls(rpc, contract, service_id, first_block)


async def _substrate_reader(rpc: Rpc, tangle: Address | None) -> SubstrateReader | None:
    """None where a contract is named, or the endpoint is no Substrate node."""
    if tangle is not None or not await _is_substrate_node(rpc):
        return None
    try:
        from faas_verifier.substrate import SubstrateReader
    except ImportError as error:
        raise MissingPrerequisite(
            f"{rpc.url} serves a Substrate chain, and reading it takes the package {error.name}: "
            "pip install 'tangle-faas[substrate]'"
        ) from error
    return SubstrateReader(rpc)


async def _is_substrate_node(rpc: Rpc) -> bool:
    try:
        await rpc.request("state_getRuntimeVersion")
    except Refused:
        return False
    return True
