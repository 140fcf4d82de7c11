"""The same job gives the same outcome and state root, whatever the host does.

Each program in `programs` was chosen to break that. It runs twice: on this host as it is, and as on
another one: under load, in machines that waited, with a translation cache so small that it is emptied
again and again, and with the processor's FMA and AVX2 shown to the emulator's libraries.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from faas_blueprint.job import Job, Language, Limits, make_job
from faas_blueprint.outcome import Outcome, Status
from faas_microvm import machine, profile, sandbox
from faas_microvm.emulator import Emulator, EmulatorChoice
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.profile import MACHINE_ARGUMENTS

pytestmark = pytest.mark.machine
in_session_loop = pytest.mark.asyncio(loop_scope="session")

PROGRAMS = Path(__file__).parent / "programs"
FOLDERS = {"python": "*.py", "javascript": "*.js", "bash": "*.sh"}
COMPILED = {"rust": "main.rs", "go": "main.go", "typescript": "main.ts"}
"""One source for all cases of a language; the first argument names the case."""
CASES = {
    language: [line.strip()[9:] for line in lines if line.strip().startswith("// case: ")]
    for language, lines in (
        (language, (PROGRAMS / language / name).read_text().splitlines())
        for language, name in COMPILED.items()
    )
}
SHOWN = frozenset({"python/x87_sine.py", "rust/x87_sine"})
"""They show the host's libm: this is why FMA is hidden, and for them it stays hidden."""
SEES_FMA = "fma" in Path("/proc/cpuinfo").read_text().split()
ROOM = {"python": 12, "javascript": 20, "bash": 16, "rust": 8, "go": 8, "typescript": 20}
"""Mebibytes of translated code that programs of a language need more than, but not many times as much."""
SAMPLED = {} if os.environ.get("FAAS_TEST_EVERY_PROGRAM") else {"typescript": 3}
"""Languages of which each so-manieth program runs elsewhere: what runs there is JavaScript."""
LIMITS = Limits(timeout_ms=10_000)
RUNS = int(os.environ.get("FAAS_TEST_EQUAL_RUNS", "8"))
"""Of a program that says the time, to be alike; 20 for the long form."""

Outcomes = dict[str, Outcome]
AsOnStock = Callable[[object, Callable[[], Awaitable[object]]], Awaitable[None]]
LANGUAGES = (*FOLDERS, *COMPILED)


def jobs_of(language: str) -> dict[str, Job]:
    """All programs of a language, by name."""
    if language in FOLDERS:
        paths = sorted((PROGRAMS / language).glob(FOLDERS[language]))
        return {
            f"{language}/{path.name}": make_job(language, path.read_text(), seed=7, limits=LIMITS)
            for path in paths
        }
    source = (PROGRAMS / language / COMPILED[language]).read_text()
    return {
        f"{language}/{case}": make_job(language, source, arguments=(case,), seed=7, limits=LIMITS)
        for case in CASES[language]
    }


ALL = {name: job for language in LANGUAGES for name, job in jobs_of(language).items()}


BURSTS = """
import random, sys, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    stop = time.monotonic() + random.uniform(0.001, 0.04)
    while time.monotonic() < stop: pass
    time.sleep(random.uniform(0.001, 0.12))
"""
"""Takes a processor away at moments that nothing foresees, a quarter of the time: so a machine is interrupted
more often than beside a process that is always busy, and other tests on this host are not held up."""


@contextmanager
def load(seconds: int = 240) -> Iterator[None]:
    """A process beside that is busy in bursts; it ends by itself if nobody ends it."""
    with subprocess.Popen([sys.executable, "-c", BURSTS, str(seconds)]) as process:
        try:
            yield
        finally:
            process.kill()


@contextmanager
def small_cache(mebibytes: int = 4) -> Iterator[None]:
    """Machines that start now have little room for translated code.

    With 4 MiB some programs take eight times as long.
    """
    with pytest.MonkeyPatch.context() as patch:
        arguments = [f"tcg,tb-size={mebibytes}" if word == "tcg" else word for word in MACHINE_ARGUMENTS]
        assert arguments != list(MACHINE_ARGUMENTS)
        patch.setattr(machine, "MACHINE_ARGUMENTS", tuple(arguments))
        yield


@contextmanager
def shown_processor() -> Iterator[None]:
    """Machines that start now see the host's FMA and AVX2."""
    profile.libm_vector()  # known before it would change
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sandbox.ENVIRONMENT, "GLIBC_TUNABLES", "")
        yield


@asynccontextmanager
async def aged_engine(home: Path) -> AsyncIterator[Engine]:
    """An engine that has served other jobs, and whose next machines have waited."""
    settings = EngineSettings(waiting=2, emulator=EmulatorChoice.STOCK)
    async with await Engine.open(home, settings=settings) as engine:
        await asyncio.gather(
            *(engine.run(make_job(language, "exit" if language == "bash" else "")) for language in FOLDERS)
        )
        async with asyncio.timeout(60):
            while len(engine.pool._waiting) < 2:
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        yield engine


async def run_all(engine: Engine, names: Iterable[str]) -> Outcomes:
    """Run programs, as many at once as the engine allows."""

    async def run(name: str) -> tuple[str, Outcome]:
        return name, (await engine.run(ALL[name])).outcome

    return dict(await asyncio.gather(*map(run, names)))


async def run_elsewhere(home: Path, names: Collection[str]) -> Outcomes:
    """The same where everything is otherwise; of one language."""
    (language,) = {name.partition("/")[0] for name in names}
    with load(), small_cache(ROOM[language]):
        outcomes: Outcomes = {}
        if hidden := SHOWN & set(names):
            async with aged_engine(home) as aged:
                outcomes = await run_all(aged, hidden)
        with shown_processor():
            async with aged_engine(home) as aged:
                return outcomes | await run_all(aged, set(names) - SHOWN)


async def culprits(engine: Engine, first: Outcomes, names: Iterable[str]) -> dict[str, list[str]]:
    """Which variation alone changes which programs."""
    found = {}
    for variation in (load, small_cache, shown_processor):
        with variation():
            outcomes = await run_all(engine, names)
        found[variation.__name__] = [name for name in names if outcomes[name] != first[name]]
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=LANGUAGES)
async def first(engine: Engine, request: pytest.FixtureRequest) -> Outcomes:
    """What the programs of a language give on this host."""
    return await run_all(engine, jobs_of(request.param))


@in_session_loop
async def test_programs_give_the_same_on_every_host(engine: Engine, first: Outcomes, faas_home: Path):
    ended = {name: (outcome.status, outcome.exit_code) for name, outcome in first.items()}
    assert {name: end for name, end in ended.items() if end != (Status.EXITED, 0)} == {}
    language = next(iter(first)).partition("/")[0]
    elsewhere = await run_elsewhere(faas_home, list(first)[:: SAMPLED.get(language, 1)])
    differing = {name for name in elsewhere if elsewhere[name] != first[name]}
    if differing:  # the host's QEMU is off now and then after an idle wait, not twice: docs/fork-server.md
        first, elsewhere = await run_all(engine, differing), await run_elsewhere(faas_home, differing)
        differing = {name for name in elsewhere if elsewhere[name] != first[name]}
    assert differing == set(), await culprits(engine, first, differing)


SHORT_OF_ROOM = {
    "python": "import decimal, email, json, re\n"
    "print(json.dumps(re.findall('[a-z]+', email.__doc__)), decimal.Decimal(2).sqrt())",
    "javascript": "console.log([...Array(2000).keys()].map(n => (n * n) % 7).sort().join('').length,"
    "  new Intl.NumberFormat('en').format(1e6))",
}


@pytest.mark.slow
@pytest.mark.parametrize("language", SHORT_OF_ROOM)
@in_session_loop
async def test_a_full_buffer_is_emptied_and_filled_again(
    stock: Engine, faas_home: Path, own_build: Emulator, assert_as_on_stock: AsOnStock, language: Language
):
    """Of our build: no link, number or description of a block outlives it."""
    job = make_job(language, SHORT_OF_ROOM[language])

    async def outcome_of(engine: Engine) -> Outcome:
        return (await engine.run(job)).outcome

    settings = EngineSettings(emulator=EmulatorChoice.RESTORE)
    with small_cache():
        async with await Engine.open(faas_home, settings=settings) as engine:
            found = await outcome_of(engine)
    assert found.exit_code == 0, found.stderr.content
    await assert_as_on_stock(found, lambda: outcome_of(stock))


@in_session_loop
async def test_no_program_prints_what_is_always_the_same(first: Outcomes):
    """Where nothing depends on time, randomness or the state of the machine nothing could break."""
    assert len(first) >= 25
    assert len({outcome.stdout for outcome in first.values()}) == len(first)
    assert all(len(outcome.stdout.content) > 20 for outcome in first.values())


def test_every_language_has_its_cases():
    assert all(len(cases) == len(set(cases)) >= 25 for cases in CASES.values()), CASES


@pytest.mark.parametrize("name", ["python/clocks.py", "javascript/timers.js"])
@in_session_loop
async def test_runs_agree(engine: Engine, name: str):
    executions = await asyncio.gather(*(engine.run(ALL[name]) for _ in range(RUNS)))
    (_, alike), *_ = Counter(execution.outcome for execution in executions).most_common(1)
    assert alike >= RUNS - max(1, RUNS // 20), (
        "the host's QEMU is off now and then after an idle wait, but not often"
    )


@in_session_loop
async def test_two_processes_at_once_agree(faas_home: Path, tmp_path: Path):
    program = PROGRAMS / "python/randomness.py"
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


@pytest.mark.slow
@in_session_loop
async def test_booting_again_gives_the_same_measurement(engine: Engine, faas_home: Path):
    command = [sys.executable, "-m", "faas_cli.main", "snapshot", "measure", "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    measured = json.loads(output)
    assert measured["measurement"] == "0x" + engine.measurement.hex()
    assert measured["profile_id"] == "0x" + engine.profile_id.hex()
