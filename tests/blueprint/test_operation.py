"""Operations and their payloads: one spelling each, no payload that can be read as two, frozen vectors."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from faas_blueprint import tlv
from faas_blueprint.definition import faas_blueprint_definition
from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import Mode, encode_job, make_job
from faas_blueprint.operation import (
    Blob,
    BlobPart,
    ForkRecord,
    InstanceRequest,
    JobKind,
    MergeBranches,
    Program,
    Run,
    Strategy,
    blobs_of,
    kind_of,
    snapshots_of,
)
from faas_blueprint.operation_payload import (
    PARAMETERS,
    decode_operation,
    encode_operation,
    operation_of_call,
    tag_of,
)
from faas_blueprint.result import COMPACT_RESULT, EXECUTE_RESULT

VECTORS = Path(__file__).parents[1] / "vectors"


@pytest.fixture(scope="module")
def made() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_operations", VECTORS / "make_operations.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_vectors_are_frozen(made):
    assert json.loads((VECTORS / "operations.json").read_text()) == made.vectors()


def test_every_payload_is_read_back(made):
    for operation, _ in made.OPERATIONS.values():
        payload = encode_operation(operation)
        assert decode_operation(payload) == operation
        assert encode_operation(decode_operation(payload)) == payload
        for kind in JobKind:
            if kind == kind_of(operation):
                assert operation_of_call(kind, payload) == operation
            else:
                with pytest.raises(InvalidRequest, match=f"inputs of job {int(kind_of(operation))}, sent to"):
                    operation_of_call(kind, payload)
        with pytest.raises(InvalidRequest):
            decode_operation(payload[:-1])
        with pytest.raises(InvalidRequest):
            decode_operation(payload + b"\0")


def test_job_0_is_as_it_was():
    job = make_job("python", "print(1)", keep=True)
    operation = decode_operation(encode_job(job))
    assert operation == Run(JobKind.EXECUTE, Program(job), None, Mode.CHECKPOINTED)
    assert encode_operation(operation) == encode_job(job)
    assert decode_operation(encode_job(replace(job, keep=False))).mode is Mode.EPHEMERAL
    with pytest.raises(InvalidRequest, match="language 'create_snapshot/2' is not served"):
        decode_operation(encode_job(job).replace(b"\6python", b"\x11create_snapshot/2"))
    for payload in (b"", b"\xff", b"\x7f"):
        with pytest.raises(InvalidRequest):
            decode_operation(payload)


def test_a_result_has_one_layout_by_either_schema():
    fixed = bytes(range(256)) + bytes(88)
    head = fixed[:162] + b"\x08" + fixed[163:177] + b"\3" + fixed[178:219] + b"\3" + fixed[220:261] + b"\4"
    head += fixed[262:307] + b"\2" + fixed[308:344]
    head = head[:218] + b"\1" + head[219:260] + b"\0" + head[261:306] + b"\1" + head[307:]
    payload = head + b"\0" + b"\2ab"
    assert tlv.encode(COMPACT_RESULT, tlv.decode(COMPACT_RESULT, payload)) == payload
    assert tlv.encode(EXECUTE_RESULT, tlv.decode(EXECUTE_RESULT, payload)) == payload


def test_the_definition_names_every_job():
    jobs = faas_blueprint_definition().jobs
    assert [job.name for job in jobs] == [kind.name.lower() for kind in JobKind]
    assert [job.parameters for job in jobs] == [PARAMETERS[kind] for kind in JobKind]
    assert all(len(job.description) <= 31 for job in jobs)


def test_instances_are_read_but_not_written():
    kind = JobKind.STOP_INSTANCE
    payload = tlv.encode(PARAMETERS[kind], {"kind": tag_of(kind), "instance": 3})
    assert operation_of_call(kind, payload) == InstanceRequest(kind)
    assert snapshots_of(InstanceRequest(kind)) == blobs_of(InstanceRequest(kind)) == ()
    with pytest.raises(InvalidRequest):
        encode_operation(InstanceRequest(kind))


# -- blobs


def part(name: str, content: bytes = b"text") -> BlobPart:
    return BlobPart(name, Blob(len(content), sha256(content)))


def test_blobs_become_parts_of_the_job():
    parts = (part("code", b"c"), part("files/b", b"two"), part("stdin", b"in"))
    job = make_job("python", "", files={"a": b"one", "c": b"three"})
    program = Program(job, parts)
    contents = {sha256(content): content for content in (b"c", b"two", b"in")}
    whole = program.whole(contents)
    assert whole == make_job("python", "c", stdin=b"in", files={"a": b"one", "b": b"two", "c": b"three"})
    assert blobs_of(Run(JobKind.EXECUTE_WITH_OPTIONS, program)) == tuple(item.blob for item in parts)
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        Program(job, (part("code", b"\xff"),)).whole({sha256(b"\xff"): b"\xff"})


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((part("stdin"), part("code")), "sorted"),
        ((part("code"), part("code")), "sorted"),
        ((part("stderr"),), "no part of a program"),
        ((part("files/../x"),), "must be relative"),
        ((part("files/here"),), "stands here and as a blob"),
        ((part("files/a"), BlobPart("files/b", Blob(9, sha256(b"text")))), "two sizes"),
        ((BlobPart("code", Blob((4 << 20) + 1, Digest(bytes(32)))),), "code is over"),
        ((BlobPart("files/a", Blob(15 << 20, Digest(bytes(32)))),), "over 14680064 bytes together"),
    ],
)
def test_blobs_that_do_not_fit_are_refused(parts, words):
    with pytest.raises(InvalidRequest, match=words):
        Program(make_job("python", "", files={"here": b""}), parts)


def test_code_stands_in_one_place():
    with pytest.raises(InvalidRequest, match="code stands here and as a blob"):
        Program(make_job("python", "1"), (part("code"),))
    with pytest.raises(InvalidRequest, match="stdin stands here and as a blob"):
        Program(make_job("python", "1", stdin=b"1"), (part("stdin"),))


# -- what does not go together


def test_what_does_not_go_together_is_refused():
    kept, not_kept = Program(make_job("python", "1", keep=True)), Program(make_job("python", "1"))
    kind = JobKind.EXECUTE_WITH_OPTIONS
    with pytest.raises(InvalidRequest, match="use checkpointed"):
        Run(kind, kept, None, Mode.PERSISTENT)
    with pytest.raises(InvalidRequest, match="keep must be true"):
        Run(kind, not_kept, None, Mode.CHECKPOINTED)
    with pytest.raises(InvalidRequest, match="keep must be false"):
        Run(kind, kept, None, Mode.CACHED)
    with pytest.raises(InvalidRequest, match="belongs to mode branched"):
        Run(kind, kept, None, Mode.BRANCHED)
    with pytest.raises(InvalidRequest, match="belongs to mode branched"):
        Run(kind, not_kept, None, Mode.EPHEMERAL, ForkRecord())
    with pytest.raises(InvalidRequest, match="32 bytes"):
        ForkRecord(identity=bytes(33))
    with pytest.raises(InvalidRequest, match="out of range"):
        ForkRecord(epoch=1 << 63)
    one = Digest(b"\1" * 32)
    for branches in ((), (one,), (one, one)):
        with pytest.raises(InvalidRequest, match="from 2 to 16 different"):
            MergeBranches(None, branches, Strategy.OURS)
