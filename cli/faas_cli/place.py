"""Where on which chain: from options, else from the devnet that runs on this machine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

import typer

from faas_blueprint.errors import MissingPrerequisite
from faas_verifier.chain import first_endpoint

RpcOption = Annotated[
    str | None,
    typer.Option(
        "--rpc",
        metavar="URL",
        envvar="FAAS_RPC_URL",
        help="The chain's endpoint; several with commas in between.",
    ),
]
TangleOption = Annotated[
    str | None, typer.Option("--tangle", metavar="ADDRESS", envvar="FAAS_TANGLE", help="Tangle's address.")
]
StakingOption = Annotated[
    str | None,
    typer.Option("--staking", metavar="ADDRESS", envvar="FAAS_STAKING", help="The staking router's address."),
]
BlueprintOption = Annotated[
    int | None, typer.Option("--blueprint", min=0, envvar="FAAS_BLUEPRINT_ID", help="Blueprint id.")
]


@dataclass(frozen=True, slots=True)
class Place:
    """A Tangle deployment and who speaks to it."""

    rpc_url: str
    """May be several, with commas in between."""
    tangle: str | None
    """The contract's address; None on a Substrate chain, whose pallet has none."""
    blueprint_id: int
    key: str | None = None
    staking: str | None = None
    """Tangle's staking router; no view of the protocol tells it."""
    local: bool = False
    """Whether this is the devnet of this machine."""

    @property
    def first_rpc_url(self) -> str:
        """For who asks one endpoint only."""
        return first_endpoint(self.rpc_url)


def find_place(
    rpc: str | None,
    tangle: str | None,
    blueprint: int | None,
    key: str | None = None,
    staking: str | None = None,
) -> Place:
    """Fill what is not given from the local devnet. Raises MissingPrerequisite when there is none.

    Where no contract is given, the endpoint is asked whether it is a Substrate node."""
    from faas_cli.running import DEVNET_FILE
    from faas_microvm.home import default_home
    from faas_operator.devnet import deployment as deployments

    if rpc and blueprint is not None and (tangle or _is_substrate(rpc)):
        return Place(rpc, tangle or None, blueprint, key, staking)
    advert = default_home() / DEVNET_FILE
    if rpc or not advert.is_file():
        raise MissingPrerequisite(
            "give --rpc, --tangle and --blueprint (no --tangle on a Substrate chain), or start a local chain "
            "with `faas up` or `faas devnet`"
        )
    local = deployments.read(advert)
    return Place(
        local.rpc_url,
        tangle or local.tangle,
        local.blueprint_id if blueprint is None else blueprint,
        key or local.customer_key,
        staking or local.staking,
        local=True,
    )


def _is_substrate(rpc: str) -> bool:
    from faas_operator.chain.substrate.rpc import is_substrate_node

    return asyncio.run(is_substrate_node(rpc))
