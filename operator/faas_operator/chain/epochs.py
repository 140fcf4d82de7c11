"""Asks a deployment which ABI epoch it speaks."""

from __future__ import annotations

from faas_blueprint.errors import FatalError
from faas_blueprint.receipt import Address
from faas_blueprint.tangle import protocol
from faas_blueprint.tangle.epoch import TangleEpoch
from faas_blueprint.tangle.probe import PROBED_SELECTORS, choose_epoch
from faas_operator.chain.endpoint import Reverted
from faas_operator.chain.rpc import Rpc


async def probe_epoch(rpc: Rpc, tangle: Address) -> TangleEpoch:
    """The deployment's epoch. Raises FatalError when the address is no Tangle that we can speak to."""
    if await rpc.request("eth_getCode", tangle, "latest") in ("0x", None):
        raise FatalError(f"there is no contract at {tangle} on this chain")
    try:
        facets = {
            selector: await rpc.read(tangle, protocol.facet_for_selector(selector))
            for selector in PROBED_SELECTORS
        }
    except Reverted as error:
        raise FatalError(f"{tangle} is not a Tangle router: {error}") from error
    return choose_epoch(facets)
