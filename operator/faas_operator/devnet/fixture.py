"""The recorded deployment of Tangle that the devnet replays: a Foundry broadcast file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from faas_blueprint.errors import FatalError, MissingPrerequisite
from faas_blueprint.receipt import Address, address

PINNED_SHA256 = "68d0a3f54e1a56c918be25695d0b927ad4584863c8c7072da048cad86bd9e0aa"
"""Of the broadcast in version 0.10.6 of the fixtures crate."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One transaction and what came of it."""

    sender: Address
    to: Address | None
    value: int
    data: str
    nonce: int
    status: int
    contract: Address | None
    logs: tuple[tuple[str, tuple[str, ...]], ...]
    """Emitter and topics of each log."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """A recorded deployment."""

    sha256: str
    transactions: tuple[Recorded, ...]
    tangle: Address
    staking: Address
    bond_token: Address


def pinned_fixture(home: Path) -> Path:
    """Where `scripts/setup-chain` puts the pinned broadcast."""
    return home / "tangle" / "localtestnet-broadcast.json"


def load_fixture(path: Path, expected_sha256: str | None = None) -> Fixture:
    """Read a broadcast file. Raises MissingPrerequisite, and FatalError when it is not one."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise MissingPrerequisite(
            f"Tangle's recorded deployment cannot be read ({error}): run scripts/setup-chain"
        ) from error
    digest = hashlib.sha256(raw).hexdigest()
    if expected_sha256 is not None and digest != expected_sha256:
        raise FatalError(f"{path} has SHA-256 {digest}, {expected_sha256} is pinned: run scripts/setup-chain")
    try:
        content = json.loads(raw)
        pairs = zip(content["transactions"], content["receipts"], strict=True)
        recorded = tuple(_recorded(entry["transaction"], receipt) for entry, receipt in pairs)
        names = [entry.get("contractName") for entry in content["transactions"]]
    except (KeyError, TypeError, ValueError) as error:
        raise FatalError(f"{path} is not a Foundry broadcast: {error!r}") from error
    return Fixture(
        digest,
        recorded,
        _proxy_of("Tangle", names, recorded),
        _proxy_of("MultiAssetDelegation", names, recorded),
        _proxy_of("TangleToken", names, recorded),
    )


def _recorded(transaction: Mapping[str, Any], receipt: Mapping[str, Any]) -> Recorded:
    contract = receipt.get("contractAddress")
    return Recorded(
        address(transaction["from"]),
        address(transaction["to"]) if transaction.get("to") else None,
        int(transaction.get("value") or "0x0", 16),
        str(transaction["input"]),
        int(transaction["nonce"], 16),
        int(receipt["status"], 16),
        address(contract) if contract else None,
        logs_of(receipt),
    )


def logs_of(receipt: Mapping[str, Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Emitter and topics of each log of a receipt."""
    return tuple((str(log["address"]).lower(), tuple(log["topics"])) for log in receipt["logs"])


def _proxy_of(name: str, names: list[str | None], recorded: tuple[Recorded, ...]) -> Address:
    """The proxy that is created right after an implementation."""
    created = [place for place, entry in enumerate(recorded) if entry.to is None]
    for place, following in pairwise(created):
        contract = recorded[following].contract
        if names[place] == name and contract is not None:
            return contract
    raise FatalError(f"the recorded deployment creates no {name}")
