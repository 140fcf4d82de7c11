"""A node that is killed amid a run, and the next one on its database."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.machine

SCRIPT = Path(__file__).parent / "served_node.py"
ENDLESS = {"code": "print('on', flush=True)\nwhile True: pass", "language": "python", "async": True}
KEY = {"X-API-Key": "alice", "Idempotency-Key": "only-once"}


@contextmanager
def node(database: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    with subprocess.Popen([sys.executable, SCRIPT, database], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        base = f"http://127.0.0.1:{int(process.stdout.readline())}/api/v1"
        try:
            with httpx.Client(base_url=base, headers=KEY, timeout=60) as client:
                yield client, process
        finally:
            process.kill()


def test_what_it_ran_is_found_and_may_be_asked_for_again(tmp_path):
    database = f"sqlite:///{tmp_path / 'store.sqlite'}"
    with node(database) as (client, process):
        asked = {"code": "x = 1", "language": "python", "mode": "checkpointed"}
        kept = client.post("/execute", headers={"Idempotency-Key": "other"}, json=asked).json()
        running = client.post("/execute", json=ENDLESS).json()["id"]
        until = time.monotonic() + 60
        while client.get(f"/executions/{running}").json()["status"] != "running":
            assert time.monotonic() < until
            time.sleep(0.05)
        charged = round(kept["cost"]["total"] * 1e9)
        during = client.get("/usage/current").json()
        assert during["pending_nanocredits"] > 0
        assert during["balance_nanocredits"] == 10**9 - charged
        process.kill()
    with node(database) as (client, _):
        found = client.get(f"/executions/{running}").json()
        assert found["status"] == "failed"
        assert "interrupted" in found["error"]
        assert found["receipt"] is None
        after = client.get("/usage/current").json()
        assert (after["pending_nanocredits"], after["balance_nanocredits"]) == (0, 10**9 - charged)
        assert client.get(f"/executions/{kept['id']}").json() == kept
        begun = client.post("/execute", json=ENDLESS)
        assert begun.status_code == 202
        assert begun.json()["id"] != running
        assert client.post("/execute", json=ENDLESS).json()["id"] == begun.json()["id"]
        assert client.post(f"/executions/{begun.json()['id']}/cancel").json()["status"] == "cancelled"
        asked = {"code": "print(x)", "language": "python", "snapshot_id": kept["snapshot_id"]}
        with httpx.Client(base_url=client.base_url, headers={"X-API-Key": "alice"}, timeout=60) as again:
            assert again.post("/execute", json=asked).json()["stdout"] == "1\n"
