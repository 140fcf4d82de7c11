"""`faas snapshot …`: what people type and read; what the store and the machine do is tested there."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import pytest

from faas_blueprint.digests import sha256, to_hex
from faas_microvm.base import known_measurement
from faas_microvm.snapshot_record import NewSnapshot, SnapshotRecord
from faas_microvm.snapshot_store import SnapshotStore

FAAS = [sys.executable, "-m", "faas_cli.main"]
LONG = "a-branch-whose-name-is-longer-than-the-terminal-is-wide"


@pytest.fixture
def faas(tmp_path):
    """The command with a store of the test's own; gives exit code, stdout and stderr."""
    variables = {**os.environ, "FAAS_STORE": str(tmp_path / "store"), "COLUMNS": "40"}

    def call(*arguments: str) -> tuple[int, str, str]:
        command = [*FAAS, "snapshot", *arguments]
        done = subprocess.run(
            command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        return done.returncode, done.stdout, done.stderr

    return call


@pytest.fixture
def stored(tmp_path) -> SnapshotRecord:
    """A snapshot on a base that is none, with a branch."""

    async def store() -> SnapshotRecord:
        folder = tmp_path / "store"
        base, parts = sha256(b"base"), (sha256(b"profile"), sha256(b"ram"))
        new = NewSnapshot(base, base, *parts, b"devices", 5, "checkpoint", {}, {}, label="a name for people")
        async with await SnapshotStore.open(folder, folder / "index.db") as opened:
            record = await opened.put(new)
            await opened.set_branch(LONG, record.measurement)
        return record

    return asyncio.run(store())


def test_a_list_has_every_name_whole(faas, stored):
    code, _, err = faas("list")
    assert code == 0
    assert f" {stored.measurement.hex()[:16]} " in err
    assert f" a name for people [{LONG}] " in err
    assert "…" not in err


@pytest.mark.machine
@pytest.mark.parametrize("digits", [0, 12])
def test_the_base_is_shown_and_stays(faas, stored, faas_home, digits):
    base = known_measurement("base", faas_home)
    assert base is not None
    name = base.hex()[:digits] or "base"
    code, out, err = faas("show", name)
    assert (code, err) == (0, "")
    assert json.loads(out) == {"measurement": to_hex(base), "kind": "base", "children": []}
    assert faas("delete", name) == (1, "", "error: the base cannot be deleted\n")
    code, out, err = faas("branch", "mine", name)
    assert (code, out) == (1, "")
    assert "not at the base" in err


def test_a_snapshot_is_shown_by_its_branch(faas, stored):
    code, out, _ = faas("show", LONG)
    assert code == 0
    assert json.loads(out) == {**stored.to_json(), "children": []}


@pytest.mark.parametrize(("command", "takes"), [("show", True), ("delete", False), ("resume", False)])
def test_help_says_base_where_it_is_taken(faas, command, takes):
    code, out, _ = faas(command, "--help")
    assert code == 0
    assert ("or base" in " ".join(out.replace("│", " ").split())) is takes


def test_what_is_no_measurement_is_refused_before_any_boot(faas):
    code, out, err = faas("measure", "rust", "--compare", "0x12")
    said = "error: --compare takes a measurement, 64 hexadecimal digits, got '0x12'\n"
    assert (code, out, err) == (1, "", said)


@pytest.mark.machine
def test_a_proof_of_absence_says_so(faas, tmp_path):
    (tmp_path / "here.py").write_text("open('there', 'w').close()")
    program = [*FAAS, "run", str(tmp_path / "here.py"), "--mode", "checkpointed", "--branch", "work"]
    variables = {**os.environ, "FAAS_STORE": str(tmp_path / "store")}
    subprocess.run(program, env=variables, check=True, timeout=120)
    said = "has no {}: this is a proof of its absence"
    for path in ("there", "nowhere"):
        code, out, err = faas("prove", "work", "--path", path)
        absent = json.loads(out)["entry"] is None
        assert (code, absent, said.format(path) in err) == (0, path == "nowhere", path == "nowhere")
