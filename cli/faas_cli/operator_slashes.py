"""`faas operator slashes | dispute-slash`: what is proposed against this operator, and saying no to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import address
from faas_blueprint.tangle import slashing
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


def slashes(
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the slash proposals against this operator since FAAS_START_BLOCK, with what is laid ready."""
    found = run_async(_slashes(evm_place(rpc, tangle, blueprint), keystore))
    if as_json:
        print_json({"slashes": found})
    elif not found:
        print("no slash was proposed against this operator")
    else:
        for item in found:
            print(
                f"slash {item['slash_id']}: {item['standing']}, service {item['service_id']}, "
                f"{item['effective_bps']} bps, by {item['proposer']}, executable after "
                f"{item['execute_after']} (Unix seconds), answer: {item['answer'] or 'not laid ready'}"
            )


async def _slashes(place: Place, keystore_path: Path | None) -> list[dict[str, object]]:
    from faas_operator import keystore
    from faas_operator.chain.rpc import Rpc
    from faas_operator.chain.slashes import slashes_against, standing_of
    from faas_operator.settings import Settings
    from faas_operator.slash_alerts import answer_file, answers_folder

    settings, target = Settings(), address(str(place.tangle))
    own = keystore.stored_address(keystore_path or settings.keystore_path)
    async with Rpc(place.rpc_url) as rpc:
        folder = answers_folder(settings.home, await rpc.chain_id(), target)
        last = (await rpc.head()).block.number
        found = []
        for proposal, _ in await slashes_against(rpc, target, own, settings.start_block, last):
            status = await standing_of(rpc, target, proposal)
            answer = answer_file(folder, proposal.slash_id)
            found.append(
                {
                    "slash_id": proposal.slash_id,
                    "standing": "gone" if status is None else status.name.lower(),
                    "service_id": proposal.service_id,
                    "effective_bps": proposal.effective_bps,
                    "proposer": proposal.proposer,
                    "evidence": "0x" + proposal.evidence.hex(),
                    "execute_after": proposal.execute_after,
                    "answer": str(answer) if answer.is_file() else None,
                }
            )
        return found


def dispute_slash(
    slash_id: Annotated[int, typer.Argument(metavar="ID", min=0)],
    reason: Annotated[str, typer.Option(help="Why the proposal is wrong; it is public, on-chain.")],
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Dispute a slash proposal, with the bond that Tangle asks for.

    The bond is lost unless the proposal is cancelled. The key is opened with FAAS_KEYSTORE_PASSWORD.
    """
    if not reason.strip():
        raise InvalidRequest("give a reason: whoever decides reads it")
    report = run_async(_dispute(evm_place(rpc, tangle, blueprint), keystore, slash_id, reason))
    if as_json:
        print_json(report)
    else:
        print(f"slash {slash_id} disputed with a bond of {report['bond_wei']} wei: {report['transaction']}")


async def _dispute(place: Place, keystore_path: Path | None, slash_id: int, reason: str) -> dict[str, object]:
    from faas_operator.chain.slashes import dispute_bond

    async with operator_session(place, keystore_path) as operator:
        bond = await dispute_bond(operator.rpc, operator.tangle)
        call = slashing.dispute_slash(slash_id, reason)
        sent = await operator.send(f"disputing slash {slash_id}", operator.tangle, call, bond)
    return {"slash_id": slash_id, "bond_wei": bond, "transaction": sent.transaction_hash}
