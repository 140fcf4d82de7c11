"""The blueprint as Tangle knows it: its jobs with their schemas, its metadata, its pricing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from faas_blueprint import tlv
from faas_blueprint.operation import JobKind
from faas_blueprint.operation_payload import PARAMETERS
from faas_blueprint.result import EXECUTE_RESULT

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
            JobDefinition(kind.name.lower(), _DESCRIPTIONS[kind], PARAMETERS[kind], EXECUTE_RESULT)
            for kind in JobKind
        ),
    )


_DESCRIPTIONS: Mapping[JobKind, str] = {
    JobKind.EXECUTE: "Run a program from the base snapshot and return its output with a receipt",
    JobKind.EXECUTE_WITH_OPTIONS: "Run a program on a snapshot or in a fork of it, and keep it if asked to",
    JobKind.CREATE_SNAPSHOT: "Run a program and keep the machine that it leaves",
    JobKind.RESTORE_SNAPSHOT: "Prove that a snapshot is held and can be run",
    JobKind.CREATE_BRANCH: "Fork a snapshot with a declared record",
    JobKind.MERGE_BRANCHES: "Merge the files of several snapshots",
    JobKind.START_INSTANCE: "Start a machine that stays up; not served yet",
    JobKind.STOP_INSTANCE: "Stop an instance; not served yet",
    JobKind.PAUSE_INSTANCE: "Keep an instance as a snapshot; not served yet",
    JobKind.RESUME_INSTANCE: "Start an instance from a snapshot; not served yet",
    JobKind.EXPOSE_PORT: "Make a port of an instance reachable; not served yet",
    JobKind.UPLOAD_FILES: "Lay files into an instance; not served yet",
}
