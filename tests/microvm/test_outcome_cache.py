"""Remembered outcomes: the same as a run's, bounded, never wrong."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.job import make_job
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_microvm.engine import Engine
from faas_microvm.outcome_cache import OutcomeCache, cache_key


def outcome(content: bytes = b"\x00\xffout", number: int = 0) -> Outcome:
    streams = Stream(content, True), Stream(b"err")
    return Outcome(Status.SIGNALED, 139, 11, number, *streams, state_root=sha256(b"state"))


def key(number: int) -> Digest:
    return sha256(number.to_bytes(4, "big"))


def test_what_was_put_comes_back_after_a_restart(tmp_path: Path):
    with OutcomeCache(tmp_path / "cache") as cache:
        assert cache.get(key(1)) is None
        cache.put(key(1), outcome())
        assert cache.get(key(1)) == outcome()
    with OutcomeCache(tmp_path / "cache") as cache:
        assert cache.get(key(1)) == outcome()
        assert cache.get(key(2)) is None


def incompressible(size: int, number: int) -> bytes:
    return b"".join(sha256(bytes([number]) + n.to_bytes(4, "big")) for n in range(size // 32))


def test_it_is_bounded_and_evicts_what_was_used_longest_ago(tmp_path: Path):
    with OutcomeCache(tmp_path / "cache", capacity_bytes=100_000) as cache:
        for number in range(5):
            cache.put(key(number), outcome(incompressible(20_000, number), number))
            assert cache.get(key(0)) is not None
        known = [number for number in range(5) if cache.get(key(number)) is not None]
        assert known[0] == 0
        assert known[-1] == 4
        assert 1 not in known


def test_one_that_is_too_large_is_not_kept_and_drives_nothing_out(tmp_path: Path):
    with OutcomeCache(tmp_path / "cache", capacity_bytes=100_000) as cache:
        cache.put(key(1), outcome())
        cache.put(key(2), outcome(incompressible(60_000, 2)))
        assert cache.get(key(2)) is None
        assert cache.get(key(1)) == outcome()


def test_a_damaged_row_is_forgotten(tmp_path: Path):
    with OutcomeCache(tmp_path / "cache") as cache:
        cache.put(key(1), outcome())
    with sqlite3.connect(tmp_path / "cache") as rows:
        rows.execute("update known_outcome set content = zeroblob(40)")
    rows.close()
    with OutcomeCache(tmp_path / "cache") as cache:
        assert cache.get(key(1)) is None
        cache.put(key(1), outcome())
        assert cache.get(key(1)) == outcome()


def test_everything_that_an_outcome_depends_on_is_in_the_key():
    parts = [sha256(name) for name in (b"profile", b"snapshot", b"job")]
    changed = [[sha256(b"other") if m == n else part for m, part in enumerate(parts)] for n in range(3)]
    assert len({cache_key(*parts), *(cache_key(*other) for other in changed)}) == 4


@pytest.mark.machine
async def test_the_second_run_is_the_first_ones_outcome(faas_home: Path):
    job = make_job("python", f"print({id(object())}); import os; print(os.urandom(4))")
    async with await Engine.open(faas_home) as engine:
        first = await engine.run_cached(job)
        second = await engine.run_cached(job)
        plain = await engine.run(job)
        assert (first.cached, second.cached, plain.cached) == (False, True, False)
        assert first.outcome == second.outcome == plain.outcome
        assert second.wall_ms < plain.wall_ms
    async with await Engine.open(faas_home) as engine:
        assert (await engine.run_cached(job)).cached
