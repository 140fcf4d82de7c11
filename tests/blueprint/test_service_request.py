"""A stored request in both layouts, and the staking router's clock."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode

from faas_blueprint.definition import Pricing
from faas_blueprint.errors import ChainUnavailable
from faas_blueprint.receipt import address
from faas_blueprint.tangle import service_request, staking
from faas_blueprint.tangle.epoch_0_19 import Epoch019
from faas_blueprint.tangle.service_request import ServiceRequest
from faas_blueprint.tangle.staking import Rounds

REQUESTER, TOKEN = address("0x" + "01" * 20), address("0x" + "02" * 20)
STORED = (7, REQUESTER, 1000, 3600, 3, 2, TOKEN, 500, 1, 1, 0, False, 1)


def stored(*more: bool) -> bytes:
    kinds = service_request.GET_SERVICE_REQUEST.outputs[0]
    return encode([kinds if more else kinds.removesuffix(",bool)") + ")"], [(*STORED, *more)])


@pytest.mark.parametrize("data", [stored(), stored(False), stored(True)])
def test_both_layouts_are_read(data: bytes) -> None:
    request = service_request.service_request(4).decode(data)
    assert request == ServiceRequest(7, REQUESTER, 1000, 3600, 3, 2, TOKEN, 500, 1, False)
    assert request.is_waiting


@pytest.mark.parametrize(
    ("request_", "waiting"),
    [
        (ServiceRequest(7, REQUESTER, 1000, 0, 2, 2, TOKEN, 0, 0, False), False),
        (ServiceRequest(7, REQUESTER, 1000, 0, 2, 0, TOKEN, 0, 0, True), False),
        (ServiceRequest(0, REQUESTER, 0, 0, 0, 0, TOKEN, 0, 0, False), False),
        (ServiceRequest(7, REQUESTER, 1000, 0, 2, 1, TOKEN, 0, 0, False), True),
    ],
)
def test_what_waits(request_: ServiceRequest, waiting: bool) -> None:
    assert request_.is_waiting is waiting


def test_a_pricing_that_is_not_known_is_no_answer() -> None:
    kinds = service_request.GET_BLUEPRINT_CONFIG.outputs
    read = service_request.blueprint_pricing(1)
    pricing = read.decode(encode(kinds, [(1, 1, 1, 0, 90, 60, 5)]))
    assert (pricing.pricing, pricing.subscription_rate, pricing.subscription_interval) == (
        Pricing.SUBSCRIPTION,
        90,
        60,
    )
    with pytest.raises(ChainUnavailable, match="pricing 3 is unknown"):
        read.decode(encode(kinds, [(1, 3, 1, 0, 0, 0, 0)]))


def test_the_newer_epoch_has_an_asset_for_jobs() -> None:
    read = Epoch019().blueprint_settlement_asset(7)
    assert read is not None
    assert read.decode(encode(["address"], [TOKEN])) == TOKEN


@pytest.mark.parametrize(
    ("number", "now", "at"),
    [
        (5, 1000, 1000),  # it is that round already
        (6, 1000, 1400),  # when this one is over
        (8, 1000, 2600),
        (6, 9000, 9000),  # it is over, and waits to be advanced
        (7, 9000, 9600),
    ],
)
def test_when_a_round_can_be_reached(number: int, now: int, at: int) -> None:
    assert Rounds(current=5, seconds=600, advanced_at=800).reaches(number, now) == at


def test_an_unknown_standing_is_no_answer() -> None:
    read = staking.operator_standing(REQUESTER)
    with pytest.raises(ChainUnavailable, match="operator status 9 is unknown"):
        read.decode(encode(staking.GET_OPERATOR_METADATA.outputs, [(1, 0, 9, 0)]))
