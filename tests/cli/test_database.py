"""`faas operator database`, on a store that is new, upgraded and out of reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from faas_operator import migrations


def faas(url, *arguments):
    command = [sys.executable, "-m", "faas_cli.main", "operator", "database", *arguments]
    environment = os.environ | {"FAAS_DATABASE_URL": url}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_it_shows_and_upgrades(database):
    before = json.loads(faas(database, "--json").stdout)
    assert (before["standing"], before["revision"]) == ("empty", None)
    after = json.loads(faas(database, "--upgrade", "--json").stdout)
    assert (after["standing"], after["revision"]) == ("current", migrations.NEWEST)
    assert json.loads(faas(database, "--json").stdout) == after
    assert "current" in faas(database).stdout


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--upgrade",)], ids=" ".join)
def test_a_server_that_is_away_is_one_line(arguments):
    done = faas("postgresql://faas:hidden@127.0.0.1:1/store", *arguments)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "the database store at 127.0.0.1:1 does not answer" in " ".join(said.split())
    assert "refused" in said
    assert "Traceback" not in said
    assert "hidden" not in said
