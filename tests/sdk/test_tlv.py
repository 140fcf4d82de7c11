"""The SDK's own codec against the vectors that the node's codec is held to, and the two schemas."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faas_blueprint import tlv as node_tlv
from faas_blueprint.errors import InvalidRequest
from faas_sdk import payload, tlv

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "tlv.json").read_text())
CODECS = pytest.mark.parametrize("codec", [tlv, node_tlv], ids=["sdk", "node"])


def from_json(value):
    if isinstance(value, dict):
        if set(value) == {"bytes"}:
            return bytes.fromhex(value["bytes"])
        return {name: from_json(item) for name, item in value.items()}
    return [from_json(item) for item in value] if isinstance(value, list) else value


@CODECS
@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_vector(codec, vector):
    schema, data = bytes.fromhex(vector["schema"]), bytes.fromhex(vector["payload"])
    fields = codec.decode_schema(schema)
    values = from_json(vector["values"])
    assert codec.encode_schema(fields) == schema
    assert codec.encode(fields, values) == data
    assert codec.decode(fields, data) == values


@CODECS
@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["what"])
def test_refused(codec, vector):
    with pytest.raises((ValueError, InvalidRequest)):
        codec.decode(
            codec.decode_schema(bytes.fromhex(vector["schema"])), bytes.fromhex(vector.get("payload", ""))
        )


@pytest.mark.parametrize(
    ("kind", "value"),
    [("UINT8", 256), ("INT8", -129), ("UINT8", True), ("STRING", b"x"), ("BYTES", "x"), ("BOOL", 1)],
)
def test_values_that_do_not_fit(kind, value):
    with pytest.raises(ValueError, match="x"):
        tlv.encode((tlv.Field(tlv.Kind[kind], "x"),), {"x": value})


def test_missing_and_unknown_fields():
    fields = (tlv.Field(tlv.Kind.BOOL, "a"),)
    with pytest.raises(ValueError, match="'a'"):
        tlv.encode(fields, {})
    with pytest.raises(ValueError, match="'b'"):
        tlv.encode(fields, {"a": True, "b": True})


def test_the_schemas_are_the_blueprints():
    assert tlv.encode_schema(payload.PARAMETERS).hex() == VECTORS["schemas"]["execute parameters"]
    assert tlv.encode_schema(payload.RESULT).hex() == VECTORS["schemas"]["execute result"]
