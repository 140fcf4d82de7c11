"""Calls and events of Tangle's registry of operators' health, the same in every epoch.

Only the heartbeat that is not signed on its own is here: the registry takes either from the operator alone,
so a signature adds nothing, and what is signed differs between epochs.
"""

from __future__ import annotations

from collections.abc import Mapping

from eth_abi.abi import encode

from faas_blueprint.receipt import Address
from faas_blueprint.tangle.abi import Event, Function, Read, as_bool

SUBMIT_HEARTBEAT_DIRECT = Function("submitHeartbeatDirect", ("uint64", "uint64", "uint8", "bytes"))
IS_HEARTBEAT_CURRENT = Function("isHeartbeatCurrent", ("uint64", "address"), ("bool",))
HEARTBEAT_RECEIVED = Event(
    "HeartbeatReceived", ("uint64", "uint64", "address", "uint8", "uint256"), (0, 1, 2)
)

HEALTHY = 0
"""The only status code that is ever sent: from 200 on an operator accuses itself."""


def heartbeat(service_id: int, blueprint_id: int, metrics: Mapping[str, int]) -> bytes:
    """Call data: a healthy operator's sign of life; metrics are numbers from 0 by name."""
    pairs = encode(["(string,uint256)[]"], [list(metrics.items())])
    return SUBMIT_HEARTBEAT_DIRECT.encode(service_id, blueprint_id, HEALTHY, pairs)


def is_heartbeat_current(service_id: int, operator: Address) -> Read[bool]:
    """Whether an operator has beaten in time for a service."""
    return IS_HEARTBEAT_CURRENT.read(as_bool, service_id, operator)
