"""`faas operator stake | unstake`: more stake, and taking it back, in the bond token's smallest unit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faas_blueprint.errors import InvalidRequest, MissingPrerequisite
from faas_cli.console import print_json, run_async
from faas_cli.operator_session import (
    BlueprintOption,
    JsonOption,
    KeystoreOption,
    RpcOption,
    TangleOption,
    evm_place,
    operator_session,
)
from faas_cli.place import Place, StakingOption

if TYPE_CHECKING:
    from faas_operator.bond import Bond, Unstaking

Report = dict[str, object]


def stake_more(
    amount: Annotated[int, typer.Argument(min=1, help="In the bond token's smallest unit.")],
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    staking_router: StakingOption = None,
    blueprint: BlueprintOption = None,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add to this operator's stake; who has none becomes an operator by it. It is done each time it is asked.

    The key is opened with FAAS_KEYSTORE_PASSWORD.

    Example: faas operator stake 5000000000000000000
    """

    async def work(bond: Bond) -> Report:
        return {"operator": bond.operator.sender.address, "stake": await bond.increase(amount)}

    report = _run(_place(rpc, tangle, blueprint, staking_router), keystore, work)
    _print(report, as_json, f"the stake is {report['stake']}")


def unstake(
    amount: Annotated[
        int | None,
        typer.Argument(min=1, help="How much to begin to take back; without it what is due is paid out."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All of it: this account is no operator any more, at once.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Say what waits, send nothing.")] = False,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    staking_router: StakingOption = None,
    blueprint: BlueprintOption = None,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take stake back, in two steps: with an amount, or --all, schedule it; later, without, have it paid out.

    It waits for some of the staking router's rounds, and can be slashed meanwhile. --all is refused while
    services are served. The key is opened with FAAS_KEYSTORE_PASSWORD.

    Examples: faas operator unstake 1000000000000000000; faas operator unstake --status --json; faas operator
    unstake
    """
    if (amount is not None) + everything + status > 1:
        raise InvalidRequest("give an amount, --all or --status, only one of them")

    async def work(bond: Bond) -> Report:
        waiting, paid_out = None, 0
        if status:
            waiting = await bond.waiting()
        elif amount is not None:
            waiting = await bond.schedule(amount)
        elif everything:
            waiting = await bond.leave()
        else:
            paid_out = await bond.execute()
        return {
            "operator": bond.operator.sender.address,
            "stake": await bond.stake(),
            "paid_out": paid_out,
            **_waiting(waiting),
        }

    report = _run(_place(rpc, tangle, blueprint, staking_router), keystore, work)
    told = f"the stake is {report['stake']}"
    if report["paid_out"]:
        told += f", {report['paid_out']} was paid out"
    if report["unstaking"]:
        told += (
            f"; of it {report['unstaking']} can be taken back from round {report['ready_round']} on, "
            f"not before {report['executable_at']} (Unix seconds)"
        )
    _print(report, as_json, told)


def _waiting(waiting: Unstaking | None) -> Report:
    return {
        "unstaking": 0 if waiting is None else waiting.amount,
        "ready_round": None if waiting is None else waiting.ready_round,
        "executable_at": None if waiting is None else waiting.executable_at,
    }


def _place(rpc: str | None, tangle: str | None, blueprint: int | None, staking: str | None) -> Place:
    place = evm_place(rpc, tangle, blueprint, staking)
    if place.staking is None:
        raise MissingPrerequisite("give --staking, the address of Tangle's staking router")
    return place


def _run(place: Place, keystore: Path | None, work: Callable[[Bond], Awaitable[Report]]) -> Report:
    async def running() -> Report:
        from faas_operator.bond import Bond

        async with operator_session(place, keystore) as operator:
            return await work(Bond(operator))

    return run_async(running())


def _print(report: Report, as_json: bool, told: str) -> None:
    if as_json:
        print_json(report)
    else:
        print(told)
