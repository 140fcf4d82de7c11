"""The contracts: their own tests, their format, and that the committed artifacts are theirs."""

from __future__ import annotations

import filecmp
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
FORGE = CHECKOUT / "tools/chain/node_modules/@foundry-rs/forge-linux-amd64/bin/forge"

pytestmark = pytest.mark.chain


def run(*command: str | Path) -> None:
    done = subprocess.run(
        command, cwd=CHECKOUT / "contracts", capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_unit_fuzz_and_invariant_tests_pass() -> None:
    run(FORGE, "test")


def test_they_are_formatted() -> None:
    run(FORGE, "fmt", "--check")


def test_the_linter_finds_nothing() -> None:
    done = subprocess.run(
        [FORGE, "lint"],
        cwd=CHECKOUT / "contracts",
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "warning[" not in done.stderr + done.stdout, done.stderr


def test_public_chains_take_them() -> None:
    """The devnet is started without the limit on a contract's size; elsewhere it is 24,576 bytes."""
    run(FORGE, "build", "--sizes", "--skip", "test")


def test_artifacts_are_reproduced(tmp_path: Path) -> None:
    run(CHECKOUT / "scripts/build-contracts", tmp_path)
    committed = CHECKOUT / "contracts/artifacts"
    names = sorted(path.name for path in committed.iterdir())
    assert names == sorted(path.name for path in tmp_path.iterdir())
    assert filecmp.cmpfiles(committed, tmp_path, names, shallow=False) == (names, [], [])
