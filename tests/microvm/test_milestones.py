"""Machines at milestones of calls: kept for a while, published, gone on from elsewhere; no private run's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from faas_blueprint.digests import sha256
from faas_blueprint.errors import NotFound
from faas_blueprint.job import Job, make_job
from faas_blueprint.operation import JobKind, Program, Run
from faas_microvm import milestones
from faas_microvm.derived_manifest import decode_derived_manifest
from faas_microvm.emulator import EmulatorChoice
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.fetched_machine import fetch_derived
from faas_microvm.milestones import Milestones
from faas_microvm.published_snapshots import PublishedSnapshots
from faas_microvm.tracing import run_on

pytestmark = pytest.mark.machine

SECONDS_OF_WORK = """
import time
kept = []
for second in range(3):
    kept.append(bytes([second + 1]) * 300_000)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        pass
print(len(kept))
"""


@pytest_asyncio.fixture
async def engine(faas_home: Path, tmp_path: Path) -> AsyncIterator[Engine]:
    settings = EngineSettings(store=str(tmp_path / "store"), emulator=EmulatorChoice.default())
    async with await Engine.open(faas_home, settings=settings) as opened:
        opened.milestones = await Milestones.open(tmp_path / "milestones", 1 << 30, 3600)
        yield opened


def call(job: Job) -> Run:
    return Run(JobKind.EXECUTE, Program(job))


async def test_a_call_leaves_its_milestones_to_everyone(engine: Engine, tmp_path: Path) -> None:
    job = make_job("python", SECONDS_OF_WORK)
    execution = await engine.perform(call(job), {}, "31337.1")
    trace = execution.outcome.trace
    assert len(trace) >= 2
    assert engine.milestones is not None
    await engine.milestones.settled()
    published = PublishedSnapshots(tmp_path, engine)

    async def read(piece):
        return published.piece(piece.sha256)

    for number, root in enumerate(trace):
        manifest = decode_derived_manifest(await published.manifest(root))
        machine = await fetch_derived(engine.library.base, manifest, read)
        assert machine.measurement == root
        ran = await run_on(engine, machine, engine.library.base, trace[: number + 1], job)
        if number + 1 < len(trace):
            assert ran.trace == trace[: number + 2]
        else:
            assert ran.outcome is not None
            assert ran.outcome.digest() == execution.outcome.digest()


async def test_a_private_run_leaves_none(engine: Engine, tmp_path: Path) -> None:
    execution = await engine.run(make_job("python", SECONDS_OF_WORK))
    assert engine.milestones is not None
    await engine.milestones.settled()
    published = PublishedSnapshots(tmp_path, engine)
    for root in execution.outcome.trace:
        with pytest.raises(NotFound):
            await published.manifest(root)


async def test_what_the_store_is_behind_with_is_left_out(engine: Engine, monkeypatch, caplog) -> None:
    monkeypatch.setattr(milestones, "WAITING_BYTES", 0)
    with caplog.at_level(logging.WARNING):
        execution = await engine.perform(call(make_job("python", SECONDS_OF_WORK)), {}, "31337.1")
    assert engine.milestones is not None
    await engine.milestones.settled()
    assert "those before it are not stored yet" in caplog.text
    for root in execution.outcome.trace:
        with pytest.raises(NotFound):
            await engine.milestones.load(root)
    plain = await engine.run(make_job("python", SECONDS_OF_WORK))
    assert plain.outcome.digest() == execution.outcome.digest()


async def test_the_oldest_go_and_the_rest_survives_a_restart(engine: Engine, tmp_path: Path) -> None:
    assert engine.milestones is not None
    first = await engine.perform(call(make_job("python", SECONDS_OF_WORK)), {}, "31337.1")
    await engine.milestones.settled()
    await engine.milestones.close()
    used = sum(path.stat().st_size for path in (tmp_path / "milestones").glob("*/*"))
    engine.milestones = await Milestones.open(tmp_path / "milestones", used, 3600)
    for root in first.outcome.trace:
        await engine.milestones.load(root)
    second = await engine.perform(call(make_job("python", SECONDS_OF_WORK, seed=5)), {}, "31337.1")
    await engine.milestones.settled()
    with pytest.raises(NotFound):
        await engine.milestones.load(first.outcome.trace[0])
    await engine.milestones.load(second.outcome.trace[-1])
    now = sum(path.stat().st_size for path in (tmp_path / "milestones").glob("*/*"))
    assert now <= used

    await engine.milestones.close()
    engine.milestones = await Milestones.open(tmp_path / "milestones", 1 << 30, 0)
    third = await engine.perform(call(make_job("python", SECONDS_OF_WORK, seed=6)), {}, "31337.1")
    await engine.milestones.settled()
    for root in (*second.outcome.trace, *third.outcome.trace):
        with pytest.raises(NotFound):
            await engine.milestones.load(root)


async def test_a_damaged_machine_is_none_and_goes(engine: Engine, tmp_path: Path) -> None:
    assert engine.milestones is not None
    execution = await engine.perform(call(make_job("python", SECONDS_OF_WORK)), {}, "31337.1")
    await engine.milestones.settled()
    root = execution.outcome.trace[0]
    record = tmp_path / "milestones" / "snapshots" / f"{root.hex()}.json"
    record.write_bytes(record.read_bytes()[:-20])
    with pytest.raises(NotFound):
        await engine.milestones.load(root)
    await engine.perform(call(make_job("python", SECONDS_OF_WORK, seed=7)), {}, "31337.1")
    await engine.milestones.settled()
    assert not record.exists()


async def test_a_private_snapshot_is_unknown_to_everyone(engine: Engine, tmp_path: Path) -> None:
    """An account's machine: not to be had, and no call may start on it, which could print what is in it."""
    execution = await engine.run(make_job("python", "secret = 'of mine'", keep=True))
    private = execution.snapshot
    assert private is not None
    published = PublishedSnapshots(tmp_path, engine)
    for unknown in (private, sha256(b"nothing")):
        with pytest.raises(NotFound):
            await published.manifest(unknown)
    read_out = Run(JobKind.EXECUTE_WITH_OPTIONS, Program(make_job("python", "print(secret)")), private)
    with pytest.raises(NotFound, match="that calls may start on"):
        await engine.perform(read_out, {}, "31337.1")


async def test_pieces_hold_no_page_but_the_machines_own(engine: Engine, tmp_path: Path) -> None:
    """The store refers to pages in packs of whoever brought them first: packs are not what is published."""
    from faas_blueprint.job import Mode

    mark = b"of an account's own, and of no other"
    secret = make_job("python", f"secret = {mark!r} * 1000", keep=True)
    await engine.run(secret)
    left = await engine.perform(
        Run(
            JobKind.EXECUTE_WITH_OPTIONS,
            Program(make_job("python", "x = 1", keep=True)),
            mode=Mode.CHECKPOINTED,
        ),
        {},
        "31337.1",
    )
    published = PublishedSnapshots(tmp_path, engine)
    manifest = decode_derived_manifest(await published.manifest(left.outcome.state_root))
    contents = await asyncio.gather(
        *(asyncio.to_thread(published.piece, part.piece.sha256) for part in manifest.pages)
    )

    async def read(piece):
        return published.piece(piece.sha256)

    machine = await fetch_derived(engine.library.base, manifest, read)
    assert machine.measurement == left.outcome.state_root
    assert contents
    assert all(mark not in page for page in machine.overlay.values())
