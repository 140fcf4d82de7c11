"""What the README tells a newcomer to paste, word for word but for ports, against a running `faas up`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.machine, pytest.mark.chain]

CHECKOUT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def home(start_faas, own_home, monkeypatch, tmp_path):
    """A folder that looks like a checkout in which `FAAS_API_KEY=choose-a-key faas up` runs."""
    for name in ("FAAS_RPC_URL", "FAAS_TANGLE", "FAAS_BLUEPRINT_ID", "FAAS_PRIVATE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FAAS_HOME", str(own_home))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("FAAS_API_KEY", "choose-a-key")
    up = start_faas("up", "--api-port", "0", "--chain-port", "0", "--json")
    up.await_text("stdout", "\n")
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parent.parent)
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/faas").symlink_to(own_home)
    return tmp_path, json.loads(up.stdout)


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (CHECKOUT / "README.md").read_text(), re.M | re.S)


def example(language: str, beginning: str, facts: dict[str, str]) -> str:
    """The one with these words in it."""
    (found,) = [text for text in examples(language) if beginning in text]
    return found.replace("http://127.0.0.1:8080", facts["endpoint"]).replace(
        "http://127.0.0.1:8545", facts["rpc_url"]
    )


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_quickstart(home):
    folder, facts = home
    first = run(folder, sys.executable, "-c", example("python", "TangleFaaSClient(", facts))
    assert first.startswith("42\n")
    assert "VERIFIED" in first
    customer = run(folder, "bash", "-ec", example("sh", "--wait --receipt receipt.json", facts))
    assert "42" in customer
    run(folder, "faas", "verify", "receipt.json")
    (folder / "receipt.json").unlink()
    rest = run(folder, sys.executable, "-c", example("python", "FaaSClient(api_key", facts))
    assert rest.startswith("42\n 0 ")
    verifier = run(folder, "bash", "-ec", example("sh", "faas verify receipt.json\n", facts))
    assert verifier.count("VERIFIED") == 2


def test_paying_by_request(home):
    """What docs/billing.md tells to paste."""
    folder, facts = home
    page = (CHECKOUT / "docs/billing.md").read_text()
    (paying,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    paying = paying.replace("http://127.0.0.1:8080", facts["endpoint"])
    assert run(folder, sys.executable, "-c", paying) == "42\n\n"
