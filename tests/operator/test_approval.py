"""Which service requests are taken on, and at what price: worked out by hand from the price table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from faas_blueprint.definition import Pricing
from faas_blueprint.prices import PRICES
from faas_blueprint.receipt import ZERO_ADDRESS, address
from faas_blueprint.tangle.service_request import Confidentiality, ServiceTerms
from faas_operator.approval import ApprovalPolicy, PriceFloor
from faas_operator.node import approval_policy
from faas_operator.quoting import Tariff
from faas_operator.settings import Settings

REQUESTER, TOKEN = address("0x" + "01" * 20), address("0x" + "02" * 20)

# an hour and a second of a processor and half a GiB of memory, twice as dear in mode persistent, and 40 MiB
# of output at 90,000,000 for 1,024 MiB, in nanocredits
DEAREST = 2 * 3601 * (24_000 + 1_500) + 3_515_625

BY_JOB = ServiceTerms(
    requester=REQUESTER,
    pricing=Pricing.EVENT_DRIVEN,
    asset=ZERO_ADDRESS,
    operators=1,
    ttl=0,
    amount=0,
    job_rates={0: DEAREST, 1: DEAREST},
    rate=0,
    interval=0,
    confidentiality=Confidentiality.ANY,
)
ONCE = replace(BY_JOB, pricing=Pricing.PAY_ONCE, job_rates={}, ttl=7200, amount=2 * DEAREST)
SUBSCRIBED = replace(
    BY_JOB, pricing=Pricing.SUBSCRIPTION, job_rates={}, rate=DEAREST // 2, interval=1800, amount=DEAREST // 2
)


def floor(percent: int = 100, **more: int) -> PriceFloor:
    """A unit of the native token is a nanocredit."""
    return PriceFloor(Tariff(PRICES, {ZERO_ADDRESS: 10**9}, **more), percent)


def test_the_figures_are_even() -> None:
    assert DEAREST % 4 == 1  # so half of it is rounded up
    assert floor().against(replace(SUBSCRIBED, rate=DEAREST // 2)) is not None
    assert floor().against(replace(SUBSCRIBED, rate=DEAREST // 2 + 1, amount=DEAREST)) is None


def test_every_job_must_pay_for_the_dearest() -> None:
    assert floor().against(BY_JOB) is None
    cheap = replace(BY_JOB, job_rates={0: DEAREST, 1: DEAREST - 1})
    assert floor().against(cheap) == f"job 1 pays {DEAREST - 1}, the floor is {DEAREST}"


def test_what_is_paid_once_pays_for_all_hours() -> None:
    assert floor().against(ONCE) is None
    assert "for 7200 s, the floor is" in str(floor().against(replace(ONCE, amount=2 * DEAREST - 1)))
    assert floor().against(replace(ONCE, ttl=0, amount=10**30)) == "it is paid for once and has no end"


def test_a_subscription_pays_each_interval_and_brings_the_first() -> None:
    enough = replace(SUBSCRIBED, rate=DEAREST // 2 + 1, amount=DEAREST // 2 + 1)
    assert floor().against(enough) is None
    short = floor().against(replace(enough, amount=DEAREST // 2))
    assert short == f"the first deposit is {DEAREST // 2}, an interval costs {DEAREST // 2 + 1}"


def test_each_operator_runs_every_job() -> None:
    assert "the floor is" in str(floor().against(replace(BY_JOB, operators=2)))
    assert floor().against(replace(BY_JOB, operators=2, job_rates={0: 2 * DEAREST})) is None
    assert "the floor is" in str(floor().against(replace(ONCE, operators=2)))


def test_markup_least_price_and_percent_count() -> None:
    assert f"the floor is {2 * DEAREST}" in str(floor(markup_percent=100).against(BY_JOB))
    assert f"the floor is {3 * DEAREST}" in str(floor(300).against(BY_JOB))
    assert f"the floor is {DEAREST * 10}" in str(floor(floor=DEAREST * 10).against(BY_JOB))
    free = replace(BY_JOB, job_rates={0: 0})
    assert floor(0).against(free) is None
    assert f"the floor is {DEAREST // 10 + 1}" in str(floor(10).against(free))


@pytest.mark.parametrize("percent", [0, 100])
def test_an_asset_without_a_rate_is_not_taken(percent: int) -> None:
    reason = floor(percent).against(replace(ONCE, asset=TOKEN, amount=10**30))
    assert reason == f"it pays in {TOKEN}, for which FAAS_CREDIT_RATES has no rate"


def test_an_enclave_is_not_promised() -> None:
    policy = ApprovalPolicy()
    assert policy.against(replace(BY_JOB, confidentiality=Confidentiality.TEE_PREFERRED), 0) is None
    assert "enclave" in str(policy.against(replace(BY_JOB, confidentiality=Confidentiality.TEE_REQUIRED), 0))


def test_the_settings_make_the_policy() -> None:
    policy = approval_policy(
        Settings(
            approved_requesters=REQUESTER,
            services_at_most=1,
            credit_rates={TOKEN: 10**9},
            approval_floor_percent=50,
            quote_markup_percent=100,
        )
    )
    paid = replace(BY_JOB, asset=TOKEN)
    assert policy.against(paid, 0) is None
    assert policy.against(replace(paid, job_rates={0: DEAREST - 1}), 0) is not None
    assert "FAAS_CREDIT_RATES" in str(policy.against(BY_JOB, 0))
    assert "FAAS_APPROVED_REQUESTERS" in str(policy.against(replace(paid, requester=TOKEN), 0))
    assert "FAAS_SERVICES_AT_MOST is 1" in str(policy.against(paid, 1))
