"""One engine for all tests of the machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from faas_microvm.engine import Engine


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(faas_home: Path) -> AsyncIterator[Engine]:
    """The engine on the base snapshot."""
    async with await Engine.open(faas_home) as opened:
        yield opened
