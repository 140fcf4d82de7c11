"""The compiled contracts: `contracts/artifacts` of a checkout, or the copy inside an installed package."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import MissingPrerequisite


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract."""

    name: str
    bytecode: bytes
    """What a deployment sends, before the encoded constructor arguments."""
    digest: Digest
    """SHA-256 of the artifact file."""


def artifacts_directory() -> Path:
    """Where the artifacts are. Raises MissingPrerequisite."""
    package = Path(__file__).resolve().parent
    for directory in (package / "artifacts", package.parent.parent / "contracts" / "artifacts"):
        if directory.is_dir():
            return directory
    raise MissingPrerequisite("the compiled contracts are missing: run scripts/build-contracts")


def load_artifact(name: str) -> Artifact:
    """A compiled contract by name. Raises MissingPrerequisite."""
    path = artifacts_directory() / f"{name}.json"
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise MissingPrerequisite(f"{path.name} is missing: run scripts/build-contracts") from error
    return Artifact(name, bytes.fromhex(json.loads(raw)["bytecode"].removeprefix("0x")), sha256(raw))
