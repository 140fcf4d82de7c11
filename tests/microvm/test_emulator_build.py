"""What happens to a build of the emulator once it is compiled; `scripts/test` has made one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from faas_blueprint.errors import FatalError
from faas_microvm.emulator import Emulator
from faas_microvm.emulator_build import install
from faas_microvm.profile import EMULATOR


@pytest.fixture
def built(own_build: Emulator, tmp_path: Path) -> Path:
    (tmp_path / "output").mkdir()
    return Path(shutil.copy(own_build.path, tmp_path / "output"))


def test_a_build_takes_the_place_of_an_earlier_one(built: Path, tmp_path: Path) -> None:
    target = tmp_path / "build"
    target.mkdir()
    (target / EMULATOR).write_bytes(b"the earlier one")
    with (target / EMULATOR).open("rb") as running:
        install(built, target)
        assert running.read() == b"the earlier one"
    assert (target / EMULATOR).read_bytes() == built.read_bytes()
    assert (target / EMULATOR).stat().st_mode & 0o777 == 0o755


def test_a_build_that_does_not_run_is_not_installed(built: Path, tmp_path: Path) -> None:
    target = tmp_path / "build"
    target.mkdir()
    (target / EMULATOR).write_bytes(b"the earlier one")
    built.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(FatalError, match="exit code 3"):
        install(built, target)
    assert (target / EMULATOR).read_bytes() == b"the earlier one"


def test_a_build_of_another_version_is_not_installed(built: Path, tmp_path: Path) -> None:
    built.write_text("#!/bin/sh\necho QEMU emulator version 0.1\n")
    with pytest.raises(FatalError, match=r"version 0\.1"):
        install(built, tmp_path / "build")
    assert not (tmp_path / "build").exists()
