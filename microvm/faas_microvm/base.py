"""Which image and snapshot are the base on this host, and making them when they are not there.

`base.json` in the home names them. It is keyed by what could change them: the guest's sources, the
list of packages and the machine profile; anything else that changed shows in the measurement.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from faas_blueprint.digests import sha256
from faas_blueprint.errors import Divergence
from faas_microvm.home import default_home, exclusive
from faas_microvm.image import Image, build_image, guest_sources, load_image
from faas_microvm.packages import KERNEL_PACKAGE, PRUNED, ROOT_PACKAGES, SUITE
from faas_microvm.profile import detect_profile
from faas_microvm.snapshot import Measured, Snapshot, boot_snapshot, load_snapshot, save_snapshot

Progress = Callable[[str], None]

KEPT = 3
"""Images and snapshots that are kept when a new one is made."""


@dataclass(frozen=True, slots=True)
class Base:
    """What `base.json` says."""

    recipe: str
    image: str
    profile_id: str
    measurement: str


def images_folder(home: Path | None = None) -> Path:
    """Where images are kept."""
    return (home or default_home()) / "images"


def snapshots_folder(home: Path | None = None) -> Path:
    """Where snapshots are kept."""
    return (home or default_home()) / "snapshots"


def recipe() -> str:
    """Hash of what an image is made from: our guest files and the list of packages."""
    sources = guest_sources()
    parts = [f"{SUITE} {ROOT_PACKAGES} {KERNEL_PACKAGE} {PRUNED}".encode()]
    for path in sorted(sources.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            parts.append(str(path.relative_to(sources)).encode() + b"\0" + path.read_bytes())
    return sha256(b"\0".join(parts)).hex()


async def open_base_snapshot(home: Path | None, progress: Progress) -> Snapshot:
    """The base snapshot of this host's profile; builds and measures what is missing, once."""
    home = home or default_home()
    with exclusive(home, "base"):
        base = _read_base(home)
        image = _base_image(home, base, progress)
        profile_id = detect_profile(image.manifest.kernel_sha256).profile_id.hex()
        if base and (base.image, base.profile_id) == (image.folder.name, profile_id):
            folder = snapshots_folder(home) / base.measurement
            if folder.is_dir():
                progress("loading the base snapshot")
                return load_snapshot(folder)
        snapshot = await boot_snapshot(image, progress)
        try:
            _keep_base(home, image, snapshot)
        except BaseException:
            snapshot.close()
            raise
        return snapshot


async def measure_base(home: Path | None, progress: Progress) -> Measured:
    """Boot the base image anew and measure it; kept as the base snapshot if there is none yet.

    Raises Divergence when an earlier boot of the same image on the same profile measured otherwise.
    """
    home = home or default_home()
    with exclusive(home, "base"):
        image = _base_image(home, _read_base(home), progress)
        known = _read_base(home)
        with await boot_snapshot(image, progress) as snapshot:
            measured = snapshot.measured
            same_profile = known is not None and known.profile_id == measured.profile_id.hex()
            if known and same_profile and known.measurement != measured.measurement.hex():
                raise Divergence(
                    "the same image on the same machine profile measured differently",
                    {"before": known.measurement, "now": measured.measurement.hex()},
                )
            _keep_base(home, image, snapshot)
    return measured


def _keep_base(home: Path, image: Image, snapshot: Snapshot) -> None:
    """Store a snapshot as the base; the oldest images and snapshots make room."""
    save_snapshot(snapshot, snapshots_folder(home))
    profile_id = snapshot.measured.profile_id.hex()
    _write_base(home, Base(recipe(), image.folder.name, profile_id, snapshot.measurement.hex()))
    for folder in (images_folder(home), snapshots_folder(home)):
        _prune(folder)


def _base_image(home: Path, base: Base | None, progress: Progress) -> Image:
    if base and base.recipe == recipe() and (images_folder(home) / base.image).is_dir():
        return load_image(images_folder(home) / base.image)
    image = build_image(images_folder(home), progress)
    _write_base(home, Base(recipe(), image.folder.name, "", ""))
    return image


def _read_base(home: Path) -> Base | None:
    try:
        return Base(**json.loads((home / "base.json").read_text()))
    except (FileNotFoundError, TypeError, ValueError):
        return None


def _prune(folder: Path) -> None:
    """Keep the newest few; a running engine holds its own snapshot in memory."""
    found = sorted(
        (path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime
    )
    for path in found[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def _write_base(home: Path, base: Base) -> None:
    temporary = home / ".base.json"
    temporary.write_text(json.dumps(asdict(base), indent=2) + "\n")
    temporary.rename(home / "base.json")
