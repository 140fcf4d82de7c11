"""What was posted to whichever chain an endpoint serves: Tangle's contract, or a Substrate chain's pallet.

The endpoint is asked what it is where no contract is named. Reading is `chain`'s and `substrate`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faas_blueprint.errors import MissingPrerequisite
from faas_blueprint.receipt import Address
from faas_verifier.audit import answered_calls
from faas_verifier.chain import DEVNET_TANGLE, read_call
from faas_verifier.evidence import PostedResult
from faas_verifier.provenance import with_origin
from faas_verifier.rpc import Refused, Rpc

if TYPE_CHECKING:
    from faas_verifier.substrate import SubstrateReader


async def posted_results(
    rpc: Rpc, tangle: Address | None, service_id: int, call_id: int, with_registration: bool = False
) -> tuple[PostedResult, ...]:
    """All results of a call; on request with whether the service manager knows what each starts from, and the
    way back from there, which a Substrate chain's is not asked. Raises NotFound, ChainUnavailable,
    MissingPrerequisite, FatalError."""
    reader = await _substrate_reader(rpc, tangle)
    if reader is not None:
        return await reader.results(service_id, call_id)
    found = (await read_call(rpc, tangle or DEVNET_TANGLE, service_id, call_id)).results
    if not with_registration:
        return found
    return tuple([await with_origin(rpc, result) for result in found])


async def finished_calls(rpc: Rpc, tangle: Address | None, service_id: int, first_block: int) -> list[int]:
    """The calls of a service that have a result, but for older ones. Raises as `posted_results`."""
    reader = await _substrate_reader(rpc, tangle)
    if reader is not None:
        return await reader.answered_calls(service_id, first_block)
    return await answered_calls(rpc, tangle or DEVNET_TANGLE, service_id, first_block)


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
