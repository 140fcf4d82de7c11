"""What the double's chain starts with: one blueprint, its service, operators and callers, all funded."""

from __future__ import annotations

from collections.abc import Sequence

from extrinsics import compact
from pallets import Jobs
from runtime_metadata import Runtime
from storage import Storage

BLUEPRINT_ID, SERVICE_ID = 3, 7
FUNDS = 10**21


def make_genesis(
    runtime: Runtime,
    *,
    jobs: Sequence[tuple[bytes, bytes]],
    operators: Sequence[tuple[bytes, bytes]],
    registered: Sequence[tuple[bytes, bytes]],
    callers: Sequence[bytes],
) -> tuple[Storage, Jobs]:
    """State and job types. `jobs`: each one's parameters and result as Vec<FieldType>. Operators serve, those
    who are `registered` only do not; both are account ids with 65-byte keys. The first caller is owner."""
    state = Storage(runtime)
    owner, *others = ["0x" + key.hex() for key in callers]
    serving = [("0x" + account.hex(), ([_commitment()],)) for account, _ in operators]
    state.entries[state.key("Services", "Blueprints", BLUEPRINT_ID)] = callers[0] + blueprint(jobs)
    state.put("Services", "NextBlueprintId", BLUEPRINT_ID + 1)
    state.put("Services", "NextInstanceId", SERVICE_ID + 1)
    state.put("Services", "NextJobCallId", 40)  # it counts calls of all services
    service = {
        "id": SERVICE_ID,
        "blueprint": BLUEPRINT_ID,
        "owner": owner,
        "args": ([],),
        "operator_security_commitments": (serving,),
        "security_requirements": ([],),
        "permitted_callers": (others,),
        "ttl": 1000,
        "membership_model": {"Fixed": {"min_operators": 1}},
    }
    state.put("Services", "Instances", SERVICE_ID, service)
    state.entries[state.key("Services", "ServiceStatus", BLUEPRINT_ID, SERVICE_ID)] = b""
    for account, key in (*operators, *registered):
        preferences = {"key": "0x" + key.hex(), "rpc_address": "https://operator.example"}
        state.put("Services", "Operators", BLUEPRINT_ID, "0x" + account.hex(), preferences)
    for account in (*callers, *(account for account, _ in (*operators, *registered))):
        fund(state, account, FUNDS)
    return state, {BLUEPRINT_ID: list(jobs)}


def fund(state: Storage, account: bytes, amount: int) -> None:
    """Give an account what it may spend."""
    held = state.get("System", "Account", "0x" + account.hex())
    held["data"]["free"] = amount
    held["providers"] = 1
    state.put("System", "Account", "0x" + account.hex(), held)


def _commitment() -> dict[str, object]:
    return {"asset": {"Custom": 0}, "exposure_percent": 50}


def blueprint(jobs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A ServiceBlueprint: metadata with a name only, its jobs, no contract, no sources, fixed membership."""
    name = b"Verified execution"
    metadata = compact(len(name)) + name + bytes(7)
    listed = compact(len(jobs)) + b"".join(_job(number, *types) for number, types in enumerate(jobs))
    manager = b"\0" + bytes(20)
    return metadata + listed + compact(0) * 2 + manager + b"\0" + compact(0) + compact(1) + b"\0"


def _job(number: int, parameters: bytes, result: bytes) -> bytes:
    name = b"execute" if number == 0 else b"job %d" % number
    return compact(len(name)) + name + b"\0" + parameters + result + b"\0" + bytes(16)
