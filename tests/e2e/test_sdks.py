"""Both SDKs against one live node with its chain: the same scenario, and the documentation's own snippets."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faas_sdk import TangleFaaSClient

pytestmark = [pytest.mark.machine, pytest.mark.chain]

CHECKOUT = Path(__file__).parents[2]
SDK_TESTS = CHECKOUT / "tests/sdk"
BLUEPRINT = 123
"""The one that the documentation's snippet names."""


@pytest.fixture(scope="module")
def network() -> Iterator[dict[str, Any]]:
    """Where everything is, of a node and a chain that run meanwhile."""
    command = [sys.executable, str(Path(__file__).parent / "served_network.py"), str(BLUEPRINT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"ended with {process.wait(10)}"
            yield json.loads(line)
            assert process.poll() is None
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)
    assert process.returncode == 0


@pytest.fixture
def places(network) -> dict[str, str]:
    """The environment that tells an SDK where to go."""
    return {
        **os.environ,
        "FAAS_ENDPOINT": str(network["endpoint"]),
        "FAAS_API_KEY": network["api_keys"][0],
        "FAAS_RPC_URL": str(network["rpc_url"]),
        "FAAS_TANGLE": str(network["tangle"]),
        "FAAS_BLUEPRINT_ID": str(network["blueprint_id"]),
        "FAAS_PRIVATE_KEY": str(network["customer_key"]),
    }


def printed(*command: str, environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def python_scenario(part: str, places: dict[str, str]) -> dict[str, object]:
    runner, file = SDK_TESTS / "scenario_runner.py", SDK_TESTS / "scenario.json"
    reported: dict[str, object] = json.loads(
        printed(sys.executable, str(runner), str(file), part, environment=places)
    )
    return reported


def typescript_scenario(compiled: Path, part: str, places: dict[str, str]) -> dict[str, object]:
    file = SDK_TESTS / "scenario.json"
    output = printed("node", str(compiled / "scenario.js"), str(file), part, environment=places)
    reported: dict[str, object] = json.loads(output)
    return reported


@pytest.mark.parametrize("part", ["rest", "tangle"])
def test_both_sdks_do_and_find_the_same(compiled, places, network, part):
    python = python_scenario(part, places)
    another = {"FAAS_API_KEY": network["api_keys"][1]}  # lists and keys of requests are an account's own
    typescript = typescript_scenario(compiled, part, places | another)
    assert python == typescript
    assert python


def test_both_sdks_tell_the_same_usage(compiled, places):
    assert typescript_scenario(compiled, "usage", places) == python_scenario("usage", places)


def test_a_result_that_is_not_the_posted_one(network):
    with TangleFaaSClient(
        network["rpc_url"],
        blueprint_id=BLUEPRINT,
        private_key=network["customer_key"],
        tangle=network["tangle"],
        poll_interval=0.05,
    ) as client:
        job = client.submit_job(code="print(1)", language="python")
        result = client.wait_for_result(job)
        assert client.verify(job).passed
        assert client.verify(job.call_id) == client.verify(result)
        other_output = client.verify(replace(result, stdout_bytes=b"2\n"))
        assert (other_output.outcome, other_output.signature, other_output.passed) == (False, True, False)
        receipt = {**result.receipt, "virtual_ns": int(result.receipt["virtual_ns"]) + 1}
        other_receipt = client.verify(replace(result, receipt=receipt))
        assert (other_receipt.place, other_receipt.signature) == (False, False)
        receipt = {**result.receipt, "job_digest": "0x" + "00" * 32, "version": 4}
        other_job = client.verify(replace(result, receipt=receipt))
        assert (other_job.job, other_job.version, other_job.standing) == (False, False, True)


# -- the snippets of the platform's documentation, word for word; only addresses lead elsewhere


def typescript_snippet(compiled: Path, name: str, places: dict[str, str]) -> str:
    routes = {
        "https://api.faas.platform": places["FAAS_ENDPOINT"],
        "wss://api.faas.platform": places["FAAS_ENDPOINT"].replace("http", "ws", 1),
        "wss://tangle.network": places["FAAS_RPC_URL"].replace("http", "ws", 1),
    }
    environment = places | {"FAAS_TEST_ROUTES": json.dumps(routes)}
    reroute = (compiled / "reroute.js").as_uri()
    return printed(
        "node", "--import", reroute, str(compiled / f"snippets/{name}.js"), environment=environment
    )


def test_the_snippet_that_streams(compiled, places):
    lines = typescript_snippet(compiled, "execute", places).split()
    assert lines == [*map(str, range(10)), "Done:", "0"]


def test_the_snippet_that_submits_a_job(compiled, places):
    output = typescript_snippet(compiled, "tangle", places)
    assert output.startswith("Verified result: TangleResult {")
    assert re.search(r"stdout: 'Verified execution\\n'", output)


def test_the_python_snippet(places):
    # it imports everything but `os`
    snippet = SDK_TESTS / "snippets/stream.py"
    program = (
        "import os, pathlib, sys; exec(compile(pathlib.Path(sys.argv[1]).read_text(), 'snippet', 'exec'))"
    )
    assert printed(sys.executable, "-c", program, str(snippet), environment=places) == "Hello World\n"
