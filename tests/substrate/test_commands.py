"""The `faas` commands where the endpoint is a Substrate node: each works, or says what to do instead."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import pytest
from answering import call_job, post, signed_result
from click.testing import Result
from eth_account import Account
from genesis import BLUEPRINT_ID, SERVICE_ID
from people import CUSTOMER, OPERATOR, OTHER_CUSTOMER, STRANGER
from test_adapter import call_of
from test_key import exported
from typer.testing import CliRunner

from faas_blueprint.errors import MissingPrerequisite, ResultRefused
from faas_blueprint.job import EXECUTE_PARAMETERS, encode_job, make_job
from faas_blueprint.tangle.fields import from_fields
from faas_cli import job, operator
from faas_operator import keystore
from faas_operator.chain.interface import CallStanding
from faas_operator.chain.substrate.dry import DrySubstrateAdapter

pytestmark = pytest.mark.slow

PASSWORD = "password"
PAYLOAD = encode_job(make_job("python", "print(1)"))


@pytest.fixture
def environment(double, faas_home, tmp_path):
    """What an operator sets."""
    (tmp_path / "account.json").write_text(exported(OPERATOR, PASSWORD))
    os.chmod(tmp_path / "account.json", 0o600)
    keystore.save(
        tmp_path / "keystore.json", Account.from_key(OPERATOR.seed), PASSWORD, keystore.NO_SECRET_WORK
    )
    cleared = {name: None for name in os.environ if name.startswith("FAAS_") and name != "FAAS_STORE"}
    return cleared | {
        "FAAS_HOME": str(faas_home),
        "FAAS_RPC_URL": double.websocket_url,
        "FAAS_BLUEPRINT_ID": str(BLUEPRINT_ID),
        "FAAS_KEYSTORE": str(tmp_path / "keystore.json"),
        "FAAS_KEYSTORE_PASSWORD": PASSWORD,
        "FAAS_ACCOUNT_FILE": str(tmp_path / "account.json"),
        "FAAS_ACCOUNT_PASSWORD": PASSWORD,
        "FAAS_DATABASE_URL": f"sqlite:///{tmp_path}/operator.sqlite",
    }


def faas(environment, app, *arguments: str) -> Result:
    """Run a command in this process, where the runtime's metadata is known already."""
    return CliRunner().invoke(app, arguments, env=environment)


def test_a_job_is_submitted_shown_and_waited_for(double, environment, tmp_path):
    double.produce(0.1)
    customer = {
        "FAAS_PRIVATE_KEY": "0x" + OTHER_CUSTOMER.seed.hex(),
        "FAAS_KEY_TYPE": OTHER_CUSTOMER.scheme,
    }
    submit = ("submit", "--language", "python", "--code", "print(1)", "--json")
    submitted = json.loads(faas(environment | customer, job.app, *submit).stdout)
    assert (submitted["service_id"], submitted["call_id"]) == (SERVICE_ID, 40)
    state = double.tree.best.state
    stored = state.entries[state.key("Services", "JobCalls", SERVICE_ID, 40)]
    post(double, 40, signed_result(double, from_fields(EXECUTE_PARAMETERS, stored[9:]), 40))
    receipt = tmp_path / "receipt.json"
    waited = faas(environment, job.app, "wait", "40", "--json", "--receipt", str(receipt))
    assert json.loads(waited.stdout)["stdout"] == "42\n"
    assert json.loads(receipt.read_text())["receipt"]["service_id"] == SERVICE_ID
    shown = json.loads(faas(environment, job.app, "show", "40", "--json").stdout)
    assert (shown["completed"], shown["caller"]) == (True, "0x" + OTHER_CUSTOMER.account.hex())


def test_an_operator_sees_how_it_stands(double, environment, tmp_path):
    status = json.loads(faas(environment, operator.app, "status", "--json").stdout)
    assert (status["registered"], status["key_matches"], status["services"]) == (True, True, [SERVICE_ID])
    assert status["balance"] == 10**21
    report = json.loads(faas(environment, operator.app, "doctor", "--no-job", "--json").stdout)
    standings = {check["check"]: check["standing"] for check in report["checks"]}
    for check in ("account", "rpc", "tangle", "registration", "services", "balance"):
        assert standings[check] == "ok", report
    assert standings["stake"] == standings["registered measurement"] == "skipped"

    (tmp_path / "keystore.json").unlink()
    keystore.save(
        tmp_path / "keystore.json", Account.from_key(CUSTOMER.seed), PASSWORD, keystore.NO_SECRET_WORK
    )
    wrong = environment | {"FAAS_ACCOUNT_PASSWORD": "wrong-horse"}
    done = faas(wrong, operator.app, "doctor", "--no-job", "--json")
    found = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.exit_code == 1
    assert "another key" in found["registration"]["detail"]
    assert found["account"]["standing"] == "failed"
    assert "wrong-horse" not in done.output
    assert PASSWORD not in done.output.replace("the password", "").replace("PASSWORD", "")


@pytest.mark.parametrize(
    "command",
    ["claim", "requests", "approve 1", "reject 1", "join 1", "leave 1", "unregister", "stake 1", "unstake"],
)
def test_duties_of_evm_chains_say_so(double, environment, command):
    done = faas(environment, operator.app, *command.split())
    assert isinstance(done.exception, MissingPrerequisite)
    assert "on EVM chains only" in done.exception.message
    assert "docs/substrate.md" in done.exception.message


def test_what_an_account_lacks_is_found(double, environment, tmp_path):
    (tmp_path / "account.json").write_text(exported(STRANGER, PASSWORD))
    done = faas(environment, operator.app, "doctor", "--no-job", "--json")
    found = {check["check"]: check["standing"] for check in json.loads(done.stdout)["checks"]}
    assert (found["registration"], found["services"], found["balance"]) == ("failed", "warning", "failed")
    (tmp_path / "account.json").unlink()
    done = faas(environment, operator.app, "doctor", "--no-job", "--json")
    found = {check["check"]: check["standing"] for check in json.loads(done.stdout)["checks"]}
    assert (found["account"], found["registration"], found["balance"]) == ("failed", "skipped", "skipped")


def test_each_of_several_endpoints_is_looked_at(double, other_chain, environment):
    with double.peer(lags=True) as lagging, double.peer() as dead:
        for _ in range(11):
            double.make_block()
        dead.answers_left = 0
        nodes = (double, lagging, other_chain, dead)
        several = environment | {"FAAS_RPC_URL": ", ".join(node.websocket_url for node in nodes)}
        done = faas(several, operator.app, "doctor", "--no-job", "--json")
    found = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
    standings = [found[f"rpc endpoint {place}"]["standing"] for place in (1, 2, 3, 4)]
    assert standings == ["ok", "warning", "failed", "warning"]
    assert "lags by 11 final blocks" in found["rpc endpoint 2"]["detail"]
    assert other_chain.tree.genesis.hash in found["rpc endpoint 3"]["detail"]
    assert "127.0.0.1" not in "".join(check["detail"] for check in found.values() if "rpc" in check["check"])


def test_registering_says_with_what(double, environment, tmp_path):
    new = tmp_path / "new.json"
    refused = faas(environment | {"FAAS_KEYSTORE": str(new)}, operator.app, "register")
    key = keystore.public_key(keystore.load(new, PASSWORD)).hex()
    assert isinstance(refused.exception, MissingPrerequisite)
    said = str(refused.exception)
    assert f"call services.register with blueprint {BLUEPRINT_ID} and the key 0x{key}" in said
    assert not double.tree.pool


async def test_a_dry_adapter_may_run_everything_and_posts_nothing(double):
    call_job(double, PAYLOAD)
    double.make_block()
    async with await DrySubstrateAdapter.follow(double.http_url, BLUEPRINT_ID, None) as dry:
        (seen,) = await dry.submitted_jobs(0, double.tree.best.number)
        assert seen.call == call_of(double)
        assert await dry.standing(seen.call) is CallStanding.OPEN
        assert await dry.standing(call_of(double, 41)) is CallStanding.CLOSED
        post(double, 40, signed_result(double, PAYLOAD, 40))
        double.make_block()
        assert await dry.standing(seen.call) is CallStanding.OPEN  # whoever has answered
        with pytest.raises(ResultRefused, match="dry run"):
            await dry.post_result(seen.call, b"result")
        assert await dry.balance() == 0
    assert not double.tree.pool


@pytest.mark.machine
async def test_a_dry_node_runs_the_jobs(double, environment, tmp_path):
    double.produce(0.2)
    without = {
        name: value
        for name, value in environment.items()
        if value and "KEYSTORE" not in name and "ACCOUNT" not in name
    }
    with open(tmp_path / "log", "w") as log:
        node = subprocess.Popen(
            [sys.executable, "-m", "faas_cli.main", "operator", "run", "--dry"],
            env=without | {"FAAS_API_PORT": "0", "FAAS_POLL_SECONDS": "0.1", "FAAS_WAITING_MACHINES": "0"},
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(240):
            while "DRY RUN" not in (tmp_path / "log").read_text():
                assert node.poll() is None, (tmp_path / "log").read_text()
                await asyncio.sleep(0.1)
            call_job(double, PAYLOAD)
            while "dry run: the result is not posted" not in (tmp_path / "log").read_text():
                assert node.poll() is None, (tmp_path / "log").read_text()
                await asyncio.sleep(0.1)
        node.terminate()
        assert await asyncio.to_thread(node.wait, 60) == 0
    finally:
        node.kill()
        node.wait()
    state = double.tree.best.state
    assert state.key("Services", "JobResults", SERVICE_ID, 40) not in state.entries
