"""What differs between epochs of the protocol's ABI, behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from faas_blueprint.definition import BlueprintDefinition
from faas_blueprint.digests import Digest
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.abi import Log, Read
from faas_blueprint.tangle.values import JobCall, RegisteredBlueprint


class TangleEpoch(Protocol):
    """One epoch. Encoders return call data for the Tangle router."""

    @property
    def name(self) -> str:
        """The first protocol version of the epoch, such as `0.19`."""
        ...

    def create_blueprint(
        self, definition: BlueprintDefinition, manager: Address, binary_digest: Digest
    ) -> bytes:
        """Create a blueprint; the sender becomes its owner. `binary_digest` names the operator's software."""
        ...

    def approve_service(self, request_id: int) -> bytes:
        """Accept a service request with the least stake that it asks for."""
        ...

    def job_call(self, service_id: int, call_id: int) -> Read[JobCall]:
        """A job call as stored."""
        ...

    def blueprint(self, blueprint_id: int) -> Read[RegisteredBlueprint]:
        """A blueprint's definition as stored."""
        ...

    def service_payment_asset(self, service_id: int) -> Read[Address] | None:
        """The asset that jobs are paid in, zero for native; None where the epoch knows native only."""
        ...

    def blueprint_settlement_asset(self, blueprint_id: int) -> Read[Address] | None:
        """The asset that jobs of services to come are paid in, likewise; some deployments of an epoch that
        has it refuse the call, and know native only."""
        ...

    def created_blueprint(self, logs: Sequence[Log]) -> int:
        """The new blueprint's id, from the logs of its creation. Raises ChainUnavailable when none tells."""
        ...
