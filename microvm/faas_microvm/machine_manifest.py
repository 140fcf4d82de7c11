"""How a machine is published: the manifest that names every piece of its snapshot and image by SHA-256.

    {"format": 1, "measurement": "0x…", "profile": {every field of `profile.MachineProfile`},
     "devices": {"sha256": "0x…", "size": 1},
     "memory": [{"offset": 0, "sha256": "0x…", "size": 1}, …],
     "image": {"manifest": {…}, "kernel": [{…}, …], "initrd": [{…}, …]} or null}

`memory` lists what is not zero, in order. Whoever has the pieces measures what they make up: the measurement
speaks for the manifest, whoever served it. The image is what was booted; it is not needed to run jobs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import cast

from faas_blueprint.digests import Digest, digest_from_hex, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_microvm.profile import RAM_BYTES, MachineProfile

PIECE_BYTES = 16 << 20
"""The largest piece."""

MANIFEST_BYTES = 1 << 20
"""The largest manifest."""

MOST_PIECES = 4_096
"""Of one machine, over all lists."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes by their hash."""

    sha256: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Extent:
    """A piece of memory at an offset of RAM."""

    offset: int
    piece: Piece


@dataclass(frozen=True, slots=True)
class PublishedImage:
    """What was booted."""

    manifest: Piece
    kernel: tuple[Piece, ...]
    initrd: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class MachineManifest:
    """A machine in pieces."""

    measurement: Digest
    profile: MachineProfile
    devices: Piece
    memory: tuple[Extent, ...]
    image: PublishedImage | None

    def pieces(self) -> tuple[Piece, ...]:
        """All of them; a piece may be there twice."""
        image = self.image
        booted = () if image is None else (image.manifest, *image.kernel, *image.initrd)
        return (self.devices, *(extent.piece for extent in self.memory), *booted)


def encode_machine_manifest(manifest: MachineManifest) -> bytes:
    """One JSON object, with sorted keys and no spaces."""
    image = manifest.image
    data = {
        "format": 1,
        "measurement": to_hex(manifest.measurement),
        "profile": asdict(manifest.profile),
        "devices": piece_to_json(manifest.devices),
        "memory": [{"offset": part.offset, **piece_to_json(part.piece)} for part in manifest.memory],
        "image": None
        if image is None
        else {
            "manifest": piece_to_json(image.manifest),
            "kernel": [piece_to_json(piece) for piece in image.kernel],
            "initrd": [piece_to_json(piece) for piece in image.initrd],
        },
    }
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def decode_machine_manifest(content: bytes) -> MachineManifest:
    """The inverse of `encode_machine_manifest`, of bytes that anyone may have made. Raises InvalidRequest."""
    if len(content) > MANIFEST_BYTES:
        raise InvalidRequest(f"a machine's manifest has {MANIFEST_BYTES} bytes at the most")
    try:
        data = json.loads(content)
        if data["format"] != 1:
            raise InvalidRequest(f"a machine's manifest of format {data['format']!r} is not known here")
        manifest = MachineManifest(
            digest_from_hex(data["measurement"]),
            _profile(data["profile"]),
            piece_from_json(data["devices"]),
            tuple(Extent(number_from_json(part["offset"]), piece_from_json(part)) for part in data["memory"]),
            None if data["image"] is None else _image(data["image"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidRequest(f"this is not a machine's manifest: {error!r}"[:200]) from error
    _check(manifest)
    return manifest


def _check(manifest: MachineManifest) -> None:
    if len(manifest.pieces()) > MOST_PIECES:
        raise InvalidRequest(f"a machine's manifest names {MOST_PIECES} pieces at the most")
    end = 0
    for extent in manifest.memory:
        if extent.offset < end or extent.offset + extent.piece.size > RAM_BYTES:
            raise InvalidRequest("a machine's manifest has memory out of order, or beyond its end")
        end = extent.offset + extent.piece.size


def _profile(data: Mapping[str, object]) -> MachineProfile:
    if set(data) != {field.name for field in fields(MachineProfile)}:
        raise ValueError("the profile has other fields")
    arguments = tuple(map(str, cast("Sequence[object]", data["arguments"])))
    return MachineProfile(**{**data, "arguments": arguments})  # type: ignore[arg-type]


def _image(data: Mapping[str, object]) -> PublishedImage:
    kernel, initrd = (
        tuple(map(piece_from_json, cast("Sequence[object]", data[name]))) for name in ("kernel", "initrd")
    )
    return PublishedImage(piece_from_json(data["manifest"]), kernel, initrd)


def piece_from_json(data: object) -> Piece:
    """Its hash and size. Raises ValueError, KeyError or TypeError for anything else."""
    parts = cast("Mapping[str, object]", data)
    size = number_from_json(parts["size"])
    if not 0 < size <= PIECE_BYTES:
        raise ValueError(f"a piece has {PIECE_BYTES} bytes at the most")
    return Piece(digest_from_hex(str(parts["sha256"])), size)


def number_from_json(value: object) -> int:
    """A number from 0 on. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a number from 0 on")
    return value


def piece_to_json(piece: Piece) -> dict[str, object]:
    """The inverse of `piece_from_json`."""
    return {"sha256": to_hex(piece.sha256), "size": piece.size}
