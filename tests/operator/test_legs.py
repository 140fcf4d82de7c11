"""Runs that are made again as far as a leg goes, on real machines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from faas_blueprint.bisection import Point
from faas_blueprint.digests import sha256
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.operation import CreateBranch, ForkRecord
from faas_blueprint.operation_payload import operation_of_call
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.tracing import TO_THE_END
from faas_operator import legs
from faas_operator.legs import Retraced, retrace

pytestmark = pytest.mark.machine


@pytest.fixture
async def engine(faas_home: Path) -> AsyncIterator[Engine]:
    async with await Engine.open(faas_home) as opened:
        yield opened


JOB = make_job("python", "import time\nprint('so far', flush=True)\ntime.sleep(1.5)\nprint('done')")


async def test_a_run_is_made_again_up_to_a_milestone_or_to_its_end(engine):
    operation = operation_of_call(0, encode_job(JOB))
    outcome = (await engine.perform(operation, {})).outcome
    assert len(outcome.trace) == 1
    end = Point(outcome.state_root, outcome.digest())
    assert await retrace(engine, operation, {}, (), 1) == Retraced(outcome.trace, Point(outcome.trace[0]))
    assert await retrace(engine, operation, {}, (), 2) == Retraced(outcome.trace, end)
    assert await retrace(engine, operation, {}, (), TO_THE_END) == Retraced(outcome.trace, end)


async def test_what_starts_no_program_has_only_an_end(engine):
    operation = CreateBranch(None, ForkRecord(5, 1_800_000_000, b"branch"))
    outcome = (await engine.perform(operation, {})).outcome
    again = await retrace(engine, operation, {}, (), TO_THE_END)
    assert again == Retraced((), Point(outcome.state_root, outcome.digest()))


async def test_a_leg_starts_where_the_call_came_by(faas_home, monkeypatch):
    settings = EngineSettings(trace_bytes=1 << 30)
    async with await Engine.open(faas_home, settings=settings) as engine:
        operation = operation_of_call(0, encode_job(JOB))
        outcome = (await engine.perform(operation, {}, "call")).outcome
        assert engine.milestones is not None
        await engine.milestones.settled()
        end = Point(outcome.state_root, outcome.digest())
        monkeypatch.delattr(legs, "run_to_milestone")  # it would start at the start
        again = await legs.retrace(engine, operation, {}, outcome.trace, TO_THE_END)
        assert again == Retraced(outcome.trace, end)
        with pytest.raises(NameError):
            await legs.retrace(engine, operation, {}, (sha256(b"not kept"),), TO_THE_END)
