"""The epoch of protocol 0.19.1 to 0.20.0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from faas_blueprint.definition import BlueprintDefinition
from faas_blueprint.digests import Digest, keccak256
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.abi import Event, Function, Log, Read, Value, as_address
from faas_blueprint.tangle.definition_tuple import TAIL, registered_blueprint, tail_values
from faas_blueprint.tangle.values import JobCall, RegisteredBlueprint

_DEFINITION = f"(string,bytes32,{','.join(TAIL)})"
_APPROVAL = "(uint64,((uint8,address),uint16)[],uint256[4],uint256[2],(uint8,bytes32,bytes32,uint64)[])"

CREATE_BLUEPRINT = Function("createBlueprint", (_DEFINITION,), ("uint64",))
APPROVE_SERVICE = Function("approveService", (_APPROVAL,))
GET_JOB_CALL = Function(
    "getJobCall", ("uint64", "uint64"), ("(uint8,address,uint64,uint32,bool,bool,uint256)",)
)
GET_BLUEPRINT_DEFINITION = Function("getBlueprintDefinition", ("uint64",), (_DEFINITION,))
BLUEPRINT_DEFINITION_HASH = Function("blueprintDefinitionHash", ("uint64",), ("bytes32",))
GET_SERVICE_PAYMENT_ASSET = Function("getServicePaymentAsset", ("uint64",), ("address",))
GET_BLUEPRINT_SETTLEMENT_ASSET = Function("getBlueprintSettlementAsset", ("uint64",), ("address",))
BLUEPRINT_CREATED = Event("BlueprintCreated", ("uint64", "address", "address", "string", "bytes32"), (0, 1))


class Epoch019:
    """See `TangleEpoch`."""

    name = "0.19"

    def create_blueprint(
        self, definition: BlueprintDefinition, manager: Address, binary_digest: Digest
    ) -> bytes:
        """The metadata hash is that of the URI, which holds all the metadata there is."""
        head = (definition.metadata_uri, keccak256(definition.metadata_uri.encode()))
        return CREATE_BLUEPRINT.encode((*head, *tail_values(definition, manager, binary_digest)))

    def approve_service(self, request_id: int) -> bytes:
        """Empty commitments: the protocol commits its default, 1000 bps; no BLS key, no TEE."""
        return APPROVE_SERVICE.encode((request_id, (), (0, 0, 0, 0), (0, 0), ()))

    def job_call(self, service_id: int, call_id: int) -> Read[JobCall]:
        """The payment stands after the two flags."""
        return GET_JOB_CALL.read(_job_call, service_id, call_id)

    def blueprint(self, blueprint_id: int) -> Read[RegisteredBlueprint]:
        """Schemas and configuration; the chain keeps no more than a hash of the rest."""
        return GET_BLUEPRINT_DEFINITION.read(_blueprint, blueprint_id)

    def service_payment_asset(self, service_id: int) -> Read[Address] | None:
        """Pinned when the service was activated."""
        return GET_SERVICE_PAYMENT_ASSET.read(as_address, service_id)

    def blueprint_settlement_asset(self, blueprint_id: int) -> Read[Address] | None:
        """As the blueprint's owner has set it."""
        return GET_BLUEPRINT_SETTLEMENT_ASSET.read(as_address, blueprint_id)

    def created_blueprint(self, logs: Sequence[Log]) -> int:
        """With the metadata hash as last value."""
        return cast(int, BLUEPRINT_CREATED.find(logs)[0])


def _job_call(values: tuple[Value, ...]) -> JobCall:
    index, caller, created_at, results, completed, is_rfq, payment = cast(
        "tuple[int, Address, int, int, bool, bool, int]", values[0]
    )
    return JobCall(index, caller, created_at, results, payment, completed, is_rfq)


def _blueprint(values: tuple[Value, ...]) -> RegisteredBlueprint:
    uri, _, *tail = cast("tuple[Value, ...]", values[0])
    return registered_blueprint(cast(str, uri), tail)
