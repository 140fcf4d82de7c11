"""Schemathesis asks a node what its description allows, and more: no 500, and every answer is as described.

All routes, with an administrator's key. `FAAS_TEST_CONTRACT_EXAMPLES` is how many requests each route gets at
random, beside those that cover its description (default 3), `FAAS_TEST_CONTRACT_SECONDS` when it has to end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

pytestmark = [pytest.mark.machine, pytest.mark.slow]

HERE = Path(__file__).parent
DESCRIPTION = HERE.parent.parent / "api/openapi.json"
EXAMPLES = os.environ.get("FAAS_TEST_CONTRACT_EXAMPLES", "3")
SECONDS = float(os.environ.get("FAAS_TEST_CONTRACT_SECONDS", "300"))


@pytest.mark.timeout(SECONDS + 120)
def test_it_keeps_to_its_description(start_node, tmp_path):
    node = start_node(FAAS_REQUESTS_PER_MINUTE="1000000", FAAS_REQUESTS_PER_HOUR="1000000")
    with httpx.Client(base_url=node.url, headers={"X-API-Key": "root"}, timeout=60) as client:
        things = make_things(client)
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("st"), "--config-file", HERE / "contract.toml"),
                *("run", DESCRIPTION, "--url", node.url.removesuffix("/api/v1"), "--no-color"),
                *("--max-examples", EXAMPLES, "--seed", os.environ.get("FAAS_TEST_SEED", "1")),
            ],
            env={**os.environ, "FAAS_TEST_THINGS": json.dumps(things), "PYTHONPATH": str(HERE)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        print(done.stdout)
        assert done.returncode == 0, done.stdout + done.stderr
        described = json.loads(DESCRIPTION.read_text())["paths"].values()
        assert f"Tested: {sum(map(len, described))}" in done.stdout
        assert client.get("/account").json()["account_id"] == things["own_account"]
        node.await_idle(client)
    assert node.complaints() == ""


def make_things(client: httpx.Client) -> dict[str, str]:
    """Something for each id in a path."""
    code = "open('output/a.txt', 'w').write('a'); print('here')"
    asked = {"code": code, "language": "python", "mode": "checkpointed"}
    kept = client.post("/execute", json=asked).raise_for_status().json()
    branch = client.post("/branches", json={"snapshot_id": kept["snapshot_id"]}).raise_for_status().json()
    session = client.post("/execute", json={**asked, "mode": "persistent"}).raise_for_status().json()
    account = client.post("/admin/accounts", json={}).raise_for_status().json()
    key = client.post("/keys", json={}).raise_for_status().json()
    assert kept["files"]
    return {
        "execution_id": kept["id"],
        "path": kept["files"][0]["path"],
        "sha256": kept["files"][0]["sha256"],
        "snapshot_id": kept["snapshot_id"],
        "branch_id": branch["id"],
        "session_id": session["session_id"],
        "account_id": account["id"],
        "key_id": key["id"],
        "own_account": client.get("/account").json()["account_id"],
    }
