"""Prices are whole nanocredits, rounded up once, and never go down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas_blueprint.digests import ZERO_DIGEST
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import Limits, Mode, make_job
from faas_blueprint.outcome import Outcome, OutputFile, Status, Stream
from faas_blueprint.prices import (
    GIB,
    MONTH_SECONDS,
    PRICES,
    Cost,
    Use,
    execution_cost,
    in_credits,
    most_use_of,
    price_table_from_json,
    price_table_to_json,
    require_mode_of,
    storage_cost,
    use_of,
)

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("use", "mode", "compute", "network"),
    [
        (Use(0, 512, 1000, 0), Mode.EPHEMERAL, 0, 0),
        (Use(1, 16, 1000, 1), Mode.EPHEMERAL, 1, 1),
        (Use(SECOND, 1024, 1000, 0), Mode.EPHEMERAL, 27_000, 0),
        (Use(SECOND, 512, 1000, 0), Mode.EPHEMERAL, 25_500, 0),
        (Use(SECOND, 512, 1000, 0), Mode.CACHED, 20_400, 0),
        (Use(SECOND, 512, 1000, 0), Mode.CHECKPOINTED, 30_600, 0),
        (Use(SECOND, 512, 1000, 0), Mode.BRANCHED, 38_250, 0),
        (Use(SECOND, 512, 1000, 0), Mode.PERSISTENT, 51_000, 0),
        (Use(SECOND, 0, 100, 0), Mode.EPHEMERAL, 2_400, 0),  # a tenth of the processor
        (Use(3600 * SECOND, 1024, 1000, GIB), Mode.EPHEMERAL, 97_200_000, 90_000_000),
        (Use(145_000_000, 512, 1000, 12), Mode.EPHEMERAL, 3_698, 2),  # 3697.5 and 1.006
    ],
)
def test_the_price_list(use, mode, compute, network):
    cost = execution_cost(PRICES, mode, use)
    assert (cost, cost.total) == (Cost(compute, network), compute + network)


def test_a_month_of_a_gibibyte():
    assert storage_cost(PRICES, GIB * MONTH_SECONDS) == 100_000_000
    assert (storage_cost(PRICES, 0), storage_cost(PRICES, 1)) == (0, 1)


USES = st.builds(
    Use, st.integers(0, 1 << 64), st.integers(0, 512), st.integers(10, 1000), st.integers(0, 1 << 40)
)


@given(USES, USES, st.sampled_from(Mode))
def test_more_never_costs_less(use, more, mode):
    both = Use(*(getattr(use, name) + getattr(more, name) for name in Use.__slots__))
    assert execution_cost(PRICES, mode, both).total >= execution_cost(PRICES, mode, use).total >= 0


@given(USES, st.sampled_from(Mode))
def test_the_rounded_price_is_the_exact_one_or_just_above(use, mode):
    exact = use.virtual_ns * PRICES.percent(mode) * (
        use.cpu_millicores * 24_000 * 1024 + 1000 * use.memory_mb * 3_000
    )  # fmt: skip
    compute = execution_cost(PRICES, mode, use).compute
    assert 0 <= compute * 100 * 1000 * 1024 * SECOND - exact < 100 * 1000 * 1024 * SECOND


def test_what_a_run_used_is_in_its_job_and_its_outcome():
    job = make_job("python", "1", limits=Limits(memory_mb=64, cpu_millicores=500, timeout_ms=20, disk_mb=1))
    outcome = Outcome(
        Status.EXITED, 0, 0, 77, Stream(b"12345"), Stream(b"67"), ZERO_DIGEST, (OutputFile("a", b"x" * 9),)
    )
    assert use_of(job, outcome.summary()) == Use(77, 64, 500, 16)
    most = most_use_of(job)
    assert most == Use(1_020_000_000, 64, 500, 2 * (1 << 20) + (1 << 20))


def test_the_mode_has_to_be_one_that_the_job_allows():
    ephemeral = make_job("python", "1")
    for mode in Mode:
        keeping = make_job("python", "1", keep=True)
        require_mode_of(keeping if mode.keeps else ephemeral, mode)
        with pytest.raises(InvalidRequest, match="its mode was not"):
            require_mode_of(ephemeral if mode.keeps else keeping, mode)


def test_a_table_survives_json():
    table = replace(PRICES, version=2, vcpu_second=5)
    assert price_table_from_json(price_table_to_json(table)) == table


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"vcpu_second": -1}, "vcpu_second"),
        ({"egress_gib": 1.5}, "egress_gib"),
        ({"cached_percent": True}, "cached_percent"),
        ({"version": None}, "version"),
        ({"more": 1}, "more"),
    ],
)
def test_a_bad_table_is_refused_by_its_field(change, field):
    with pytest.raises(InvalidRequest, match=field):
        price_table_from_json({**price_table_to_json(PRICES), **change})


def test_negative_use_is_refused():
    with pytest.raises(InvalidRequest, match="virtual_ns"):
        Use(-1, 0, 0, 0)


def test_credits_are_thousands_of_millions_of_nanocredits():
    assert in_credits(120_000) == 0.00012


def test_the_documented_example():
    """`docs/billing.md` shows it, and the table."""
    page = (Path(__file__).parents[2] / "docs" / "billing.md").read_text()
    cost = execution_cost(PRICES, Mode.EPHEMERAL, Use(145_000_000, 512, 1000, 12))
    for text in (f"{cost.compute:,}", f"{cost.network}", f"{cost.total:,} nanocredits"):
        assert f"= {text}".replace(",", " ") in page
    for figure in (PRICES.vcpu_second, PRICES.memory_gib_second, PRICES.storage_gib_month, PRICES.egress_gib):
        assert f"| {figure:,} |" in page
    assert ", ".join(str(PRICES.percent(mode)) for mode in Mode) + " %" in page
