"""The blueprint as Tangle knows it: its jobs with their schemas, its metadata, its pricing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from faas_blueprint import tlv
from faas_blueprint.operation import JobKind
from faas_blueprint.operation_payload import PARAMETERS
from faas_blueprint.result import COMPACT_RESULT, EXECUTE_RESULT

DEFAULT_EVENT_RATE_WEI = 1_000_000_000_000_000
"""Price of one job on an event-driven service: 0.001 of the native token."""


class Membership(IntEnum):
    """Whether operators may join after a service has started."""

    FIXED = 0
    DYNAMIC = 1


class Pricing(IntEnum):
    """How a service pays."""

    PAY_ONCE = 0
    SUBSCRIPTION = 1
    EVENT_DRIVEN = 2


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """One job of a blueprint; its index is its place in the list."""

    name: str
    description: str
    parameters: tuple[tlv.Field, ...]
    result: tuple[tlv.Field, ...]


@dataclass(frozen=True, slots=True)
class BlueprintDefinition:
    """What `createBlueprint` is told, in terms that do not depend on the ABI epoch."""

    name: str
    description: str
    author: str
    category: str
    license: str
    metadata_uri: str
    membership: Membership
    pricing: Pricing
    event_rate_wei: int
    jobs: tuple[JobDefinition, ...]


def faas_blueprint_definition(event_rate_wei: int = DEFAULT_EVENT_RATE_WEI) -> BlueprintDefinition:
    """This blueprint."""
    return BlueprintDefinition(
        name="Verified execution",
        description="Runs code in a deterministic microVM and posts a receipt that anyone can check",
        author="The Tangle FaaS authors",
        category="compute",
        license="Apache-2.0",
        metadata_uri="urn:tangle-faas:blueprint:2",
        membership=Membership.DYNAMIC,
        pricing=Pricing.EVENT_DRIVEN,
        event_rate_wei=event_rate_wei,
        jobs=tuple(
            JobDefinition(
                kind.name.lower(),
                _DESCRIPTIONS.get(kind, ""),
                PARAMETERS[kind],
                EXECUTE_RESULT if kind is JobKind.EXECUTE else COMPACT_RESULT,
            )
            for kind in JobKind
        ),
    )


_DESCRIPTIONS: Mapping[JobKind, str] = {
    JobKind.EXECUTE: "Run a program on the base",
    JobKind.EXECUTE_WITH_OPTIONS: "Run one on a snapshot or fork",
    JobKind.CREATE_SNAPSHOT: "Run one and keep the machine",
    JobKind.RESTORE_SNAPSHOT: "Prove that a snapshot is held",
    JobKind.CREATE_BRANCH: "Fork a snapshot",
    JobKind.MERGE_BRANCHES: "Merge the files of snapshots",
}
"""Up to 31 bytes each, which the chain keeps in one word; what is not served yet has none."""
