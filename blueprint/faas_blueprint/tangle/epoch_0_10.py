"""The epoch of protocol 0.10.6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from faas_blueprint.definition import BlueprintDefinition
from faas_blueprint.digests import Digest
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.abi import Event, Function, Log, Read, Value
from faas_blueprint.tangle.definition_tuple import TAIL, registered_blueprint, tail_values
from faas_blueprint.tangle.values import JobCall, RegisteredBlueprint

_DEFINITION = f"(string,{','.join(TAIL)})"

CREATE_BLUEPRINT = Function("createBlueprint", (_DEFINITION,), ("uint64",))
APPROVE_SERVICE = Function("approveService", ("uint64", "uint8"))
GET_JOB_CALL = Function(
    "getJobCall", ("uint64", "uint64"), ("(uint8,address,uint64,uint32,uint256,bool,bool)",)
)
GET_BLUEPRINT_DEFINITION = Function("getBlueprintDefinition", ("uint64",), (_DEFINITION,))
BLUEPRINT_CREATED = Event("BlueprintCreated", ("uint64", "address", "address", "string"), (0, 1))

STAKING_PERCENT = 10
"""How much of its stake an operator puts behind a service: the protocol's least, 1000 bps."""


class Epoch010:
    """See `TangleEpoch`."""

    name = "0.10"

    def create_blueprint(
        self, definition: BlueprintDefinition, manager: Address, binary_digest: Digest
    ) -> bytes:
        """No metadata hash yet."""
        tail = tail_values(definition, manager, binary_digest)
        return CREATE_BLUEPRINT.encode((definition.metadata_uri, *tail))

    def approve_service(self, request_id: int) -> bytes:
        """With a percentage of the stake."""
        return APPROVE_SERVICE.encode(request_id, STAKING_PERCENT)

    def job_call(self, service_id: int, call_id: int) -> Read[JobCall]:
        """The payment stands before the two flags."""
        return GET_JOB_CALL.read(_job_call, service_id, call_id)

    def blueprint(self, blueprint_id: int) -> Read[RegisteredBlueprint]:
        """The whole definition is kept on-chain."""
        return GET_BLUEPRINT_DEFINITION.read(_blueprint, blueprint_id)

    def service_payment_asset(self, service_id: int) -> Read[Address] | None:
        """Native only."""
        return None

    def blueprint_settlement_asset(self, blueprint_id: int) -> Read[Address] | None:
        """Native only."""
        return None

    def created_blueprint(self, logs: Sequence[Log]) -> int:
        """Two topics besides the event's own."""
        return cast(int, BLUEPRINT_CREATED.find(logs)[0])


def _job_call(values: tuple[Value, ...]) -> JobCall:
    index, caller, created_at, results, payment, completed, is_rfq = cast(
        "tuple[int, Address, int, int, int, bool, bool]", values[0]
    )
    return JobCall(index, caller, created_at, results, payment, completed, is_rfq)


def _blueprint(values: tuple[Value, ...]) -> RegisteredBlueprint:
    uri, *tail = cast("tuple[Value, ...]", values[0])
    return registered_blueprint(cast(str, uri), tail)
