"""What the operator's commands that act on an EVM chain share: their options, and the key opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faas_blueprint.errors import MissingPrerequisite
from faas_blueprint.receipt import ZERO_ADDRESS, address
from faas_cli.place import BlueprintOption, Place, RpcOption, TangleOption, find_place

if TYPE_CHECKING:
    from faas_operator.registration import Registration

__all__ = [
    "BlueprintOption",
    "JsonOption",
    "KeystoreOption",
    "RpcOption",
    "ServiceArgument",
    "TangleOption",
    "evm_place",
    "operator_session",
]

KeystoreOption = Annotated[
    Path | None, typer.Option(envvar="FAAS_KEYSTORE", help="Keystore file; default: in the home folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
ServiceArgument = Annotated[int, typer.Argument(metavar="SERVICE", min=0)]


def evm_place(
    rpc: str | None, tangle: str | None, blueprint: int | None, staking: str | None = None
) -> Place:
    """Where on which chain. Raises MissingPrerequisite on a Substrate chain."""
    place = find_place(rpc, tangle, blueprint, staking=staking)
    if place.tangle is None:
        raise MissingPrerequisite(
            "this is done on EVM chains only: on a Substrate chain use Tangle's own tools or polkadot.js, "
            "see docs/substrate.md"
        )
    return place


@asynccontextmanager
async def operator_session(place: Place, keystore_path: Path | None) -> AsyncIterator[Registration]:
    """The operator at a deployment; its key is opened with FAAS_KEYSTORE_PASSWORD.

    Raises MissingPrerequisite, FatalError, ChainUnavailable.
    """
    from faas_operator import keystore
    from faas_operator.chain.epochs import probe_epoch
    from faas_operator.chain.rpc import Rpc
    from faas_operator.chain.sender import TransactionSender
    from faas_operator.registration import Registration
    from faas_operator.settings import Secrets, Settings

    password = Secrets().keystore_password
    if password is None:
        raise MissingPrerequisite("set FAAS_KEYSTORE_PASSWORD to the password of the operator's keystore")
    account = keystore.load(keystore_path or Settings().keystore_path, password.get_secret_value())
    target = address(str(place.tangle))
    async with Rpc(place.rpc_url) as rpc:
        sends = TransactionSender(rpc, account, await rpc.chain_id())
        router = address(place.staking or ZERO_ADDRESS)
        yield Registration(rpc, sends, await probe_epoch(rpc, target), target, router)
