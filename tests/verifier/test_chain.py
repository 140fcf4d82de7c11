"""The verifier on the real protocol: real job calls, answered honestly and otherwise by the real operator."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from eth_keys.datatypes import PrivateKey
from typer.testing import CliRunner

from faas_blueprint.bundle import make_bundle
from faas_blueprint.digests import keccak256
from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.job import encode_job
from faas_blueprint.outcome import Stream
from faas_blueprint.receipt import make_receipt
from faas_blueprint.result import encode_result, make_result
from faas_blueprint.tangle import protocol
from faas_operator import keystore
from faas_sdk import AsyncTangleFaaSClient
from faas_verifier import chain as chain_module
from faas_verifier.bundle import save_bundle
from faas_verifier.chain import DEVNET_TANGLE, read_call, tangle_address
from faas_verifier.command import Question, answer
from faas_verifier.rpc import Rpc
from faas_verifier.verdict import Conclusion, Status

pytestmark = pytest.mark.chain


class Operator:
    """Answers calls of the devnet: with what it is told, signed with the real operator's key."""

    def __init__(self, chain, made) -> None:
        self.chain = chain
        self.made = made
        deployment = chain.deployment
        self.account = keystore.load(Path(deployment.operator_keystore), deployment.operator_password)
        self.key = PrivateKey(bytes(self.account.key))

    async def submitted(self, job: bytes | None = None):
        """A call for the samples' job."""
        return await self.chain.submit(encode_job(self.made.JOB) if job is None else job)

    def receipt(self, call, outcome):
        """What an honest operator signs."""
        return make_receipt(
            profile_id=self.made.PROFILE,
            snapshot=self.made.SNAPSHOT,
            job_digest=keccak256(encode_job(self.made.JOB)),
            outcome=outcome,
            call=call,
            operator=self.chain.deployment.operator,
        )

    async def answer(self, call, outcome=None, key=None, receipt=None, change=None) -> None:
        """Post a result: `receipt` signed with `key`, altered by `change` after signing."""
        outcome = outcome or self.made.OUTCOME
        receipt = receipt or self.receipt(call, outcome)
        result = make_result(receipt, outcome, self.made.sign(receipt, key or self.key))
        result = change(result) if change else result
        data = protocol.submit_result(call.service_id, call.call_id, encode_result(result))
        await self.chain.send(data, account=self.account)


@pytest.fixture
def operator(chain, make_receipts) -> Operator:
    return Operator(chain, make_receipts)


@pytest.fixture
def asked(chain, machine):
    """Verifies a call with the samples' machine."""

    async def ask(call, **changes):
        question = Question(None, chain.deployment.rpc_url, call.service_id, call.call_id, call.tangle, None)
        (verdict,) = await answer(replace(question, **changes), machine.open)
        return verdict

    return ask


async def test_an_honest_answer_is_verified(operator, asked):
    call = await operator.submitted()
    await operator.answer(call)
    verdict = await asked(call)
    assert verdict.conclusion is Conclusion.VERIFIED, verdict.findings
    assert [item.status for item in verdict.findings] == [Status.PASSED] * 8


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (8, {"outcome": "output"}),
        (8, {"outcome": "state root"}),
        (2, {"change": "state root"}),
        (6, {"change": "output"}),
        (2, {"key": "stranger"}),
        (4, {"receipt": "another job"}),
        (2, {"receipt": "another call"}),
    ],
    ids=lambda value: str(value),
)
async def test_forgeries_and_lies_are_refuted(operator, asked, number, what):
    made = operator.made
    call = await operator.submitted()
    honest = operator.receipt(call, made.OUTCOME)
    ways = {
        ("outcome", "output"): replace(made.OUTCOME, stdout=Stream(b"hellp\n")),
        ("outcome", "state root"): replace(made.OUTCOME, state_root=keccak256(b"x")),
        ("change", "state root"): lambda result: replace(result, state_root=keccak256(b"x")),
        ("change", "output"): lambda result: replace(
            result, output=replace(result.output, stdout=b"HELLO\n")
        ),
        ("key", "stranger"): made.STRANGER_KEY,
        ("receipt", "another job"): replace(honest, job_digest=keccak256(encode_job(made.OTHER_JOB))),
        ("receipt", "another call"): replace(honest, call_id=call.call_id + 1),
    }
    ((name, value),) = what.items()
    await operator.answer(call, **{name: ways[name, value]})
    verdict = await asked(call)
    assert verdict.conclusion is Conclusion.REFUTED
    assert number in {item.number for item in verdict.findings if item.status is Status.FAILED}


async def test_the_sdk_reads_what_the_verifier_verifies(operator, asked, tmp_path):
    deployment = operator.chain.deployment
    async with AsyncTangleFaaSClient(
        deployment.rpc_url, deployment.service_id, private_key=deployment.customer_key, poll_interval=0.02
    ) as client:
        call = await operator.submitted()
        await operator.answer(call)
        result = await client.wait_for_result(call.call_id, timeout=5)
        assert (result.stdout, result.exit_code, result.status) == ("hello\n", 0, "exited")
        assert result.operator == deployment.operator
        assert result.verify_signature()
        status = await client.show(call.call_id)
        assert status.completed
        assert [item.signature for item in status.results] == [result.signature]
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(result.receipt_file()))
    assert (await asked(call, receipt=path)).conclusion is Conclusion.VERIFIED
    assert (await asked(call, receipt=path, service_id=None, call_id=None)).conclusion is Conclusion.VERIFIED
    alone = await asked(call, receipt=path, rpc_url=None)
    assert alone.conclusion is Conclusion.VERIFIED
    assert "not asked: standing, place" in alone.reason


async def test_a_result_by_hash(operator, asked, machine):
    long = replace(operator.made.OUTCOME, stdout=Stream(b"x" * 5000))
    machine._outcome = long
    call = await operator.submitted()
    await operator.answer(call, long)
    assert (await asked(call)).conclusion is Conclusion.VERIFIED
    async with AsyncTangleFaaSClient(operator.chain.deployment.rpc_url, call.service_id) as client:
        result = await client.wait_for_result(call.call_id, timeout=5)
    assert result.stdout is None
    assert result.stderr == ""
    assert result.verify_signature()


async def test_a_receipt_of_another_call_is_refuted_by_its_place(operator, asked, tmp_path):
    made = operator.made
    first, second = await operator.submitted(), await operator.submitted()
    await operator.answer(second)
    receipt = operator.receipt(first, made.OUTCOME)
    path = tmp_path / "receipt.json"
    save_bundle(
        make_bundle(receipt, made.sign(receipt, operator.key), encode_job(made.JOB), made.OUTCOME), path
    )
    verdict = await asked(second, receipt=path)
    assert verdict.conclusion is Conclusion.REFUTED
    assert "call_id" in {item.field for item in verdict.differences}


async def test_what_cannot_be_checked(operator, asked):
    call = await operator.submitted()
    assert "no result yet" in (await asked(call)).reason
    await operator.answer(call)
    for changes, words in (
        ({"call_id": 10_000}, "no call 10000"),
        ({"service_id": 99}, "no call"),
        ({"operator": operator.made.STRANGER}, "no result by"),
        ({"tangle": operator.made.STRANGER}, "no contract"),
        ({"rpc_url": "http://127.0.0.1:9"}, "does not answer"),
        ({"rpc_url": "wss://x"}, "http"),
        ({"receipt": Path("/none")}, "cannot be read"),
    ):
        verdict = await asked(call, **changes)
        assert verdict.conclusion is Conclusion.UNCHECKED, changes
        assert words in verdict.reason


async def test_small_windows_find_the_same(operator, chain, monkeypatch):
    call = await operator.submitted()
    await operator.answer(call)
    async with Rpc(chain.deployment.rpc_url) as rpc:
        whole = await read_call(rpc, call.tangle, call.service_id, call.call_id)
        monkeypatch.setattr(chain_module, "LOG_WINDOW", 1)
        assert await read_call(rpc, call.tangle, call.service_id, call.call_id) == whole
    assert len(whole.results) == 1


async def test_reading_what_is_not_there(chain):
    deployment = chain.deployment
    async with Rpc(deployment.rpc_url) as rpc:
        with pytest.raises(NotFound):
            await read_call(rpc, deployment.tangle, deployment.service_id, 10_000)
        with pytest.raises(NotFound):  # a contract, but not Tangle
            await read_call(rpc, deployment.bond_token, 0, 0)


def test_tangles_address(devnet, tmp_path):
    assert tangle_address(None) == DEVNET_TANGLE == devnet.tangle
    path = tmp_path / "deployment.json"
    path.write_text(json.dumps({"tangle": devnet.manager}))
    assert tangle_address(str(path)) == devnet.manager
    for text in ("{}", "[]", "nonsense"):
        path.write_text(text)
        with pytest.raises(InvalidRequest):
            tangle_address(str(path))
    with pytest.raises(InvalidRequest):
        tangle_address("0x12")


async def test_the_command_on_a_chain(operator, asked):
    import asyncio

    from typer import Typer

    from faas_verifier.command import verify

    call = await operator.submitted()
    await operator.answer(call, key=operator.made.STRANGER_KEY)
    app = Typer()
    app.command()(verify)
    arguments = ["--rpc", operator.chain.deployment.rpc_url, "--service", str(call.service_id)]
    arguments += ["--call", str(call.call_id), "--json"]
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["verdict"], report["verified"]) == ("refuted", False)
    assert report["call"]["call_id"] == call.call_id
    assert report["differences"][0]["field"] == "signer"


async def test_an_audit_of_a_service_that_is_not_there(operator):
    import asyncio

    from typer import Typer

    from faas_verifier.audit_command import audit

    app = Typer()
    app.command()(audit)
    arguments = ["--rpc", operator.chain.deployment.rpc_url, "--service", "777"]
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert result.exit_code == 2
    assert "there is no service 777" in result.output
