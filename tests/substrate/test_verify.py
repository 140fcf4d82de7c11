"""`faas verify` and `faas audit` against the double: whose answers count, and what is said of the others."""

from __future__ import annotations

import sys

import pytest
from answering import call_job, post, signed_result
from extrinsics import parse_signed
from genesis import SERVICE_ID
from people import OPERATOR, REGISTERED_ONLY, SECOND_OPERATOR
from substrate_double import RpcFailure
from test_adapter import call_of
from typer.testing import CliRunner

from faas_blueprint.digests import keccak256
from faas_blueprint.errors import ChainUnavailable, MissingPrerequisite, NotFound
from faas_blueprint.job import encode_job, make_job
from faas_blueprint.receipt import address
from faas_blueprint.result import decode_result
from faas_cli.main import app
from faas_verifier.command import Question, answer
from faas_verifier.posted import finished_calls, posted_results
from faas_verifier.rpc import Rpc
from faas_verifier.verdict import Conclusion, Status

pytestmark = pytest.mark.slow

PAYLOAD = encode_job(make_job("python", "print('é' * 700)", stdin=bytes(3000)))


def address_of(person):
    return address("0x" + keccak256(person.receipt_key[1:])[-20:].hex())


def called(double, payload=PAYLOAD):
    """A call in a final block."""
    call_job(double, payload)
    double.make_block()


def answered(double, person=OPERATOR, call_id=40, inputs=PAYLOAD, **what):
    """A person's result in a final block of its own."""
    post(double, call_id, signed_result(double, inputs, call_id, person, **what), person)
    double.make_block()


async def results(double, call_id=40):
    async with Rpc(double.websocket_url) as rpc:
        return await posted_results(rpc, None, SERVICE_ID, call_id)


async def verdicts(double, **changes):
    question = Question(None, double.websocket_url, SERVICE_ID, 40, None, changes.get("operator"))
    return await answer(question, None)


async def test_a_call_and_its_result_are_read_whole(double):
    called(double)
    for _ in range(5):
        double.make_block()
    answered(double)
    double.make_block()
    (posted,) = await results(double)
    assert (posted.call, posted.job_index, posted.inputs) == (call_of(double), 0, PAYLOAD)
    assert (posted.operator, posted.serves) == (address_of(OPERATOR), True)
    assert decode_result(posted.payload).output.stdout == b"42\n"
    hashes = [signed.hash for signed in map(parse_signed, _extrinsics(double))]
    assert [posted.submitted_in, posted.posted_in] == hashes


async def test_what_needs_no_machine_is_checked(double):
    """The double's results name a machine that nobody has, so nothing is run again."""
    called(double)
    answered(double)
    (verdict,) = await verdicts(double)
    assert verdict.conclusion is Conclusion.UNCHECKED
    assert [item.status for item in verdict.findings[:6]] == [Status.PASSED] * 6, verdict.findings


async def test_forgeries_are_refuted(double):
    """Another's receipt, one of another job, and bytes that are none: each by an operator that serves."""
    called(double)
    post(double, 40, signed_result(double, PAYLOAD, 40, REGISTERED_ONLY), OPERATOR)
    double.make_block()
    (verdict,) = await verdicts(double)
    assert verdict.conclusion is Conclusion.REFUTED
    called(double)
    answered(double, call_id=41, inputs=b"another job")
    (verdict,) = await answer(Question(None, double.http_url, SERVICE_ID, 41, None, None), None)
    assert verdict.conclusion is Conclusion.REFUTED
    called(double)
    answered(double, call_id=42)
    (verdict,) = await answer(
        Question(None, double.http_url, SERVICE_ID, 42, None, address_of(SECOND_OPERATOR)), None
    )
    assert verdict.conclusion is Conclusion.UNCHECKED
    assert "no result by" in verdict.reason


async def test_who_does_not_serve_neither_answers_nor_hides_an_answer(double):
    """Copied from the pool and posted first, then overwritten by the operator, then by the stranger again."""
    called(double)
    fields = signed_result(double, PAYLOAD, 40, OPERATOR)
    post(double, 40, fields, REGISTERED_ONLY)
    double.make_block()
    assert await results(double) == ()
    post(double, 40, fields, OPERATOR)
    double.make_block()
    assert [posted.operator for posted in await results(double)] == [address_of(OPERATOR)]
    answered(double, REGISTERED_ONLY, stdout=b"other\n")
    assert [posted.operator for posted in await results(double)] == [address_of(OPERATOR)]


async def test_the_answers_of_all_operators_are_read(double):
    called(double)
    answered(double)
    answered(double, SECOND_OPERATOR)
    people = [address_of(OPERATOR), address_of(SECOND_OPERATOR)]
    assert [posted.operator for posted in await results(double)] == people
    (verdict,) = await verdicts(double, operator=people[1])
    assert verdict.findings[0].status is Status.PASSED


async def test_only_final_blocks_count(double):
    call_job(double, PAYLOAD)
    double.make_block(finalise=False)
    with pytest.raises(NotFound, match="no call 40 in a final block"):
        await results(double)
    double.finalise()
    assert await results(double) == ()
    (verdict,) = await verdicts(double)
    assert verdict.conclusion is Conclusion.UNCHECKED
    assert f"call 40 of service {SERVICE_ID} has no result yet" in verdict.reason


async def test_a_node_that_has_forgotten_says_so(double):
    """It keeps the state of the last blocks only: enough for a new call, not for an old one."""
    called(double)
    for _ in range(6):
        double.make_block()
    answered(double)
    keep, state_of = double.tree.best.number - 3, type(double)._state

    def pruned(at):
        block = double._found(at)
        if block.number < keep:
            raise RpcFailure(4003, "Client error: State already discarded")
        return state_of(double, at)

    double._state = pruned
    with pytest.raises(ChainUnavailable, match="ask an archive node"):
        await results(double)
    called(double)
    answered(double, call_id=41)
    assert len(await results(double, 41)) == 1


async def test_finished_calls_are_found(double):
    for call_id in (40, 41, 42):
        called(double)
        if call_id != 41:
            answered(double, call_id=call_id)
    async with Rpc(double.http_url) as rpc:
        assert await finished_calls(rpc, None, SERVICE_ID, 0) == [40, 42]
        assert await finished_calls(rpc, None, SERVICE_ID, 4) == [42]
        with pytest.raises(NotFound, match=f"no service {SERVICE_ID + 1}"):
            await finished_calls(rpc, None, SERVICE_ID + 1, 0)


async def test_without_the_packages_it_says_what_to_install(double, monkeypatch):
    monkeypatch.delitem(sys.modules, "faas_verifier.substrate", raising=False)
    monkeypatch.delitem(sys.modules, "faas_blueprint.tangle.runtime_metadata", raising=False)
    monkeypatch.setitem(sys.modules, "scalecodec.base", None)
    with pytest.raises(MissingPrerequisite, match=r"pip install 'tangle-faas\[substrate\]'"):
        await results(double)


def test_the_command(double):
    called(double)
    answered(double)
    place = ("--rpc", double.websocket_url, "--service", str(SERVICE_ID))
    done = CliRunner().invoke(app, ["verify", *place, "--call", "40", "--signature-only"])
    assert done.exit_code == 2, done.output
    assert address_of(OPERATOR) in done.output
    done = CliRunner().invoke(app, ["verify", *place, "--call", "40", "--require", "signed"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["verify", *place, "--call", "41", "--require", "signed"])
    assert done.exit_code == 2
    assert "no call 41" in done.output


def _extrinsics(double):
    return [raw for number in range(double.tree.best.number + 1)
            for raw in double.tree.at(number).extrinsics[1:]]  # fmt: skip
