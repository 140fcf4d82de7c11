"""The same job gives the same outcome and state root, whatever the host does."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from faas_blueprint.job import make_job
from faas_microvm import profile, sandbox
from faas_microvm.engine import Engine

pytestmark = pytest.mark.machine
in_session_loop = pytest.mark.asyncio(loop_scope="session")

SHOWS_EVERYTHING = {
    "python": """
import os, random, threading, time, uuid
print(time.time_ns(), time.monotonic_ns(), time.perf_counter_ns(), time.process_time_ns())
print(os.urandom(16).hex(), random.random(), uuid.uuid4(), os.getpid())
print(object(), id([]), hash("text"), {"red", "green", "blue", "white", "black"})
order = []
def work(name):
    for n in range(50):
        order.append(name)
        if n % 7 == 0: time.sleep(0.0001)
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("".join(map(str, order)))
for name in "zyxabc": open(name, "w").close()
print(os.listdir("."), [os.stat(name).st_ino for name in "xyz"], os.stat("x").st_mtime_ns)
""",
    "javascript": """
const crypto = require('crypto'), fs = require('fs');
console.log(Date.now(), performance.now(), process.hrtime.bigint(), process.pid);
console.log(Math.random(), crypto.randomUUID(), crypto.randomBytes(8).toString('hex'));
for (const name of 'zyxabc') fs.writeFileSync(name, '');
console.log(fs.readdirSync('.'), fs.statSync('x').ino, fs.statSync('x').mtimeMs);
let order = '';
for (let n = 0; n < 30; n++) {
  setTimeout(() => { order += n + ' '; }, (n * 7) % 5);
  setImmediate(() => { order += 'i' + n + ' '; });
  fs.readFile('x', () => { order += 'f' + n + ' '; });
}
process.on('exit', () => console.log(order, process.memoryUsage().heapUsed));
let sum = 0;
for (let n = 0; n < 300000; n++) sum = (sum * 31 + n) % 1000003;
console.log(sum);
""",
}


@pytest.mark.parametrize("language", sorted(SHOWS_EVERYTHING))
@in_session_loop
async def test_twenty_of_twenty(engine, language):
    job = make_job(language, SHOWS_EVERYTHING[language])
    executions = await asyncio.gather(*(engine.run(job) for _ in range(20)))
    outcomes = Counter(execution.outcome for execution in executions)
    assert len(outcomes) == 1
    (outcome,) = outcomes
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.content.count(b"\n") >= 5


@in_session_loop
async def test_two_processes_at_once_agree(faas_home: Path, tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text(SHOWS_EVERYTHING["python"])
    command = [sys.executable, "-m", "faas_cli.main", "run", str(program), "--json"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    reports = [
        json.loads((await asyncio.to_thread(process.communicate, timeout=120))[0]) for process in processes
    ]
    for report in reports:
        del report["wall_ms"]
    assert reports[0] == reports[1]
    assert reports[0]["exit_code"] == 0


X87 = (Path(__file__).parents[1] / "vectors/golden/programs/x87.py").read_text()


@in_session_loop
async def test_x87_trigonometry_does_not_show_the_hosts_processor(engine, monkeypatch):
    """A host whose glibc sees FMA and one whose glibc does not give the same bits."""
    job = make_job("python", X87)
    expected = (await engine.run(job)).outcome
    assert expected.exit_code == 0, expected.stderr
    for tunables in ("glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2", "glibc.cpu.hwcaps=-AVX512F", ""):
        monkeypatch.setenv("GLIBC_TUNABLES", tunables)  # what a host's own environment may hold
        assert (await engine.run(job)).outcome == expected


@pytest.mark.skipif(
    "fma" not in Path("/proc/cpuinfo").read_text(),
    reason="this processor has no FMA, so there is no other variant",
)
@in_session_loop
async def test_without_our_environment_the_hosts_processor_would_show(engine, monkeypatch):
    """The hole is real: the test above can fail."""
    job = make_job("python", X87)
    expected = (await engine.run(job)).outcome
    monkeypatch.setitem(sandbox.ENVIRONMENT, "GLIBC_TUNABLES", "")
    assert (await engine.run(job)).outcome.stdout != expected.stdout


def test_the_profile_notices_another_math_library(monkeypatch):
    if "fma" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no FMA, so there is no other variant")
    ours = profile.libm_vector()
    profile.libm_vector.cache_clear()
    monkeypatch.setitem(profile.ENVIRONMENT, "GLIBC_TUNABLES", "")
    assert profile.libm_vector() != ours
    profile.libm_vector.cache_clear()


@in_session_loop
async def test_load_on_the_host_changes_nothing(engine):
    job = make_job("javascript", SHOWS_EVERYTHING["javascript"])
    calm = (await engine.run(job)).outcome
    burner = "import time\nend = time.time() + 6\nwhile time.time() < end: pass"
    burners = [subprocess.Popen([sys.executable, "-c", burner]) for _ in range(4)]
    try:
        loaded = [
            execution.outcome for execution in await asyncio.gather(*(engine.run(job) for _ in range(3)))
        ]
    finally:
        for process in burners:
            process.kill()
            process.wait()
    assert set(loaded) == {calm}


@pytest.mark.slow
@in_session_loop
async def test_booting_again_gives_the_same_measurement(engine: Engine, faas_home: Path):
    command = [sys.executable, "-m", "faas_cli.main", "snapshot", "measure", "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    measured = json.loads(output)
    assert measured["measurement"] == "0x" + engine.measurement.hex()
    assert measured["profile_id"] == "0x" + engine.profile_id.hex()
