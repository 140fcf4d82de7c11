"""How an operator's account stands on a Substrate chain. Reads only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from scalecodec.utils.ss58 import ss58_decode, ss58_encode

from faas_blueprint.errors import FatalError
from faas_blueprint.tangle.runtime_metadata import SS58_FORMAT
from faas_operator.chain.interface import Block
from faas_operator.chain.substrate.runtime import SubstrateRuntime

_PAGE = 500


@dataclass(frozen=True, slots=True)
class AccountStanding:
    """What the chain knows of an account and a blueprint."""

    address: str
    """The account, as people write it."""
    registered_key: bytes | None
    """What it is registered with: 65 bytes; None when it is not registered."""
    services: tuple[int, ...]
    """Services of the blueprint that it serves."""
    balance: int
    """In the smallest unit."""


async def read_standing(
    runtime: SubstrateRuntime, block: Block, blueprint_id: int, account: bytes
) -> AccountStanding:
    """Raises ChainUnavailable."""
    at, own = block.block_hash, "0x" + account.hex()
    address = str(ss58_encode(account, SS58_FORMAT))
    preferences = await runtime.value(at, "Services", "Operators", blueprint_id, own)
    services = []
    for service_id in await _services(runtime, at, blueprint_id):
        service = await runtime.value(at, "Services", "Instances", service_id)
        if service is not None and any(
            item[0] == address for item in service["operator_security_commitments"]
        ):
            services.append(service_id)
    held = await runtime.value(at, "System", "Account", own)
    return AccountStanding(
        address,
        None if preferences is None else bytes.fromhex(str(preferences["key"])[2:]),
        tuple(services),
        0 if held is None else int(held["data"]["free"]),
    )


def stored_account(path: Path) -> bytes:
    """The account id that an account file names, without its password. Raises FatalError."""
    try:
        return bytes.fromhex(ss58_decode(json.loads(path.read_text())["address"]).removeprefix("0x"))
    except OSError as error:
        raise FatalError(f"the account file cannot be read: {error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise FatalError(f"{path} is no account file") from error


async def _services(runtime: SubstrateRuntime, at: str, blueprint_id: int) -> list[int]:
    prefix = "0x" + ((await runtime.metadata()).storage_key("Services", "ServiceStatus", blueprint_id).hex())
    found: list[str] = []
    while True:
        start = found[-1] if found else None
        page = await runtime.rpc.request("state_getKeysPaged", prefix, _PAGE, start, at)
        found += page
        if len(page) < _PAGE:
            return sorted(int.from_bytes(bytes.fromhex(key[len(prefix) :]), "little") for key in found)
