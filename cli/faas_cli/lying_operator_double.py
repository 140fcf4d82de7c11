"""Doubles for faults: an operator that lies. `faas demo --liar` and tests use them; no node can be set to.

`LyingEngineDouble` takes the place of an engine: what it hands on to be signed is not what ran. With
`two_faced_api_double` the operator shows the truth to who asks it over HTTP, signed like the lie, so that it
has said two things of one call. `FlippedMemoryEngineDouble` is wrong inside the run, as bad hardware would
be: a bit of memory is another one from the first milestone on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Generic, TypeVar

from fastapi import FastAPI, HTTPException

from faas_blueprint.bundle import bundle_to_json, make_bundle
from faas_blueprint.digests import Digest, keccak256, sha256
from faas_blueprint.operation import Operation, Run
from faas_blueprint.outcome import Outcome, Stream
from faas_blueprint.receipt import CallReference
from faas_microvm.derived_manifest import DerivedManifest
from faas_microvm.engine import Engine
from faas_microvm.execution import Execution
from faas_microvm.fetched_machine import ReadPiece
from faas_microvm.mailbox import PHYSICAL, STDOUT_OFFSET
from faas_microvm.performing import start_of_run
from faas_microvm.snapshot import Snapshot
from faas_microvm.tracing import run_on, run_to_milestone
from faas_operator.engine import JobEngine
from faas_operator.job_record import JobRecord
from faas_operator.node import Node

LIE = b"whatever the liar likes\n"


_Engine = TypeVar("_Engine", bound=JobEngine)


class _EngineDouble(Generic[_Engine]):
    """In all but the performing, the real engine behind it."""

    def __init__(self, engine: _Engine) -> None:
        self._engine = engine

    @property
    def profile_id(self) -> Digest:
        """See `JobEngine`."""
        return self._engine.profile_id

    @property
    def measurement(self) -> Digest:
        """See `JobEngine`."""
        return self._engine.measurement

    async def missing(self, operation: Operation) -> tuple[Digest, ...]:
        """See `JobEngine`."""
        return await self._engine.missing(operation)

    async def adopt(self, manifest: DerivedManifest, read: ReadPiece) -> None:
        """See `JobEngine`."""
        await self._engine.adopt(manifest, read)


class LyingEngineDouble(_EngineDouble[JobEngine]):
    """Runs jobs on a real engine and says that something else came out."""

    def __init__(self, engine: JobEngine) -> None:
        super().__init__(engine)
        self.truths: dict[Digest, Outcome] = {}
        """What really came out, by the state root that was said instead."""

    async def perform(
        self, operation: Operation, contents: Mapping[Digest, bytes], keeper: str | None = None
    ) -> Execution:
        """See `JobEngine`, but for the output and the state root."""
        execution = await self._engine.perform(operation, contents, keeper)
        truth = execution.outcome
        lie = replace(truth, stdout=Stream(LIE), state_root=sha256(LIE + truth.state_root))
        self.truths[lie.state_root] = truth
        return replace(execution, outcome=lie)


class FlippedMemoryEngineDouble(_EngineDouble[Engine]):
    """Runs jobs on a real engine, and flips a bit of what a job has printed right after the first milestone.

    A job that ends before has its bit flipped at the end.
    """

    async def perform(
        self, operation: Operation, contents: Mapping[Digest, bytes], keeper: str | None = None
    ) -> Execution:
        """See `JobEngine`, but for the bit."""
        assert isinstance(operation, Run), "the double runs programs"
        job, measurement = await start_of_run(self._engine, operation, contents)
        start = await self._engine.idle(measurement)
        true = await run_to_milestone(self._engine, job, measurement, 1)
        flipped = _flipped(true.end)
        toolchain = (await self._engine.prepare(job)).toolchain
        outcome, trace = true.outcome, [flipped.measurement]
        if outcome is not None:
            stdout = flipped.read(_STDOUT, len(outcome.stdout.content))
            said = replace(outcome.stdout, content=stdout)
            lie = replace(outcome, stdout=said, state_root=flipped.measurement)
            return Execution(lie, self.profile_id, measurement, true.wall_ms, toolchain=toolchain)
        ran = replace(true, end=flipped)
        while outcome is None:
            ran = await run_on(self._engine, ran.end, start, tuple(trace), job)
            outcome, trace = ran.outcome, list(ran.trace)
        lie = replace(outcome, trace=(*true.trace, *trace[1:]))
        return Execution(lie, self.profile_id, measurement, ran.wall_ms, toolchain=toolchain)


_STDOUT = PHYSICAL + STDOUT_OFFSET
"""Where the machine keeps what a job has printed."""


def _flipped(machine: Snapshot) -> Snapshot:
    return machine.with_bytes(_STDOUT, bytes([machine.read(_STDOUT, 1)[0] ^ 1]))


def two_faced_api_double(node: Node, engine: LyingEngineDouble) -> FastAPI:
    """An API with one route, which shows the true receipt of a call that was answered with a lie."""
    app = FastAPI()

    @app.get("/api/v1/calls/{service_id}/{call_id}/receipt")
    def get_call_receipt(service_id: int, call_id: int) -> dict[str, object]:
        tangle = node.settings.tangle
        assert tangle is not None
        call = CallReference(node.settings.chain_id or 0, tangle, service_id, call_id)
        record = node.store.job_of_call(call)
        if record is None or record.executed is None:
            raise HTTPException(404)
        return _true_receipt(node, record, engine.truths[record.executed.state_root])

    return app


def _true_receipt(node: Node, record: JobRecord, truth: Outcome) -> dict[str, object]:
    assert record.executed is not None
    inputs = record.submitted.inputs
    receipt, signature = node.signer.attest(
        profile_id=record.executed.profile_id,
        snapshot=record.executed.snapshot,
        toolchain=record.executed.toolchain,
        job_digest=keccak256(inputs),
        outcome=truth,
        call=record.call,
    )
    return bundle_to_json(make_bundle(receipt, signature, inputs, truth))
