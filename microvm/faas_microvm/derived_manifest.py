"""How a machine that a job has left is published: the manifest that names its base and what differs from it.

    {"format": 2, "measurement": "0x…", "base": "0x…", "profile_id": "0x…",
     "devices": {"sha256": "0x…", "size": 1}, "pages": [{"sha256": "0x…", "size": 1, "count": 1}, …]}

A piece of `pages` is under zstd: the indices of `count` pages (u32, little-endian, ascending), then the pages
in that order. SHA-256 and size are of the bytes that go over the wire. Format 1 is that of whole machines
(`machine_manifest`). The measurement speaks for all of it, whoever served it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy
import zstandard

from faas_blueprint.digests import Digest, digest_from_hex, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.merkle import PAGE_SIZE
from faas_microvm.machine_manifest import (
    MANIFEST_BYTES,
    Piece,
    number_from_json,
    piece_from_json,
    piece_to_json,
)
from faas_microvm.profile import RAM_BYTES

PIECE_PAGES = 2048
"""Pages in a piece, at the most: it is then far below `PIECE_BYTES`, compressed or not."""

_FORMAT = 2
_INDEX_BYTES = 4
_LEVEL = 1
"""As packs of the store have it, and for the same reason."""


@dataclass(frozen=True, slots=True)
class PagesPiece:
    """So many pages, as one blob."""

    piece: Piece
    count: int


@dataclass(frozen=True, slots=True)
class DerivedManifest:
    """A machine as what differs from its base."""

    measurement: Digest
    base: Digest
    """Measurement of the machine below it, which is published whole."""
    profile_id: Digest
    devices: Piece
    pages: tuple[PagesPiece, ...]

    @property
    def page_count(self) -> int:
        """Pages that differ from the base's."""
        return sum(part.count for part in self.pages)

    def pieces(self) -> tuple[Piece, ...]:
        """All of them; a piece may be there twice."""
        return (self.devices, *(part.piece for part in self.pages))


def encode_derived_manifest(manifest: DerivedManifest) -> bytes:
    """One JSON object, with sorted keys and no spaces."""
    data = {
        "format": _FORMAT,
        "measurement": to_hex(manifest.measurement),
        "base": to_hex(manifest.base),
        "profile_id": to_hex(manifest.profile_id),
        "devices": piece_to_json(manifest.devices),
        "pages": [{**piece_to_json(part.piece), "count": part.count} for part in manifest.pages],
    }
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def decode_derived_manifest(content: bytes) -> DerivedManifest:
    """The inverse of `encode_derived_manifest`, of bytes that anyone may have made. Raises InvalidRequest."""
    if len(content) > MANIFEST_BYTES:
        raise InvalidRequest(f"a machine's manifest has {MANIFEST_BYTES} bytes at the most")
    try:
        data = json.loads(content)
        if data["format"] != _FORMAT:
            raise InvalidRequest(
                f"a derived machine's manifest of format {data['format']!r} is not known here"
            )
        manifest = DerivedManifest(
            digest_from_hex(data["measurement"]),
            digest_from_hex(data["base"]),
            digest_from_hex(data["profile_id"]),
            piece_from_json(data["devices"]),
            tuple(
                PagesPiece(piece_from_json(part), number_from_json(part["count"])) for part in data["pages"]
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidRequest(f"this is not a derived machine's manifest: {error!r}"[:200]) from error
    if any(not 0 < part.count <= PIECE_PAGES for part in manifest.pages):
        raise InvalidRequest(f"a piece has from 1 to {PIECE_PAGES} pages")
    if manifest.page_count > RAM_BYTES // PAGE_SIZE:
        raise InvalidRequest("a machine's manifest has more pages than memory")
    return manifest


def encode_pages(pages: Mapping[int, bytes]) -> Iterator[tuple[bytes, int]]:
    """Pieces and the number of pages in each, in the order of the pages' indices."""
    order = sorted(pages)
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    for start in range(0, len(order), PIECE_PAGES):
        part = order[start : start + PIECE_PAGES]
        indices = numpy.array(part, dtype="<u4").tobytes()
        yield compressor.compress(b"".join((indices, *(pages[index] for index in part)))), len(part)


def decode_pages(content: bytes, count: int) -> dict[int, bytes]:
    """The inverse for one piece, whose hash was checked. Raises InvalidRequest."""
    size = count * (_INDEX_BYTES + PAGE_SIZE)
    try:
        if zstandard.get_frame_parameters(content).content_size != size:
            raise InvalidRequest(f"a piece does not hold {count} pages")
        raw = zstandard.ZstdDecompressor().decompress(content)
    except zstandard.ZstdError as error:
        raise InvalidRequest(f"a piece cannot be unpacked: {error}") from error
    if len(raw) != size:
        raise InvalidRequest(f"a piece does not hold {count} pages")
    indices = numpy.frombuffer(raw, "<u4", count).astype(numpy.int64)
    if (numpy.diff(indices) <= 0).any() or indices[-1] >= RAM_BYTES // PAGE_SIZE:
        raise InvalidRequest("a piece has pages out of order, or beyond the memory's end")
    start = count * _INDEX_BYTES
    return {
        index: raw[start + number * PAGE_SIZE : start + (number + 1) * PAGE_SIZE]
        for number, index in enumerate(indices.tolist())
    }
