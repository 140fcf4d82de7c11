"""The machines of this home as others can have them: manifests by measurement, pieces by SHA-256.

Whatever snapshot lies in the home is published, also those of toolchains and of earlier images, so that old
receipts can be checked. A manifest is made when it is asked for first, which reads the snapshot once, and
kept in `published` below the home. Checking and putting together what others publish is in `fetched_machine`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from faas_blueprint.digests import Digest, sha256, to_hex
from faas_blueprint.errors import FatalError, InvalidRequest, NotFound
from faas_microvm.base import image_in_use, images_folder, recipe_home, snapshots_folder
from faas_microvm.machine_manifest import (
    PIECE_BYTES,
    Extent,
    MachineManifest,
    Piece,
    PublishedImage,
    decode_machine_manifest,
    encode_machine_manifest,
)
from faas_microvm.recipe import RECIPES
from faas_microvm.snapshot import data_extents, read_profile

_SHORT_HOLE = 1 << 20
"""Up to so many zero bytes are part of a piece: each piece is a request, and operators count those."""


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    offset: int
    size: int


class PublishedMachines:
    """What one home publishes. Reads files and blocks; may be used from any thread."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._making = threading.Lock()
        self._places: dict[Digest, _Place] | None = None

    def manifest(self, measurement: Digest) -> bytes:
        """The manifest of a machine; some seconds the first time. Raises NotFound."""
        with self._making:
            path = self._kept(measurement)
            folder, _ = self._find(measurement)
            try:
                if not path.is_file():
                    content = encode_machine_manifest(self._make(measurement))
                    path.parent.mkdir(parents=True, exist_ok=True)
                    temporary = path.with_suffix(".new")
                    temporary.write_bytes(content)
                    temporary.rename(path)
                    self._places = None
                return path.read_bytes()
            except (OSError, FatalError) as error:
                raise NotFound(f"the machine in {folder.name} cannot be read: {error}") from error

    def piece(self, digest: Digest) -> bytes:
        """Bytes of a machine whose manifest was asked for. Raises NotFound."""
        with self._making:
            if self._places is None:
                self._places = dict(self._all_places())
            place = self._places.get(digest)
        if place is not None:
            with contextlib.suppress(OSError), place.path.open("rb") as file:
                file.seek(place.offset)
                content = file.read(place.size)
                if sha256(content) == digest:
                    return content
        raise NotFound(f"there is no blob {to_hex(digest)}")

    def _kept(self, measurement: Digest) -> Path:
        return self._home / "published" / f"{measurement.hex()}.json"

    def _find(self, measurement: Digest) -> tuple[Path, Path | None]:
        """The folders of a machine's snapshot and, where it is in use, of its image. Raises NotFound."""
        for name in RECIPES:
            home = recipe_home(name, self._home)
            folder = snapshots_folder(home) / measurement.hex()
            if folder.is_dir():
                image = image_in_use(name, self._home, measurement)
                return folder, None if image is None else images_folder(home) / image
        raise NotFound(f"this operator has no machine {to_hex(measurement)}")

    def _make(self, measurement: Digest) -> MachineManifest:
        folder, image = self._find(measurement)
        ram = folder / "ram"
        with ram.open("rb") as file:
            extents = _joined(data_extents(file.fileno(), ram.stat().st_size))
        memory = [
            Extent(offset, _piece_at(_Place(ram, offset, min(PIECE_BYTES, end - offset))))
            for start, end in extents
            for offset in range(start, end, PIECE_BYTES)
        ]
        booted = None
        if image is not None and image.is_dir():
            (manifest,) = _pieces(image / "manifest.json")
            booted = PublishedImage(manifest, _pieces(image / "kernel"), _pieces(image / "initrd"))
        (devices,) = _pieces(folder / "devices")
        return MachineManifest(measurement, read_profile(folder), devices, tuple(memory), booted)

    def _all_places(self) -> Iterator[tuple[Digest, _Place]]:
        for path in (self._home / "published").glob("*.json"):
            with contextlib.suppress(InvalidRequest, NotFound, OSError):
                manifest = decode_machine_manifest(path.read_bytes())
                yield from _places(manifest, *self._find(manifest.measurement))


def _places(manifest: MachineManifest, folder: Path, image: Path | None) -> Iterator[tuple[Digest, _Place]]:
    yield manifest.devices.sha256, _Place(folder / "devices", 0, manifest.devices.size)
    for extent in manifest.memory:
        yield extent.piece.sha256, _Place(folder / "ram", extent.offset, extent.piece.size)
    if manifest.image is not None and image is not None:
        parts = (
            ("manifest.json", (manifest.image.manifest,)),
            ("kernel", manifest.image.kernel),
            ("initrd", manifest.image.initrd),
        )
        for name, pieces in parts:
            offset = 0
            for piece in pieces:
                yield piece.sha256, _Place(image / name, offset, piece.size)
                offset += piece.size


def _joined(extents: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in extents:
        if joined and start - joined[-1][1] <= _SHORT_HOLE:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _pieces(path: Path) -> tuple[Piece, ...]:
    size = path.stat().st_size
    return tuple(
        _piece_at(_Place(path, offset, min(PIECE_BYTES, size - offset)))
        for offset in range(0, size, PIECE_BYTES)
    )


def _piece_at(place: _Place) -> Piece:
    with place.path.open("rb") as file:
        file.seek(place.offset)
        return Piece(sha256(file.read(place.size)), place.size)
