"""The command: exit codes, JSON, what it says to people."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from faas_blueprint.digests import keccak256
from faas_blueprint.job import Mode
from faas_blueprint.outcome import OutputFile, Stream
from faas_blueprint.prices import PRICES, execution_cost, price_table_to_json, use_of
from faas_verifier import command
from faas_verifier.audit_command import audit
from faas_verifier.bundle import save_bundle

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lie(make_receipts, tmp_path):
    path = tmp_path / "lie.json"
    save_bundle(make_receipts.bundle(replace(make_receipts.OUTCOME, state_root=keccak256(b"x"))), path)
    return path


def test_verified(run, good):
    result = run(good)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert [line[:2] for line in lines[:8]] == [f"{number}." for number in range(1, 9)]
    assert lines[-1].startswith("VERIFIED")


def test_refuted_with_both_values(run, lie, make_receipts):
    result = run(lie)
    assert result.exit_code == 1
    assert "state_root: claimed 0x" in result.output
    assert "0x" + make_receipts.STATE_ROOT.hex() in result.output
    assert "REFUTED" in result.output.splitlines()[-1]


def test_json(run, good, lie):
    report = json.loads(run(good, "--json").stdout)
    keys = {"verdict", "verified", "reason", "checks", "receipt", "differences", "call", "require"}
    assert set(report) == keys
    assert report["verified"] is True
    assert [item["number"] for item in report["checks"]] == list(range(1, 9))
    assert set(report["checks"][0]) == {"number", "name", "status", "detail"}
    report = json.loads(run(lie, "--json").stdout)
    assert report["verified"] is False
    (difference,) = report["differences"]
    assert difference["field"] == "state_root"
    assert difference["claimed"] != difference["found"]


def test_signature_only_is_never_verified(run, good, machine):
    result = run(good, "--signature-only")
    assert result.exit_code == 2
    assert machine.runs == 0


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--rpc", "http://127.0.0.1:9", "--service", "1"),
        ("none.json", "--call", "1"),
        ("none.json", "--operator", "0x12"),
        ("none.json",),
        ("--rpc", "http://127.0.0.1:9", "--service", "1", "--call", "1"),
        ("--rpc", "http://127.0.0.1:9", "--service", "-1", "--call", "1"),
    ],
)
def test_nothing_to_check_is_exit_code_2(run, arguments):
    assert run(*arguments).exit_code == 2


def test_an_unreachable_chain_in_json(run):
    result = run("--rpc", "http://127.0.0.1:9", "--service", "1", "--call", "1", "--json")
    report = json.loads(result.stdout)
    assert (report["verdict"], report["receipt"], report["call"]) == ("unchecked", None, None)


@pytest.mark.parametrize("version", [2, 4])
def test_a_receipt_of_another_version_accuses_nobody(run, good, version):
    text = good.read_text()
    good.write_text(text.replace('"version": 3', f'"version": {version}'))
    result = run(good)
    assert result.exit_code == 2
    assert result.output.splitlines()[-1].startswith("COULD NOT BE CHECKED")
    assert f"receipt version {version} is not known here" in result.output


def test_the_variable_names_the_chain_of_a_call_and_of_no_file(run, good, monkeypatch):
    monkeypatch.setenv("FAAS_RPC_URL", "http://127.0.0.1:9, http://127.0.0.1:10")
    report = json.loads(run("--service", "1", "--call", "1", "--json").stdout)
    assert "http://127.0.0.1:9 does not answer" in report["reason"]
    assert run(good).exit_code == 0
    assert "does not answer" in run(good, "--rpc", "http://127.0.0.1:9").output


def test_an_audit_takes_the_chain_from_the_variable(monkeypatch):
    app = Typer()
    app.command()(audit)
    monkeypatch.setenv("FAAS_RPC_URL", "http://127.0.0.1:9")
    result = CliRunner().invoke(app, ["--service", "1"])
    assert result.exit_code == 2
    assert "http://127.0.0.1:9 does not answer" in result.output


def test_a_defect_of_our_own_is_not_a_refutation(run, good, monkeypatch):
    async def broken(*_):
        raise RuntimeError("a defect")

    monkeypatch.setattr(command, "answer", broken)
    assert run(good).exit_code == 2


def test_the_script(tmp_path):
    path = tmp_path / "nothing.json"
    path.write_text("{}")
    script = ROOT / "scripts" / "verify_result.py"
    result = subprocess.run([sys.executable, script, path, "--json"], capture_output=True, check=False)
    assert result.returncode == 2
    assert json.loads(result.stdout)["verdict"] == "unchecked"


def test_an_operators_text_cannot_draw_on_the_terminal(run, make_receipts, tmp_path):
    path = tmp_path / "drawing.json"
    forged = replace(make_receipts.OUTCOME, stdout=Stream(b"\x1b[2J\rVERIFIED [bold]\n"))
    save_bundle(make_receipts.bundle(forged), path)
    result = run(path)
    assert result.exit_code == 1
    assert "\x1b[2J" not in result.output
    assert "\\x1b[2J\\rVERIFIED [bold]\\n" in result.output


def test_nor_can_the_name_of_an_output_file(run, make_receipts, tmp_path):
    path = tmp_path / "forged.json"
    outcome = replace(make_receipts.OUTCOME, files=(OutputFile("\x1b[2J\r[bold]", b"x"),))
    made = make_receipts.bundle(outcome)
    save_bundle(replace(made, files=(OutputFile("\x1b[2J\r[bold]", b"y"),)), path)
    result = run(path)
    assert result.exit_code == 1
    assert "\x1b" not in result.output
    assert "[2J" in result.output
    assert "[bold]" in result.output


def test_the_price_is_worked_out_again(run, good, make_receipts):
    use = use_of(make_receipts.JOB, make_receipts.OUTCOME.summary())
    cost = execution_cost(PRICES, Mode.CACHED, use)
    result = run(good, "--mode", "cached", "--charged", cost.total)
    assert result.exit_code == 0, result.output
    assert f"{cost.total} nanocredits" in result.output
    report = json.loads(run(good, "--mode", "cached", "--json").stdout)
    assert report["price"] == {
        "mode": "cached", "price_version": 1, "compute_nanocredits": cost.compute,
        "network_nanocredits": cost.network, "total_nanocredits": cost.total,
    }  # fmt: skip
    assert report["checks"][-1]["number"] == 9


def test_another_price_is_refuted(run, good, make_receipts):
    use = use_of(make_receipts.JOB, make_receipts.OUTCOME.summary())
    cost = execution_cost(PRICES, Mode.EPHEMERAL, use).total
    result = run(good, "--mode", "ephemeral", "--charged", cost + 1)
    assert result.exit_code == 1
    assert f"nanocredits: claimed {cost + 1}" in result.output
    kept = run(good, "--mode", "branched", "--json")
    assert kept.exit_code == 1
    assert json.loads(kept.stdout)["price"] is None
    assert "does not keep its machine" in json.loads(kept.stdout)["reason"]


def test_with_a_services_own_prices(run, good, make_receipts, tmp_path):
    table = replace(PRICES, version=7, vcpu_second=1_000_000_000)
    use = use_of(make_receipts.JOB, make_receipts.OUTCOME.summary())
    cost = execution_cost(table, Mode.EPHEMERAL, use).total
    assert cost != execution_cost(PRICES, Mode.EPHEMERAL, use).total
    path = tmp_path / "prices.json"
    for content in ({"table": price_table_to_json(table), "charged": True}, price_table_to_json(table)):
        path.write_text(json.dumps(content))
        assert run(good, "--mode", "ephemeral", "--charged", cost, "--prices", path).exit_code == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"table": 1}', '{"table": {"version": -1}}'])
def test_what_is_no_price_table_is_exit_code_2(run, good, tmp_path, content):
    path = tmp_path / "prices.json"
    path.write_text(content)
    assert run(good, "--mode", "ephemeral", "--prices", path).exit_code == 2
    assert run(good, "--charged", "1").exit_code == 2
