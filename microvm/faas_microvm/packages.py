"""Debian packages for the image: found through the machine's own package sources.

None of their scripts runs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from faas_blueprint.errors import FatalError, MissingPrerequisite
from faas_microvm import archive
from faas_microvm.command import run
from faas_microvm.preparation import prepare
from faas_microvm.recipe import KERNEL_PACKAGE, SUITE, Recipe

_PACKAGE_LIST = "faas-packages"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Packages:
    """What the packages bring to an image."""

    root: Mapping[str, archive.Entry]
    kernel: bytes
    versions: Mapping[str, str]


def fetch_packages(recipe: Recipe, working: Path, progress: Progress) -> Packages:
    """Download, unpack and prepare in `working`. Raises MissingPrerequisite or FatalError."""
    for program in ("mmdebstrap", "apt-get", "bwrap"):
        if shutil.which(program) is None:
            raise MissingPrerequisite(f"{program} is not installed; run scripts/setup on Debian 12")
    sources = working / "debian.list"
    sources.write_text(debian_sources())
    progress("downloading Debian packages")
    root, versions = _extract(working / "root.tar", sources, recipe.packages)
    progress("downloading the kernel")
    kernel_root, kernel_versions = _extract(working / "kernel.tar", sources, (KERNEL_PACKAGE,))
    kernels = [entry.content for name, entry in kernel_root.items() if name.startswith("boot/vmlinuz-")]
    if len(kernels) != 1:
        raise FatalError(f"{KERNEL_PACKAGE} brought {len(kernels)} kernels, expected one")
    versions.update({name: version for name, version in kernel_versions.items() if "linux-image" in name})
    root = {name: entry for name, entry in root.items() if recipe.needs(name)}
    progress("preparing the files")
    prepared = prepare(recipe.preparation, working, root)
    root = {name: entry for name, entry in root.items() if recipe.keeps(name)}
    return Packages({**root, **prepared}, kernels[0], dict(sorted(versions.items())))


def _extract(
    tar: Path, sources: Path, packages: Sequence[str]
) -> tuple[dict[str, archive.Entry], dict[str, str]]:
    """What some packages and all they depend on hold, and their versions."""
    run(
        *("mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(packages)}"),
        # nothing is executed, so an ordinary user needs no namespace of their own
        "--mode=" + ("root" if os.geteuid() == 0 else "chrootless"),
        f'--extract-hook=ls "$1"/var/cache/apt/archives > "$1"/{_PACKAGE_LIST}',
        *(SUITE, str(tar), str(sources)),
    )
    root = dict(archive.read_tar(tar))
    listed = root.pop(_PACKAGE_LIST).content.decode().split()
    return root, dict(_name_and_version(name) for name in listed if name.endswith(".deb"))


def debian_sources(kind: str = "deb") -> str:
    """The machine's own sources of this Debian release, as one-line entries of a kind."""
    target = f"$(CREATED_BY) $(ORIGIN) $(CODENAME) {kind} $(REPO_URI) $(CODENAME) $(COMPONENT)"
    entries = set()
    for line in run("apt-get", "indextargets", "--format", target).splitlines():
        creator, origin, codename, entry = line.split(" ", 3)
        if creator == "Packages" and origin == "Debian" and codename.startswith(SUITE):
            entries.add(entry)
    if not entries:
        raise MissingPrerequisite(f"no Debian {SUITE} package source is configured; run apt-get update first")
    return "\n".join(sorted(entries)) + "\n"


def _name_and_version(file_name: str) -> tuple[str, str]:
    name, version, _ = unquote(file_name).split("_")
    return name, version
