"""Idle time is skipped exactly, however busy the host is: a job that waits often ends at one moment.

The host's QEMU is a few nanoseconds off in some such jobs; see docs/fork-server.md.
`FAAS_TEST_IDLE_RUNS=64` runs the long form.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from faas_blueprint.job import make_job
from faas_microvm.emulator import Emulator, EmulatorChoice
from faas_microvm.engine import Engine, EngineSettings

pytestmark = [pytest.mark.machine, pytest.mark.slow]

WAITS = make_job("python", "import time\nfor n in range(250): time.sleep(0.03 + n / 10_000)\nprint('awake')")
RUNS = int(os.environ.get("FAAS_TEST_IDLE_RUNS", "16"))


@pytest.mark.parametrize("choice", [EmulatorChoice.RESTORE, EmulatorChoice.FORK])
async def test_a_job_that_waits_ends_at_one_moment(
    faas_home: Path, own_build: Emulator, choice: EmulatorChoice
):
    async with await Engine.open(faas_home, settings=EngineSettings(emulator=choice)) as engine:
        executions = await asyncio.gather(*(engine.run(WAITS) for _ in range(RUNS)))
    outcomes = {execution.outcome for execution in executions}
    assert len(outcomes) == 1, outcomes
    assert outcomes.pop().stdout.content == b"awake\n"
