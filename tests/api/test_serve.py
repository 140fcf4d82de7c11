"""The application behind a real socket."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, closing

import httpx
import pytest

from faas_api.serve import listen, serve
from faas_blueprint.errors import FatalError


@asynccontextmanager
async def served(app):
    with closing(listen("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(serve(app, listener))
        try:
            yield listener.getsockname()[1]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def execute_request(port):
    body = json.dumps({"code": "1", "language": "python"})
    return (
        f"POST /api/v1/execute HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-API-Key: key-of-alice\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def test_it_answers_and_ends_when_cancelled(app):
    async with served(app) as port, httpx.AsyncClient() as client:
        response = await client.get(f"http://127.0.0.1:{port}/health")
        assert response.status_code == 200
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_connection_that_is_cut_off_cancels_its_run(app, faulty_engine):
    async with served(app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(execute_request(port))
        async with asyncio.timeout(60):
            await faulty_engine.started.wait()
            writer.close()
            await faulty_engine.cancelled.wait()
            await writer.wait_closed()


def test_a_port_in_use_is_said_so():
    with closing(listen("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(FatalError, match=f"port {port}"):
            listen("127.0.0.1", port)
