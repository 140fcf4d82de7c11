"""Compiled programs: kept by toolchain and source, bounded, checked."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from faas_blueprint.digests import Digest, sha256
from faas_microvm.program_cache import ProgramCache, program_key

TOOLCHAIN = sha256(b"toolchain")


def key(number: int) -> Digest:
    return sha256(number.to_bytes(4, "big"))


def test_a_program_is_known_again_after_a_restart(tmp_path: Path):
    with ProgramCache(tmp_path / "programs.sqlite") as cache:
        assert cache.get(key(1)) is None
        cache.put(key(1), b"\x7fELF")
    with ProgramCache(tmp_path / "programs.sqlite") as cache:
        assert cache.get(key(1)) == b"\x7fELF"


def test_those_used_longest_ago_make_room(tmp_path: Path):
    with ProgramCache(tmp_path / "programs.sqlite", capacity_bytes=400) as cache:
        for number in range(4):
            cache.put(key(number), bytes(100))
        cache.get(key(0))
        cache.put(key(4), bytes(100))
        assert [cache.get(key(number)) is not None for number in range(5)] == [True, False, True, True, True]


def test_a_program_larger_than_a_quarter_of_the_room_is_not_kept(tmp_path: Path):
    with ProgramCache(tmp_path / "programs.sqlite", capacity_bytes=400) as cache:
        cache.put(key(1), bytes(101))
        assert cache.get(key(1)) is None


def test_a_damaged_program_is_forgotten(tmp_path: Path):
    path = tmp_path / "programs.sqlite"
    with ProgramCache(path) as cache:
        cache.put(key(1), b"program")
    with sqlite3.connect(path) as rows:
        rows.execute("update program set content = ?", (b"another",))
    rows.close()
    with ProgramCache(path) as cache:
        assert cache.get(key(1)) is None
        cache.put(key(1), b"program")
        assert cache.get(key(1)) == b"program"


def test_the_key_tells_toolchains_and_sources_apart():
    keys = {program_key(toolchain, code) for toolchain in (TOOLCHAIN, key(1)) for code in (b"", b"a", b"b")}
    assert len(keys) == 6
