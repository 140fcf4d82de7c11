"""What is made of the packages' files before they become an image.

Where a program has to run for it, that is the image's own, in a sandbox without network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from faas_microvm import archive
from faas_microvm.command import run
from faas_microvm.recipe import GO_PACKAGES, Preparation

Entries = Mapping[str, archive.Entry]

_PYTHON_LIBRARY = ("usr/lib/python3.11", "usr/lib/python3/dist-packages")


def prepare(preparation: Preparation, working: Path, root: Entries) -> dict[str, archive.Entry]:
    """Files to add or replace; `working` is an empty place of the caller's."""
    match preparation:
        case Preparation.NONE:
            return {}
        case Preparation.PYTHON_LIBRARY:
            return _compile_python_library(working / "root", root)
        case Preparation.RUST_LIBRARIES:
            return _strip_rust_libraries(working / "root", root)
        case Preparation.GO_PACKAGES:
            return _list_go_packages(root)


def _compile_python_library(folder: Path, root: Entries) -> dict[str, archive.Entry]:
    """Byte code of the Python library."""
    _run_inside(
        folder,
        root,
        *("/usr/bin/python3.11", "-B", "-s", "-P", "-m", "compileall", "-q", "-f", "-j1"),
        *("--invalidation-mode", "unchecked-hash", "-x", "/(test|tests|idlelib|lib2to3|ensurepip)/"),
        *(f"/{place}" for place in _PYTHON_LIBRARY),
    )
    made = (path for place in _PYTHON_LIBRARY for path in (folder / place).rglob("__pycache__/*.pyc"))
    return _read(folder, sorted(made))


def _strip_rust_libraries(folder: Path, root: Entries) -> dict[str, archive.Entry]:
    """The standard library without debugging information: a fifth smaller, and quicker to link."""
    names = sorted(name for name in root if name.endswith(".rlib"))
    _run_inside(
        folder,
        root,
        *("/usr/bin/x86_64-linux-gnu-strip", "--strip-debug", "--enable-deterministic-archives"),
        *(f"/{name}" for name in names),
    )
    return _read(folder, [folder / name for name in names])


def _list_go_packages(root: Entries) -> dict[str, archive.Entry]:
    """Where the compiler and the linker find each package of the standard library."""
    names = sorted(name for name in root if name.startswith(GO_PACKAGES) and name.endswith(".a"))
    lines = [f"packagefile {name[len(GO_PACKAGES) + 1 : -2]}=/{name}\n" for name in names]
    return {"faas/importcfg": archive.Entry(archive.FILE | 0o644, "".join(lines).encode())}


def _run_inside(folder: Path, root: Entries, *command: str) -> None:
    archive.unpack(folder, root)
    run(
        *("bwrap", "--unshare-all", "--die-with-parent", "--bind", str(folder), "/", "--dev", "/dev"),
        *("--clearenv", "--setenv", "PYTHONHASHSEED", "0", "--setenv", "PATH", "/usr/bin", "--"),
        *command,
    )


def _read(folder: Path, paths: list[Path]) -> dict[str, archive.Entry]:
    return {
        str(path.relative_to(folder)): archive.Entry(archive.FILE | 0o644, path.read_bytes())
        for path in paths
    }
