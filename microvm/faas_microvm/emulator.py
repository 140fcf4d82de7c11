"""Which emulator a machine runs on: the host's package, or our own build of the same version.

Both are the same machine: equal jobs give equal outcomes on either, so the profile does not name
the one that was used. Ours is faster, and can fork. It is built by `emulator_build`.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from faas_blueprint.digests import sha256
from faas_blueprint.errors import FatalError, InvalidRequest, MissingPrerequisite
from faas_microvm.profile import EMULATOR, emulator_version

_INSIDE = "/emulator"
"""Where our own build is seen within the sandbox."""


class EmulatorChoice(StrEnum):
    """What to run machines on."""

    AUTOMATIC = "auto"
    """Our own build where there is one, else the host's."""
    STOCK = "stock"
    """The host's."""
    FORK = "fork"
    """Our own build, with a warm parent from the first job on."""
    RESTORE = "restore"
    """Our own build, each job in a restored machine."""

    @classmethod
    def default(cls) -> EmulatorChoice:
        """What `$FAAS_ENGINE` says, else automatic. Raises InvalidRequest."""
        wanted = os.environ.get("FAAS_ENGINE", cls.AUTOMATIC)
        if wanted not in list(cls):
            raise InvalidRequest(f"FAAS_ENGINE is one of {', '.join(cls)}, not {wanted!r}")
        return cls(wanted)


@dataclass(frozen=True, slots=True)
class Emulator:
    """An emulator on this host."""

    path: Path
    forks: bool
    """Whether it is our own build, which knows the fork server."""

    @property
    def name(self) -> str:
        """For people."""
        return f"our build of {emulator_version()}" if self.forks else f"the host's {emulator_version()}"

    @property
    def command(self) -> str:
        """Its path within the sandbox."""
        return _INSIDE if self.forks else str(self.path)

    @property
    def bindings(self) -> tuple[str, ...]:
        """What bubblewrap is told so that the sandbox holds it."""
        return ("--ro-bind", str(self.path), _INSIDE) if self.forks else ()


@cache
def stock_emulator() -> Emulator:
    """The host's package. Raises MissingPrerequisite."""
    path = shutil.which(EMULATOR)
    if path is None:
        raise MissingPrerequisite(f"{EMULATOR} is not installed; run scripts/setup")
    return Emulator(Path(path), forks=False)


def emulator_sources() -> Path:
    """The folder with our patches: in the checkout, or in the installed package."""
    for folder in (Path(__file__).parents[1] / "qemu", Path(__file__).parent / "qemu"):
        if (folder / "series").is_file():
            return folder
    raise FatalError("the emulator's patches are missing from this installation")


def build_id() -> str:
    """What our build is named after: the emulator's version, the patches and how they are built."""
    recipe = Path(__file__).with_name("emulator_build.py")
    parts = [emulator_version().encode(), recipe.read_bytes()]
    for file in sorted(emulator_sources().iterdir()):
        parts += [file.name.encode(), file.read_bytes()]
    return sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts)).hex()


def emulators_folder(home: Path) -> Path:
    """Where builds are kept, by their id."""
    return home / "emulators"


def own_emulator(home: Path) -> Emulator | None:
    """Our build of this version and these patches, if `faas machine build` has made it."""
    path = emulators_folder(home) / build_id() / EMULATOR
    return Emulator(path, forks=True) if path.is_file() else None


def choose_emulator(home: Path, choice: EmulatorChoice = EmulatorChoice.AUTOMATIC) -> Emulator:
    """The emulator that is wanted and there. Raises MissingPrerequisite."""
    own = None if choice is EmulatorChoice.STOCK else own_emulator(home)
    if own is None and choice in (EmulatorChoice.FORK, EmulatorChoice.RESTORE):
        raise MissingPrerequisite("our own emulator is not built; run `faas machine build`")
    return own or stock_emulator()
