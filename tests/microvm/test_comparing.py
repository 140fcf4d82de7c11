"""Snapshots side by side: diffs, proofs and merges of real machines."""

from __future__ import annotations

import dataclasses

import pytest

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import make_job
from faas_blueprint.operation import Strategy
from faas_blueprint.proof import ProofRefuted, verify_file_proof, verify_page_proof
from faas_microvm.comparing import diff_snapshots, merge_snapshots, prove_page, prove_path
from faas_microvm.engine import Engine
from faas_microvm.merge import ConflictKind

pytestmark = [pytest.mark.machine, pytest.mark.asyncio(loop_scope="session")]


async def shell(engine: Engine, script: str, start: Digest | None = None, **parts) -> Digest:
    """Run a script in a machine that is kept, and say which snapshot it left."""
    execution = await engine.run(make_job("bash", script, keep=True, **parts), start)
    assert execution.outcome.exit_code == 0, execution.outcome.stderr
    assert execution.snapshot is not None
    return execution.snapshot


async def cat(engine: Engine, snapshot: Digest, path: str) -> bytes:
    return (await engine.run(make_job("bash", f"cat {path}"), snapshot)).outcome.stdout.content


async def test_a_diff_names_files_pages_registers_and_time(engine: Engine):
    first = await shell(engine, "mkdir d; printf one > d/changed; echo gone > gone; echo same > same")
    second = await shell(engine, "printf two > d/changed; rm gone; echo new > new; chmod 600 same", first)
    diff = await diff_snapshots(engine, first, second)
    assert [entry.path for entry in diff.files.added] == ["new"]
    assert [entry.path for entry in diff.files.removed] == ["gone"]
    modified = {item.path: item for item in diff.files.modified}
    assert modified.keys() == {"d/changed", "main.sh", "same"}
    assert modified["d/changed"].after.sha256 == sha256(b"two")
    assert (modified["same"].before.mode, modified["same"].after.mode) == (0o644, 0o600)
    assert 10 < len(diff.pages) < 5000
    assert 0 < diff.virtual_ns < 1_000_000_000
    back = await diff_snapshots(engine, second, first)
    assert back.pages == diff.pages
    assert back.virtual_ns == -diff.virtual_ns
    same = await diff_snapshots(engine, first, first)
    assert (same.pages, same.files.empty, same.registers) == ((), True, {})


async def test_a_diff_with_the_base_and_with_a_machine_that_was_not_told_to_be_kept(engine: Engine):
    job = make_job("bash", "echo x > x")
    late = (await engine.snapshot_at(job)).measurement
    diff = await diff_snapshots(engine, engine.measurement, late)
    assert [entry.path for entry in diff.files.added] == ["main.sh", "x"]
    with pytest.raises(InvalidRequest, match="not kept"):
        await prove_path(engine, late, "x")


async def test_a_page_and_a_file_are_proven_offline(engine: Engine):
    start = await shell(engine, "mkdir d; printf content > d/file; ln -s d/file link")
    page = await prove_page(engine, start, 4100)  # of the kernel
    verify_page_proof(page, start)
    with pytest.raises(ProofRefuted):
        verify_page_proof(dataclasses.replace(page, index=4101), start)
    proof = await prove_path(engine, start, "d/file", with_content=True)
    assert proof.content == b"content"
    verify_file_proof(proof, start, b"content")
    with pytest.raises(ProofRefuted):
        verify_file_proof(proof, start, b"another")
    assert (await prove_path(engine, start, "link", with_content=True)).content == b"d/file"
    absent = await prove_path(engine, start, "nothing")
    assert absent.entry is None
    verify_file_proof(absent, start)


TEXT = b"".join(b"line %d\n" % n for n in range(20))


async def branches(engine: Engine, ours: str, theirs: str) -> tuple[Digest, Digest, Digest]:
    start = await shell(engine, "true", files={"text": TEXT, "d/kept": b"k", "bin": b"\0one"})
    return start, await shell(engine, ours, start), await shell(engine, theirs, start)


async def test_a_merge_joins_lines_and_files(engine: Engine):
    start, ours, theirs = await branches(
        engine,
        "sed -i 's/line 3$/ours 3/' text; echo o > ours; rm d/kept; printf '\\0two' > bin",
        "sed -i 's/line 15$/theirs 15/' text; mkdir -p new/deep; echo t > new/deep/file\n"
        "ln -s text link; cp main.sh run; chmod 750 run",
    )
    merged = await merge_snapshots(engine, ours, theirs)
    assert merged.ancestor == start
    assert merged.record is not None
    snapshot = merged.record.measurement
    expected = TEXT.replace(b"line 3\n", b"ours 3\n").replace(b"line 15\n", b"theirs 15\n")
    assert await cat(engine, snapshot, "text") == expected
    assert await cat(engine, snapshot, "ours new/deep/file link") == b"o\nt\n" + expected
    assert await cat(engine, snapshot, "d/kept; ls -l run | cut -c1-10; cat bin") == b"-rwxr-x---\n\0two"
    again = await merge_snapshots(engine, ours, theirs)
    assert again.record is not None
    assert again.record.measurement == snapshot
    assert merged.record.parent == ours


async def test_conflicts_are_listed_and_nothing_is_merged(engine: Engine):
    _, ours, theirs = await branches(
        engine,
        "sed -i 's/line 3$/ours 3/' text; rm d/kept; printf '\\0two' > bin",
        "sed -i 's/line 3$/theirs 3/' text; echo more >> d/kept; printf '\\0three' > bin",
    )
    merged = await merge_snapshots(engine, ours, theirs)
    assert merged.record is None
    kinds = {conflict.path: conflict.kind for conflict in merged.conflicts}
    assert kinds["text"] is ConflictKind.CONTENT
    assert kinds["d/kept"] is ConflictKind.DELETE_MODIFY
    assert kinds["bin"] is ConflictKind.BINARY
    sides = {conflict.path: (conflict.ours, conflict.theirs) for conflict in merged.conflicts}
    assert sides["bin"] == (b"\0two", b"\0three")
    for strategy, line in ((Strategy.OURS, b"ours 3\n"), (Strategy.THEIRS, b"theirs 3\n")):
        taken = await merge_snapshots(engine, ours, theirs, strategy)
        assert taken.record is not None
        assert await cat(engine, taken.record.measurement, "text") == TEXT.replace(b"line 3\n", line)
