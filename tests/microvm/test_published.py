"""Machines as they are published and fetched: whole, or not at all, and never believed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import FatalError, InvalidRequest, NotFound
from faas_blueprint.merkle import PAGE_SIZE, PageTree
from faas_microvm.base import known_measurement, snapshots_folder
from faas_microvm.fetched_machine import fetch_machine, fetched_folder, load_fetched, require_profile
from faas_microvm.machine_manifest import (
    PIECE_BYTES,
    decode_machine_manifest,
    encode_machine_manifest,
)
from faas_microvm.memory import hash_pages
from faas_microvm.profile import RAM_BYTES
from faas_microvm.published import PublishedMachines
from faas_microvm.snapshot import PAGE_COUNT, Snapshot, read_profile, save_snapshot

pytestmark = pytest.mark.machine

PAGES = {0: b"first" * 1000, 5: b"second", PAGE_COUNT - 1: b"last"}


@pytest.fixture
def small(faas_home: Path, tmp_path: Path) -> Iterator[Snapshot]:
    """A machine with the real profile and devices, and three pages of memory, in a home of its own."""
    from faas_microvm.devices import DeviceState

    measurement = known_measurement("base", faas_home)
    assert measurement is not None
    folder = snapshots_folder(faas_home) / measurement.hex()
    devices = DeviceState.from_stream((folder / "devices").read_bytes())
    ram = os.memfd_create("small")
    os.ftruncate(ram, RAM_BYTES)
    pages = {index: content[:PAGE_SIZE].ljust(PAGE_SIZE, b"\0") for index, content in PAGES.items()}
    for index, page in pages.items():
        os.pwrite(ram, page, index * PAGE_SIZE)
    tree = PageTree.build(PAGE_COUNT, hash_pages(pages))
    with Snapshot(read_profile(folder), ram, devices, tree) as snapshot:
        save_snapshot(snapshot, snapshots_folder(tmp_path / "operator"))
        yield snapshot


@pytest.fixture
def published(small: Snapshot, tmp_path: Path) -> PublishedMachines:
    return PublishedMachines(tmp_path / "operator")


async def fetch(published: PublishedMachines, home: Path, content: bytes) -> Snapshot:
    async def read(piece) -> bytes:
        return published.piece(piece.sha256)

    return await fetch_machine(home, decode_machine_manifest(content), read)


async def test_what_is_fetched_is_what_was_published(small, published, tmp_path: Path) -> None:
    content = published.manifest(small.measurement)
    manifest = decode_machine_manifest(content)
    assert encode_machine_manifest(manifest) == content
    assert manifest.image is None
    assert 0 < sum(extent.piece.size for extent in manifest.memory) < PIECE_BYTES
    with await fetch(published, tmp_path / "verifier", content) as fetched:
        assert fetched.measured == small.measured
        require_profile(fetched.profile)
    again = load_fetched(tmp_path / "verifier", small.measurement)
    assert again is not None
    again.close()


async def test_pieces_outlive_the_process_that_made_the_manifest(small, published, tmp_path: Path) -> None:
    manifest = decode_machine_manifest(published.manifest(small.measurement))
    restarted = PublishedMachines(tmp_path / "operator")
    for piece in manifest.pieces():
        assert sha256(restarted.piece(piece.sha256)) == piece.sha256
    with pytest.raises(NotFound):
        restarted.piece(Digest(bytes(32)))
    with pytest.raises(NotFound):
        restarted.manifest(Digest(bytes(32)))


async def test_a_manifest_that_does_not_measure_is_not_kept(small, published, tmp_path: Path) -> None:
    manifest = decode_machine_manifest(published.manifest(small.measurement))
    lies = (
        replace(manifest, memory=manifest.memory[:-1]),
        replace(manifest, memory=(replace(manifest.memory[0], offset=PAGE_SIZE), *manifest.memory[1:])),
        replace(manifest, profile=replace(manifest.profile, libm_vector="00" * 32)),
        replace(manifest, devices=manifest.memory[0].piece),
    )
    for lie in lies:
        with pytest.raises(FatalError):
            await fetch(published, tmp_path / "verifier", encode_machine_manifest(lie))
        assert not fetched_folder(tmp_path / "verifier", small.measurement).exists()
    assert [path.name for path in (tmp_path / "verifier/fetched").iterdir()] == []


async def test_a_fetched_machine_that_was_damaged_is_none(small, published, tmp_path: Path) -> None:
    home = tmp_path / "verifier"
    (await fetch(published, home, published.manifest(small.measurement))).close()
    with (fetched_folder(home, small.measurement) / "ram").open("r+b") as file:
        file.write(b"x")
    assert load_fetched(home, small.measurement) is None
    assert not fetched_folder(home, small.measurement).exists()


def test_a_host_that_computes_otherwise_runs_no_such_machine(small) -> None:
    with pytest.raises(FatalError, match="this host's would be"):
        require_profile(replace(small.profile, emulator="qemu 9.9.9"))


def test_the_image_in_use_is_published_with_its_machine(faas_home: Path) -> None:
    measurement = known_measurement("base", faas_home)
    assert measurement is not None
    published = PublishedMachines(faas_home)
    manifest = decode_machine_manifest(published.manifest(measurement))
    assert manifest.image is not None
    parts = [published.piece(piece.sha256) for piece in manifest.image.kernel]
    assert sha256(b"".join(parts)).hex() == manifest.profile.kernel_sha256


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"measurement": "0x12"},
        {"profile": {}},
        {"memory": [{"offset": -1, "sha256": "0x" + "00" * 32, "size": 1}]},
        {"memory": [{"offset": RAM_BYTES, "sha256": "0x" + "00" * 32, "size": 1}]},
        {"memory": [{"offset": 0, "sha256": "0x" + "00" * 32, "size": 1}] * 2},
        {"memory": [{"offset": 0, "sha256": "0x" + "00" * 32, "size": PIECE_BYTES + 1}]},
        {"memory": [{"offset": n, "sha256": "0x" + "00" * 32, "size": 1} for n in range(5000)]},
        {"devices": None},
        {"image": {}},
    ],
)
def test_manifests_that_are_none(small, published, change) -> None:
    data = json.loads(published.manifest(small.measurement)) | change
    with pytest.raises(InvalidRequest):
        decode_machine_manifest(json.dumps(data).encode())
    for content in (b"", b"[]", b"{", b"null", b"[" * 100_000):
        with pytest.raises(InvalidRequest):
            decode_machine_manifest(content)
