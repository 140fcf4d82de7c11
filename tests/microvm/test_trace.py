"""A run's trace: the state roots on the way, the same wherever the run is made or gone on with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import Limits, make_job
from faas_blueprint.outcome import Outcome, Status
from faas_microvm.disk import read_files, read_manifest
from faas_microvm.engine import Engine
from faas_microvm.execution import Execution, Output
from faas_microvm.profile import TRACE_INTERVAL_MS
from faas_microvm.tracing import run_on, run_to_milestone

pytestmark = [pytest.mark.machine, pytest.mark.asyncio(loop_scope="session")]

WORKING = make_job(
    "python",
    """
import threading, time

def work(name):
    for step in range(3):
        time.sleep(0.3)
        print(name, step, time.monotonic_ns(), flush=True)
        sum(range(120_000))

with open("/work/output/log", "w") as log:
    for round in range(2):
        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print("round", round, time.time_ns(), file=log, flush=True)
""",
)
"""Two and a bit seconds of virtual time, most of it idle: threads, clocks, output, a file."""


async def test_a_short_run_has_no_trace(engine: Engine):
    outcome = (await engine.run(make_job("python", "import time; time.sleep(0.9)"))).outcome
    assert outcome.trace == ()


async def test_a_root_for_each_interval(engine: Engine):
    outcome = (await engine.run(WORKING)).outcome
    assert len(outcome.trace) == outcome.virtual_ns // (TRACE_INTERVAL_MS * 1_000_000) == 2
    assert len({*outcome.trace, outcome.state_root}) == 3
    assert outcome.summary().trace.count == 2
    assert (await engine.run(WORKING)).outcome == outcome


async def test_stock_forked_and_restored_machines_have_one_trace(
    engine: Engine, forking: Engine, stock: Engine, assert_as_on_stock
):
    outcome = (await forking.run(WORKING)).outcome
    assert (await engine.run(WORKING)).outcome == outcome

    async def expected():
        return (await stock.run(WORKING)).outcome

    await assert_as_on_stock(outcome, expected)


async def test_a_run_goes_on_from_its_milestones(
    engine: Engine, forking: Engine, stock: Engine, assert_as_on_stock
):
    whole = (await engine.run(WORKING)).outcome
    for chosen in (engine, forking):
        assert await _in_parts(chosen) == whole
    await assert_as_on_stock(whole, lambda: _in_parts(stock))


async def _in_parts(engine: Engine) -> Outcome:
    ran = await run_to_milestone(engine, WORKING, None, 1)
    assert ran.outcome is None
    while ran.outcome is None:
        assert ran.point.root == ran.trace[-1]
        ran = await run_on(engine, ran.end, engine.library.base, ran.trace, WORKING)
    assert ran.end.measurement == ran.outcome.state_root
    assert ran.point.outcome_digest == ran.outcome.digest()
    return ran.outcome


async def test_a_milestone_after_the_end_is_the_end(engine: Engine):
    ran = await run_to_milestone(engine, WORKING, None, 9)
    assert ran.outcome == (await engine.run(WORKING)).outcome


async def test_what_is_on_the_disk_at_a_milestone(engine: Engine):
    code = "import time\nopen('/work/output/kept', 'w').write('before')\ntime.sleep(1.5)"
    ran = await run_to_milestone(engine, make_job("python", code), None, 1)
    manifest = await read_manifest(engine, ran.end)
    entry = manifest.by_path()["output/kept"]
    assert (await read_files(engine, ran.end, [entry]))[entry.sha256] == b"before"


async def test_only_a_milestone_goes_on(engine: Engine):
    ended = await run_to_milestone(engine, make_job("python", "1"), None, 1)
    with pytest.raises(InvalidRequest, match="not the last milestone"):
        await run_on(engine, ended.end, engine.library.base, (ended.end.measurement,), WORKING)
    amid = await run_to_milestone(engine, WORKING, None, 1)
    with pytest.raises(InvalidRequest, match="not the last milestone"):
        await run_on(engine, amid.end, engine.library.base, (engine.measurement,), WORKING)
    with pytest.raises(InvalidRequest, match="under way"):
        await engine.run(WORKING, (await _kept(engine, amid)).measurement)


async def test_a_kept_machine_is_traced_like_any_other(engine: Engine):
    first = await engine.run(make_job("python", "import time; time.sleep(1.2); x = 1", keep=True))
    assert len(first.outcome.trace) == 1
    job = make_job("python", "import time; time.sleep(1.2); print(x)")
    second = await engine.run(job, first.snapshot)
    assert second.outcome.stdout.content == b"1\n"
    assert len(second.outcome.trace) == 1
    assert second.outcome.trace != first.outcome.trace
    in_session = [await engine.sessions.run("traced", make) for make in (_sleep("x = 1"), _sleep("print(x)"))]
    assert in_session[1].outcome.stdout.content == b"1\n"
    again = await engine.run(replace(_sleep("print(x)"), keep=True), in_session[0].outcome.state_root)
    assert again.outcome == in_session[1].outcome


async def test_streams_go_on_over_a_milestone(engine: Engine):
    events = [event async for event in engine.stream(WORKING)]
    execution = events[-1]
    assert isinstance(execution, Execution)
    text = b"".join(event.data for event in events if isinstance(event, Output))
    assert text == execution.outcome.stdout.content
    assert execution.outcome == (await engine.run(WORKING)).outcome


async def test_a_job_cannot_keep_milestones_away(engine: Engine):
    """Orphans that end all the time wake the agent all the time, and its ticks are put off."""
    code = """
import os, time
end = time.monotonic() + 1.3
while time.monotonic() < end:
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
"""
    outcome = (await engine.run(make_job("python", code))).outcome
    assert outcome.status is Status.EXITED
    assert len(outcome.trace) == 1


async def test_a_job_that_is_stopped_at_its_time_limit_has_a_trace(engine: Engine):
    job = make_job("bash", "sleep 60", limits=Limits(timeout_ms=2500))
    outcome = (await engine.run(job)).outcome
    assert outcome.status is Status.TIMEOUT
    assert len(outcome.trace) == 2


async def test_the_interval_is_part_of_the_profile(engine: Engine):
    profile = engine.library.base.profile
    assert profile.trace_interval_ms == TRACE_INTERVAL_MS
    assert replace(profile, trace_interval_ms=2 * TRACE_INTERVAL_MS).profile_id != profile.profile_id


def _sleep(rest: str):
    return make_job("python", f"import time; time.sleep(1.2); {rest}")


async def _kept(engine: Engine, ran):
    return await engine.library.keep(ran.end, engine.library.base, "checkpoint")
