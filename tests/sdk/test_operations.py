"""Inputs of jobs 1 to 5 as the SDK writes them are the node's own, and large parts are brought first."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from faas_blueprint.operation_payload import decode_operation
from faas_sdk.effects import run
from faas_sdk.operations import (
    INLINE_BYTES,
    PARAMETERS,
    Fork,
    Inputs,
    Options,
    create_branch,
    create_snapshot,
    merge_branches,
    program_inputs,
    restore_snapshot,
)
from faas_sdk.payload import JobInputs
from faas_sdk.rest import RestApi
from faas_sdk.tlv import decode_schema

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/operations.json").read_text())


def program(vector) -> JobInputs:
    given = VECTORS["program"]
    files = {path: text.encode() for path, text in given["files"].items()}
    files |= {part.removeprefix("files/"): text.encode() for part, text in vector["blobs"].items()}
    return JobInputs(
        given["code"],
        given["language"],
        given["stdin"].encode(),
        (),
        {},
        files,
        given["seed"],
        given["epoch"],
    )


def inputs_of(vector) -> Inputs:
    given = vector["fork"]
    fork = None
    if given is not None:
        fork = Fork(int(given["seed"]), int(given["epoch"]), bytes.fromhex(given["identity"][2:]))
    match vector["job_index"]:
        case 1:
            options = Options(vector["mode"], vector["snapshot"], fork)
            return program_inputs(program(vector), options, by_hash=True)
        case 2:
            return create_snapshot(program(vector), vector["snapshot"], by_hash=True)
        case 3:
            return restore_snapshot(vector["snapshot"], int(vector["challenge"]))
        case 4:
            return create_branch(vector["snapshot"], fork)
        case _:
            return merge_branches(vector["branches"], vector["base"], vector["strategy"])


@pytest.mark.parametrize("vector", VECTORS["operations"], ids=lambda vector: vector["name"])
def test_inputs_are_the_nodes_own(vector):
    made = inputs_of(vector)
    assert "0x" + made.payload.hex() == vector["payload"]
    assert made.job_index == vector["job_index"]
    blobs = {hashlib.sha256(text.encode()).digest(): text.encode() for text in vector["blobs"].values()}
    assert made.blobs == blobs


def test_schemas_are_the_blueprints():
    for index, fields in PARAMETERS.items():
        assert decode_schema(bytes.fromhex(VECTORS["schemas"][str(index)])) == fields


def test_small_inputs_stay_job_0_and_large_ones_too_where_there_is_nowhere_to_bring_them():
    small = program({"blobs": {}})
    assert program_inputs(small, Options(), by_hash=True).job_index == 0
    large = replace(small, stdin=b"x" * INLINE_BYTES)
    assert program_inputs(large, Options(), by_hash=False).job_index == 0
    by_hash = program_inputs(large, Options(), by_hash=True)
    assert (by_hash.job_index, list(by_hash.blobs.values())) == (1, [large.stdin])
    kept = decode_operation(program_inputs(replace(large, keep=True), Options(), by_hash=True).payload)
    assert str(kept.mode) == "checkpointed"


def test_a_malformed_measurement_is_refused():
    for text in ("0x12", "base", "0x" + "g" * 64):
        with pytest.raises(ValueError, match="hexadecimal"):
            restore_snapshot(text, 1)


def test_what_operators_refuse_is_refused_before_it_is_paid():
    one, other = "0x" + "1" * 64, "0x" + "2" * 64
    made = program({"blobs": {}})
    for wrong in (
        lambda: Fork(identity=bytes(33)),
        lambda: Fork(epoch=1 << 62),
        lambda: Fork(seed=-1),
        lambda: program_inputs(made, Options("persistent"), by_hash=False),
        lambda: program_inputs(made, Options("cached", fork=Fork()), by_hash=False),
        lambda: merge_branches([one], None, "ours"),
        lambda: merge_branches([one, one], None, "ours"),
        lambda: merge_branches([one, other], None, "mine"),
    ):
        with pytest.raises(ValueError, match=r"."):
            wrong()


def test_a_blob_is_brought_with_the_key(flaky_server):
    flaky_server.will_answer(200, {"sha256": "0x", "size": 4, "expires_at": ""})
    api = RestApi.at(flaky_server.url, "a-key", 0)
    with httpx.Client() as http:
        run(api.upload_blob(hashlib.sha256(b"blob").digest(), b"blob"), http)
    (request,) = flaky_server.requests
    assert (request["method"], request["body"]) == ("PUT", b"blob")
    assert request["path"] == f"/api/v1/blobs/{hashlib.sha256(b'blob').hexdigest()}"
    assert request["headers"]["authorization"] == "Bearer a-key"
