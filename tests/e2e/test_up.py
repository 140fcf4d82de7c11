"""`faas up` as its users meet it: jobs on-chain, the API, verification, a second operator, the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from eth_account import Account

from faas_blueprint.tangle import credits
from faas_blueprint.tangle.credit_events import account_id_of
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionSender
from faas_operator.devnet import deployment as deployments

pytestmark = [pytest.mark.machine, pytest.mark.chain]

FAAS = [sys.executable, "-m", "faas_cli.main"]
PASSWORD = "correct horse"


@pytest.fixture
def variables(own_home, monkeypatch, tmp_path):
    """The environment of every command here."""
    for name in ("FAAS_RPC_URL", "FAAS_TANGLE", "FAAS_BLUEPRINT_ID", "FAAS_PRIVATE_KEY", "FAAS_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    variables = {
        "FAAS_HOME": str(own_home),
        "FAAS_KEYSTORE": str(tmp_path / "operator.json"),
        "FAAS_KEYSTORE_PASSWORD": PASSWORD,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def up(start_faas, variables):
    """A running `faas up`, and what it printed."""
    # the operator of `up` has a keystore of its own, so it must not mind these variables
    command = start_faas("up", "--api-port", "0", "--chain-port", "0", "--json", env=variables)
    command.await_text("stdout", "\n")
    return command, json.loads(command.stdout)


def faas(*arguments: str, expected: int = 0) -> dict[str, object]:
    """A command beside it; gives its JSON."""
    done = subprocess.run([*FAAS, *arguments, "--json"], capture_output=True, text=True, timeout=240)
    assert done.returncode == expected, done.stderr + done.stdout
    report: dict[str, object] = json.loads(done.stdout)
    return report


def test_a_job_through_the_chain(up, own_home, tmp_path):
    _, facts = up
    assert set(facts) >= {
        "rpc_url",
        "tangle",
        "blueprint_id",
        "service_id",
        "operator",
        "endpoint",
        "api_key",
    }
    receipt = tmp_path / "receipt.json"
    code = "import sys; print('got', sys.argv[1], sys.stdin.read()); sys.exit(2)"
    (tmp_path / "input").write_text("typed")
    result = faas(
        *("job", "submit", "--code", code, "--language", "python", "--argument", "one"),
        *("--stdin", str(tmp_path / "input"), "--wait", "--receipt", str(receipt)),
    )
    assert (result["stdout"], result["exit_code"], result["status"]) == ("got one typed\n", 2, "exited")
    assert result["operator"] == facts["operator"]

    call = str(result["call_id"])
    shown = faas("job", "show", call)
    assert (shown["completed"], len(shown["results"])) == (True, 1)
    assert shown["results"][0]["result_tx"] == result["result_tx"]
    assert faas("job", "wait", call)["receipt"] == result["receipt"]

    on_chain = ("--rpc", facts["rpc_url"], "--service", str(facts["service_id"]), "--call", call)
    for arguments in (on_chain, (*on_chain, "--tangle", facts["tangle"]), (str(receipt),)):
        assert faas("verify", *arguments)["verified"] is True
    lie = json.loads(receipt.read_text())
    lie["receipt"]["virtual_ns"] += 1
    receipt.write_text(json.dumps(lie))
    assert faas("verify", str(receipt), expected=1)["verified"] is False
    assert faas("verify", *on_chain[:-1], "999", expected=2)["verified"] is False


def test_a_job_submitted_without_waiting(up, tmp_path):
    (tmp_path / "own.js").write_text("console.log(6 * 7)")
    submitted = faas("job", "submit", str(tmp_path / "own.js"))
    assert set(submitted) == {"service_id", "call_id", "transaction"}
    assert faas("job", "wait", str(submitted["call_id"]))["stdout"] == "42\n"


def test_a_verifier_with_an_empty_home_has_the_machine_by_its_hash(up, tmp_path):
    _, facts = up
    call = faas("job", "submit", "--code", "print(6 * 7)", "--language", "python", "--wait")["call_id"]
    report = faas(
        *("verify", "--rpc", facts["rpc_url"], "--service", str(facts["service_id"]), "--call", str(call)),
        *("--blobs", facts["endpoint"], "--home", str(tmp_path / "empty")),
    )
    assert report["verified"] is True
    (snapshot,) = (check for check in report["checks"] if check["name"] == "snapshot")
    assert "registered on-chain" in snapshot["detail"]


def test_the_api_answers_to_the_printed_key(up):
    _, facts = up
    with httpx.Client(base_url=facts["endpoint"], timeout=60) as client:
        assert client.get("/health").status_code == 200
        body = {"language": "javascript", "code": "console.log(6 * 7)"}
        priced = client.post("/api/v1/execute", json=body)  # the devnet has a token to pay by request with
        assert (priced.status_code, priced.json()["error"]["details"]["reason"]) == (402, "payment_required")
        assert client.get("/api/v1/executions").status_code == 401
        answer = client.post("/api/v1/execute", json=body, headers={"X-API-Key": facts["api_key"]})
    assert answer.status_code == 200
    assert "42\n" in answer.json().values()


def test_a_second_operator_registers(up, tmp_path):
    _, facts = up
    first = faas("operator", "register")
    assert first["operator"] != facts["operator"]
    assert (tmp_path / "operator.json").exists()
    assert PASSWORD not in (tmp_path / "operator.json").read_text()
    again = faas("operator", "register")
    assert again["operator"] == first["operator"]
    status = faas("operator", "status")
    assert status["operator"] == first["operator"]
    assert (status["staked"], status["registered"]) == (True, True)
    assert status["services"] == []
    assert int(str(status["balance_wei"])) > 0
    checks = {check["check"]: check for check in faas("operator", "doctor", "--no-job")["checks"]}
    names = ("sandbox", "base snapshot", "key", "rpc", "tangle", "stake", "registration", "balance")
    for name in (*names, "registered measurement"):
        assert checks[name]["standing"] == "ok", checks[name]
    assert checks["services"]["standing"] == "warning"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["terminate", "ctrl-c"])
def test_the_end(up, own_home, number):
    command, facts = up
    assert (own_home / "devnet.json").exists()
    command.interrupt(number)
    assert command.wait(15) == 130, command.stderr
    assert "Traceback" not in command.stderr
    assert command.stderr.count("interrupted; everything that was started has been stopped") == 1
    assert not (own_home / "devnet.json").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{facts['endpoint']}/health")
    with pytest.raises(httpx.ConnectError):
        httpx.get(facts["rpc_url"])


def test_another_chain_leaves_the_first_ones_advertisement_alone(up, own_home, start_faas):
    _, facts = up
    second = start_faas("devnet", "--port", "0")
    second.await_text("stderr", "Ctrl-C stops it")
    assert "another local chain runs, which commands go on to use" in second.stderr
    assert deployments.read(own_home / "devnet.json").rpc_url == facts["rpc_url"]
    second.interrupt(signal.SIGINT)
    assert second.wait(15) == 130, second.stderr
    assert deployments.read(own_home / "devnet.json").rpc_url == facts["rpc_url"]


def test_what_a_killed_chain_has_left_is_replaced(start_faas, variables, own_home):
    for number in (signal.SIGKILL, signal.SIGTERM):
        command = start_faas("devnet", "--port", "0", "--json")
        command.await_text("stdout", "\n")
        rpc_url = json.loads(command.stdout)["rpc_url"]
        assert deployments.read(own_home / "devnet.json").rpc_url == rpc_url
        command.interrupt(number)
        command.wait(15)
    assert not (own_home / "devnet.json").exists()


def test_a_job_in_flight_does_not_hold_the_end_up(up):
    command, _ = up
    faas("job", "submit", "--code", "while True: pass", "--language", "python")
    command.await_text("stderr", "job running")
    command.interrupt(signal.SIGTERM)
    assert command.wait(15) == 130, command.stderr
    assert "Traceback" not in command.stderr


async def test_runs_are_paid_for_and_deposits_arrive(up):
    """From the starting credit, and from the devnet's contract; a job on-chain is not charged again."""
    _, facts = up
    key = {"X-API-Key": facts["api_key"]}
    async with httpx.AsyncClient(base_url=facts["endpoint"] + "/api/v1", headers=key, timeout=120) as client:
        run = (await client.post("/execute", json={"language": "python", "code": "print(1)"})).json()
        start = (await client.get("/usage/current")).json()
        spent = round(run["cost"]["total"] * 1e9)
        assert start["balance_nanocredits"] == 1_000 * 10**9 - spent
        account = (await client.get("/usage/ledger")).json()["entries"][-1]["cause"]
        deployment = deployments.read(Path(os.environ["FAAS_HOME"]) / "devnet.json")
        async with Rpc(facts["rpc_url"]) as rpc:
            sender = TransactionSender(rpc, Account.from_key(deployment.customer_key), deployment.chain_id)
            await sender.send(deployment.credits, credits.deposit(account_id_of(account)), 2 * 10**15)
        async with asyncio.timeout(30):
            while True:
                now = (await client.get("/usage/current")).json()["balance_nanocredits"]
                if now != start["balance_nanocredits"]:
                    break
                await asyncio.sleep(0.1)
        assert now == start["balance_nanocredits"] + 2 * 10**9
        faas("job", "submit", "--code", "print(2)", "--language", "python", "--wait")
        assert (await client.get("/usage/current")).json()["balance_nanocredits"] == now
