"""Which of several operators' answers stands, as the blueprint's service manager counts them.

By default the first answer that counts does. A service that asks for more makes a result final when so many
operators have given the same, or when nobody has challenged it in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from faas_sdk import abi
from faas_sdk.abi import event_values, has, read
from faas_sdk.effects import Plan
from faas_sdk.errors import ConnectionFailed, ResultUnreadable
from faas_sdk.guard import Deployment, read_service
from faas_sdk.payload import PostedOutcome, decode_posted
from faas_sdk.rpc import Log, RpcError

_UNKNOWN, _OPEN, _PROPOSED, _DISPUTED, _FINAL, _UNDECIDED = range(6)


@dataclass(frozen=True, slots=True)
class Counted:
    """What the manager keeps of a call."""

    standing: int
    agreement: bytes
    """Digest of the answer that stands, while one does."""


def standing_log(at: Deployment, service_id: int, call_id: int, logs: Sequence[Log]) -> Plan[Log | None]:
    """The first of a call's results that is the answer that stands; None while none does.

    Where no service manager of ours counts, the first one. Raises ResultUnreadable when the operators'
    answers differ for good, or when the final one was not posted.
    """
    counted = yield from _counted(at, service_id, call_id)
    if counted is None or counted.standing == _UNKNOWN:
        return logs[0]
    if counted.standing in (_OPEN, _DISPUTED):
        return None
    if counted.standing == _UNDECIDED:
        raise ResultUnreadable(
            f"the operators' answers to call {call_id} of service {service_id} differ, and none has won"
        )
    for log in logs:
        if _agreement(log) == counted.agreement:
            return log
    raise ResultUnreadable(
        f"the final answer to call {call_id} of service {service_id} was brought as a receipt, not posted: "
        "ask an operator's API"
    )


def _counted(at: Deployment, service_id: int, call_id: int) -> Plan[Counted | None]:
    manager = yield from _manager(at, service_id)
    if manager == abi.ZERO_ADDRESS:
        return None
    try:
        values = yield from read(at.rpc, manager, abi.CALL_OF, service_id, call_id)
    except ConnectionFailed as error:
        if isinstance(error.__cause__, RpcError | DecodingError):
            return None  # another blueprint's manager
        raise
    parts = cast("tuple[object, ...]", values)
    return Counted(cast(int, parts[0]), cast(bytes, parts[-1]))


def _manager(at: Deployment, service_id: int) -> Plan[str]:
    service = yield from read_service(at, service_id)
    newer = yield from has(at.rpc, at.tangle, abi.APPROVE_WITH_PARAMETERS)
    function = abi.GET_BLUEPRINT_DEFINITION if newer else abi.GET_BLUEPRINT_DEFINITION_0_10
    values = yield from read(at.rpc, at.tangle, function, service.blueprint_id)
    return str(cast("tuple[object, ...]", values)[2 if newer else 1]).lower()


def _agreement(log: Log) -> bytes | None:
    payload = event_values(log, "bytes")[0]
    try:
        return agreement_digest(decode_posted(payload if isinstance(payload, bytes) else b""))
    except ValueError:
        return None


def agreement_digest(posted: PostedOutcome) -> bytes:
    """Keccak-256 of what operators agree on: equal when two results say the same."""
    words = (
        posted.profile_id,
        posted.snapshot,
        posted.toolchain,
        posted.job_digest,
        keccak(posted.encoded_outcome),
        posted.state_root,
        posted.virtual_ns.to_bytes(32, "big"),
    )
    return keccak(b"".join(words))
