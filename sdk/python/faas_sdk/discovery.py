"""From a blueprint to a service: Tangle has no view for it, only the logs of activations."""

from __future__ import annotations

from faas_sdk import abi
from faas_sdk.abi import read, word
from faas_sdk.effects import Plan
from faas_sdk.errors import SubmissionRefused
from faas_sdk.guard import Deployment, chain_time, read_service


def find_service(at: Deployment, blueprint_id: int, caller: str | None) -> Plan[int]:
    """The newest service of the blueprint that is open, and open to `caller` where one is given.

    Raises SubmissionRefused `no_service`.
    """
    topics = [abi.SERVICE_ACTIVATED, None, None, word(blueprint_id)]
    logs = yield from at.rpc.logs(at.tangle, topics, 0)
    now = yield from chain_time(at)
    for log in reversed(logs):
        service = yield from read_service(at, int(log.topics[1], 16))
        if not service.active or service.expired(now):
            continue
        if caller is None or (
            yield from read(at.rpc, at.tangle, abi.IS_PERMITTED_CALLER, service.service_id, caller)
        ):
            return service.service_id
    whom = "" if caller is None else f" that {caller} may use"
    raise SubmissionRefused(
        "no_service", f"blueprint {blueprint_id} has no open service{whom} ({len(logs)} were ever activated)"
    )
