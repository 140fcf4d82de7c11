"""Debian packages for the image: found through the machine's own package sources.

None of their scripts runs; only the image's own Python compiles its library, in a sandbox.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from faas_blueprint.errors import FatalError, MissingPrerequisite
from faas_microvm import archive

SUITE = "bookworm"
ROOT_PACKAGES = (
    *("base-files", "bash", "coreutils", "dash", "diffutils", "findutils", "grep", "libc-bin", "libc6"),
    *("mawk", "nodejs", "python3", "sed"),
)
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
    for program in ("mmdebstrap", "apt-get", "bwrap"):
        if shutil.which(program) is None:
            raise MissingPrerequisite(f"{program} is not installed; run scripts/setup on Debian 12")
    sources = working / "debian.list"
    sources.write_text(debian_sources())
    progress("downloading Debian packages")
    root, versions = _extract(working / "root.tar", sources, ROOT_PACKAGES)
    progress("downloading the kernel")
    kernel_root, kernel_versions = _extract(working / "kernel.tar", sources, (KERNEL_PACKAGE,))
    kernels = [entry.content for name, entry in kernel_root.items() if name.startswith("boot/vmlinuz-")]
    if len(kernels) != 1:
        raise FatalError(f"{KERNEL_PACKAGE} brought {len(kernels)} kernels, expected one")
    versions.update({name: version for name, version in kernel_versions.items() if "linux-image" in name})
    root = {name: entry for name, entry in root.items() if not _pruned(name)}
    progress("compiling the Python library")
    root.update(_compile_library(working, root))
    return Packages(root, kernels[0], dict(sorted(versions.items())))


def _extract(
    tar: Path, sources: Path, packages: Sequence[str]
) -> tuple[dict[str, archive.Entry], dict[str, str]]:
    """What some packages and all they depend on hold, and their versions."""
    _run(
        *("mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(packages)}"),
        # nothing is executed, so an ordinary user needs no namespace of their own
        "--mode=" + ("root" if os.geteuid() == 0 else "chrootless"),
        f'--extract-hook=ls "$1"/var/cache/apt/archives > "$1"/{_PACKAGE_LIST}',
        *(SUITE, str(tar), str(sources)),
    )
    root = dict(archive.read_tar(tar))
    listed = root.pop(_PACKAGE_LIST).content.decode().split()
    return root, dict(_name_and_version(name) for name in listed if name.endswith(".deb"))


def _pruned(name: str) -> bool:
    return any(name == prefix or name.startswith(prefix + "/") for prefix in PRUNED)


def debian_sources(kind: str = "deb") -> str:
    """The machine's own sources of this Debian release, as one-line entries of a kind."""
    target = f"$(CREATED_BY) $(ORIGIN) $(CODENAME) {kind} $(REPO_URI) $(CODENAME) $(COMPONENT)"
    entries = set()
    for line in _run("apt-get", "indextargets", "--format", target).splitlines():
        creator, origin, codename, entry = line.split(" ", 3)
        if creator == "Packages" and origin == "Debian" and codename.startswith(SUITE):
            entries.add(entry)
    if not entries:
        raise MissingPrerequisite(f"no Debian {SUITE} package source is configured; run apt-get update first")
    return "\n".join(sorted(entries)) + "\n"


def _compile_library(working: Path, root: Mapping[str, archive.Entry]) -> dict[str, archive.Entry]:
    """Byte code of the Python library, by the image's own interpreter in a sandbox."""
    folder = working / "root"
    archive.unpack(folder, root)
    _run(
        *("bwrap", "--unshare-all", "--die-with-parent", "--bind", str(folder), "/", "--dev", "/dev"),
        *("--clearenv", "--setenv", "PYTHONHASHSEED", "0", "--setenv", "PATH", "/usr/bin", "--"),
        *("/usr/bin/python3.11", "-B", "-s", "-P", "-m", "compileall", "-q", "-f", "-j1"),
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
