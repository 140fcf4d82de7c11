"""`faas operator register | status`; the other commands are modules of their own."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from faas_blueprint.errors import MissingPrerequisite
from faas_blueprint.receipt import Address, address
from faas_blueprint.tangle import protocol, staking
from faas_cli.configuration import show_config
from faas_cli.console import note, print_json, run_async
from faas_cli.database import database
from faas_cli.doctor import doctor
from faas_cli.operator_claim import claim
from faas_cli.operator_membership import join, leave, unregister
from faas_cli.operator_requests import approve, reject, requests
from faas_cli.operator_run import run
from faas_cli.operator_slashes import dispute_slash, slashes
from faas_cli.operator_stake import stake_more, unstake
from faas_cli.operator_substrate import read_status, refuse_registration
from faas_cli.place import (
    BlueprintOption,
    Place,
    RpcOption,
    StakingOption,
    TangleOption,
    find_place,
)

app = typer.Typer(help="The node that answers jobs.", no_args_is_help=True)
app.command()(run)
app.command()(doctor)
app.command("show-config")(show_config)
app.command()(database)
app.command()(claim)
app.command()(slashes)
app.command("dispute-slash")(dispute_slash)
app.command()(requests)
app.command()(approve)
app.command()(reject)
app.command()(join)
app.command()(leave)
app.command()(unregister)
app.command("stake")(stake_more)
app.command()(unstake)

PASSWORD_VARIABLE = "FAAS_KEYSTORE_PASSWORD"
DEFAULT_STAKE = 100 * 10**18

KeystoreOption = Annotated[
    Path | None, typer.Option(envvar="FAAS_KEYSTORE", help="Keystore file; default: in the home folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.command()
def register(
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    staking_router: StakingOption = None,
    blueprint: BlueprintOption = None,
    keystore: KeystoreOption = None,
    rpc_address: Annotated[
        str, typer.Option(help="Where customers reach this operator's API.")
    ] = "http://127.0.0.1:8080",
    stake: Annotated[int, typer.Option(help="Bond, in the bond token's smallest unit.")] = DEFAULT_STAKE,
    as_json: JsonOption = False,
) -> None:
    """Make a key if there is none, stake, register for the blueprint, approve open service requests.

    Only requests that the policy allows (FAAS_APPROVED_REQUESTERS, FAAS_SERVICES_AT_MOST, the price floor)
    are approved, and it says why others are not. The key is kept encrypted under FAAS_KEYSTORE_PASSWORD. On a
    local devnet the account is funded. Every step that was taken already is passed over, so it can be run
    again. On a Substrate chain it makes the key and says what to do with Tangle's own tools.
    """
    place = find_place(rpc, tangle, blueprint, staking=staking_router)
    if place.tangle is None:
        refuse_registration(keystore, _password(), place.blueprint_id)
    report = run_async(_register(place, keystore, rpc_address, stake))
    if as_json:
        print_json(report)
    else:
        for name, value in report.items():
            print(f"{name:20} {value}")


async def _register(
    place: Place, keystore_path: Path | None, rpc_address: str, stake: int
) -> dict[str, object]:
    from faas_operator import keystore
    from faas_operator.chain.epochs import probe_epoch
    from faas_operator.chain.rpc import Rpc
    from faas_operator.chain.sender import TransactionSender
    from faas_operator.devnet.provision import fund_operator
    from faas_operator.node import approval_policy
    from faas_operator.registration import Registration
    from faas_operator.settings import Settings

    settings = Settings()
    path = keystore_path or settings.keystore_path
    password = _password()
    account = keystore.load(path, password) if path.exists() else keystore.create(path, password)
    own = address(account.address)
    note(f"operator {own}, key in {path}")
    assert place.tangle is not None
    target = address(place.tangle)
    async with Rpc(place.rpc_url) as rpc:
        epoch = await probe_epoch(rpc, target)
        router = _staking_router(place)
        if place.local:
            await fund_operator(rpc, router, own, stake)
        sends = TransactionSender(rpc, account, await rpc.chain_id())
        registration = Registration(rpc, sends, epoch, target, router)
        await registration.stake(stake)
        note("staked")
        await registration.register(place.blueprint_id, keystore.public_key(account), rpc_address)
        note(f"registered for blueprint {place.blueprint_id}")
        approvals = await registration.approve_all(place.blueprint_id, approval_policy(settings))
        for request_id, reason in approvals.refused.items():
            note(f"request {request_id} is not approved: {reason}")
    return {
        "operator": own,
        "keystore": str(path),
        "blueprint_id": place.blueprint_id,
        "approved_requests": list(approvals.approved),
        "refused_requests": {str(name): reason for name, reason in approvals.refused.items()},
    }


def _staking_router(place: Place) -> Address:
    if place.staking is None:
        raise MissingPrerequisite("give --staking, the address of Tangle's staking router")
    return address(place.staking)


def _password() -> str:
    password = os.environ.get(PASSWORD_VARIABLE)
    if password:
        return password
    if not sys.stdin.isatty():
        raise MissingPrerequisite(f"set {PASSWORD_VARIABLE} to the password of the operator's keystore")
    return str(typer.prompt("keystore password", hide_input=True, err=True))


@app.command()
def status(
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    staking_router: StakingOption = None,
    blueprint: BlueprintOption = None,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show this operator's standing on-chain and the jobs in its store."""
    place = find_place(rpc, tangle, blueprint, staking=staking_router)
    if place.tangle is None:
        report = run_async(read_status(place.rpc_url, place.blueprint_id, keystore))
    else:
        report = run_async(_status(place, keystore))
    if as_json:
        print_json(report)
    else:
        for name, value in report.items():
            print(f"{name:20} {value}")


async def _status(place: Place, keystore_path: Path | None) -> dict[str, object]:
    from faas_operator import keystore
    from faas_operator.chain.discovery import active_services
    from faas_operator.chain.rpc import Rpc
    from faas_operator.settings import Secrets, Settings, database_url
    from faas_operator.store import Store

    settings = Settings()
    own = keystore.stored_address(keystore_path or settings.keystore_path)
    with closing(Store.open(database_url(settings, Secrets()))) as store:
        jobs = {str(state): count for state, count in store.count_by_state().items()}
    assert place.tangle is not None
    target = address(place.tangle)
    async with Rpc(place.rpc_url) as rpc:
        router = _staking_router(place)
        services = await active_services(rpc, target, place.blueprint_id)
        return {
            "operator": own,
            "chain_id": await rpc.chain_id(),
            "staked": await rpc.read(router, staking.is_operator_active(own)),
            "registered": await rpc.read(target, protocol.is_operator_registered(place.blueprint_id, own)),
            "blueprint_id": place.blueprint_id,
            "services": [found.service_id for found in services if own in found.operators],
            "balance_wei": int(str(await rpc.request("eth_getBalance", own, "latest")), 16),
            "jobs": jobs,
        }
