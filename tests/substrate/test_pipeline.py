"""The whole node over the double with the real engine: settings, keys, pipeline, result, verified receipt."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys

import pytest
from eth_account import Account
from genesis import BLUEPRINT_ID, SERVICE_ID
from people import CUSTOMER, OPERATOR
from pydantic import SecretStr
from test_adapter import submit
from test_key import exported
from typer.testing import CliRunner

from faas_blueprint.digests import keccak256
from faas_blueprint.errors import MissingPrerequisite
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.receipt import address, recover_signer
from faas_blueprint.result import EXECUTE_RESULT, decode_result
from faas_blueprint.tangle.fields import from_fields
from faas_blueprint.tangle.genesis import is_substrate
from faas_cli.main import app
from faas_microvm.engine import Engine, EngineSettings
from faas_operator import keystore
from faas_operator.node import open_node
from faas_operator.pipeline import State
from faas_operator.settings import Secrets, Settings
from faas_verifier.evidence import PostedResult
from faas_verifier.verdict import Conclusion
from faas_verifier.verify import verify_posted

pytestmark = [pytest.mark.machine, pytest.mark.slow]

PASSWORD = "password"


@pytest.fixture
def configured(double, tmp_path, faas_home, monkeypatch):
    """Settings and secrets of a node that serves the double's chain; no address of a contract among them."""
    for name in ("FAAS_TANGLE", "FAAS_SETTINGS", "FAAS_BLUEPRINT_ID"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "account.json").write_text(exported(OPERATOR, PASSWORD))
    keystore.save(
        tmp_path / "keystore.json", Account.from_key(OPERATOR.seed), PASSWORD, keystore.NO_SECRET_WORK
    )
    settings = Settings(
        home=faas_home,
        keystore=tmp_path / "keystore.json",
        account_file=tmp_path / "account.json",
        blueprint_id=BLUEPRINT_ID,
        poll_seconds=0.1,
        drain_seconds=5,
    )
    secrets = Secrets(
        keystore_password=SecretStr(PASSWORD),
        account_password=SecretStr(PASSWORD),
        rpc_url=SecretStr(double.websocket_url),
        database_url=SecretStr(f"sqlite:///{tmp_path}/operator.sqlite"),
    )
    return settings, secrets


@contextlib.asynccontextmanager
async def running(node):
    """The node's operator, stopped hard at the end, as a crash would."""
    operator = asyncio.create_task(node.operator().run())
    try:
        yield
    finally:
        operator.cancel()
        await asyncio.gather(operator, return_exceptions=True)


async def until_state(node, call, state, seconds=240.0):
    async with asyncio.timeout(seconds):
        while (record := node.store.job_of_call(call)) is None or record.state is not state:
            await asyncio.sleep(0.1)
    return record


async def first_call(node):
    """The only call, once the node has seen it."""
    async with asyncio.timeout(60):
        while not (records := node.store.jobs_in(set(State))):
            await asyncio.sleep(0.05)
    return records[0].call


def results_on(double):
    """Each result ever stored for the first call, in the blocks of the best chain."""
    seen = []
    for number in range(1, double.tree.best.number + 1):
        state = double.tree.at(number).state
        stored = state.entries.get(state.key("Services", "JobResults", 7, 40))
        if stored is not None and (not seen or seen[-1] != stored):
            seen.append(stored)
    return seen


async def test_a_job_is_answered_through_faults_with_a_receipt_that_verifies(double, configured, faas_home):
    settings, secrets = configured
    job = make_job("python", "import sys\nprint('ü' * 1000, len(sys.stdin.read()))", stdin=b"x" * 5000)
    async with await Engine.open(faas_home, settings=EngineSettings(waiting=0)) as engine:
        async with open_node(settings, secrets, engine) as node, running(node):
            await submit(double, encode_job(job), CUSTOMER)
            call = await first_call(node)
            async with asyncio.timeout(240):
                while not double.tree.pool:  # the result waits for a block, and the node dies
                    await asyncio.sleep(0.05)
        async with open_node(settings, secrets, engine) as node, running(node):
            double.make_block(finalise=False)
            await until_state(node, call, State.POSTED)
            double.reorganise(lose=True)  # its block is replaced, and the result lost
            double.finalise()
            async with asyncio.timeout(60):
                while not double.tree.pool:
                    await asyncio.sleep(0.05)
            double.make_block()
            record = await until_state(node, call, State.FINAL)
            assert record.posted.block.block_hash == double.tree.best.hash
        (stored,) = results_on(double)
        payload = from_fields(EXECUTE_RESULT, stored[16:])
        result = decode_result(payload)
        receipt = result.receipt(call, node.signer.address)
        registered = double.tree.best.state.get(
            "Services", "Operators", BLUEPRINT_ID, "0x" + OPERATOR.account.hex()
        )
        key = bytes.fromhex(registered["key"][4:])
        assert recover_signer(receipt, result.signature) == "0x" + keccak256(key)[-20:].hex()
        assert receipt.job_digest == keccak256(encode_job(job))
        posted = PostedResult(
            call,
            inputs=record.submitted.inputs,
            payload=payload,
            operator=address("0x" + keccak256(key)[-20:].hex()),  # of the key that the chain has
            serves=True,
            submitted_in=record.submitted.transaction_hash,
            posted_in=record.posted.transaction_hash,
        )
        verdict = await verify_posted(posted, lambda: contextlib.nullcontext(engine))
        assert verdict.conclusion is Conclusion.VERIFIED, verdict.findings
    assert is_substrate(receipt.chain_id)


async def test_what_is_missing_is_said(double, configured, faas_home):
    settings, secrets = configured
    async with await Engine.open(faas_home, settings=EngineSettings(waiting=0)) as engine:
        for missing, name in (
            ((settings.model_copy(update={"blueprint_id": None}), secrets), "FAAS_BLUEPRINT_ID"),
            ((settings, secrets.model_copy(update={"account_password": None})), "FAAS_ACCOUNT_PASSWORD"),
        ):
            with pytest.raises(MissingPrerequisite, match=name):
                async with open_node(*missing, engine):
                    pass


async def faas(*arguments):
    """A command in this process, where the runtime's metadata is known already."""
    return await asyncio.to_thread(CliRunner().invoke, app, arguments)


async def test_the_command_serves_the_chain_and_another_verifies_it(double, configured, faas_home, tmp_path):
    settings, _ = configured
    double.produce(0.3)
    variables = {
        "FAAS_HOME": str(faas_home),
        "FAAS_RPC_URL": double.websocket_url,
        "FAAS_BLUEPRINT_ID": str(BLUEPRINT_ID),
        "FAAS_KEYSTORE": str(settings.keystore),
        "FAAS_KEYSTORE_PASSWORD": PASSWORD,
        "FAAS_ACCOUNT_FILE": str(settings.account_file),
        "FAAS_ACCOUNT_PASSWORD": PASSWORD,
        "FAAS_DATABASE_URL": f"sqlite:///{tmp_path}/command.sqlite",
        "FAAS_API_PORT": "0",
        "FAAS_POLL_SECONDS": "0.1",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAAS_")}
    kept |= {"FAAS_STORE": os.environ["FAAS_STORE"]}
    with open(tmp_path / "log", "w") as log:
        node = subprocess.Popen(
            [sys.executable, "-m", "faas_cli.main", "operator", "run"],
            env=kept | variables,
            stdout=log,
            stderr=log,
        )
    try:
        await submit(double, encode_job(make_job("python", "print(6 * 7)")), CUSTOMER)
        async with asyncio.timeout(240):
            while not results_on(double):
                assert node.poll() is None, (tmp_path / "log").read_text()
                await asyncio.sleep(0.2)
        place = (
            "--rpc",
            double.websocket_url,
            "--service",
            str(SERVICE_ID),
            "--json",
            "--home",
            str(faas_home),
        )
        async with asyncio.timeout(60):  # until the result is final
            while (
                "no result"
                in (done := await faas("verify", *place, "--call", "40", "--signature-only")).stdout
            ):
                await asyncio.sleep(0.3)
        assert done.exit_code == 2, done.output
        for command in (("verify", *place, "--call", "40"), ("audit", *place)):
            done = await faas(*command)
            assert done.exit_code == 0, done.output
            assert json.loads(done.stdout)["verdict"] == "verified"
        node.terminate()
        assert await asyncio.to_thread(node.wait, 60) == 0
    finally:
        node.kill()
        node.wait()
    (stored,) = results_on(double)
    assert decode_result(from_fields(EXECUTE_RESULT, stored[16:])).output.stdout == b"42\n"
    log = (tmp_path / "log").read_text()
    assert "job final" in log or "job posted" in log
    assert PASSWORD not in log
