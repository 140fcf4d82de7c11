"""Payloads as Fields of the Services pallet. `FAAS_TEST_PAYLOADS=1000` tries more of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faas_blueprint import tlv
from faas_blueprint.definition import faas_blueprint_definition
from faas_blueprint.digests import keccak256
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import (
    EXECUTE_PARAMETERS,
    InputFile,
    Job,
    Language,
    decode_job,
    encode_job,
    job_digest,
)
from faas_blueprint.result import COMPACT_RESULT, EXECUTE_RESULT
from faas_blueprint.tangle.fields import CHUNK, encode_types, from_fields, to_fields

_LEAVES = {
    tlv.Kind.BOOL: st.booleans(),
    tlv.Kind.UINT8: st.integers(0, 255),
    tlv.Kind.INT16: st.integers(-(2**15), 2**15 - 1),
    tlv.Kind.INT32: st.integers(-(2**31), 2**31 - 1),
    tlv.Kind.UINT64: st.integers(0, 2**64 - 1),
    tlv.Kind.STRING: st.one_of(st.text(max_size=8), st.integers(500, 1100).map(lambda n: "é" * n + "€" * n)),
    tlv.Kind.BYTES: st.one_of(st.binary(max_size=8), st.integers(1000, 3100).map(bytes)),
    tlv.Kind.BYTES32: st.binary(min_size=32, max_size=32),
}
_NAMES = st.sampled_from("abcdef")


@st.composite
def fields_with_values(draw: st.DrawFn, depth: int = 2) -> tuple[tlv.Field, tlv.Value]:
    """One field of a schema and a value of it."""
    nested = (tlv.Kind.OPTIONAL, tlv.Kind.LIST, tlv.Kind.STRUCT, tlv.Kind.ARRAY)
    kinds = [*_LEAVES, *(nested if depth else ())]
    kind = draw(st.sampled_from(kinds))
    if kind in _LEAVES:
        return tlv.Field(kind, "x"), draw(_LEAVES[kind])
    if kind is tlv.Kind.STRUCT:
        members = draw(st.lists(fields_with_values(depth - 1), min_size=1, max_size=3))
        named = [
            (tlv.Field(f.kind, f"m{i}", f.children, f.array_length), value)
            for i, (f, value) in enumerate(members)
        ]
        return tlv.struct("x", *(f for f, _ in named)), {f.name: value for f, value in named}
    child, value = draw(fields_with_values(depth - 1))
    if kind is tlv.Kind.OPTIONAL:
        # TLV cannot tell an absent value from one that takes no bytes
        return tlv.optional("x", child), draw(st.sampled_from([value, None]))
    if kind is tlv.Kind.ARRAY:
        count = draw(st.integers(1, 3))
        return tlv.Field(kind, "x", (child,), count), [value] * count
    return tlv.list_of("x", child), draw(st.sampled_from([[], [value], [value] * 3, [value] * (CHUNK + 1)]))


@given(fields_with_values())
@settings(max_examples=int(os.environ.get("FAAS_TEST_PAYLOADS", "60")), deadline=None)
def test_every_payload_comes_back(case):
    field, value = case
    payload = tlv.encode([field], {"x": value})
    assert from_fields([field], to_fields([field], payload)) == payload


@given(st.binary(max_size=200))
def test_noise_is_refused_as_a_request(noise):
    try:
        payload = from_fields(EXECUTE_PARAMETERS, noise)
    except InvalidRequest:
        return
    decode_job(payload)


def test_a_job_past_the_bounds_keeps_its_digest():
    job = Job(
        Language.PYTHON,
        "print('é')\n" * 500,
        stdin=bytes(range(256)) * 20,
        files=(InputFile("a", bytes(5000)),),
    )
    payload = encode_job(job)
    carried = to_fields(EXECUTE_PARAMETERS, payload)
    assert keccak256(from_fields(EXECUTE_PARAMETERS, carried)) == job_digest(job)


def test_what_a_field_cannot_hold_is_refused():
    schema = [tlv.Field(tlv.Kind.BYTES, "data")]
    payload = tlv.encode(schema, {"data": bytes(CHUNK * CHUNK + 1)})
    with pytest.raises(InvalidRequest, match="1024 chunks of 1024"):
        to_fields(schema, payload)
    with pytest.raises(InvalidRequest, match="UINT256 has no Field"):
        encode_types([tlv.Field(tlv.Kind.UINT256, "x")])
    with pytest.raises(InvalidRequest, match="ARRAY has no Field"):
        encode_types([tlv.Field(tlv.Kind.ARRAY, "x", (tlv.Field(tlv.Kind.BOOL, "y"),), CHUNK + 1)])


def test_every_job_of_the_blueprint_can_be_carried():
    for job in faas_blueprint_definition().jobs:
        assert encode_types(job.parameters)
        assert encode_types(job.result)


def test_the_long_and_the_short_schema_of_a_result_carry_the_same_payload():
    vectors = json.loads((Path(__file__).parents[1] / "vectors/fields.json").read_text())
    for vector in vectors["results"]:
        payload = bytes.fromhex(vector["payload"])
        assert from_fields(COMPACT_RESULT, to_fields(COMPACT_RESULT, payload)) == payload


@pytest.mark.parametrize("damage", [b"", b"\x00", b"\xff\xff\xff\xff"])
def test_other_arguments_are_refused(damage):
    with pytest.raises(InvalidRequest):
        from_fields(EXECUTE_RESULT, damage)


def test_the_shared_vectors():
    vectors = json.loads((Path(__file__).parents[1] / "vectors/fields.json").read_text())
    assert len(vectors["jobs"]) > 1
    assert encode_types(EXECUTE_PARAMETERS).hex() == vectors["parameter_types"]
    assert encode_types(EXECUTE_RESULT).hex() == vectors["result_types"]
    for vector in vectors["jobs"]:
        assert to_fields(EXECUTE_PARAMETERS, bytes.fromhex(vector["payload"])).hex() == vector["fields"]
    for vector in vectors["results"]:
        assert to_fields(EXECUTE_RESULT, bytes.fromhex(vector["payload"])).hex() == vector["fields"]
