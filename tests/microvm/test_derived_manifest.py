"""Machines that jobs have left, as pieces by hash: what comes back is what was published, or nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import FatalError, InvalidRequest
from faas_blueprint.merkle import PAGE_SIZE, PageTree
from faas_microvm.base import known_measurement, snapshots_folder
from faas_microvm.derived_manifest import (
    PIECE_PAGES,
    DerivedManifest,
    PagesPiece,
    decode_derived_manifest,
    decode_pages,
    encode_derived_manifest,
    encode_pages,
)
from faas_microvm.devices import DeviceState
from faas_microvm.fetched_machine import fetch_derived
from faas_microvm.machine_manifest import PIECE_BYTES, Piece
from faas_microvm.memory import hash_pages
from faas_microvm.profile import RAM_BYTES
from faas_microvm.snapshot import PAGE_COUNT, Snapshot, read_profile


@given(st.dictionaries(st.integers(0, PAGE_COUNT - 1), st.binary(min_size=0, max_size=8), max_size=40))
def test_pages_come_back_as_they_were(contents: dict[int, bytes]) -> None:
    pages = {index: content.ljust(PAGE_SIZE, b"\1") for index, content in contents.items()}
    found: dict[int, bytes] = {}
    for piece, count in encode_pages(pages):
        found |= decode_pages(piece, count)
    assert found == pages


def test_a_piece_is_bounded() -> None:
    pages = {index: os.urandom(PAGE_SIZE) for index in range(PIECE_PAGES + 1)}
    pieces = list(encode_pages(pages))
    assert [count for _, count in pieces] == [PIECE_PAGES, 1]
    assert all(len(content) <= PIECE_BYTES for content, _ in pieces)


def pages_piece(*rows: tuple[int, bytes]) -> bytes:
    indices = b"".join(index.to_bytes(4, "little") for index, _ in rows)
    return zstandard.compress(indices + b"".join(page for _, page in rows))


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (b"", 1),
        (b"nothing", 1),
        (pages_piece((1, bytes(PAGE_SIZE))), 2),
        (pages_piece((1, bytes(PAGE_SIZE)), (1, bytes(PAGE_SIZE))), 2),
        (pages_piece((2, bytes(PAGE_SIZE)), (1, bytes(PAGE_SIZE))), 2),
        (pages_piece((PAGE_COUNT, bytes(PAGE_SIZE))), 1),
        (zstandard.compress(bytes(1 << 30)), 1),
        (pages_piece((1, bytes(PAGE_SIZE)))[:-5], 1),
    ],
)
def test_pieces_that_are_none(content: bytes, count: int) -> None:
    with pytest.raises(InvalidRequest):
        decode_pages(content, count)


PIECE = {"sha256": "0x" + "00" * 32, "size": 1, "count": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"format": 1},
        {"format": None},
        {"base": "0x12"},
        {"measurement": None},
        {"devices": None},
        {"pages": [{**PIECE, "count": 0}]},
        {"pages": [{**PIECE, "count": True}]},
        {"pages": [{**PIECE, "count": PIECE_PAGES + 1}]},
        {"pages": [{**PIECE, "size": PIECE_BYTES + 1}]},
        {"pages": [{**PIECE, "count": PIECE_PAGES}] * (PAGE_COUNT // PIECE_PAGES + 1)},
    ],
)
def test_manifests_that_are_none(change) -> None:
    digest = Digest(bytes(32))
    piece = Piece(digest, 1)
    good = encode_derived_manifest(DerivedManifest(digest, digest, digest, piece, (PagesPiece(piece, 1),)))
    assert encode_derived_manifest(decode_derived_manifest(good)) == good
    data = json.loads(good) | change
    with pytest.raises(InvalidRequest):
        decode_derived_manifest(json.dumps(data).encode())
    for content in (b"", b"[]", b"{", b"null", b"[" * 100_000, b"{" + b" " * (1 << 20)):
        with pytest.raises(InvalidRequest):
            decode_derived_manifest(content)


@pytest.fixture
def base(faas_home: Path) -> Iterator[Snapshot]:
    """A machine with the real profile and devices, and one page of memory."""
    measurement = known_measurement("base", faas_home)
    assert measurement is not None
    folder = snapshots_folder(faas_home) / measurement.hex()
    ram = os.memfd_create("small")
    os.ftruncate(ram, RAM_BYTES)
    os.pwrite(ram, b"b" * PAGE_SIZE, 0)
    devices = DeviceState.from_stream((folder / "devices").read_bytes())
    tree = PageTree.build(PAGE_COUNT, hash_pages({0: b"b" * PAGE_SIZE}))
    with Snapshot(read_profile(folder), ram, devices, tree) as snapshot:
        yield snapshot


@pytest.mark.machine
async def test_a_derived_machine_is_measured_before_it_is_had(base: Snapshot) -> None:
    pages = {0: bytes(PAGE_SIZE), 7: b"7" * PAGE_SIZE, PAGE_COUNT - 1: b"last".ljust(PAGE_SIZE, b"\0")}
    left = base.derived(pages, hash_pages(pages), base.devices)
    contents = {sha256(base.devices.stream): base.devices.stream}
    parts = []
    for content, count in encode_pages(pages):
        contents[sha256(content)] = content
        parts.append(PagesPiece(Piece(sha256(content), len(content)), count))
    devices = Piece(base.devices.digest(), len(base.devices.stream))
    profile_id = base.measured.profile_id
    manifest = DerivedManifest(left.measurement, base.measurement, profile_id, devices, tuple(parts))

    async def read(piece: Piece) -> bytes:
        return contents[piece.sha256]

    fetched = await fetch_derived(base, decode_derived_manifest(encode_derived_manifest(manifest)), read)
    assert fetched.measured == left.measured
    assert fetched.overlay == pages
    lies = (
        replace(manifest, pages=()),
        replace(manifest, measurement=base.measurement),
        replace(manifest, devices=parts[0].piece),
        replace(manifest, pages=(replace(parts[0], count=2),)),
    )
    for lie in lies:
        with pytest.raises(FatalError):
            await fetch_derived(base, lie, read)
