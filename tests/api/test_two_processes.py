"""Two served nodes on one PostgreSQL and one Redis: what one was asked for, the other knows."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

pytestmark = [pytest.mark.machine, pytest.mark.postgresql]

SCRIPT = Path(__file__).parent / "served_node.py"
ENDLESS = {"code": "print('on', flush=True)\nwhile True: pass", "language": "python", "async": True}


@contextmanager
def served(database: str, redis: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    limits = {"FAAS_REQUESTS_PER_MINUTE": "400", "FAAS_REDIS_URL": redis}
    command = [sys.executable, str(SCRIPT), database]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | limits) as process:
        try:
            assert process.stdout is not None
            base = f"http://127.0.0.1:{int(process.stdout.readline())}/api/v1"
            with httpx.Client(base_url=base, headers={"X-API-Key": "alice"}, timeout=60) as client:
                yield client, process
        finally:
            process.kill()


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_what_one_was_asked_for_the_other_knows(postgresql, redis_server):
    database, (_, redis) = postgresql.new_database(), redis_server
    with ExitStack() as stack:
        first, killed = stack.enter_context(served(database, redis))
        second, _ = stack.enter_context(served(database, redis))
        done = first.post("/execute", json={"code": "print(6 * 7)", "language": "python"}).json()
        assert second.get(f"/executions/{done['id']}").json() == done

        running = first.post("/execute", json=ENDLESS).json()["id"]
        until(lambda: second.get(f"/executions/{running}").json()["status"] == "running")
        assert second.get("/usage/current").json()["active_executions"] == 1
        cancelled = second.post(f"/executions/{running}/cancel")
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")

        slow = {"code": "for n in range(3 * 10**7): pass\nprint('told')", "language": "python", "async": True}
        asked = first.post("/execute", json=slow).json()["id"]
        with second.stream("GET", f"/executions/{asked}/stream", timeout=60) as followed:
            told = followed.read().decode()
        assert "told" in told
        assert "completed" in told

        key = {"Idempotency-Key": "once"}
        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(
                    lambda n: (first, second)[n % 2].post("/execute", json=ENDLESS, headers=key), range(8)
                )
            )
        assert {answer.status_code for answer in answers} <= {200, 202}
        [left] = {answer.json()["id"] for answer in answers}
        until(lambda: first.get(f"/executions/{left}").json()["status"] == "running")
        counts = [
            int(client.get("/executions").headers["X-RateLimit-Remaining"]) for client in (first, second)
        ]
        assert counts[1] == counts[0] - 1

        branch = first.post("/branches", json={"snapshot_id": "base"}).json()["branch_id"]
        counting = {"code": "n = globals().get('n', 0) + 1\nprint(n)", "language": "python"}
        with ThreadPoolExecutor(4) as pool:
            answers = list(
                pool.map(
                    lambda n: (first, second)[n % 2].post(f"/branches/{branch}/execute", json=counting),
                    range(4),
                )
            )
        assert sorted(answer.json()["stdout"] for answer in answers) == ["1\n", "2\n", "3\n", "4\n"]

        second.post(f"/executions/{left}/cancel")
        left = first.post("/execute", json=ENDLESS).json()["id"]
        until(lambda: second.get(f"/executions/{left}").json()["status"] == "running")
        killed.kill()
        until(lambda: second.get(f"/executions/{left}").json()["status"] == "failed", 30)
        assert "interrupted" in second.get(f"/executions/{left}").json()["error"]
        assert second.get("/usage/current").json()["pending_nanocredits"] == 0
