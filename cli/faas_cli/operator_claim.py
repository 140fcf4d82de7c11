"""`faas operator claim`: fetch what customers have paid, and what delegations earn."""

from __future__ import annotations

from pathlib import Path

from faas_blueprint.receipt import ZERO_ADDRESS
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
from faas_cli.place import Place


def claim(
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch this operator's rewards: its share of payments, native and in tokens, and its commission.

    The commission is what the reward vaults owe for delegations. Nothing to fetch is no error. A token that
    cannot be paid out is told and hinders no other. The key is opened with FAAS_KEYSTORE_PASSWORD.

    Example: faas operator claim --json
    """
    report = run_async(_claim(evm_place(rpc, tangle, blueprint), keystore))
    if as_json:
        print_json(report)
        return
    lines = [
        f"{kind}: {amount} {'wei' if token == ZERO_ADDRESS else f'of {token}'}"
        for kind in ("rewards", "commission")
        for token, amount in _items(report[kind])
    ]
    lines += [f"not paid out: {token}: {reason}" for token, reason in _items(report["refused"])]
    print("\n".join(lines) or f"nothing to claim for {report['operator']}")


def _items(value: object) -> list[tuple[str, object]]:
    return list(value.items()) if isinstance(value, dict) else []


async def _claim(place: Place, keystore_path: Path | None) -> dict[str, object]:
    from faas_operator.rewards import claim as claim_all

    async with operator_session(place, keystore_path) as operator:
        claimed = await claim_all(operator)
        return {
            "operator": operator.sender.address,
            "claimed_wei": claimed.rewards.get(ZERO_ADDRESS, 0),
            "rewards": claimed.rewards,
            "commission": claimed.commission,
            "refused": claimed.refused,
        }
