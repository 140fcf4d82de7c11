"""The variables of Tangle's blueprint manager. As a process: tests/e2e/test_operator_run.py."""

from __future__ import annotations

import subprocess
import sys

import pytest

from faas_blueprint.errors import InvalidRequest
from faas_cli.blueprint import settings_of


def test_variables_become_settings():
    told = {
        "HTTP_RPC_URL": "http://127.0.0.1:8545/",
        "BLUEPRINT_ID": "4",
        "SERVICE_ID": "7",
        "PROTOCOL": "tangle",
        "DATA_DIR": "/data",
        "TANGLE_CONTRACT": "0x" + "11" * 20,
        "KEYSTORE_URI": "/keys",
        "PATH": "/usr/bin",
    }
    assert settings_of(told) == {
        "FAAS_RPC_URL": "http://127.0.0.1:8545/",
        "FAAS_BLUEPRINT_ID": "4",
        "FAAS_SERVICE_ID": "7",
        "FAAS_DATABASE_URL": "sqlite:////data/operator.sqlite",
        "FAAS_TANGLE": "0x" + "11" * 20,
    }
    assert settings_of({}) == {}


def test_another_protocol_is_refused():
    with pytest.raises(InvalidRequest, match="eigenlayer"):
        settings_of({"PROTOCOL": "eigenlayer"})


def test_registration_mode_writes_its_file_and_ends(tmp_path):
    path = tmp_path / "data" / "registration_inputs.bin"
    told = {"REGISTRATION_MODE_ON": "true", "REGISTRATION_OUTPUT_PATH": str(path), "FAAS_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "faas_cli.blueprint", "run", "--pretty", "-vv"]
    done = subprocess.run(command, env=told, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == b""
