"""Tangle's schema and payload encoding, against a vector that the real contracts accepted."""

from __future__ import annotations

from faas_blueprint.tlv import (
    Field,
    Kind,
    decode,
    decode_schema,
    encode,
    encode_schema,
    list_of,
    optional,
    struct,
)

FIELDS = (
    Field(Kind.STRING, "source"),
    Field(Kind.BYTES, "stdin"),
    Field(Kind.UINT32, "timeoutMs"),
    list_of("args", Field(Kind.STRING)),
    optional("seed", Field(Kind.UINT64)),
    struct("limits", Field(Kind.UINT64, "cycles"), Field(Kind.UINT32, "memMb")),
)
SCHEMA = bytes.fromhex(
    "020006110000000006736f75726365120000000005737464696e06000000000974696d656f75744d7315000000010461726773"
    "110000000000130000000104736565640800000000001600000002066c696d6974730800000000066379636c65730600000000"
    "056d656d4d62"
)
VALUES = {
    "source": "print(1)",
    "stdin": b"\x00\x01",
    "timeoutMs": 5000,
    "args": ["a", "bb"],
    "seed": None,
    "limits": {"cycles": 10**9, "memMb": 64},
}
PAYLOAD = bytes.fromhex("087072696e74283129020001000013880201610262620002000000003b9aca0000000040")


def test_schema_is_the_vectors() -> None:
    assert encode_schema(FIELDS) == SCHEMA
    assert decode_schema(SCHEMA) == FIELDS


def test_payload_is_the_vectors() -> None:
    assert encode(FIELDS, VALUES) == PAYLOAD
    assert decode(FIELDS, PAYLOAD) == VALUES


def test_length_of_16384_differs_between_payloads_and_names() -> None:
    assert encode((Field(Kind.BYTES, "b"),), {"b": bytes(16384)})[:3] == bytes.fromhex("c24000")
    assert encode_schema((Field(Kind.BYTES, "n" * 16384),))[8:11] == bytes.fromhex("c04000")
