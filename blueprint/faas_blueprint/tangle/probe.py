"""Which epoch a deployment belongs to, told by the selectors that its router knows.

Ask `protocol.facet_for_selector` for each of `PROBED_SELECTORS`, hand the answers to `choose_epoch`.
"""

from __future__ import annotations

from collections.abc import Mapping

from faas_blueprint.errors import FatalError
from faas_blueprint.receipt import ZERO_ADDRESS, Address
from faas_blueprint.tangle import epoch_0_10, epoch_0_19
from faas_blueprint.tangle.epoch import TangleEpoch

_OLD_APPROVAL = epoch_0_10.APPROVE_SERVICE.selector
_APPROVAL = epoch_0_19.APPROVE_SERVICE.selector
_DEFINITION_HASH = epoch_0_19.BLUEPRINT_DEFINITION_HASH.selector

PROBED_SELECTORS = (_OLD_APPROVAL, _APPROVAL, _DEFINITION_HASH)

EPOCHS: Mapping[str, TangleEpoch] = {"0.10": epoch_0_10.Epoch010(), "0.19": epoch_0_19.Epoch019()}
"""By name."""


def choose_epoch(facets: Mapping[bytes, Address]) -> TangleEpoch:
    """The epoch, from each probed selector's facet. Raises FatalError when it is none that we speak."""
    known = {selector for selector in PROBED_SELECTORS if facets.get(selector, ZERO_ADDRESS) != ZERO_ADDRESS}
    if _APPROVAL in known and _DEFINITION_HASH in known:
        return EPOCHS["0.19"]
    if _APPROVAL in known:
        raise FatalError("this Tangle deployment speaks protocol 0.11 to 0.18; 0.10 and 0.19 are supported")
    if _OLD_APPROVAL in known:
        return EPOCHS["0.10"]
    raise FatalError("the contract is not a Tangle router: it knows no way to approve a service")
