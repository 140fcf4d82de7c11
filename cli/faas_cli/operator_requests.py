"""`faas operator requests | approve | reject`: who asks for this operator, and what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.receipt import address
from faas_cli.console import note, print_json, run_async
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

RequestArgument = Annotated[int, typer.Argument(metavar="REQUEST", min=0)]


def requests(
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the service requests that wait for this operator, and what the policy says of each.

    Those of the last day. A request that this operator has approved is listed until the others have. The key
    is not used.

    Examples: faas operator requests; faas operator requests --json
    """
    found = run_async(_requests(evm_place(rpc, tangle, blueprint), keystore))
    if as_json:
        print_json({"requests": found})
    elif not found:
        print("no service request waits for this operator")
    else:
        for item in found:
            print(
                f"request {item['request_id']}: {item['standing']}, by {item['requester']}, "
                f"{item['operators']} operators, {_payment(item)}, "
                f"{'for ever' if not item['ttl'] else f'''for {item['ttl']} s'''}; "
                f"policy: {item['policy']}{'' if item['reason'] is None else f''': {item['reason']}'''}"
            )


def _payment(item: dict[str, object]) -> str:
    if item["pricing"] == "event_driven":
        return f"pays by the job in {item['asset']}"
    if item["pricing"] == "subscription":
        return f"pays {item['rate']} in {item['asset']} every {item['interval']} s"
    return f"pays {item['amount']} in {item['asset']}"


async def _requests(place: Place, keystore_path: Path | None) -> list[dict[str, object]]:
    from faas_operator import keystore
    from faas_operator.chain.epochs import probe_epoch
    from faas_operator.chain.requests import RequestStanding
    from faas_operator.chain.rpc import Rpc
    from faas_operator.node import approval_policy
    from faas_operator.registration import judged_requests
    from faas_operator.settings import Settings

    settings, target = Settings(), address(str(place.tangle))
    own = keystore.stored_address(keystore_path or settings.keystore_path)
    async with Rpc(place.rpc_url) as rpc:
        epoch = await probe_epoch(rpc, target)
        policy = approval_policy(settings)
        judged = await judged_requests(rpc, epoch, target, own, place.blueprint_id, policy)
    return [
        {
            "request_id": item.request_id,
            "standing": str(item.standing),
            "requester": item.terms.requester,
            "created_at": item.created_at,
            "ttl": item.terms.ttl,
            "operators": item.terms.operators,
            "pricing": item.terms.pricing.name.lower(),
            "asset": item.terms.asset,
            "amount": item.terms.amount,
            "rate": item.terms.rate,
            "interval": item.terms.interval,
            "job_rates": {str(index): rate for index, rate in item.terms.job_rates.items()},
            "policy": (
                "done"
                if item.standing is RequestStanding.APPROVED
                else "approve"
                if reason is None
                else "refuse"
            ),
            "reason": reason,
        }
        for item, reason in judged
    ]


def approve(
    request_id: RequestArgument,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve a service request, whatever the policy says of it.

    The last operator to approve starts the service. The least stake that the request asks for is committed.
    The key is opened with FAAS_KEYSTORE_PASSWORD.

    Example: faas operator approve 17
    """
    _answer(evm_place(rpc, tangle, blueprint), keystore, request_id, True, as_json)


def reject(
    request_id: RequestArgument,
    rpc: RpcOption = None,
    tangle: TangleOption = None,
    blueprint: BlueprintOption = None,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reject a service request: it ends for all of its operators, and what was paid goes back.

    The key is opened with FAAS_KEYSTORE_PASSWORD.

    Example: faas operator reject 17
    """
    _answer(evm_place(rpc, tangle, blueprint), keystore, request_id, False, as_json)


def _answer(place: Place, keystore: Path | None, request_id: int, approved: bool, as_json: bool) -> None:
    report = run_async(_send_answer(place, keystore, request_id, approved))
    if as_json:
        print_json(report)
        return
    print(f"request {request_id} {report['answer']}: {report['transaction']}")
    if report["service_id"] is not None:
        print(f"service {report['service_id']} is active")


async def _send_answer(
    place: Place, keystore: Path | None, request_id: int, approved: bool
) -> dict[str, object]:
    from faas_blueprint.tangle import protocol
    from faas_operator.chain.requests import Requests, RequestStanding
    from faas_operator.node import approval_policy
    from faas_operator.settings import Settings

    async with operator_session(place, keystore) as operator:
        own = operator.sender.address
        requests = Requests(operator.rpc, operator.epoch, operator.tangle, place.blueprint_id, own)
        seen = await requests.look_at(request_id)
        if seen is None:
            raise NotFound(f"no request {request_id} of blueprint {place.blueprint_id} waits for {own}")
        if approved and seen.standing is RequestStanding.APPROVED:
            raise InvalidRequest(f"request {request_id} was approved already, it waits for other operators")
        reason = approval_policy(Settings()).against(seen.terms, 0)
        if approved and reason is not None:
            note(f"against the policy: {reason}")
        sent = await (operator.approve(request_id) if approved else operator.reject(request_id))
        activated = [log for log in sent.logs if protocol.SERVICE_ACTIVATED.matches(log)]
        return {
            "request_id": request_id,
            "answer": "approved" if approved else "rejected",
            "transaction": sent.transaction_hash,
            "service_id": protocol.decode_service_activated(activated[0]).service_id if activated else None,
        }
