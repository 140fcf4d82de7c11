"""TangleFaaSClient of the Python SDK on a Substrate chain: what it sends, reads, checks and refuses."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
from answering import call_job, post, signed_result, until
from extrinsics import parse_signed
from genesis import BLUEPRINT_ID, SERVICE_ID, blueprint, fund
from people import CUSTOMER, OPERATOR, OTHER_CUSTOMER, REGISTERED_ONLY, SECOND_OPERATOR, STRANGER
from substrate_double import RpcFailure

from faas_blueprint.digests import digest_from_hex, keccak256
from faas_blueprint.job import EXECUTE_PARAMETERS, decode_job, encode_job, make_job
from faas_blueprint.tangle.fields import from_fields
from faas_blueprint.tangle.genesis import place_of
from faas_sdk import (
    AsyncTangleFaaSClient,
    ConnectionFailed,
    ResultTimeout,
    ResultUnreadable,
    SubmissionRefused,
    TangleError,
    TangleFaaSClient,
    TransactionFailed,
)
from faas_sdk.operations import PARAMETERS
from faas_sdk.substrate.fields import encode_types, to_fields
from faas_sdk.substrate.metadata import RuntimeMetadata

pytestmark = pytest.mark.slow

MNEMONIC = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"


def client_of(double, person=CUSTOMER, **changes) -> TangleFaaSClient:
    arguments = {
        "blueprint_id": BLUEPRINT_ID,
        "private_key": "0x" + person.seed.hex(),
        "key_type": person.scheme,
        "poll_interval": 0.02,
    }
    return TangleFaaSClient(double.websocket_url, **(arguments | changes))


def submitting(client, **changes) -> Future:
    """A job under way in another thread."""
    pool = ThreadPoolExecutor(1)
    job = {"code": "print(42)", "language": "python", "seed": 5, "epoch": 1_700_000_000}
    future = pool.submit(lambda: client.submit_job(**(job | changes)))
    pool.shutdown(wait=False)
    return future


def submit(double, client, **changes):
    """A job in a final block of its own."""
    future = submitting(client, **changes)
    until(lambda: double.tree.pool or future.done(), "a job in the pool")
    double.make_block()
    return future.result(60)


def post_final(double, job, fields, person=OPERATOR):
    post(double, job.call_id, fields, person)
    double.make_block()


@pytest.mark.parametrize("person", [CUSTOMER, OTHER_CUSTOMER], ids=lambda person: person.scheme)
def test_a_job_goes_as_chunked_fields_in_a_mortal_extrinsic(double, person):
    stdin, text = bytes(range(256)) * 20, "é" * 3000
    with client_of(double, person) as client:
        assert client.find_service() == SERVICE_ID
        job = submit(double, client, stdin=stdin, arguments=(text,), files={"a/b": b"c"})
    assert (job.service_id, job.call_id, job.price_wei) == (SERVICE_ID, 40, 0)
    assert job.block == double.tree.finalised.number
    signed = parse_signed(double.tree.best.extrinsics[1])
    assert (signed.hash, signed.signer) == (job.transaction_hash, person.account)
    assert signed.era is not None
    assert signed.era[0] == 64
    state = double.tree.best.state
    stored = state.entries[state.key("Services", "JobCalls", SERVICE_ID, 40)]
    assert from_fields(EXECUTE_PARAMETERS, stored[9:]) == job.inputs
    made = decode_job(job.inputs)
    assert (made.stdin, made.arguments, made.seed) == (stdin, (text,), 5)
    assert job.job_digest == "0x" + keccak256(job.inputs).hex()


def test_a_mnemonic_is_an_account(double):
    with client_of(double, private_key=MNEMONIC) as client:
        with pytest.raises(SubmissionRefused) as refused:
            client.find_service()
        assert refused.value.reason == "no_service"
        # the account that every Substrate tool derives from this mnemonic
        assert "5DfhGyQdFobKM8NsWvEeAKk5EQQgYe9AydgJ7rMB6E1EqRzV" in str(refused.value)


async def test_the_async_client_does_the_same(double):
    double.produce(0.1)
    async with AsyncTangleFaaSClient(
        double.http_url,
        blueprint_id=BLUEPRINT_ID,
        private_key="0x" + CUSTOMER.seed.hex(),
        poll_interval=0.02,
    ) as client:
        job = await client.submit_job(code="1", language="python")
        post(double, job.call_id, signed_result(double, job.inputs, job.call_id))
        result = await client.wait_for_result(job, timeout=60)
        assert (await client.verify(result)).passed
    assert result.stdout == "42\n"


def test_results_are_read_from_final_blocks_by_who_serves(double):
    with client_of(double) as client:
        job = submit(double, client)
        with pytest.raises(ResultTimeout, match="no final result"):
            client.wait_for_result(job, timeout=0)
        good = signed_result(double, job.inputs, job.call_id)
        foreign = signed_result(double, job.inputs, job.call_id, REGISTERED_ONLY, b"lie\n")
        post_final(double, job, foreign, REGISTERED_ONLY)  # registered, but not of the service
        with pytest.raises(ResultTimeout):
            client.wait_for_result(job, timeout=0)
        post(double, job.call_id, good)
        double.make_block(finalise=False)
        with pytest.raises(ResultTimeout):
            client.wait_for_result(job, timeout=0)
        double.finalise()
        post_final(double, job, foreign, REGISTERED_ONLY)  # what stands in storage now
        result = client.wait_for_result(job, timeout=0)
        assert (result.stdout, result.exit_code, result.call_id) == ("42\n", 0, 40)
        assert result.operator == "0x" + keccak256(OPERATOR.receipt_key[1:])[-20:].hex()
        assert result.verify_signature()
        chain_id, tangle = place_of(digest_from_hex(double.tree.genesis.hash))
        assert (result.receipt["chain_id"], result.receipt["tangle"]) == (chain_id, tangle)
        assert client.wait_for_result(job.call_id, timeout=0) == result
        second = signed_result(double, job.inputs, job.call_id, SECOND_OPERATOR)
        post_final(double, job, second, SECOND_OPERATOR)
        status = client.show(job.call_id)
        assert [shown.operator for shown in status.results] == [
            "0x" + keccak256(person.receipt_key[1:])[-20:].hex() for person in (OPERATOR, SECOND_OPERATOR)
        ]
        assert (status.completed, status.caller) == (True, "0x" + CUSTOMER.account.hex())
        assert status.transaction_hash == job.transaction_hash


def test_verify_finds_what_was_changed_or_copied(double):
    with client_of(double) as client:
        job = submit(double, client)
        good = signed_result(double, job.inputs, job.call_id)
        post_final(double, job, good)
        result = client.wait_for_result(job, timeout=0)
        assert client.verify(result) == client.verify(job) == client.verify(job.call_id)
        assert client.verify(result).passed
        other = client.verify(replace(result, stdout_bytes=b"43\n"))
        assert (other.outcome, other.signature, other.passed) == (False, True, False)
        changed = client.verify(replace(result, receipt={**result.receipt, "virtual_ns": 6}))
        assert (changed.place, changed.signature) == (False, False)
        copied = submit(double, client, seed=6)
        post_final(double, copied, good, SECOND_OPERATOR)  # another operator's, of another job
        found = client.verify(copied)
        assert (found.signature, found.job, found.standing, found.passed) == (False, False, True, False)


def test_what_an_operator_posts_that_is_no_result(double):
    with client_of(double) as client:
        job = submit(double, client)
        result = to_fields(PARAMETERS[0], encode_job(make_job("python", "1")))
        double.tree._jobs[BLUEPRINT_ID][0] = (
            double.tree._jobs[BLUEPRINT_ID][0][0],
            encode_types(PARAMETERS[0]),
        )
        post_final(double, job, result)
        with pytest.raises(ResultUnreadable):
            client.wait_for_result(job, timeout=0)


def test_the_call_id_is_that_of_the_final_block(double):
    with client_of(double) as client:
        future = submitting(client)
        until(lambda: double.tree.pool or future.done(), "the job in the pool")
        double.make_block(finalise=False)
        double.swallow = True
        double.reorganise(lose=True)
        call_job(double, encode_job(make_job("python", "2")), OTHER_CUSTOMER)
        double.make_block()  # somebody else's job has the number 40 now
        double.swallow = False
        until(lambda: double.tree.pool, "the job handed in again")
        double.make_block()
        job = future.result(60)
        assert (job.call_id, job.block) == (41, double.tree.best.number)
        assert client.show(41).transaction_hash == job.transaction_hash
        assert client.show(40).caller == "0x" + OTHER_CUSTOMER.account.hex()
        with pytest.raises(TangleError, match="has no job call 42"):
            client.show(42)


def test_an_extrinsic_that_dies_is_told(double):
    double.swallow = True
    with client_of(double) as client:
        future = submitting(client)
        until(lambda: "author_submitExtrinsic" in double.requests or future.done(), "the job handed in")
        for _ in range(64):
            double.make_block()
        with pytest.raises(TransactionFailed, match="submit the job again") as died:
            future.result(60)
    assert died.value.details["last_block"] == 64


def test_a_call_that_fails_in_its_block_is_told(double):
    with client_of(double) as client:
        future = submitting(client)
        until(lambda: double.tree.pool or future.done(), "the job in the pool")
        with double.lock:
            double.tree._jobs[BLUEPRINT_ID] = []
        double.make_block()
        with pytest.raises(TransactionFailed, match=r"Services\.JobDefinitionNotFound"):
            future.result(60)


def changed_service(double, **changes):
    state = double.tree.best.state
    service = state.get("Services", "Instances", SERVICE_ID)
    service = {name: ([],) if value == [] else value for name, value in service.items()}
    state.put("Services", "Instances", SERVICE_ID, service | changes)


REFUSALS = {
    "unknown_service": ({"service_id": 8}, lambda double: None),
    "not_permitted": (
        {"service_id": SERVICE_ID, "private_key": "0x" + STRANGER.seed.hex()},
        lambda double: None,
    ),
    "no_service": ({"private_key": "0x" + STRANGER.seed.hex()}, lambda double: None),
    "no_operator": (
        {"service_id": SERVICE_ID},
        lambda double: changed_service(double, operator_security_commitments=([],), permitted_callers=([],)),
    ),
    "schema_mismatch": (
        {},
        lambda double: double.tree.best.state.entries.update(
            {
                double.tree.best.state.key("Services", "Blueprints", BLUEPRINT_ID): CUSTOMER.account
                + blueprint([(encode_types(PARAMETERS[3]), b"\0")])
            }
        ),
    ),
    "insufficient_funds": ({}, lambda double: fund(double.tree.best.state, CUSTOMER.account, 10**15)),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_nothing_is_sent_that_would_be_lost(double, reason):
    changes, spoil = REFUSALS[reason]
    spoil(double)
    double.make_block()
    with client_of(double, **changes) as client, pytest.raises(SubmissionRefused) as refused:
        client.submit_job(code="1", language="python")
    assert refused.value.reason == reason
    assert "author_submitExtrinsic" not in double.requests


@pytest.mark.parametrize(
    "parts", [{"stdin": bytes((1 << 20) + 1)}, {"files": {name: bytes(1 << 20) for name in "abc"}}]
)
def test_what_fits_no_block_is_refused(double, parts):
    with client_of(double) as client, pytest.raises(SubmissionRefused, match="by their hash") as refused:
        client.submit_job(code="1", language="python", **parts)
    assert refused.value.reason == "too_large"
    assert "author_submitExtrinsic" not in double.requests


def test_a_job_takes_no_money_and_has_no_quotes(double):
    """The pallet's calls carry no value, so none is promised."""
    with client_of(double) as client:
        with pytest.raises(SubmissionRefused, match="their fee only") as refused:
            client.submit_job(code="1", language="python", value_wei=1)
        assert refused.value.reason == "wrong_value"
        for asked in (
            lambda: client.get_quote(code="1", language="python"),
            lambda: client.get_service_quote(7200),
            lambda: client.create_service([]),
        ):
            with pytest.raises(SubmissionRefused) as refused:
                asked()
            assert refused.value.reason == "no_quotes"
    assert "author_submitExtrinsic" not in double.requests


def test_a_chain_without_the_pallet_is_not_tangles(double, monkeypatch):
    monkeypatch.setattr(RuntimeMetadata, "has", lambda self, pallet: pallet != "Services")
    with client_of(double, service_id=SERVICE_ID) as client, pytest.raises(SubmissionRefused) as refused:
        client.submit_job(code="1", language="python")
    assert refused.value.reason == "not_tangle"


def test_a_key_is_needed_to_submit_only(double):
    with client_of(double, private_key=None) as client:
        assert client.find_service() == SERVICE_ID
        with pytest.raises(SubmissionRefused) as refused:
            client.submit_job(code="1", language="python")
    assert refused.value.reason == "no_key"
    with pytest.raises(ValueError, match="key_type"):
        client_of(double, key_type="ecdsa")
    with (
        client_of(double, private_key="no such words") as client,
        pytest.raises(ValueError, match="mnemonic"),
    ):
        client.find_service()


def test_state_that_a_node_has_forgotten_is_told(double, monkeypatch):
    def forgotten(_key, _at=None):
        raise RpcFailure(4003, "State already discarded")

    with client_of(double, service_id=SERVICE_ID) as client:
        monkeypatch.setattr(double, "rpc_state_getStorage", forgotten)
        with pytest.raises(ConnectionFailed, match="archive node"):
            client.show(40)


def test_without_the_extra_it_says_what_to_install(double):
    program = (
        "import sys; sys.modules['substrateinterface'] = None\n"
        "from faas_sdk import SubstrateNotInstalled, TangleFaaSClient\n"
        "try: TangleFaaSClient(sys.argv[1], blueprint_id=3).find_service()\n"
        "except SubstrateNotInstalled as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, double.websocket_url], capture_output=True, text=True, timeout=120
    )
    assert "pip install 'tangle-faas-sdk[substrate]'" in done.stdout, done.stderr
