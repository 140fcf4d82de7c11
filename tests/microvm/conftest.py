"""One engine for all tests of the machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from faas_blueprint.job import make_job
from faas_microvm.emulator import Emulator, EmulatorChoice, own_emulator
from faas_microvm.engine import Engine, EngineSettings


@pytest.fixture(scope="session")
def own_build(faas_home: Path) -> Emulator:
    """Our build of the emulator."""
    own = own_emulator(faas_home)
    if own is None:
        pytest.skip("`faas machine build` has not been run")
    return own


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def suite_engine(faas_home: Path) -> AsyncIterator[Engine]:
    """The engine on the base snapshot: restored machines, of our own build where there is one.
    `FAAS_TEST_EMULATOR=fork` runs the same tests in forked machines, `stock` on the host's emulator."""
    usual = EmulatorChoice.STOCK if own_emulator(faas_home) is None else EmulatorChoice.RESTORE
    choice = EmulatorChoice(os.environ.get("FAAS_TEST_EMULATOR", usual))
    async with await Engine.open(faas_home, settings=EngineSettings(emulator=choice)) as opened:
        yield opened


@pytest.fixture(scope="session")
def engine(suite_engine: Engine) -> Engine:
    """The one that most tests use."""
    return suite_engine


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stock(faas_home: Path) -> AsyncIterator[Engine]:
    """The host's emulator."""
    async with await Engine.open(faas_home, settings=EngineSettings(emulator=EmulatorChoice.STOCK)) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def forking(faas_home: Path, own_build: Emulator) -> AsyncIterator[Engine]:
    """Our build, with a warm parent."""
    async with await Engine.open(faas_home, settings=EngineSettings(emulator=EmulatorChoice.FORK)) as opened:
        await opened.run(make_job("python", "print('warm')"))
        assert opened.pool.parents
        yield opened


@pytest.fixture(scope="session")
def assert_as_on_stock() -> Callable[[object, Callable[[], Awaitable[object]]], Awaitable[None]]:
    """Compares what was found with what a run on the host's emulator gives. That one is off
    by nanoseconds now and then after an idle wait (docs/fork-server.md), so it may say so three times."""

    async def compare(found: object, run: Callable[[], Awaitable[object]]) -> None:
        expected = [await run()]
        while found != expected[-1] and len(expected) < 3:
            expected.append(await run())
        assert found == expected[-1], expected

    return compare


@pytest.fixture(scope="session")
def processes_with() -> Callable[[str], set[int]]:
    """Finds the living processes that have a word on their command line, as machines have `owner_mark()`."""

    def find(word: str) -> set[int]:
        found = set()
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if folder.name.isdigit() and word.encode() in (folder / "cmdline").read_bytes():
                    found.add(int(folder.name))
        return found

    return find
