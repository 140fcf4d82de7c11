"""Both SDKs against one live node of a Substrate chain with the real engine do and find the same."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from genesis import BLUEPRINT_ID
from people import CUSTOMER
from test_pipeline import configured, running
from test_sdk_typescript import project

from faas_microvm.engine import Engine, EngineSettings
from faas_operator.node import open_node

__all__ = ["configured", "project"]  # fixtures

pytestmark = [pytest.mark.machine, pytest.mark.slow]

SDK_TESTS = Path(__file__).parents[1] / "sdk"
SCENARIO = str(SDK_TESTS / "scenario.json")


async def report(environment: dict[str, str], *command: str) -> dict[str, object]:
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    reported: dict[str, object] = json.loads(done.stdout)
    return reported


async def test_both_sdks_do_and_find_the_same(double, configured, faas_home, project):
    settings, secrets = configured
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FAAS_")} | {
        "FAAS_RPC_URL": double.websocket_url,
        "FAAS_BLUEPRINT_ID": str(BLUEPRINT_ID),
        "FAAS_PRIVATE_KEY": "0x" + CUSTOMER.seed.hex(),
    }
    double.produce(0.1)
    async with (
        await Engine.open(faas_home, settings=EngineSettings(waiting=0)) as engine,
        open_node(settings, secrets, engine) as node,
        running(node),
    ):
        runner = str(SDK_TESTS / "scenario_runner.py")
        python = await report(environment, sys.executable, runner, SCENARIO, "substrate")
        compiled = project / "node_modules/@faas/sdk/.build/scenario.js"
        typescript = await report(environment, "node", str(compiled), SCENARIO, "substrate")
    assert python == typescript
    assert python["result"][-1] == node.signer.address
