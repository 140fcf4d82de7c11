"""Thousands of requests, fifty at once, to a node that charges: all are answered, and nothing is left behind.

Cached runs, runs that fail, time out or cannot be, reads and streams. `FAAS_TEST_SOAK_REQUESTS=5000` is the
long form; by default there are 600.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

pytestmark = [pytest.mark.machine, pytest.mark.slow]

REQUESTS = int(os.environ.get("FAAS_TEST_SOAK_REQUESTS", "600"))
AT_ONCE = 50
PATIENCE_SECONDS = 100

PARTS = 5
"""What it has after the first is what it must not much exceed after the last."""

GROWTH_MB = 24
"""Of resident memory: room for the allocator and for what the database keeps in memory."""

SLACK = {"descriptors": 24, "tasks": 6, "processes": 2}
"""Machines that wait for the next job come and go; a leak of one for fifty requests would be more."""

CACHED = {"code": "print(6 * 7)", "language": "python", "mode": "cached"}


async def cached(client, _number):
    answer = (await client.post("/execute", json=CACHED)).raise_for_status().json()
    assert answer["stdout"] == "42\n"


async def fresh(client, number):
    asked = {"code": f"print({number})", "language": "python", "seed": number}
    answer = (await client.post("/execute", json=asked)).raise_for_status().json()
    assert answer["stdout"] == f"{number}\n"


async def out_of_time(client, _number):
    asked = {"code": "while True: pass", "language": "python", "resources": {"timeout_ms": 20}}
    assert (await client.post("/execute", json=asked)).status_code == 408


async def called_off(client, number):
    asked = {"code": "while True: pass", "language": "python", "async": True}
    begun = (await client.post("/execute", json=asked)).raise_for_status().json()
    ended = (await client.post(f"/executions/{begun['id']}/cancel")).raise_for_status().json()
    assert ended["status"] == "cancelled"


async def cut_off(client, _number):
    asked = {"code": "while True: pass", "language": "python"}
    with pytest.raises(httpx.ReadTimeout):
        await client.post("/execute", json=asked, timeout=httpx.Timeout(60, read=0.3))


async def wrong(client, number):
    bodies = ({"language": "python"}, {"code": "", "language": "cobol"}, {**CACHED, "mode": "wild"})
    assert (await client.post("/execute", json=bodies[number % len(bodies)])).status_code == 400


async def read(client, number):
    paths = ("/executions?limit=5", "/usage/current", "/usage/ledger?limit=5", "/pricing", "/account")
    (await client.get(paths[number % len(paths)])).raise_for_status()


async def missing(client, number):
    assert (await client.get(f"/executions/exec_{number}x")).status_code == 404
    assert (await client.get("/account", headers={"X-API-Key": "wrong"})).status_code == 401


async def followed(client, number):
    identity = f"exec_soak_{number}"
    (await client.post("/execute", json={**CACHED, "execution_id": identity})).raise_for_status()
    if number % 2:
        text = (await client.get(f"/stream/{identity}")).raise_for_status().text
        assert "event: completed" in text
        return
    url = f"{client.base_url.copy_with(scheme='ws')}stream/{identity}"
    async with connect(url, additional_headers={"X-API-Key": "alice"}) as socket:
        messages = [json.loads(message) async for message in socket]
    assert messages[-1]["type"] == "completed"


MIX = (*[cached] * 8, *[read] * 8, *[wrong] * 3, *[missing] * 2, *[followed] * 4, fresh, out_of_time)
RARE = (called_off, cut_off)
"""One of fifty requests each, since they hold a machine."""


@pytest.mark.timeout(REQUESTS * 0.2 + 300)
async def test_nothing_leaks(start_node):
    node = start_node(
        FAAS_REQUESTS_PER_MINUTE="1000000",
        FAAS_REQUESTS_PER_HOUR="1000000",
        FAAS_CONCURRENT_EXECUTIONS="100",
    )
    pid = node.process.pid
    headers, limits = {"X-API-Key": "alice"}, httpx.Limits(max_connections=AT_ONCE)
    counts, memory, looks = Counter(), [], []
    for part in range(PARTS):
        started = time.monotonic()
        numbers = range(part * REQUESTS // PARTS, (part + 1) * REQUESTS // PARTS)
        async with httpx.AsyncClient(
            base_url=node.url, headers=headers, limits=limits, timeout=120
        ) as client:
            counts += await ask(client, numbers)
        rate = REQUESTS / PARTS / (time.monotonic() - started)
        # the connections of those who asked are closed by now: how many they were is not the node's doing
        async with httpx.AsyncClient(base_url=node.url, headers=headers, timeout=120) as client:
            looks.append(await held(client, pid))
        memory.append(round(resident_mb(pid), 1))
        print(f"\n{sum(counts.values())} requests, {rate:.0f} a second: {memory[-1]} MB, {looks[-1]}")
    print(dict(counts))
    before, after, grown = looks[0], looks[-1], memory[-1] - memory[0]
    for name, count in after.items():
        assert count <= before[name] + SLACK.get(name, 0), (name, before, after)
    assert grown < GROWTH_MB
    assert node.complaints() == ""


async def ask(client, numbers) -> Counter:
    """All of them, so many at once; each checks its answer."""
    counts, queue = Counter(), iter(numbers)

    async def work() -> None:
        for number in queue:
            kind = RARE[number // 50 % 2] if number % 25 == 7 else MIX[number % len(MIX)]
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await kind(client, number)
            except TimeoutError as error:
                raise AssertionError(f"{kind.__name__} number {number} was not answered") from error
            counts[kind.__name__] += 1

    async with asyncio.TaskGroup() as workers:
        for _ in range(AT_ONCE):
            workers.create_task(work())
    return counts


async def held(client, pid: int) -> dict[str, int]:
    """What the node has once it is idle: descriptors, processes, tasks, runs and credits in flight."""
    async with asyncio.timeout(60):
        while (facts := await in_flight(client, pid)) != await in_flight(client, pid, 1.0):
            pass
    return facts


async def in_flight(client, pid: int, after: float = 0.0) -> dict[str, int]:
    await asyncio.sleep(after)
    current = (await client.get("/usage/current")).raise_for_status().json()
    return {
        "runs": current["active_executions"],
        "held": current["pending_nanocredits"],
        "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "processes": len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()),
        "tasks": await task_count(client),
    }


async def task_count(client) -> int:
    answer = await client.get(str(client.base_url.copy_with(path="/tasks")))
    return int(answer.text)


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
