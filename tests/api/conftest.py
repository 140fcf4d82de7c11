"""An application over an engine that must not be reached, or that fails on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from faas_api.app import create_app
from faas_blueprint.digests import sha256
from faas_blueprint.job import Job
from faas_microvm.execution import Execution
from faas_operator.executions import ExecutionService
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store

KEY = "key-of-alice"
OTHER_KEY = "key-of-bob"


class FaultyEngine:
    """Never answers: it raises what it was told to, or hangs. For faults and validation only."""

    profile_id = sha256(b"no machine")
    measurement = sha256(b"no snapshot")

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.jobs: list[Job] = []

    async def stream(self, job: Job, _snapshot: object) -> AsyncIterator[Execution]:
        self.jobs.append(job)
        self.started.set()
        if self.error is not None:
            raise self.error
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")
    yield made
    made.close()


@pytest.fixture
def faulty_engine() -> FaultyEngine:
    return FaultyEngine()


@pytest.fixture
def app(faulty_engine, store, tmp_path):
    service = ExecutionService(faulty_engine, Signer(b"\x01" * 32), store)
    settings = Settings(home=tmp_path, api_body_bytes=1 << 20)
    return create_app(service, settings, Secrets.with_api_keys(KEY, OTHER_KEY))


@pytest.fixture
async def client(app) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"X-API-Key": KEY}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as made:
        yield made
