"""`faas operator claim`: fetch what customers have paid."""

from __future__ import annotations

from pathlib import Path

from faas_blueprint.errors import MissingPrerequisite
from faas_blueprint.receipt import ZERO_ADDRESS, address
from faas_cli.console import print_json, run_async
from faas_cli.operator_slashes import JsonOption, KeystoreOption
from faas_cli.place import BlueprintOption, Place, RpcOption, TangleOption, find_place


def claim(
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch this operator's rewards in the native token from Tangle; nothing to fetch is no error.

    The key is opened with FAAS_KEYSTORE_PASSWORD.
    """
    place = find_place(rpc, tangle, blueprint)
    if place.tangle is None:
        raise MissingPrerequisite("rewards are claimed on EVM chains only")
    operator, claimed = run_async(_claim(place, keystore))
    if as_json:
        print_json({"operator": operator, "claimed_wei": claimed})
    else:
        print(f"claimed {claimed} wei for {operator}" if claimed else f"nothing to claim for {operator}")


async def _claim(place: Place, keystore_path: Path | None) -> tuple[str, int]:
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
        epoch = await probe_epoch(rpc, target)
        registration = Registration(rpc, sends, epoch, target, address(place.staking or ZERO_ADDRESS))
        return sends.address, await registration.claim()
