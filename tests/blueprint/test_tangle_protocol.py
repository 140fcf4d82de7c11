"""The protocol's calls, events, epochs and errors as pure codecs."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode

from faas_blueprint.definition import faas_blueprint_definition
from faas_blueprint.digests import Digest, keccak256
from faas_blueprint.errors import ChainUnavailable, FatalError, InvalidRequest
from faas_blueprint.receipt import ZERO_ADDRESS, Address
from faas_blueprint.tangle import epoch_0_10, epoch_0_19, protocol
from faas_blueprint.tangle.abi import Event, Function, Log
from faas_blueprint.tangle.probe import EPOCHS, PROBED_SELECTORS, choose_epoch
from faas_blueprint.tangle.reverts import ContractError, decode_revert
from faas_blueprint.tangle.values import JobCall, JobSubmitted, Service, ServiceStatus
from faas_blueprint.tlv import encode_schema

TANGLE = Address("0x" + "7a" * 20)
CALLER = Address("0x" + "ca" * 20)
OPERATOR = Address("0x" + "0e" * 20)


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("event", "topic"),
    [
        (protocol.JOB_SUBMITTED, "de37cc48d21778e1c9a075c4e41c5aff6918c3ea6151221f0af3ce8121a29db5"),
        (
            protocol.JOB_SUBMITTED_FROM_QUOTE,
            "b707259a8a1604adca251fecf84eb283329cd45175690dcb8ff1cf52a6252422",
        ),
        (protocol.JOB_RESULT_SUBMITTED, "8a04f99fe23284e874e8dd017345248279cc59701695e73bcdbeb6241bcd2ac6"),
        (protocol.JOB_COMPLETED, "60a7649f6e93e7a3ce1dc9729c20e3d95dce28c6a6bd957cde09d8a1cb37c19f"),
        (protocol.SERVICE_ACTIVATED, "0325bb1c453505f13d5546dda087be5e237f7cf249f79a0ee406d97ef0ca7ee9"),
        (protocol.SERVICE_REQUESTED, "5c92301c22df4cc7209a8b0b25b2f5787750237e110e09a276a9f7d16e6709a4"),
        (protocol.SERVICE_TERMINATED, "3fd558a59bbce1d996d17eab7fde314bcd201ec3f17375a7f873b3162927e881"),
        (protocol.PAYMENT_DISTRIBUTED, "bbd9474fbbb06eb636eb470aa71ad2133b5178d91593f96b8083204a60bea278"),
        (protocol.SLASH_PROPOSED, "ea15712b428139839309538b7a37df5b88a90b4d776dbf7aa14d95c28304b9fc"),
    ],
)
def test_topics(event: Event, topic: str) -> None:
    assert event.topic.hex() == topic


@pytest.mark.parametrize(
    ("function", "selector"),
    [
        (protocol.SUBMIT_JOB, "3413e8ee"),
        (protocol.SUBMIT_RESULT, "2d07e655"),
        (protocol.REGISTER_OPERATOR, "d4e1ab7c"),
        (protocol.REQUEST_SERVICE, "c841e26e"),
        (epoch_0_10.APPROVE_SERVICE, "614823b2"),
        (epoch_0_19.APPROVE_SERVICE, "6a46006b"),
        (epoch_0_10.CREATE_BLUEPRINT, "f84868db"),
    ],
)
def test_selectors(function: Function, selector: str) -> None:
    assert function.selector.hex() == selector


def test_a_job_has_three_topics() -> None:
    data = encode(["uint8", "address", "bytes"], [0, CALLER, b"inputs"])
    log = Log(TANGLE, (protocol.JOB_SUBMITTED.topic, word(4), word(9)), data)
    assert protocol.decode_job_submitted(log) == JobSubmitted(4, 9, 0, CALLER, b"inputs")


def test_the_shape_that_upstreams_abi_tells_of_is_not_taken() -> None:
    data = encode(["address", "bytes"], [CALLER, b"inputs"])
    log = Log(TANGLE, (protocol.JOB_SUBMITTED.topic, word(4), word(9), word(0)), data)
    with pytest.raises(ChainUnavailable, match="4 topics"):
        protocol.decode_job_submitted(log)


def test_a_job_from_quotes_names_who_may_answer() -> None:
    types = ["uint8", "address", "address[]", "uint256", "bytes"]
    data = encode(types, [0, CALLER, [OPERATOR], 250, b"inputs"])
    log = Log(TANGLE, (protocol.JOB_SUBMITTED_FROM_QUOTE.topic, word(4), word(9)), data)
    assert protocol.decode_job_submitted(log) == JobSubmitted(4, 9, 0, CALLER, b"inputs", (OPERATOR,), 250)


def test_truncated_data_is_not_read() -> None:
    data = encode(["uint8", "address", "bytes"], [0, CALLER, b"inputs"])[:-32]
    with pytest.raises(ChainUnavailable):
        protocol.decode_job_submitted(Log(TANGLE, (protocol.JOB_SUBMITTED.topic, word(4), word(9)), data))


def test_a_result_and_an_activation() -> None:
    topics = (protocol.JOB_RESULT_SUBMITTED.topic, word(4), word(9), bytes(12) + bytes.fromhex(OPERATOR[2:]))
    result = protocol.decode_job_result_submitted(Log(TANGLE, topics, encode(["bytes"], [b"output"])))
    assert (result.service_id, result.call_id, result.operator, result.output) == (4, 9, OPERATOR, b"output")
    activated = protocol.decode_service_activated(
        Log(TANGLE, (protocol.SERVICE_ACTIVATED.topic, word(4), word(5), word(6)), word(0))
    )
    assert (activated.service_id, activated.request_id, activated.blueprint_id) == (4, 5, 6)


def test_call_data_reads_back() -> None:
    assert protocol.decode_submit_job(protocol.submit_job(1, 0, b"in")) == (1, 0, b"in")
    assert protocol.decode_submit_result(protocol.submit_result(1, 2, b"out")) == (1, 2, b"out")
    with pytest.raises(InvalidRequest):
        protocol.decode_submit_job(protocol.submit_result(1, 2, b"out"))
    with pytest.raises(InvalidRequest):
        protocol.submit_job(1 << 64, 0, b"")


@pytest.mark.parametrize("name", ["0.10", "0.19"])
def test_a_definition_reads_back_with_its_schemas(name: str) -> None:
    definition, epoch = faas_blueprint_definition(), EPOCHS[name]
    call = epoch.create_blueprint(definition, TANGLE, Digest(b"\1" * 32))
    # getBlueprintDefinition returns the tuple that createBlueprint takes
    stored = epoch.blueprint(0).decode(call[4:])
    assert stored.manager == TANGLE
    assert stored.event_rate_wei == definition.event_rate_wei
    assert [job.parameters for job in stored.jobs] == [
        encode_schema(job.parameters) for job in definition.jobs
    ]
    assert [job.result for job in stored.jobs] == [encode_schema(job.result) for job in definition.jobs]


def test_the_tail_of_a_job_call_by_epoch() -> None:
    expected = JobCall(0, CALLER, 1700000000, 1, 77, True, False)
    old = encode(
        ["(uint8,address,uint64,uint32,uint256,bool,bool)"], [(0, CALLER, 1700000000, 1, 77, True, False)]
    )
    new = encode(
        ["(uint8,address,uint64,uint32,bool,bool,uint256)"], [(0, CALLER, 1700000000, 1, True, False, 77)]
    )
    assert EPOCHS["0.10"].job_call(0, 0).decode(old) == expected
    assert EPOCHS["0.19"].job_call(0, 0).decode(new) == expected
    with pytest.raises(ChainUnavailable):
        EPOCHS["0.10"].job_call(0, 0).decode(new)


def test_the_payment_asset_is_known_to_the_newer_epoch_only() -> None:
    assert EPOCHS["0.10"].service_payment_asset(1) is None
    read = EPOCHS["0.19"].service_payment_asset(1)
    assert read is not None
    assert read.decode(bytes(32)) == ZERO_ADDRESS


@pytest.mark.parametrize(
    ("known", "name"),
    [((True, False, False), "0.10"), ((False, True, True), "0.19"), ((True, True, True), "0.19")],
)
def test_probing_finds_the_epoch(known: tuple[bool, ...], name: str) -> None:
    assert choose_epoch(facets(known)).name == name


@pytest.mark.parametrize("known", [(False, True, False), (False, False, False)])
def test_probing_refuses_what_we_do_not_speak(known: tuple[bool, ...]) -> None:
    with pytest.raises(FatalError):
        choose_epoch(facets(known))


def facets(known: tuple[bool, ...]) -> dict[bytes, Address]:
    return {
        selector: TANGLE if is_known else ZERO_ADDRESS
        for selector, is_known in zip(PROBED_SELECTORS, known, strict=True)
    }


def test_reverts_have_names() -> None:
    data = keccak256(b"InvalidMsgValue(uint256,uint256)")[:4] + word(5) + word(6)
    assert decode_revert(data) == ContractError("InvalidMsgValue", ("5", "6"))
    assert decode_revert(keccak256(b"NotPermittedCaller(uint64,address)")[:4] + word(5) + word(6)).name == (
        "NotPermittedCaller"
    )
    reason = keccak256(b"Error(string)")[:4] + encode(["string"], ["no"])
    assert str(decode_revert(reason)) == "Error(no)"
    assert decode_revert(b"") == ContractError("Reverted")
    assert decode_revert(bytes.fromhex("deadbeef00")) == ContractError("0xdeadbeef", ("0x00",))
    assert decode_revert(keccak256(b"InvalidMsgValue(uint256,uint256)")[:4]) == ContractError(
        "InvalidMsgValue"
    )


@pytest.mark.parametrize(
    ("service", "now", "is_open"),
    [
        (Service(1, CALLER, 100, 0, 0, 1, 2, ServiceStatus.ACTIVE, 0), 10**9, True),
        (Service(1, CALLER, 100, 50, 0, 1, 2, ServiceStatus.ACTIVE, 0), 150, True),
        (Service(1, CALLER, 100, 50, 0, 1, 2, ServiceStatus.ACTIVE, 0), 151, False),
        (Service(1, CALLER, 100, 0, 120, 1, 2, ServiceStatus.TERMINATED, 0), 110, False),
        (Service(0, ZERO_ADDRESS, 0, 0, 0, 0, 0, ServiceStatus.PENDING, 0), 110, False),
    ],
)
def test_when_a_service_takes_jobs(service: Service, now: int, is_open: bool) -> None:
    assert service.is_open(now) is is_open
