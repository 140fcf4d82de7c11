"""Where machines come from on a Substrate chain: what its operators' results say, and whose count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from answering import call_job, made_up_outcome, post, signed_result
from genesis import SERVICE_ID
from people import OPERATOR, REGISTERED_ONLY, SECOND_OPERATOR
from test_verify import address_of

from faas_blueprint.digests import ZERO_DIGEST, Digest, keccak256, sha256
from faas_blueprint.job import Mode, encode_job, make_job
from faas_blueprint.operation import CreateBranch, ForkRecord, JobKind, Program, Run
from faas_blueprint.operation_payload import encode_operation
from faas_verifier.evidence import Provenance, Root
from faas_verifier.posted import answered_call, posted_results
from faas_verifier.rpc import Rpc

pytestmark = pytest.mark.slow

BASE, LEFT, FORKED = sha256(b"snapshot"), sha256(b"left by a call"), sha256(b"its fork")
KEEPING = encode_job(make_job("bash", "echo kept > file", keep=True))
BOTH = (OPERATOR, SECOND_OPERATOR)


def running_on(start: Digest) -> bytes:
    return encode_operation(
        Run(JobKind.EXECUTE_WITH_OPTIONS, Program(make_job("bash", "cat file")), start, Mode.EPHEMERAL)
    )


def branching(start: Digest) -> bytes:
    return encode_operation(CreateBranch(start, ForkRecord(1, 2, b"left")))


def answered(double, call_id, payload, people, *, start=BASE, left=LEFT, job_index=0):
    """A call, and the same claim by each of the people, each in a final block."""
    call_job(double, payload, job_index=job_index)
    double.make_block()
    for person in people:
        outcome = made_up_outcome(state_root=left)
        fields = signed_result(
            double, payload, call_id, person, outcome=outcome, snapshot=start, job_index=job_index
        )
        post(double, call_id, fields, person)
        double.make_block()


async def provenance_of(double, call_id) -> Provenance:
    async with Rpc(double.http_url) as rpc:
        first, *others = await posted_results(rpc, None, SERVICE_ID, call_id, with_registration=True)
    assert {other.provenance for other in others} <= {first.provenance}
    assert first.registered is None
    return first.provenance


async def test_a_machine_that_all_operators_have_left_rests_on_their_agreement(double):
    answered(double, 40, KEEPING, BOTH)
    answered(double, 41, running_on(LEFT), BOTH, start=LEFT, left=sha256(b"end"), job_index=1)
    found = await provenance_of(double, 41)
    assert found == Provenance((40,), (Root(BASE, None),))
    assert found.objection(BASE) is None
    assert "nothing is registered on this chain" in found.objection(sha256(b"another base"))


async def test_a_chain_of_calls_is_followed_to_its_base(double):
    answered(double, 40, KEEPING, BOTH)
    answered(double, 41, branching(LEFT), BOTH, start=LEFT, left=FORKED, job_index=4)
    answered(double, 42, running_on(FORKED), (OPERATOR,), start=FORKED, job_index=1)
    assert await provenance_of(double, 42) == Provenance((40, 41), (Root(BASE, None),))


@pytest.mark.parametrize("others", [(), (REGISTERED_ONLY,)], ids=["nobody else", "one who does not serve"])
async def test_one_operators_word_is_not_enough(double, others):
    answered(double, 40, KEEPING, (OPERATOR, *others))
    answered(double, 41, running_on(LEFT), BOTH, start=LEFT, job_index=1)
    found = await provenance_of(double, 41)
    assert found == Provenance((), (Root(LEFT, None, left_by=40),))
    assert "verify call 40 first" in found.objection(BASE)


async def test_two_claims_of_one_machine_are_no_agreement(double):
    answered(double, 40, KEEPING, (OPERATOR,))
    lie = replace(made_up_outcome(state_root=LEFT), virtual_ns=6)
    post(double, 40, signed_result(double, KEEPING, 40, SECOND_OPERATOR, outcome=lie), SECOND_OPERATOR)
    double.make_block()
    answered(double, 41, running_on(LEFT), BOTH, start=LEFT, job_index=1)
    assert (await provenance_of(double, 41)).roots == (Root(LEFT, None, left_by=40),)


async def test_a_receipt_that_another_signed_is_no_agreement(double):
    answered(double, 40, KEEPING, (OPERATOR,))
    stolen = signed_result(double, KEEPING, 40, OPERATOR, outcome=made_up_outcome(state_root=LEFT))
    post(double, 40, stolen, SECOND_OPERATOR)
    double.make_block()
    answered(double, 41, running_on(LEFT), BOTH, start=LEFT, job_index=1)
    assert (await provenance_of(double, 41)).calls == ()


async def test_only_earlier_calls_count(double):
    answered(double, 40, running_on(LEFT), BOTH, start=LEFT, job_index=1)
    answered(double, 41, KEEPING, BOTH)
    assert await provenance_of(double, 40) == Provenance((), (Root(LEFT, None),))


async def test_who_serves_is_read_with_the_call(double):
    answered(double, 40, KEEPING, (OPERATOR,))
    async with Rpc(double.http_url) as rpc:
        found = await answered_call(rpc, None, SERVICE_ID, 40)
    assert found.operators == {address_of(person) for person in BOTH}
    assert [posted.operator for posted in found.results] == [address_of(OPERATOR)]
    assert found.results[0].provenance is None  # it was not asked for
    assert keccak256(found.results[0].inputs) == keccak256(KEEPING) != ZERO_DIGEST
