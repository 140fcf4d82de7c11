"""Packs: up to 1,024 compressed pages in one object, named by the SHA-256 of its header.

Layout, little-endian. Header: magic, page count (u32), size (u32) and SHA-256 of each frame, leaf
digest of each page. Then the frames: 16 pages each under zstd, so that one page costs 64 KiB of
hashing and unpacking, not the pack. The name covers the header, the header every other byte.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import zstandard

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.merkle import HASH_SIZE, PAGE_SIZE, hash_page
from faas_microvm.objects import DamagedObject

PACK_PAGES = 1024
FRAME_PAGES = 16

_HEADER = struct.Struct("<8sI")
_FRAME = struct.Struct("<I32s")
_MAGIC = b"faaspak1"
_LEVEL = 1
"""On guest memory a level more costs a fifth more time for 3 % fewer bytes."""


@dataclass(frozen=True, slots=True)
class PackedPages:
    """A pack ready to be stored."""

    name: Digest
    content: bytes
    hashes: tuple[Digest, ...]


def pack_pages(pages: Mapping[Digest, bytes]) -> PackedPages:
    """Pack up to `PACK_PAGES` pages, by leaf digest, in their order."""
    hashes = tuple(pages)
    contents = list(pages.values())
    compress = zstandard.ZstdCompressor(level=_LEVEL).compress
    frames = [
        compress(b"".join(contents[start : start + FRAME_PAGES]))
        for start in range(0, len(contents), FRAME_PAGES)
    ]
    seals = [_FRAME.pack(len(frame), sha256(frame)) for frame in frames]
    header = b"".join((_HEADER.pack(_MAGIC, len(hashes)), *seals, *hashes))
    return PackedPages(sha256(header), b"".join((header, *frames)), hashes)


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack as it was read; its header matches its name, and it is as long as that says."""

    name: Digest
    hashes: tuple[Digest, ...]
    seals: tuple[Digest, ...]
    """SHA-256 of each frame."""
    frames: tuple[memoryview, ...]

    @classmethod
    def decode(cls, name: Digest, content: bytes) -> Pack:
        """Raises DamagedObject when the content is not what the name promises."""
        magic, count = _HEADER.unpack_from(content) if len(content) >= _HEADER.size else (b"", 0)
        if magic != _MAGIC or not 0 < count <= PACK_PAGES:
            raise DamagedObject(f"pack {name.hex()} has a header that is not known here")
        hashes_start = _HEADER.size + _FRAME.size * -(-count // FRAME_PAGES)
        frames_start = hashes_start + HASH_SIZE * count
        if sha256(content[:frames_start]) != name:
            raise DamagedObject(f"pack {name.hex()} has a header that does not match its name")
        seals = list(_FRAME.iter_unpack(content[_HEADER.size : hashes_start]))
        if len(content) != frames_start + sum(size for size, _ in seals):
            raise DamagedObject(f"pack {name.hex()} is cut short or too long")
        return cls(
            name,
            tuple(
                Digest(content[at : at + HASH_SIZE]) for at in range(hashes_start, frames_start, HASH_SIZE)
            ),
            tuple(Digest(seal) for _, seal in seals),
            tuple(_cut(memoryview(content), frames_start, (size for size, _ in seals))),
        )

    def pages(self, positions: Iterable[int]) -> dict[int, bytes]:
        """Pages by position, each checked against its digest. Raises DamagedObject."""
        wanted: dict[int, list[int]] = {}
        for position in positions:
            if position >= len(self.hashes):
                raise DamagedObject(
                    f"pack {self.name.hex()} of {len(self.hashes)} pages has no page {position}"
                )
            wanted.setdefault(position // FRAME_PAGES, []).append(position)
        pages: dict[int, bytes] = {}
        decompressor = zstandard.ZstdDecompressor()
        for number, places in wanted.items():
            unpacked = self._unpack(decompressor, number)
            for position in places:
                start = position % FRAME_PAGES * PAGE_SIZE
                page = unpacked[start : start + PAGE_SIZE]
                if hash_page(page) != self.hashes[position]:
                    raise DamagedObject(
                        f"page {position} of pack {self.name.hex()} does not match its digest"
                    )
                pages[position] = page
        return pages

    def _unpack(self, decompressor: zstandard.ZstdDecompressor, number: int) -> bytes:
        frame = self.frames[number]
        size = min(FRAME_PAGES, len(self.hashes) - number * FRAME_PAGES) * PAGE_SIZE
        if sha256(frame) != self.seals[number]:
            raise DamagedObject(f"frame {number} of pack {self.name.hex()} does not match its digest")
        try:
            if zstandard.get_frame_parameters(frame).content_size == size:
                return decompressor.decompress(frame)
        except zstandard.ZstdError as error:
            raise DamagedObject(
                f"frame {number} of pack {self.name.hex()} cannot be unpacked: {error}"
            ) from error
        raise DamagedObject(f"frame {number} of pack {self.name.hex()} does not hold {size} bytes")


def _cut(content: memoryview, start: int, sizes: Iterable[int]) -> Iterable[memoryview]:
    for size in sizes:
        yield content[start : start + size]
        start += size
