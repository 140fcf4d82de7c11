"""TangleFaaSClient against the real protocol on a local chain."""

from __future__ import annotations

import pytest

from faas_blueprint.job import decode_job
from faas_sdk import (
    AsyncTangleFaaSClient,
    ConnectionFailed,
    ResultTimeout,
    SubmissionRefused,
    TangleError,
    TangleFaaSClient,
)

pytestmark = pytest.mark.chain

FIXTURE_SERVICE = 0
"""The recorded deployment's own service: pay once, no schema, its owner may call."""


@pytest.fixture
def client(devnet):
    with TangleFaaSClient(
        devnet.rpc_url,
        blueprint_id=devnet.blueprint_id,
        private_key=devnet.customer_key,
        tangle=devnet.tangle,
        poll_interval=0.02,
    ) as made:
        yield made


def test_submit_finds_the_service_and_pays_the_exact_rate(client, devnet):
    seen: list[str] = []
    job = client.submit_job(code="print(1)", language="python", stdin="in", on_progress=seen.append)
    assert (job.service_id, job.price_wei) == (devnet.service_id, devnet.event_rate_wei)
    made = decode_job(job.inputs)
    assert (made.code, made.stdin) == ("print(1)", b"in")
    assert len(seen) == 3
    status = client.show(job)
    assert (status.call_id, status.completed, status.results) == (job.call_id, False, ())
    assert status.caller == devnet.customer
    assert status.transaction_hash == job.transaction_hash
    assert client.show(job.call_id) == status


def test_seed_and_epoch_are_chosen_when_left_open(client):
    first = client.submit_job(code="1", language="python")
    second = client.submit_job(code="1", language="python")
    assert first.call_id != second.call_id
    assert decode_job(first.inputs).seed != decode_job(second.inputs).seed
    third = client.submit_job(code="1", language="python", seed=5, epoch=86_406)
    assert (decode_job(third.inputs).seed, decode_job(third.inputs).epoch) == (5, 86_406)


def test_no_value_goes_to_a_service_that_is_not_event_driven(devnet):
    with TangleFaaSClient(
        devnet.rpc_url, service_id=FIXTURE_SERVICE, private_key=devnet.owner_key, tangle=devnet.tangle
    ) as client:
        assert client.submit_job(code="1", language="python").price_wei == 0


def test_not_permitted(devnet):
    with (
        TangleFaaSClient(
            devnet.rpc_url, service_id=FIXTURE_SERVICE, private_key=devnet.customer_key, tangle=devnet.tangle
        ) as client,
        pytest.raises(SubmissionRefused, match="may not submit") as caught,
    ):
        client.submit_job(code="1", language="python")
    assert caught.value.reason == "not_permitted"


def test_a_stranger_finds_no_service(devnet):
    with (
        TangleFaaSClient(
            devnet.rpc_url,
            blueprint_id=devnet.blueprint_id,
            private_key="0x" + "07" * 32,
            tangle=devnet.tangle,
        ) as client,
        pytest.raises(SubmissionRefused) as caught,
    ):
        client.submit_job(code="1", language="python")
    assert caught.value.reason == "no_service"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"service_id": 99}, "unknown_service"),
        ({"private_key": None}, "no_key"),
        ({"max_price_wei": 1}, "price_too_high"),
        ({"tangle": "0x" + "11" * 20}, "no_contract"),
    ],
)
def test_refusals(devnet, changes, reason):
    arguments = {
        "service_id": devnet.service_id,
        "private_key": devnet.customer_key,
        "tangle": devnet.tangle,
    } | changes
    with TangleFaaSClient(devnet.rpc_url, **arguments) as client, pytest.raises(SubmissionRefused) as caught:
        client.submit_job(code="1", language="python")
    assert caught.value.reason == reason


def test_an_invalid_job_is_not_sent(client):
    with pytest.raises(SubmissionRefused) as caught:
        client.submit_job(code="1", language="cobol")
    assert caught.value.reason == "invalid_inputs"


def test_no_result_in_time(client):
    job = client.submit_job(code="1", language="python")
    with pytest.raises(ResultTimeout):
        client.wait_for_result(job, timeout=0.05)


def test_no_such_call(client):
    with pytest.raises(TangleError, match="no job call"):
        client.wait_for_result(10_000, timeout=0.05)


async def test_the_async_twin(devnet):
    async with AsyncTangleFaaSClient(
        devnet.rpc_url,
        blueprint_id=devnet.blueprint_id,
        private_key=devnet.customer_key,
        tangle=devnet.tangle,
        poll_interval=0.02,
    ) as client:
        assert await client.find_service() == devnet.service_id
        job = await client.submit_job(code="1", language="python")
        with pytest.raises(ResultTimeout):
            await client.wait_for_result(job, timeout=0.05)
        assert not (await client.show(job)).completed


def test_nobody_at_the_endpoint():
    client = TangleFaaSClient("http://127.0.0.1:9", service_id=1, private_key="0x" + "07" * 32)
    with client, pytest.raises(ConnectionFailed):
        client.submit_job(code="1", language="python")


def test_arguments_that_make_no_client():
    for arguments in ({"rpc_url": "ftp://x", "service_id": 1}, {"rpc_url": "http://x"}):
        with pytest.raises(ValueError, match=r"http|service_id"):
            TangleFaaSClient(**arguments)
    with pytest.raises(ValueError, match="not an address"):
        TangleFaaSClient("http://x", service_id=1, tangle="0x12")


def test_an_endpoint_that_is_no_substrate_node_is_evm(devnet):
    url = devnet.rpc_url.replace("http", "ws", 1)
    key = devnet.customer_key
    with TangleFaaSClient(url, blueprint_id=devnet.blueprint_id, private_key=key) as client:
        assert client.find_service() == devnet.service_id
    mnemonic = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
    with (
        TangleFaaSClient(url, blueprint_id=devnet.blueprint_id, private_key=mnemonic) as client,
        pytest.raises(ValueError, match="for Substrate chains"),
    ):
        client.find_service()
