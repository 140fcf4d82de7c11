"""What each image is made from: Debian packages, which of their files, and which of our own.

    base          what jobs run in: the interpreters and the usual tools
    rust, go      a compiler and a linker with the standard library, and nothing else
    typescript    Node.js and the TypeScript compiler

Not here: how an image is built (`image`), or which one is in use on a host (`base`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

from faas_blueprint.digests import sha256

SUITE = "bookworm"
KERNEL_PACKAGE = "linux-image-cloud-amd64"


class Preparation(Enum):
    """What is made of the packages' files before they become an image: see `preparation`."""

    NONE = "none"
    PYTHON_LIBRARY = "python library"
    RUST_LIBRARIES = "rust libraries"
    GO_PACKAGES = "go packages"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One kind of image."""

    name: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    """Our own, in C; `runners/NAME.c` becomes /faas/NAME."""
    scripts: tuple[str, ...]
    """Our own, for the image's interpreters; `runners/NAME` becomes /faas/NAME."""
    addons: tuple[str, ...] = ()
    """Our own, in C, which Node.js loads; `runners/NAME.c` becomes /faas/NAME.node."""
    links: tuple[tuple[str, str], ...] = ()
    """Path and target of links that the packages' own scripts would make, which are not run."""
    pruned: tuple[str, ...] = ()
    """Patterns of paths that are left out, with all that is below them, in the packages' own spelling."""
    kept: tuple[str, ...] = ("*",)
    """Patterns of the paths that stay, of those that are not left out; `*` matches slashes too."""
    tools: tuple[str, ...] = ()
    """Patterns of paths that only the preparation needs."""
    preparation: Preparation = Preparation.NONE
    kernel_arguments: str = ""
    """Added to the kernel command line; part of the machine profile."""

    def keeps(self, path: str) -> bool:
        """Whether a package's file is in the image."""
        if any(fnmatchcase(path, name) or fnmatchcase(path, f"{name}/*") for name in self.pruned):
            return False
        return any(fnmatchcase(path, pattern) for pattern in self.kept)

    def needs(self, path: str) -> bool:
        """Whether a package's file is in the image or prepares it."""
        return self.keeps(path) or any(fnmatchcase(path, pattern) for pattern in self.tools)

    def digest(self, sources: Path) -> str:
        """Hash of everything that this says and of our own files below `sources`, in hexadecimal."""
        ours = [f"agent/{path.name}" for path in sorted((sources / "agent").iterdir())]
        ours += [f"runners/{name}.c" for name in (*self.programs, *self.addons)]
        ours += [f"runners/{name}" for name in self.scripts]
        ours += [f"runners/{path.name}" for path in sorted((sources / "runners").glob("*.h"))]
        parts = [f"{SUITE} {KERNEL_PACKAGE} {self}".encode()]
        parts += [name.encode() + b"\0" + (sources / name).read_bytes() for name in ours]
        return sha256(b"\0".join(parts)).hex()


_DOCUMENTATION = (
    *("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian"),
    *("usr/share/bash-completion", "usr/lib/x86_64-linux-gnu/gconv", "usr/lib/x86_64-linux-gnu/perl"),
)
_SYSTEM = ("lib/systemd", "etc", "var", "boot", "home", "root", "sbin")
_LIBRARIES = ("lib64/*", "lib/x86_64-linux-gnu/*.so*")

_NUMPY = "usr/lib/python3/dist-packages/numpy"

_BASE = Recipe(
    name="base",
    packages=(
        *("base-files", "bash", "bc", "bsdextrautils", "bzip2", "coreutils", "dash", "diffutils"),
        *("findutils", "grep", "gzip", "jq", "less", "libc-bin", "libc6", "mawk", "ncurses-base"),
        *("ncurses-bin", "nodejs", "patch", "python3", "python3-numpy", "sed", "tzdata", "unzip", "xxd"),
        *("xz-utils", "zip"),
    ),
    programs=("exec",),
    scripts=("runner.js", "runner.py"),
    addons=("leave",),
    links=(
        ("usr/bin/awk", "mawk"),
        ("usr/bin/python", "python3"),
        ("usr/bin/which", "which.debianutils"),
        ("usr/lib/x86_64-linux-gnu/libblas.so.3", "blas/libblas.so.3"),
        ("usr/lib/x86_64-linux-gnu/liblapack.so.3", "lapack/liblapack.so.3"),
    ),
    pruned=(
        *_DOCUMENTATION,
        *("usr/lib/python3.11/pydoc_data", "usr/share/zoneinfo/posix", "usr/share/zoneinfo/right"),
        # what builds extensions for NumPy, and tests it
        *(
            f"{_NUMPY}/{name}"
            for name in ("core/include", "core/lib", "distutils", "f2py", "*tests", "*.pyi")
        ),
        *("usr/lib/python3/dist-packages/pkg_resources", "usr/bin/f2py*"),
        *_SYSTEM,
    ),
    preparation=Preparation.PYTHON_LIBRARY,
)

_RUST_TARGET = "usr/lib/rustlib/x86_64-unknown-linux-gnu/lib"
_RUST = Recipe(
    name="rust",
    packages=("base-files", "libc6", "lld-14", "rustc"),
    programs=("compile", "link"),
    scripts=(),
    kept=(
        *_LIBRARIES,
        *("usr/bin/rustc", "usr/bin/ld.lld-14", "usr/lib/llvm-14/bin/*lld"),
        *(
            f"usr/lib/x86_64-linux-gnu/{name}*"
            for name in (
                *("libLLVM-14.so", "libbsd.so", "libedit.so", "libffi.so", "libicudata.so", "libicuuc.so"),
                *("libmd.so", "librustc_driver-", "libstd-", "libstdc++.so", "libxml2.so", "libz3.so"),
            )
        ),
        *(f"usr/lib/x86_64-linux-gnu/{name}" for name in ("crt[1in].o", "libc.a", "libm.a", "libm-*.a")),
        *(f"usr/lib/x86_64-linux-gnu/lib{name}.a" for name in ("dl", "mvec", "pthread", "rt", "util")),
        *(f"usr/lib/gcc/x86_64-linux-gnu/12/{name}" for name in ("crtbeginT.o", "crtend.o", "libgcc*.a")),
        f"{_RUST_TARGET}/*.rlib",
    ),
    pruned=tuple(
        f"{_RUST_TARGET}/lib{name}-*.rlib" for name in ("getopts", "proc_macro", "test", "unicode_width")
    ),
    tools=("usr/bin/x86_64-linux-gnu-strip", "usr/bin/strip", "usr/lib/x86_64-linux-gnu/lib*.so*"),
    preparation=Preparation.RUST_LIBRARIES,
    # as a tmpfs it would be limited to half of what the packed files leave of memory
    kernel_arguments="rootfstype=ramfs",
)

GO_ROOT = "usr/lib/go-1.19"
GO_PACKAGES = f"{GO_ROOT}/pkg/linux_amd64"
_GO = Recipe(
    name="go",
    packages=("base-files", "golang-1.19-go", "libc6"),
    programs=("compile",),
    scripts=(),
    kept=(
        *_LIBRARIES,
        *(f"{GO_ROOT}/pkg/tool/linux_amd64/{name}" for name in ("compile", "link")),
        f"{GO_PACKAGES}/*.a",
    ),
    pruned=(f"{GO_PACKAGES}/cmd",),
    preparation=Preparation.GO_PACKAGES,
)

_TYPESCRIPT_LIBRARY = "usr/share/nodejs/typescript/lib"
_TYPESCRIPT = Recipe(
    name="typescript",
    packages=("base-files", "libc6", "node-typescript", "nodejs"),
    programs=(),
    scripts=("compile.js",),
    kept=(
        *_LIBRARIES,
        *("usr/bin/node", "usr/lib/x86_64-linux-gnu/*.so*", "usr/share/nodejs/*", "usr/lib/ssl/*"),
    ),
    pruned=tuple(
        f"{_TYPESCRIPT_LIBRARY}/{name}"
        for name in (
            "tsserver.js",
            "tsserverlibrary.js",
            "typescriptServices.js",
            "typingsInstaller.js",
            "tsc.js",
        )
    ),
)

BASE = _BASE.name
RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in (_BASE, _RUST, _GO, _TYPESCRIPT)}
TOOLCHAINS = tuple(name for name in RECIPES if name != BASE)
"""Names of the recipes that compile."""
