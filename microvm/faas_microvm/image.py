"""The guest image: a kernel and an initial RAM disk, built from Debian packages and our guest files.

Packages are unpacked, pruned, joined by the agent and the runners, and written as an archive in
sorted order without times or owners. The same packages give the same bytes. The manifest names
every package and the hash of every part.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import FatalError, MissingPrerequisite
from faas_microvm import archive
from faas_microvm.home import working_folder
from faas_microvm.packages import Packages, fetch_packages
from faas_microvm.recipe import Recipe

Progress = Callable[[str], None]

CONFIGURATION = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\njob:x:1000:1000:job:/work:/bin/sh\n",
    "etc/group": "root:x:0:\njob:x:1000:\n",
    "etc/hosts": "127.0.0.1 localhost faas\n",
    "etc/hostname": "faas\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
FOLDERS = ("dev", "faas", "proc", "run", "sys", "tmp", "work")


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """What an image is made of; hashes are SHA-256 in hexadecimal."""

    kernel_sha256: str
    initrd_sha256: str
    packages: Mapping[str, str]
    """Version by package name."""
    guest: Mapping[str, str]
    """Hash of each of our own files, by path in the image."""
    format: int = 1

    def image_id(self) -> Digest:
        """SHA-256 of the canonical JSON."""
        return sha256(json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode())


@dataclass(frozen=True, slots=True)
class Image:
    """An image on disk."""

    folder: Path
    manifest: ImageManifest

    @property
    def kernel(self) -> Path:
        """The kernel, as the boot loader takes it."""
        return self.folder / "kernel"

    @property
    def initrd(self) -> Path:
        """The root file system, an uncompressed archive."""
        return self.folder / "initrd"


def guest_sources() -> Path:
    """The folder with agent and runners: in the checkout, or in the installed package."""
    for folder in (Path(__file__).parents[1] / "guest", Path(__file__).parent / "guest"):
        if (folder / "agent").is_dir():
            return folder
    raise FatalError("the guest's source files are missing from this installation")


def build_image(recipe: Recipe, folder: Path, progress: Progress) -> Image:
    """Build a recipe's image below `folder`; returns the existing one if the same bytes are there."""
    with working_folder(folder, "image") as working:
        packages = fetch_packages(recipe, working, progress)
        progress("compiling the guest agent")
        guest = _guest_files(recipe, working)
        progress("writing the image")
        manifest = _write_image(recipe, working, packages, guest)
        target = folder / manifest.image_id().hex()
        if not target.is_dir():
            finished = working / "finished"
            finished.mkdir(mode=0o755)
            for part in ("kernel", "initrd"):
                shutil.move(working / part, finished / part)
                (finished / part).chmod(0o644)
            (finished / "manifest.json").write_text(
                json.dumps(asdict(manifest), indent=2, sort_keys=True) + "\n"
            )
            finished.rename(target)
    return Image(target, manifest)


def load_image(folder: Path) -> Image:
    """An image that was built before. Raises FatalError when it is not whole."""
    try:
        manifest = ImageManifest(**json.loads((folder / "manifest.json").read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise FatalError(f"image {folder.name} cannot be read: {error}") from error
    if manifest.image_id().hex() != folder.name:
        raise FatalError(f"image {folder.name} is damaged; delete {folder}")
    return Image(folder, manifest)


def _guest_files(recipe: Recipe, working: Path) -> dict[str, archive.Entry]:
    sources = guest_sources()
    files = {"init": _compiled(working, _PROGRAM, *sorted((sources / "agent").glob("*.c")))}
    for name in recipe.programs:
        files[f"faas/{name}"] = _compiled(working, _PROGRAM, sources / "runners" / f"{name}.c")
    for name in recipe.addons:
        files[f"faas/{name}.node"] = _compiled(working, _ADDON, sources / "runners" / f"{name}.c")
    for name in recipe.scripts:
        content = (sources / "runners" / name).read_bytes()
        files[f"faas/{name}"] = archive.Entry(archive.FILE | 0o644, content)
    return files


_PROGRAM = ("-static",)
_ADDON = ("-shared", "-fPIC")


def _compiled(working: Path, kind: Sequence[str], *sources: Path) -> archive.Entry:
    compiler = shutil.which("gcc")
    if compiler is None:
        raise MissingPrerequisite("gcc is not installed; run scripts/setup")
    folder = sources[0].parent
    program = working / "program"
    flags = [*kind, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none", "-s"]
    mapped = f"-ffile-prefix-map={folder}=."
    names = [source.name for source in sources]
    command = [compiler, *flags, mapped, "-o", str(program), *names]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FatalError(f"{folder.name} does not compile: {done.stderr[:2000]}")
    return archive.Entry(archive.FILE | 0o755, program.read_bytes())


def _write_image(
    recipe: Recipe, working: Path, packages: Packages, guest: Mapping[str, archive.Entry]
) -> ImageManifest:
    entries = dict(packages.root)
    for name in FOLDERS:
        entries[name] = archive.Entry(archive.FOLDER | 0o755, b"")
    for name, target in recipe.links:
        entries[name] = archive.Entry(archive.LINK | 0o777, target.encode())
    for name, text in CONFIGURATION.items():
        entries[name] = archive.Entry(archive.FILE | 0o644, text.encode())
    entries.update(guest)
    (working / "kernel").write_bytes(packages.kernel)
    archive.write_archive(working / "initrd", entries)
    return ImageManifest(
        kernel_sha256=sha256(packages.kernel).hex(),
        initrd_sha256=archive.file_sha256(working / "initrd"),
        packages=packages.versions,
        guest={name: sha256(entry.content).hex() for name, entry in sorted(guest.items())},
    )


def list_images(folder: Path) -> list[Image]:
    """All whole images below `folder`, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir()]
    return [load_image(path) for path in sorted(found, key=os.path.getmtime)]
