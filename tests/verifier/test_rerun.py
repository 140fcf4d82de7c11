"""Re-execution on the real machine: what it gives is verified, anything else is refuted."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest

from faas_blueprint.bundle import make_bundle
from faas_blueprint.digests import keccak256
from faas_blueprint.job import Limits, encode_job, job_digest, make_job
from faas_blueprint.outcome import Stream
from faas_blueprint.receipt import make_receipt
from faas_microvm.engine import Engine
from faas_verifier.rerun import own_machine, rerun
from faas_verifier.verdict import Conclusion, Status
from faas_verifier.verify import verify_bundle

pytestmark = pytest.mark.machine

PROGRAMS = {
    "python": "import time, os, random\nprint(time.time(), os.urandom(4).hex(), random.random(), input())",
    "javascript": "console.log(Date.now(), Math.random(), process.argv.slice(2))",
}


@pytest.fixture
def attest(make_receipts):
    """A signed bundle of an outcome, as an operator with this engine would make it."""
    made = make_receipts

    def make(engine, job, outcome, snapshot=None):
        receipt = make_receipt(
            profile_id=engine.profile_id,
            snapshot=snapshot or engine.measurement,
            job_digest=job_digest(job),
            outcome=outcome,
            call=made.CALL,
            operator=made.OPERATOR,
        )
        return make_bundle(receipt, made.sign(receipt), encode_job(job), outcome)

    return make


@pytest.mark.parametrize("language", sorted(PROGRAMS))
async def test_the_same_run_is_verified(language, attest, faas_home):
    job = make_job(language, PROGRAMS[language], stdin=b"line\n", arguments=("a",), seed=7)
    async with await Engine.open(faas_home) as engine:
        outcome = (await engine.run(job)).outcome
        assert outcome.exit_code == 0, outcome
        bundle = attest(engine, job, outcome)
    verdict = await verify_bundle(bundle, own_machine(faas_home))
    assert verdict.conclusion is Conclusion.VERIFIED, verdict.findings


async def test_every_lie_is_refuted(attest, faas_home):
    job = make_job("python", PROGRAMS["python"], stdin=b"line\n", seed=7)
    async with await Engine.open(faas_home) as engine:
        outcome = (await engine.run(job)).outcome
        lies = {
            "stdout": replace(outcome, stdout=Stream(outcome.stdout.content[:-2] + b"0\n")),
            "state_root": replace(outcome, state_root=keccak256(b"another")),
            "virtual_ns": replace(outcome, virtual_ns=outcome.virtual_ns + 1),
            "exit_code": replace(outcome, exit_code=1),
        }
        bundles = {field: attest(engine, job, lie) for field, lie in lies.items()}
    for field, bundle in bundles.items():
        verdict = await verify_bundle(bundle, own_machine(faas_home))
        assert verdict.conclusion is Conclusion.REFUTED
        assert field in {item.field for item in verdict.differences}


class LateOnceMachine:
    """Its first run is two nanoseconds late, as with the host's QEMU now and then. For this fault only."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.runs = 0
        self.profile_id, self.measurement = engine.profile_id, engine.measurement
        self.made_here = engine.made_here

    async def run(self, job, snapshot=None):
        self.runs += 1
        execution = await self._engine.run(job, snapshot)
        late = replace(execution.outcome, virtual_ns=execution.outcome.virtual_ns + 2)
        return replace(execution, outcome=late) if self.runs == 1 else execution


async def test_a_run_that_differs_is_made_once_more(attest, faas_home):
    job = make_job("python", "print('again')")
    async with await Engine.open(faas_home) as engine:
        outcome = (await engine.run(job)).outcome
        machine = LateOnceMachine(engine)
        verdict = await verify_bundle(attest(engine, job, outcome), lambda: nullcontext(machine))
    assert (verdict.conclusion, machine.runs) == (Conclusion.VERIFIED, 2)


async def test_another_seed_is_another_job(attest, faas_home):
    job = make_job("python", PROGRAMS["python"], stdin=b"x\n", seed=1)
    other = replace(job, seed=2)
    async with await Engine.open(faas_home) as engine:
        outcome = (await engine.run(other)).outcome
        bundle = attest(engine, job, outcome)
    verdict = await verify_bundle(bundle, own_machine(faas_home))
    assert {"outcome_digest", "state_root"} <= {item.field for item in verdict.differences}


async def test_a_timeout_is_verified_like_anything_else(attest, faas_home):
    job = make_job("python", "while True: pass", limits=Limits(timeout_ms=200))
    async with await Engine.open(faas_home) as engine:
        bundle = attest(engine, job, (await engine.run(job)).outcome)
    assert bundle.outcome.status.name == "TIMEOUT"
    verdict = await verify_bundle(bundle, own_machine(faas_home))
    assert verdict.conclusion is Conclusion.VERIFIED, verdict.findings


async def test_another_snapshot_is_not_ours_to_judge(attest, make_receipts, faas_home):
    verdict = await verify_bundle(make_receipts.bundle(), own_machine(faas_home))
    assert verdict.conclusion is Conclusion.UNCHECKED
    assert [item.number for item in verdict.findings if item.status is Status.UNCHECKED] == [7]


async def test_a_chain_of_kept_machines_is_verified_in_order(attest, faas_home, monkeypatch, tmp_path):
    first = make_job("python", "x = 41", keep=True)
    second = make_job("python", "print(x + 1)")
    async with await Engine.open(faas_home) as engine:
        start = await engine.run(first)
        end = await engine.run(second, start.snapshot)
        bundles = [
            attest(engine, first, start.outcome),
            attest(engine, second, end.outcome, snapshot=start.snapshot),
        ]
    monkeypatch.setenv("FAAS_STORE", str(tmp_path / "another"))
    machine = own_machine(faas_home)
    assert (await verify_bundle(bundles[1], machine)).conclusion is Conclusion.UNCHECKED
    for bundle in bundles:
        verdict = await verify_bundle(bundle, machine)
        assert verdict.conclusion is Conclusion.VERIFIED, verdict.findings


async def test_a_call_that_names_no_snapshot_starts_on_the_base(attest, faas_home, monkeypatch, tmp_path):
    """An operator that ran it elsewhere has done another job, though the run is as it says."""
    monkeypatch.setenv("FAAS_STORE", str(tmp_path / "store"))
    job = make_job("python", "print('x' in globals())")
    async with await Engine.open(faas_home) as engine:
        start = await engine.run(make_job("python", "x = 41", keep=True))
        end = await engine.run(job, start.snapshot)
        bundle = attest(engine, job, end.outcome, snapshot=start.snapshot)
    off_chain = await rerun(bundle, own_machine(faas_home))
    assert [finding.status for finding in off_chain] == [Status.PASSED, Status.PASSED]
    called = await rerun(bundle, own_machine(faas_home), job_index=0)
    assert [finding.status for finding in called] == [Status.UNCHECKED, Status.SKIPPED]
