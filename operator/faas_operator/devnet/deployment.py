"""What a devnet has on it, as a value that can be stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from faas_blueprint.errors import FatalError
from faas_blueprint.receipt import Address


@dataclass(frozen=True, slots=True)
class Deployment:
    """A running devnet, for tests and for settings. Its keys are worth nothing and no secret."""

    rpc_url: str
    chain_id: int
    epoch: str
    """The protocol's ABI epoch, such as `0.10`."""
    tangle: Address
    staking: Address
    status_registry: Address
    bond_token: Address
    manager: Address
    """Our service manager contract."""
    credits: Address
    """Our prepaid credits contract; settled by the operator."""
    payment_token: Address
    """The devnet's own money, with transfers by signature; the customer has all of it."""
    blueprint_id: int
    service_id: int
    event_rate_wei: int
    """The price of one job, to be sent along with it."""
    first_block: int
    """The block in which the service was activated; no job is older."""
    owner: Address
    owner_key: str
    """Owns blueprint and service manager."""
    customer: Address
    customer_key: str
    """Owns the service and may submit jobs to it; `0x` and 64 hexadecimal digits."""
    gas_key: str
    """Of an account with ether and nothing else, for posting payments by request."""
    operator: Address
    operator_keystore: str
    """Path of the operator's keystore file."""
    operator_password: str


def to_json(deployment: Deployment) -> str:
    """One JSON object."""
    return json.dumps(asdict(deployment), indent=1) + "\n"


def from_json(text: str) -> Deployment:
    """The inverse of `to_json`. Raises FatalError."""
    try:
        values: Mapping[str, object] = json.loads(text)
        return Deployment(**{field.name: values[field.name] for field in fields(Deployment)})  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError) as error:
        raise FatalError(f"this is not a devnet's deployment: {error!r}") from error


def read(path: Path) -> Deployment:
    """The deployment of a file. Raises FatalError."""
    try:
        return from_json(path.read_text())
    except OSError as error:
        raise FatalError(f"the deployment cannot be read: {error}") from error
