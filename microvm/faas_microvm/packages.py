"""Debian packages for the image: found through the machine's own package sources.

None of their scripts runs; only the image's own Python compiles its library, in a sandbox.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from faas_blueprint.errors import FatalError, MissingPrerequisite
from faas_microvm import archive

SUITE = "bookworm"
ROOT_PACKAGES = ("base-files", "coreutils", "dash", "libc-bin", "libc6", "nodejs", "python3")
KERNEL_PACKAGE = "linux-image-cloud-amd64"

PRUNED = (
    *("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian"),
    *("usr/share/bash-completion", "usr/lib/x86_64-linux-gnu/gconv", "usr/lib/x86_64-linux-gnu/perl"),
    *("usr/lib/python3.11/pydoc_data", "lib/systemd", "etc", "var", "boot", "home", "root", "sbin"),
)
"""Paths that no job needs; prefixes, in the packages' own spelling."""

_PACKAGE_LIST = "faas-packages"
_LIBRARY = "usr/lib/python3.11"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Packages:
    """What the packages bring to an image."""

    root: Mapping[str, archive.Entry]
    kernel: bytes
    versions: Mapping[str, str]


def fetch_packages(working: Path, progress: Progress) -> Packages:
    """Download and unpack into `working`. Raises MissingPrerequisite or FatalError."""
    for program in ("mmdebstrap", "apt-get", "dpkg-deb", "bwrap"):
        if shutil.which(program) is None:
            raise MissingPrerequisite(f"{program} is not installed; run scripts/setup on Debian 12")
    progress("downloading Debian packages")
    tar = working / "root.tar"
    sources = working / "debian.list"
    sources.write_text(_debian_sources())
    _run(
        "mmdebstrap",
        "--quiet",
        "--variant=extract",
        f"--include={','.join(ROOT_PACKAGES)}",
        f'--extract-hook=ls "$1"/var/cache/apt/archives > "$1"/{_PACKAGE_LIST}',
        SUITE,
        str(tar),
        str(sources),
    )
    kernel_package, kernel = _fetch_kernel(working)
    progress("unpacking packages")
    root = {name: entry for name, entry in archive.read_tar(tar) if not _pruned(name)}
    listed = root.pop(_PACKAGE_LIST).content.decode().split()
    progress("compiling the Python library")
    root.update(_compile_library(working, root))
    names = [*(name for name in listed if name.endswith(".deb")), kernel_package]
    return Packages(root, kernel, dict(sorted(_name_and_version(name) for name in names)))


def _pruned(name: str) -> bool:
    return any(name == prefix or name.startswith(prefix + "/") for prefix in PRUNED)


def _debian_sources() -> str:
    """The machine's own sources of this Debian release, as one-line entries."""
    target = "$(CREATED_BY) $(ORIGIN) $(CODENAME) deb $(REPO_URI) $(CODENAME) $(COMPONENT)"
    entries = set()
    for line in _run("apt-get", "indextargets", "--format", target).splitlines():
        creator, origin, codename, entry = line.split(" ", 3)
        if creator == "Packages" and origin == "Debian" and codename.startswith(SUITE):
            entries.add(entry)
    if not entries:
        raise MissingPrerequisite(f"no Debian {SUITE} package source is configured; run apt-get update first")
    return "\n".join(sorted(entries)) + "\n"


def _fetch_kernel(working: Path) -> tuple[str, bytes]:
    described = _run("apt-cache", "depends", "--important", KERNEL_PACKAGE)
    found = re.search(r"Depends: (linux-image-\S+-cloud-amd64)", described)
    if found is None:
        raise MissingPrerequisite(f"{KERNEL_PACKAGE} is not in the package sources; run apt-get update first")
    folder = working / "kernel-package"
    folder.mkdir()
    _run("apt-get", "download", "--quiet", found[1], cwd=folder)
    (package,) = folder.glob("*.deb")
    tar = working / "kernel.tar"
    with tar.open("wb") as out:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=out, check=True)
    with tarfile.open(tar) as members:
        for member in members:
            content = members.extractfile(member) if "/vmlinuz-" in member.name else None
            if content is not None:
                return package.name, content.read()
    raise FatalError(f"{package.name} holds no kernel")


def _compile_library(working: Path, root: Mapping[str, archive.Entry]) -> dict[str, archive.Entry]:
    """Byte code of the Python library, by the image's own interpreter in a sandbox."""
    folder = working / "root"
    archive.unpack(folder, root)
    _run(
        *("bwrap", "--unshare-all", "--die-with-parent", "--bind", str(folder), "/", "--dev", "/dev"),
        *("--clearenv", "--setenv", "PYTHONHASHSEED", "0", "--setenv", "PATH", "/usr/bin", "--"),
        *("/usr/bin/python3.11", "-I", "-m", "compileall", "-q", "-j1"),
        *("--invalidation-mode", "unchecked-hash", "-x", "/(test|tests|idlelib|lib2to3|ensurepip)/"),
        "/" + _LIBRARY,
    )
    return {
        str(path.relative_to(folder)): archive.Entry(archive.FILE | 0o644, path.read_bytes())
        for path in sorted((folder / _LIBRARY).rglob("__pycache__/*.pyc"))
    }


def _name_and_version(file_name: str) -> tuple[str, str]:
    name, version, _ = unquote(file_name).split("_")
    return name, version


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise FatalError(f"{command[0]} failed with exit code {done.returncode}: {words}")
    return done.stdout
