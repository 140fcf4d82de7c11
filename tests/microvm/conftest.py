"""One engine for all tests of the machine."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from faas_blueprint.job import make_job
from faas_microvm.emulator import EmulatorChoice, own_emulator
from faas_microvm.engine import Engine, EngineSettings


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def suite_engine(faas_home: Path) -> AsyncIterator[Engine]:
    """The engine on the base snapshot; `FAAS_TEST_EMULATOR=fork` runs the same tests in forked machines."""
    choice = EmulatorChoice(os.environ.get("FAAS_TEST_EMULATOR", "stock"))
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
async def forking(faas_home: Path) -> AsyncIterator[Engine]:
    """Our build, with a warm parent."""
    if own_emulator(faas_home) is None:
        pytest.skip("`faas machine build` has not been run")
    async with await Engine.open(faas_home, settings=EngineSettings(emulator=EmulatorChoice.FORK)) as opened:
        await opened.run(make_job("python", "print('warm')"))
        assert opened.pool.parents
        yield opened
