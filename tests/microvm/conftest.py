"""One engine for all tests of the machine."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from faas_microvm.emulator import EmulatorChoice
from faas_microvm.engine import Engine, EngineSettings


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(faas_home: Path) -> AsyncIterator[Engine]:
    """The engine on the base snapshot; `FAAS_TEST_EMULATOR=fork` runs the same tests in forked machines."""
    choice = EmulatorChoice(os.environ.get("FAAS_TEST_EMULATOR", "stock"))
    async with await Engine.open(faas_home, settings=EngineSettings(emulator=choice)) as opened:
        yield opened
