"""`faas operator join | leave | unregister`: coming to services that run, and going."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faas_blueprint.errors import InvalidRequest
from faas_cli.console import print_json, run_async
from faas_cli.operator_session import (
    BlueprintOption,
    JsonOption,
    KeystoreOption,
    RpcOption,
    ServiceArgument,
    TangleOption,
    evm_place,
    operator_session,
)
from faas_cli.place import Place

if TYPE_CHECKING:
    from faas_operator.departure import Departure, Exit


def join(
    service_id: ServiceArgument,
    exposure_bps: Annotated[
        int,
        typer.Option(min=1, max=10_000, help="Share of the stake that stands for the service, in 1/10000."),
    ] = 10_000,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Join a service that runs.

    Its membership must be dynamic, and the blueprint's manager must let this operator in. The least stake
    that the service asks for in each asset is committed. With this project's manager the service's owner has
    to admit the operator first. The key is opened with FAAS_KEYSTORE_PASSWORD.

    Example: faas operator join 3
    """
    report = run_async(_join(evm_place(rpc, tangle, blueprint), keystore, service_id, exposure_bps))
    if as_json:
        print_json(report)
    else:
        print(f"service {service_id} joined")


async def _join(place: Place, keystore: Path | None, service_id: int, exposure_bps: int) -> dict[str, object]:
    from faas_operator.departure import Departure

    async with operator_session(place, keystore) as operator:
        asked = await Departure(operator, place.blueprint_id).join(service_id, exposure_bps)
        return {
            "service_id": service_id,
            "operator": operator.sender.address,
            "exposure_bps": exposure_bps,
            "commitments": [{"token": item.token, "exposure_bps": item.least_bps} for item in asked],
        }


def leave(
    service_id: ServiceArgument,
    cancel: Annotated[bool, typer.Option("--cancel", help="Stay: take a scheduled exit back.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Say how far it has come, send nothing.")] = False,
    owing: Annotated[
        bool, typer.Option("--owing", help="Leave though results are owed; they will never be posted.")
    ] = False,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Leave a service: schedule the exit, and once it is due and no result is owed, execute it.

    A node that runs executes it by itself when it is due. Asked again it says how far it has come. Who was
    put out by the service's owner is told so. The key is opened with FAAS_KEYSTORE_PASSWORD.

    Examples: faas operator leave 3; faas operator leave 3 --status --json; faas operator leave 3 --cancel
    """
    if cancel and (status or owing):
        raise InvalidRequest("--cancel goes with neither --status nor --owing")
    action = "cancel" if cancel else "status" if status else "owing" if owing else "leave"
    report = run_async(_leave(evm_place(rpc, tangle, blueprint), keystore, service_id, action))
    if as_json:
        print_json(report)
    else:
        print(f"service {service_id}: {report['told']}")


async def _leave(place: Place, keystore: Path | None, service_id: int, action: str) -> dict[str, object]:
    from faas_operator.departure import Departure

    async with operator_session(place, keystore) as operator:
        departure = Departure(operator, place.blueprint_id)
        found = await _look(departure, service_id)
        if action == "cancel":
            await departure.cancel(service_id)
            found = await _look(departure, service_id)
        elif action != "status":
            found = await _go_on(departure, found, owing=action == "owing")
        return {
            "service_id": service_id,
            "operator": operator.sender.address,
            "standing": found.standing,
            "executable_at": found.executable_at if found.standing in ("scheduled", "executable") else None,
            "left_at": found.executable_at if found.standing == "left" else None,
            "forced_by": found.forced_by,
            "results_owed": found.owed,
            "too_few_operators": found.too_few,
            "told": _told(found),
        }


async def _go_on(departure: Departure, found: Exit, owing: bool) -> Exit:
    if found.standing == "none":
        await departure.schedule(found.service_id)
        found = await _look(departure, found.service_id)
    if found.standing == "executable" and (owing or not found.owed):
        await departure.execute(found.service_id)
        found = await _look(departure, found.service_id)
    return found


async def _look(departure: Departure, service_id: int) -> Exit:
    """With the results that this node's store owes."""
    from faas_operator.departure import results_owed
    from faas_operator.settings import Secrets, Settings, database_url
    from faas_operator.store import Store

    settings, operator = Settings(), departure.operator
    with closing(Store.open(database_url(settings, Secrets()))) as store:
        owed = results_owed(store, await operator.rpc.chain_id(), operator.tangle, service_id)
    return await departure.look(service_id, owed, settings.start_block)


def _told(found: Exit) -> str:
    if found.standing == "left":
        how = "left" if found.forced_by is None else f"put out by {found.forced_by}"
        return f"{how} at {found.executable_at} (Unix seconds)"
    if found.standing == "none":
        return "served, no exit is scheduled"
    told = f"the exit can be executed from {found.executable_at} (Unix seconds) on"
    if found.standing == "executable":
        told = f"the exit is due since {found.executable_at} (Unix seconds)"
    if found.owed:
        told += f"; {found.owed} results are owed and come first"
    if found.too_few:
        told += "; Tangle lets nobody leave until another operator joins: the service has its least number"
    return told


def unregister(
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take this operator's name off the blueprint, so that no new service asks for it. The stake stays.

    Refused while services of the blueprint are served. The key is opened with FAAS_KEYSTORE_PASSWORD.

    Example: faas operator unregister
    """
    place = evm_place(rpc, tangle, blueprint)
    operator = run_async(_unregister(place, keystore))
    if as_json:
        print_json({"operator": operator, "blueprint_id": place.blueprint_id, "registered": False})
    else:
        print(f"{operator} is not registered for blueprint {place.blueprint_id} any more")


async def _unregister(place: Place, keystore: Path | None) -> str:
    from faas_operator.departure import Departure

    async with operator_session(place, keystore) as operator:
        await Departure(operator, place.blueprint_id).unregister()
        return operator.sender.address
