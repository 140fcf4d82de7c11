"""The parts of the `BlueprintDefinition` tuple that all epochs share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from faas_blueprint import tlv
from faas_blueprint.definition import BlueprintDefinition, Membership
from faas_blueprint.digests import Digest
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.abi import Value
from faas_blueprint.tangle.values import JobSchemas, RegisteredBlueprint

CONFIG = "(uint8,uint8,uint32,uint32,uint256,uint64,uint256)"
METADATA = "(string,string,string,string,string,string,string,string,string)"
JOB = "(string,string,string,bytes,bytes)"
SOURCE = (
    "(uint8,(string,string,string),(uint8,uint8,string,string),(uint8,string,string),"
    "(string,string,string),(uint8,uint8,string,bytes32)[])"
)
TAIL = ("address", "uint32", "bool", CONFIG, METADATA, f"{JOB}[]", "bytes", "bytes", f"{SOURCE}[]", "uint8[]")
"""From the manager on."""

_NATIVE_SOURCE = 2
_AMD64 = 5
_LINUX = 1


def tail_values(
    definition: BlueprintDefinition, manager: Address, binary_digest: Digest
) -> tuple[Value, ...]:
    """The values of `TAIL`. Empty registration and request schemas: nothing is asked for."""
    rate = definition.event_rate_wei
    config = (int(definition.membership), int(definition.pricing), 1, 0, 0, 0, rate)
    texts = (definition.name, definition.description, definition.author, definition.category)
    metadata = (*texts, "", "", "", definition.license, "")
    jobs = tuple(
        (job.name, job.description, "", tlv.encode_schema(job.parameters), tlv.encode_schema(job.result))
        for job in definition.jobs
    )
    memberships = tuple(int(kind) for kind in Membership)
    source = (
        _NATIVE_SOURCE,
        ("", "", ""),
        (0, 0, "", ""),
        (0, "", ""),
        ("", "", ""),
        ((_AMD64, _LINUX, "faas", binary_digest),),
    )
    return (manager, 0, True, config, metadata, jobs, b"", b"", (source,), memberships)


def registered_blueprint(metadata_uri: str, tail: Sequence[Value]) -> RegisteredBlueprint:
    """What an operator needs of a stored definition."""
    config = cast("tuple[int, ...]", tail[3])
    jobs = cast("Sequence[tuple[str, str, str, bytes, bytes]]", tail[5])
    schemas = tuple(JobSchemas(parameters, result) for *_, parameters, result in jobs)
    return RegisteredBlueprint(metadata_uri, cast(Address, tail[0]), config[1], config[6], schemas)
