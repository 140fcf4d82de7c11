"""Runs that are made again as far as a leg goes, on real machines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from faas_blueprint.bisection import Point
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.operation import CreateBranch, ForkRecord
from faas_blueprint.operation_payload import operation_of_call
from faas_microvm.engine import Engine
from faas_operator.legs import TO_THE_END, Retraced, retrace

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
    assert await retrace(engine, operation, {}, 1) == Retraced(outcome.trace, Point(outcome.trace[0]))
    assert await retrace(engine, operation, {}, 2) == Retraced(outcome.trace, end)
    assert await retrace(engine, operation, {}, TO_THE_END) == Retraced(outcome.trace, end)


async def test_what_starts_no_program_has_only_an_end(engine):
    operation = CreateBranch(None, ForkRecord(5, 1_800_000_000, b"branch"))
    outcome = (await engine.perform(operation, {})).outcome
    again = await retrace(engine, operation, {}, TO_THE_END)
    assert again == Retraced((), Point(outcome.state_root, outcome.digest()))
