"""What `deploy/` and the runbook say holds for the program beside them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from faas_operator.settings import Secrets, Settings

CHECKOUT = Path(__file__).parents[2]
UNIT = CHECKOUT / "deploy/faas-operator.service"
RUNBOOK = (CHECKOUT / "docs/runbook.md").read_text()


def test_systemd_waits_for_the_drain(monkeypatch, tmp_path):
    monkeypatch.setenv("FAAS_HOME", str(tmp_path))
    monkeypatch.delenv("FAAS_DRAIN_SECONDS", raising=False)
    found = re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)
    assert found
    assert int(found[1]) >= Settings().drain_seconds + 20


def test_nothing_that_bubblewrap_cannot_bear_is_switched_on():
    switched_on = re.findall(r"^(\w+)=yes$", UNIT.read_text(), re.MULTILINE)
    assert "NoNewPrivileges" in switched_on
    masking = {"ProtectKernelTunables", "ProtectKernelLogs", "ProtectControlGroups", "ProtectHostname"}
    assert not {*masking, "MemoryDenyWriteExecute", "RestrictNamespaces"} & set(switched_on)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_can_read_the_unit():
    done = subprocess.run(
        ["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "faas-operator.service" not in done.stderr


def test_the_container_has_the_packages_that_setup_installs():
    setup = (CHECKOUT / "scripts/setup").read_text()
    block = setup[setup.index("commands=(") : setup.index(")", setup.index("commands=("))]
    packages = {pair.split()[1] for pair in re.findall(r'"([^"]+)"', block)}
    needed = packages - {"cargo", "nodejs", "npm"}  # the devnet's and the client's
    container = (CHECKOUT / "deploy/Containerfile").read_text()
    assert {package for package in needed if package not in container} == set()


def test_every_metric_is_in_the_runbook():
    source = "".join(
        (CHECKOUT / f"operator/faas_operator/{name}.py").read_text() for name in ("metrics", "happenings")
    )
    names = set(re.findall(r'"(faas_[a-z_]+)"', source))
    assert len(names) >= 12
    assert {name for name in names if f"`{name}" not in RUNBOOK} == set()


def test_settings_that_the_runbook_names_exist():
    others = {"HOME", "STORE", "STAKING"}
    known = {name.upper() for name in (*Settings.model_fields, *Secrets.model_fields)} | others
    assert set(re.findall(r"FAAS_([A-Z_]+[A-Z])", RUNBOOK)) <= known


def test_links_within_the_runbook_lead_somewhere():
    headings = re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= anchors
