"""Which image and snapshot of each recipe are in use on this host, and making them when they are not there.

The base's are in the home, those of toolchain NAME in `toolchains/NAME` below it. `NAME.json` there
names them. It is keyed by what could change them: the recipe and the machine profile; anything else
that changed shows in the measurement.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from faas_blueprint.digests import Digest
from faas_blueprint.errors import Divergence, InvalidRequest
from faas_microvm.home import default_home, exclusive
from faas_microvm.image import Image, build_image, guest_sources, load_image
from faas_microvm.profile import detect_profile
from faas_microvm.recipe import BASE, RECIPES, Recipe
from faas_microvm.snapshot import Measured, Snapshot, boot_snapshot, load_snapshot, save_snapshot

Progress = Callable[[str], None]

KEPT = 3
"""Images and snapshots of a recipe that are kept when a new one is made."""


@dataclass(frozen=True, slots=True)
class InUse:
    """What `NAME.json` says."""

    recipe: str
    image: str
    profile_id: str
    measurement: str


def images_folder(home: Path | None = None) -> Path:
    """Where a home's images are kept."""
    return (home or default_home()) / "images"


def snapshots_folder(home: Path | None = None) -> Path:
    """Where a home's snapshots are kept."""
    return (home or default_home()) / "snapshots"


def recipe_home(name: str, home: Path | None = None) -> Path:
    """Where a recipe's images and snapshots are, with their lock. Raises InvalidRequest."""
    home = home or default_home()
    return home if find_recipe(name).name == BASE else home / "toolchains" / name


def find_recipe(name: str) -> Recipe:
    """The recipe of this name. Raises InvalidRequest."""
    if name not in RECIPES:
        raise InvalidRequest(f"there is no image {name!r}, only {', '.join(RECIPES)}")
    return RECIPES[name]


async def open_base_snapshot(home: Path | None, progress: Progress) -> Snapshot:
    """The base snapshot of this host's profile; builds and measures what is missing, once."""
    return await _open(BASE, home, progress)


async def open_toolchain(name: str, home: Path | None, progress: Progress) -> Snapshot:
    """The snapshot in which a toolchain waits; builds and measures what is missing, once."""
    return await _open(name, home, progress)


def known_measurement(name: str, home: Path | None) -> Digest | None:
    """Of a recipe's snapshot, without loading it; None while it must be made first. Takes a few files."""
    recipe, home = find_recipe(name), recipe_home(name, home)
    used = _read(home, name)
    if (
        used is None
        or used.recipe != _digest(recipe)
        or not (snapshots_folder(home) / used.measurement).is_dir()
    ):
        return None
    image = load_image(images_folder(home) / used.image)
    profile = detect_profile(image.manifest.kernel_sha256, recipe.kernel_arguments)
    known = used.measurement if used.profile_id == profile.profile_id.hex() else ""
    return Digest(bytes.fromhex(known)) if known else None


def image_in_use(name: str, home: Path | None, measurement: Digest) -> str | None:
    """The folder's name of the image that a recipe's snapshot in use was booted from; None for any other."""
    used = _read(recipe_home(name, home), name)
    return used.image if used is not None and used.measurement == measurement.hex() else None


async def _open(name: str, home: Path | None, progress: Progress) -> Snapshot:
    recipe, home = find_recipe(name), recipe_home(name, home)
    with exclusive(home, name):
        used = _read(home, name)
        image = _image(recipe, home, used, progress)
        profile = detect_profile(image.manifest.kernel_sha256, recipe.kernel_arguments)
        if used and (used.image, used.profile_id) == (image.folder.name, profile.profile_id.hex()):
            folder = snapshots_folder(home) / used.measurement
            if folder.is_dir():
                progress(f"loading the {name} snapshot")
                return load_snapshot(folder)
        snapshot = await boot_snapshot(image, recipe.kernel_arguments, progress)
        try:
            _keep(recipe, home, image, snapshot)
        except BaseException:
            snapshot.close()
            raise
        return snapshot


async def measure_base(home: Path | None, progress: Progress) -> Measured:
    """Boot the base image anew and measure it: see `measure`."""
    return await measure(BASE, home, progress)


async def measure(name: str, home: Path | None, progress: Progress) -> Measured:
    """Boot a recipe's image anew and measure it; kept as its snapshot if there is none yet.

    Raises Divergence when an earlier boot of the same image on the same profile measured otherwise.
    """
    recipe, home = find_recipe(name), recipe_home(name, home)
    with exclusive(home, name):
        image = _image(recipe, home, _read(home, name), progress)
        known = _read(home, name)
        with await boot_snapshot(image, recipe.kernel_arguments, progress) as snapshot:
            measured = snapshot.measured
            same_profile = known is not None and known.profile_id == measured.profile_id.hex()
            if known and same_profile and known.measurement != measured.measurement.hex():
                raise Divergence(
                    "the same image on the same machine profile measured differently",
                    {"before": known.measurement, "now": measured.measurement.hex()},
                )
            _keep(recipe, home, image, snapshot)
    return measured


def _keep(recipe: Recipe, home: Path, image: Image, snapshot: Snapshot) -> None:
    """Store a snapshot as the recipe's; the oldest images and snapshots make room."""
    save_snapshot(snapshot, snapshots_folder(home))
    profile_id, measurement = snapshot.measured.profile_id.hex(), snapshot.measurement.hex()
    _write(home, recipe, InUse(_digest(recipe), image.folder.name, profile_id, measurement))
    for folder in (images_folder(home), snapshots_folder(home)):
        _prune(folder)


def _image(recipe: Recipe, home: Path, used: InUse | None, progress: Progress) -> Image:
    if used and used.recipe == _digest(recipe) and (images_folder(home) / used.image).is_dir():
        return load_image(images_folder(home) / used.image)
    image = build_image(recipe, images_folder(home), progress)
    known = used if used and used.image == image.folder.name else InUse("", image.folder.name, "", "")
    _write(home, recipe, replace(known, recipe=_digest(recipe)))
    return image


def _digest(recipe: Recipe) -> str:
    return recipe.digest(guest_sources())


def _read(home: Path, name: str) -> InUse | None:
    try:
        return InUse(**json.loads((home / f"{name}.json").read_text()))
    except (FileNotFoundError, TypeError, ValueError):
        return None


def _write(home: Path, recipe: Recipe, used: InUse) -> None:
    temporary = home / f".{recipe.name}.json"
    temporary.write_text(json.dumps(asdict(used), indent=2) + "\n")
    temporary.rename(home / f"{recipe.name}.json")


def _prune(folder: Path) -> None:
    """Keep the newest few; a running engine holds its own snapshot in memory."""
    found = sorted(
        (path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime
    )
    for path in found[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)
