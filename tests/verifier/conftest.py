"""Machines that stand for the engine in fast tests; the maker of the frozen samples."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from typer import Typer
from typer.testing import CliRunner

from faas_blueprint.digests import ZERO_DIGEST, Digest
from faas_blueprint.errors import MachineFailure, MissingPrerequisite
from faas_blueprint.job import Job
from faas_blueprint.outcome import Outcome
from faas_microvm.execution import Execution
from faas_verifier import command
from faas_verifier.bundle import save_bundle


class RecordedMachine:
    """Knows some jobs, with the toolchain of each, and the one outcome that all of them have; any other
    job is a mistake of the test."""

    def __init__(
        self, profile_id: Digest, measurement: Digest, toolchains: Mapping[Job, Digest], outcome: Outcome
    ) -> None:
        self.profile_id = profile_id
        self.measurement = measurement
        self.runs = 0
        self._toolchains = toolchains
        self._outcome = outcome

    async def has(self, snapshot: Digest) -> bool:
        """Only its own."""
        return snapshot == self.measurement

    async def made_here(self, snapshot: Digest) -> bool:
        """Only its own."""
        return snapshot == self.measurement

    async def run(self, job: Job, snapshot: Digest | None = None) -> Execution:
        """The recorded outcome."""
        assert snapshot in (None, self.measurement)
        toolchain = self._toolchains[job]
        self.runs += 1
        return Execution(self._outcome, self.profile_id, self.measurement, 1.0, toolchain=toolchain)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[RecordedMachine]:
        """Itself."""
        yield self


class DyingMachine(RecordedMachine):
    """Starts, and dies in every run."""

    async def run(self, job: Job, snapshot: Digest | None = None) -> Execution:
        """Raises MachineFailure."""
        raise MachineFailure("the watchdog fired")


@asynccontextmanager
async def missing_machine() -> AsyncIterator[RecordedMachine]:
    """There is no snapshot here."""
    raise MissingPrerequisite("no snapshot here; build one with: faas snapshot measure")
    yield  # makes it a generator


@pytest.fixture(scope="session")
def make_receipts() -> ModuleType:
    """`tests/vectors/make_receipts.py`: what the frozen samples are made of."""
    path = Path(__file__).parents[1] / "vectors" / "make_receipts.py"
    spec = importlib.util.spec_from_file_location("make_receipts", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def machine(make_receipts: ModuleType) -> RecordedMachine:
    """Honestly runs the samples' jobs."""
    made = make_receipts
    toolchains = {made.JOB: ZERO_DIGEST, made.COMPILED_JOB: made.TOOLCHAIN}
    return RecordedMachine(made.PROFILE, made.SNAPSHOT, toolchains, made.OUTCOME)


@pytest.fixture
def doubles() -> SimpleNamespace:
    """The faulty machines."""
    return SimpleNamespace(DyingMachine=DyingMachine, missing_machine=missing_machine)


@pytest.fixture
def run(monkeypatch, machine):
    """The command with the samples' machine in the engine's place."""
    monkeypatch.setattr(command, "own_machine", lambda home, progress: machine.open)
    monkeypatch.delenv("FAAS_RPC_URL", raising=False)
    app = Typer()
    app.command()(command.verify)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def good(make_receipts, tmp_path):
    path = tmp_path / "good.json"
    save_bundle(make_receipts.bundle(), path)
    return path
