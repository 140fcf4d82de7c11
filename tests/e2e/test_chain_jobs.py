"""The blueprint's jobs on the real chain, run by a real operator and run again by a verifier."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import httpx
import pytest

from faas_blueprint import tlv
from faas_blueprint.digests import ZERO_DIGEST, Digest, keccak256, sha256, to_hex
from faas_blueprint.job import Mode, encode_job, make_job
from faas_blueprint.operation import (
    Blob,
    BlobPart,
    CreateBranch,
    ForkRecord,
    JobKind,
    MergeBranches,
    Program,
    RestoreSnapshot,
    Run,
    Strategy,
)
from faas_blueprint.operation_payload import PARAMETERS, encode_operation, tag_of
from faas_blueprint.outcome import Status
from faas_blueprint.result import decode_result
from faas_sdk import Fork, SubmissionRefused, TangleFaaSClient
from faas_verifier.verdict import Conclusion

pytestmark = [pytest.mark.machine, pytest.mark.chain, pytest.mark.asyncio(loop_scope="session")]

API_KEY = "key-of-a-customer"
UNKNOWN = Digest(b"\x77" * 32)


def create(script: str, start: Digest | None = None) -> Run:
    job = make_job("bash", script, keep=True)
    return Run(JobKind.CREATE_SNAPSHOT, Program(job), start, Mode.CHECKPOINTED)


def run(
    script: str, start: Digest | None, mode: Mode = Mode.EPHEMERAL, fork: ForkRecord | None = None
) -> Run:
    job = make_job("bash", script, keep=mode.keeps)
    return Run(JobKind.EXECUTE_WITH_OPTIONS, Program(job), start, mode, fork)


async def verified(place, call) -> None:
    verdict = await place.verify(call)
    assert verdict.conclusion is Conclusion.VERIFIED, verdict.findings


async def test_a_snapshot_is_made_run_on_and_restored(place):
    call, made = await place.perform(create("echo kept > file"))
    assert (made.outcome.status, made.outcome.exit_code) == (Status.EXITED, 0)
    assert made.snapshot == place.node.engine.measurement
    snapshot = made.state_root
    assert await place.node.engine.has(snapshot)
    held = await place.node.engine.library.store.list_branches()
    assert snapshot in held.values(), "held for the service, whoever else deletes it"

    later, result = await place.perform(run("cat file", snapshot))
    assert (result.snapshot, result.output.stdout) == (snapshot, b"kept\n")
    verdict = await place.verify(later)
    assert verdict.conclusion is Conclusion.UNCHECKED
    assert "verify that job's receipt first" in verdict.reason
    await verified(place, call)  # which makes the snapshot there
    await verified(place, later)

    first, one = await place.perform(RestoreSnapshot(snapshot, challenge=1))
    _, two = await place.perform(RestoreSnapshot(snapshot, challenge=2))
    assert one.snapshot == two.snapshot == snapshot
    assert one.state_root != two.state_root, "its end cannot be known without running it"
    await verified(place, first)


async def test_modes(place):
    before, left = await place.perform(run("x=41; echo $x > n", None, Mode.CHECKPOINTED))
    cached = run("cat n; date +%s%N", left.state_root, Mode.CACHED)
    one, first = await place.perform(cached)
    _, second = await place.perform(cached)
    for result in (first, second):
        assert result.snapshot == left.state_root
    assert replace(first, signature=b"") == replace(second, signature=b""), "the same receipt"
    record = ForkRecord(seed=5, identity=b"left")
    forked, fork = await place.perform(run("cat n; echo $RANDOM", left.state_root, Mode.BRANCHED, record))
    other = replace(record, identity=b"right")
    _, sibling = await place.perform(run("cat n; echo $RANDOM", left.state_root, Mode.BRANCHED, other))
    assert fork.snapshot == sibling.snapshot == left.state_root
    assert fork.state_root != sibling.state_root
    assert await place.node.engine.has(fork.state_root)
    for call in (before, one, forked):
        await verified(place, call)


async def test_branches_are_made_and_merged(place):
    base_call, base = await place.perform(create("printf 'a\\nb\\nc\\n' > text"))
    calls = [base_call]
    heads = []
    for name, script in {"one": "sed -i s/a/A/ text", "two": "sed -i s/c/C/ text"}.items():
        branch_call, branch = await place.perform(
            CreateBranch(base.state_root, ForkRecord(identity=name.encode()))
        )
        assert (branch.snapshot, branch.outcome.virtual_ns) == (base.state_root, 0)
        head_call, head = await place.perform(create(script, branch.state_root))
        assert head.snapshot == branch.state_root
        calls += [branch_call, head_call]
        heads.append(head.state_root)
    merge = MergeBranches(base.state_root, tuple(heads), Strategy.THREE_WAY)
    merge_call, merged = await place.perform(merge)
    assert (merged.snapshot, merged.outcome.exit_code) == (heads[0], 0)
    after_call, after = await place.perform(run("cat text", merged.state_root))
    assert after.output.stdout == b"A\nb\nC\n"
    for call in (*calls, merge_call, after_call):
        await verified(place, call)


async def test_conflicts_are_a_result(place):
    _, base = await place.perform(create("echo base > file"))
    _, ours = await place.perform(create("echo ours > file", base.state_root))
    _, theirs = await place.perform(create("echo theirs > file", base.state_root))
    branches = (ours.state_root, theirs.state_root)
    _, result = await place.perform(MergeBranches(base.state_root, branches, Strategy.THREE_WAY))
    assert (result.outcome.status, result.outcome.exit_code) == (Status.EXITED, 1)
    assert result.state_root == ours.state_root, "nothing was merged"
    (conflict,) = json.loads(result.output.stdout)["conflicts"]
    assert (conflict["path"], conflict["kind"]) == ("file", "content")
    assert conflict["theirs"]["sha256"] == to_hex(sha256(b"theirs\n"))
    _, taken = await place.perform(MergeBranches(base.state_root, branches, Strategy.THEIRS))
    assert taken.outcome.exit_code == 0


VALUES = {
    "kind": "",
    "snapshot": ZERO_DIGEST,
    "instance": 3,
    "cpu_millicores": 1000,
    "memory_mb": 512,
    "disk_mb": 64,
    "port": 80,
    "protocol": "tcp",
    "path": "a",
    "blob": {"size": 1, "sha256": ZERO_DIGEST},
}


@pytest.mark.parametrize("kind", [kind for kind in JobKind if kind >= JobKind.START_INSTANCE])
async def test_instances_are_answered(kind, place):
    fields = PARAMETERS[kind]
    values = {field.name: VALUES[field.name] for field in fields} | {"kind": tag_of(kind)}
    call, result = await place.answer(kind, tlv.encode(fields, values))
    assert result.outcome.status is Status.FAILED
    assert result.output.stderr == b"NOT_SERVED: instances are not served by this operator\n"
    await verified(place, call)


REFUSED = {
    "persistent": (
        JobKind.EXECUTE_WITH_OPTIONS,
        {"mode": "persistent", "snapshot": ZERO_DIGEST, "fork": None, "blobs": []},
        b"INVALID_REQUEST: mode persistent",
    ),
    "unknown mode": (
        JobKind.EXECUTE_WITH_OPTIONS,
        {"mode": "eternal", "snapshot": ZERO_DIGEST, "fork": None, "blobs": []},
        b"INVALID_REQUEST: mode 'eternal' is not known",
    ),
    "not kept": (
        JobKind.CREATE_SNAPSHOT,
        {"snapshot": ZERO_DIGEST, "blobs": []},
        b"INVALID_REQUEST: the job's keep must be true",
    ),
    "one branch": (
        JobKind.MERGE_BRANCHES,
        {"base": ZERO_DIGEST, "branches": [UNKNOWN], "strategy": "ours"},
        b"INVALID_REQUEST: name from 2 to 16",
    ),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
async def test_what_cannot_be_done_is_answered_and_verified(case, place):
    kind, values, words = REFUSED[case]
    if "blobs" in values:
        values = values | {"job": encode_job(make_job("bash", "true"))}
    call, result = await place.answer(kind, tlv.encode(PARAMETERS[kind], {"kind": tag_of(kind), **values}))
    assert result.outcome.status is Status.FAILED
    assert result.output.stderr.startswith(words)
    await verified(place, call)


async def test_the_inputs_of_another_job_are_answered(place):
    payload = encode_operation(create("true"))
    renamed = tlv.encode(
        PARAMETERS[JobKind.CREATE_SNAPSHOT],
        {**tlv.decode(PARAMETERS[JobKind.CREATE_SNAPSHOT], payload), "kind": tag_of(JobKind.CREATE_BRANCH)},
    )
    call, result = await place.answer(JobKind.CREATE_SNAPSHOT, renamed)
    assert result.outcome.status is Status.FAILED
    await verified(place, call)


async def test_a_snapshot_that_nobody_has_is_answered(place):
    call, result = await place.perform(run("true", UNKNOWN))
    assert result.outcome.status is Status.FAILED
    assert result.output.stderr.startswith(b"NOT_FOUND: there is no snapshot " + to_hex(UNKNOWN).encode())
    verdict = await place.verify(call)
    assert verdict.conclusion is Conclusion.UNCHECKED


# -- blobs


def by_blob(content: bytes, script: str, path: str = "data.bin") -> Run:
    parts = (BlobPart(f"files/{path}", Blob(len(content), sha256(content))),)
    return Run(JobKind.EXECUTE_WITH_OPTIONS, Program(make_job("bash", script), parts))


async def test_five_megabytes_in_and_out(place):
    content = b"".join(sha256(number.to_bytes(4, "big")) for number in range(5 * (1 << 20) // 32))
    await place.upload(content)
    call, result = await place.perform(by_blob(content, "mkdir -p output; cp data.bin output/copy"))
    assert (result.outcome.status, result.outcome.exit_code) == (Status.EXITED, 0), result.output
    assert (result.outcome.files.count, result.outcome.files.size) == (1, len(content))
    async with httpx.AsyncClient(timeout=60) as http:
        for digest, size in ((result.outcome.files.sha256, None), (sha256(content), len(content))):
            answer = await http.get(f"{place.endpoint}/api/v1/blobs/{to_hex(digest)}")
            assert sha256(answer.content) == digest
            assert size in (None, len(answer.content))
    verdict = await place.verify(call)
    assert verdict.conclusion is Conclusion.UNCHECKED
    assert "--blobs" in verdict.reason
    verdict = await place.verify(call, place.endpoint)
    assert verdict.conclusion is Conclusion.VERIFIED, verdict.findings


async def test_a_blob_that_is_not_there_and_one_that_a_peer_lies_about(place):
    missing = b"never uploaded"
    _, result = await place.perform(by_blob(missing, "true"))
    assert result.outcome.status is Status.FAILED
    said = result.output.stderr.decode()
    assert said.startswith(f"BLOB_UNAVAILABLE: blob {to_hex(sha256(missing))} of {len(missing)} bytes")
    call, result = await place.perform(by_blob(b"truth", "true"))
    assert result.outcome.status is Status.FAILED
    assert "1 of its peers served other bytes" in result.output.stderr.decode()
    verdict = await place.verify(call)
    assert verdict.conclusion is Conclusion.UNCHECKED


async def test_a_verifier_takes_no_wrong_bytes(place, lying_peer):
    await place.upload(b"truth")
    call, result = await place.perform(by_blob(b"truth", "cat data.bin"))
    assert result.output.stdout == b"truth"
    verdict = await place.verify(call, lying_peer)
    assert verdict.conclusion is Conclusion.FALSIFIED
    assert "serves other bytes" in verdict.reason
    verdict = await place.verify(call, lying_peer, place.endpoint)
    assert verdict.conclusion is Conclusion.VERIFIED


async def test_code_and_input_may_be_blobs(place):
    code, line = b"cat; echo from a blob", b"a line "
    for content in (code, line):
        await place.upload(content)
    parts = tuple(
        BlobPart(name, Blob(len(content), sha256(content)))
        for name, content in (("code", code), ("stdin", line))
    )
    call, result = await place.perform(
        Run(JobKind.EXECUTE_WITH_OPTIONS, Program(make_job("bash", ""), parts))
    )
    assert result.output.stdout == b"a line from a blob\n"
    assert result.job_digest == keccak256((await place.read(call)).job.inputs)
    assert decode_result((await place.read(call)).results[0].payload) == result


# -- the Python client


def client(place, **more: object) -> TangleFaaSClient:
    deployment = place.deployment
    return TangleFaaSClient(
        deployment.rpc_url,
        service_id=deployment.service_id,
        private_key=deployment.customer_key,
        tangle=deployment.tangle,
        endpoint=place.endpoint,
        poll_interval=0.1,
        **more,
    )


def snapshots_by_client(place) -> None:
    with client(place) as tangle:
        made = tangle.wait_for_result(tangle.create_snapshot(code="echo 1 > n", language="bash"))
        forks = [
            tangle.wait_for_result(tangle.create_branch(made.state_root, Fork(identity=name)))
            for name in (b"left", b"right")
        ]
        heads = [
            tangle.wait_for_result(
                tangle.submit_job(
                    code=f"echo {number} > file{number}",
                    language="bash",
                    mode="checkpointed",
                    snapshot=fork.state_root,
                )
            ).state_root
            for number, fork in enumerate(forks)
        ]
        merged = tangle.wait_for_result(tangle.merge_branches(heads, base=made.state_root))
        assert merged.exit_code == 0
        job = tangle.submit_job(code="cat n file0 file1", language="bash", snapshot=merged.state_root)
        assert tangle.wait_for_result(job).stdout == "1\n0\n1\n"
        assert tangle.verify(job).passed
        shown = tangle.wait_for_result(tangle.restore_snapshot(merged.state_root, challenge=4))
        assert (shown.status, shown.receipt["snapshot"]) == ("exited", merged.state_root)


async def test_the_python_client_makes_forks_and_merges(place):
    await asyncio.to_thread(snapshots_by_client, place)


def five_megabytes_by_client(place) -> None:
    content = bytes(range(256)) * (5 << 12)
    code = "mkdir -p output; cp data.bin output/copy"
    with client(place, api_key=API_KEY) as tangle:
        told: list[str] = []
        job = tangle.submit_job(
            code=code, language="bash", files={"data.bin": content}, on_progress=told.append
        )
        assert len(job.inputs) < 500
        assert told[0] == f"uploading {len(content)} bytes, which go by their hash"
        result = tangle.wait_for_result(job)
        assert tangle.output_file(result, "copy") == content
    with client(place) as keyless, pytest.raises(SubmissionRefused, match="large parts go by their hash"):
        keyless.submit_job(code=code, language="bash", files={"data.bin": content})


async def test_the_python_client_brings_large_inputs_and_fetches_large_outputs(place):
    await asyncio.to_thread(five_megabytes_by_client, place)
