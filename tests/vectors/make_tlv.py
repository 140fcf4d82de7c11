"""Writes `tlv.json`: schemas and payloads of Tangle's encoding, for every codec of this repository.

The first vector was made by and checked against the protocol's own contract; the others were made by
`faas_blueprint.tlv` and hold its behaviour still.
"""

from __future__ import annotations

import json
from pathlib import Path

from faas_blueprint import tlv
from faas_blueprint.job import EXECUTE_PARAMETERS, encode_job, make_job
from faas_blueprint.result import EXECUTE_RESULT
from faas_blueprint.tlv import Field, Kind, list_of, optional, struct

VECTORS = Path(__file__).parent / "tlv.json"

CONTRACT_CHECKED = {
    "name": "checked by the contract",
    "schema": "020006110000000006736f75726365120000000005737464696e06000000000974696d656f75744d731500"
    "0000010461726773110000000000130000000104736565640800000000001600000002066c696d697473080000000006"
    "6379636c65730600000000056d656d4d62",
    "values": {
        "source": "print(1)",
        "stdin": {"bytes": "0001"},
        "timeoutMs": 5000,
        "args": ["a", "bb"],
        "seed": None,
        "limits": {"cycles": 1_000_000_000, "memMb": 64},
    },
    "payload": "087072696e74283129020001000013880201610262620002000000003b9aca0000000040",
}

ALL_KINDS: tuple[Field, ...] = (
    Field(Kind.VOID, "nothing"),
    Field(Kind.BOOL, "yes"),
    *(Field(kind, kind.name.lower()) for kind in list(Kind)[Kind.UINT8 : Kind.INT256 + 1]),
    Field(Kind.ADDRESS, "address"),
    Field(Kind.BYTES32, "word"),
    Field(Kind.FIXED_BYTES, "three", (), 3),
    Field(Kind.STRING, "text"),
    Field(Kind.BYTES, "raw"),
    optional("there", Field(Kind.UINT16, "number")),
    optional("absent", Field(Kind.UINT16, "number")),
    Field(Kind.ARRAY, "pair", (Field(Kind.UINT8, "item"),), 2),
    list_of("items", struct("item", Field(Kind.STRING, "name"), optional("size", Field(Kind.UINT64, "n")))),
)


def all_kinds_values() -> dict[str, tlv.Value]:
    """A value of every kind, integers at their ends."""
    values: dict[str, tlv.Value] = {"nothing": None, "yes": True}
    for kind in list(Kind)[Kind.UINT8 : Kind.INT256 + 1]:
        bits = 8 << ((kind - Kind.UINT8) // 2)
        values[kind.name.lower()] = -(1 << (bits - 1)) if kind.name.startswith("INT") else (1 << bits) - 1
    values |= {"address": bytes(range(20)), "word": bytes(range(32)), "three": b"abc", "text": "žluťoučký 🐎"}
    values |= {"raw": b"\x00\xff", "there": 7, "absent": None, "pair": [1, 2]}
    values["items"] = [{"name": "a", "size": None}, {"name": "b", "size": 9}]
    return values


def lengths(size: int) -> dict[str, object]:
    """A payload at an edge of the length encoding."""
    fields = (Field(Kind.BYTES, "raw"),)
    return vector(f"{size} bytes", fields, {"raw": bytes(size)})


def vector(name: str, fields: tuple[Field, ...], values: dict[str, tlv.Value]) -> dict[str, object]:
    """One vector."""
    return {
        "name": name,
        "schema": tlv.encode_schema(fields).hex(),
        "values": to_json(values),
        "payload": tlv.encode(fields, values).hex(),
    }


def to_json(value: object) -> object:
    """Bytes as `{"bytes": hex}`, all else as it is."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    return [to_json(item) for item in value] if isinstance(value, list | tuple) else value


def vectors() -> list[dict[str, object]]:
    """All of them."""
    job = make_job(
        "javascript",
        "console.log(1)",
        stdin=b"\x00in",
        arguments=("a", "b"),
        environment={"B": "2", "A": "1"},
        files={"d/x.txt": b"x", "a.txt": b""},
        seed=(1 << 64) - 1,
        epoch=86_400,
        keep=True,
    )
    return [
        CONTRACT_CHECKED,
        vector("every kind", ALL_KINDS, all_kinds_values()),
        vector("a job", EXECUTE_PARAMETERS, tlv.decode(EXECUTE_PARAMETERS, encode_job(job))),
        *map(lengths, (0, 127, 128, 16_383, 16_384)),
    ]


def schemas() -> dict[str, str]:
    """The schemas of job 0."""
    return {
        "execute parameters": tlv.encode_schema(EXECUTE_PARAMETERS).hex(),
        "execute result": tlv.encode_schema(EXECUTE_RESULT).hex(),
    }


REFUSED = [
    {"schema": "020001080000000001", "what": "a schema that ends early"},
    {"schema": "02000112000000000178", "payload": "800161", "what": "a length not in its shortest form"},
    {"schema": "02000112000000000178", "payload": "c00161", "what": "a length of no bytes"},
    {"schema": "02000112000000000178", "payload": "0261", "what": "too few bytes"},
    {"schema": "02000112000000000178", "payload": "016162", "what": "a byte left over"},
    {"schema": "02000101000000000178", "payload": "02", "what": "a boolean of 2"},
    {"schema": "02000111000000000178", "payload": "01ff", "what": "text that is not UTF-8"},
    {"schema": "01000111000000000178", "what": "another schema version"},
    {"schema": "02000117000000000178", "what": "an unknown kind"},
]


def main() -> None:
    """Write them."""
    content = {"vectors": vectors(), "schemas": schemas(), "refused": REFUSED}
    VECTORS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
