"""Building our own emulator: the source package of the very version that this host has, with our patches.

Source and compiler come as Debian packages through the machine's own package sources, into folders
of their own: the host's packages and its /etc/apt stay as they are. The source package's signature
and hashes are checked by apt. The compiler runs in a sandbox without network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from faas_blueprint.errors import FatalError, MissingPrerequisite
from faas_microvm import archive
from faas_microvm.emulator import Emulator, build_id, emulator_sources, emulators_folder, own_emulator
from faas_microvm.home import exclusive, working_folder
from faas_microvm.packages import debian_sources
from faas_microvm.profile import EMULATOR, emulator_version
from faas_microvm.recipe import SUITE

PACKAGE = "qemu-system-x86"
SOURCE = "qemu"
BUILD_PACKAGES = (
    *("bash", "binutils", "coreutils", "dash", "diffutils", "findutils", "gcc", "grep", "gzip", "libc-bin"),
    *("libc6-dev", "libfdt-dev", "libglib2.0-dev", "libpixman-1-dev", "libseccomp-dev", "make", "mawk"),
    *("meson", "ninja-build", "patch", "pkg-config", "python3", "sed", "tar", "xz-utils", "zlib1g-dev"),
)
DEVICES = "CONFIG_MICROVM=y\nCONFIG_Q35=y\nCONFIG_PVPANIC_ISA=y\n"
"""The machine, what it does not link without, and the device that stops it."""
CONFIGURE = (
    *("--target-list=x86_64-softmmu", "--without-default-features", "--without-default-devices"),
    *("--with-devices-x86_64=faas", "--enable-tcg", "--enable-system", "--disable-user", "--disable-tools"),
    *("--disable-docs", "--enable-fdt=system", "--enable-seccomp", "--disable-install-blobs"),
    # no libraries to find, to map at each fork and to unmap at each end; at an address of chance nevertheless
    *("--static", "--enable-pie"),
    # its place in the device state is counted in the sections that follow it
    *("--disable-debug-info", "--enable-live-block-migration", "--meson=/usr/bin/meson", "--disable-werror"),
)
_SCRIPT = f"""
set -e
mkdir source output
tar -xf orig.tar --no-same-owner --strip-components=1 -C source
tar -xf debian.tar --no-same-owner -C source
cd source
grep -v '^#' debian/patches/series | while read -r name; do patch -s -p1 -i "debian/patches/$name"; done
while read -r name; do patch -s -p1 -i "/patches/$name"; done < /patches/series
mkdir -p configs/devices/x86_64-softmmu
printf '{DEVICES.replace(chr(10), chr(92) + "n")}' > configs/devices/x86_64-softmmu/faas.mak
cd ../output
../source/configure {" ".join(CONFIGURE)} > configure.log
exec nice ninja {EMULATOR}
"""

Progress = Callable[[str], None]


def build_emulator(home: Path, progress: Progress, *, again: bool = False) -> Emulator:
    """Build ours unless it is there; about five minutes on two cores, once per version and patches.

    `again` builds in any case, with the compiler and the libraries that Debian has now. Raises
    MissingPrerequisite, or FatalError with the compiler's last words.
    """
    with exclusive(home, "emulator"):
        if not again and (found := own_emulator(home)):
            return found
        target = emulators_folder(home) / build_id()
        with working_folder(target.parent, "build") as working:
            install(_build(working, progress), target)
    emulator = own_emulator(home)
    if emulator is None:
        raise FatalError("the emulator's patches changed while it was built")
    return emulator


def _build(working: Path, progress: Progress) -> Path:
    for program in ("mmdebstrap", "apt-get", "bwrap", "dpkg-query"):
        if shutil.which(program) is None:
            raise MissingPrerequisite(f"{program} is not installed; run scripts/setup on Debian 12")
    progress("downloading the emulator's source package")
    _fetch_source(working)
    progress("downloading the compiler and its libraries")
    root = _build_root(working)
    for file in working.glob("*.tar.xz"):
        file.rename(working / ("debian.tar" if ".debian." in file.name else "orig.tar"))
    _compile(root, working, progress)
    return working / "output" / EMULATOR


def _fetch_source(working: Path) -> None:
    """`apt-get source` of this host's version, with lists, cache and sources of its own."""
    version = _run("dpkg-query", "-W", "-f", "${source:Version}", PACKAGE)
    for folder in ("state/lists/partial", "cache/archives/partial", "parts"):
        (working / "apt" / folder).mkdir(parents=True)
    (working / "apt/sources.list").write_text(debian_sources("deb-src"))
    apt = working / "apt"
    settings = {
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": apt / "parts",
        "Dir::State": apt / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    _run("apt-get", "-qq", *options, "update")
    _run("apt-get", "-qq", *options, "source", "--download-only", f"{SOURCE}={version}", cwd=working)


def _build_root(working: Path) -> Path:
    """The compiler's own file system: unpacked packages, none of whose scripts ran."""
    sources = working / "debian.list"
    sources.write_text(debian_sources())
    tar = working / "root.tar"
    _run(
        *("mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(BUILD_PACKAGES)}"),
        "--mode=" + ("root" if os.geteuid() == 0 else "chrootless"),
        *(SUITE, str(tar), str(sources)),
    )
    root = working / "root"
    archive.unpack(root, dict(archive.read_tar(tar)))
    tar.unlink()
    for name, target in (("awk", "mawk"), ("cc", "gcc")):  # what the packages' scripts would have made
        (root / "usr/bin" / name).symlink_to(target)
    for name in ("build", "patches"):
        (root / name).mkdir()
    return root


def _compile(root: Path, working: Path, progress: Progress) -> None:
    command = [
        *("bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", str(root), "/", "--dev", "/dev"),
        *("--proc", "/proc", "--tmpfs", "/tmp", "--bind", str(working), "/build", "--chdir", "/build"),
        *("--ro-bind", str(emulator_sources()), "/patches", "--clearenv"),
        *("--setenv", "PATH", "/usr/bin:/bin", "--setenv", "LC_ALL", "C", "--setenv", "HOME", "/tmp", "--"),
        *("/bin/sh", "-c", _SCRIPT),
    ]
    progress("compiling the emulator")
    last: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for number, line in enumerate(process.stdout or ()):
            last = [*last[-30:], line]
            if line.startswith("[") and number % 50 == 0:
                progress(f"compiling the emulator {line.split()[0]}")
    if process.returncode != 0:
        raise FatalError(f"the emulator does not build: {''.join(last)[-2000:]}")


def install(built: Path, target: Path) -> None:
    """Put a build in its folder, in the place of an earlier one; machines that run keep their file.

    Raises FatalError if it does not run on this host, or is not of its version.
    """
    finished = built.parent / "finished"
    finished.mkdir(mode=0o755)
    shutil.copy(built, finished / EMULATOR)
    (finished / EMULATOR).chmod(0o755)
    _check(finished / EMULATOR)
    if target.exists():
        target.rename(built.parent / "replaced")
    finished.rename(target)


def _check(path: Path) -> None:
    """It must run on this host and say the same version."""
    said = _run(str(path), "--version")
    if emulator_version().removeprefix("qemu ") not in said:
        raise FatalError(f"the build is not {emulator_version()}: {said.splitlines()[0]}")


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise FatalError(f"{command[0]} failed with exit code {done.returncode}: {words}")
    return done.stdout.strip()
