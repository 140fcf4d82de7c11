"""Prices are integers, rounded up once, and never go down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas_blueprint.prices import Cost, execution_cost, in_units

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("virtual_ns", "memory_mb", "micro"),
    [
        (0, 512, 1),
        (1, 16, 1),
        (SECOND, 0, 24),
        (SECOND, 1024, 27),
        (SECOND, 512, 26),  # 25.5, rounded up
        (3600 * SECOND, 1024, 97_200),
        (145_000_000, 512, 4),  # 3.6975
    ],
)
def test_the_price_list(virtual_ns, memory_mb, micro):
    assert execution_cost(virtual_ns, memory_mb) == Cost(micro)


@given(st.integers(0, 1 << 64), st.integers(0, 1 << 20), st.integers(0, 1 << 40), st.integers(0, 1 << 10))
def test_more_never_costs_less(virtual_ns, memory_mb, more_ns, more_mb):
    cost = execution_cost(virtual_ns, memory_mb)
    assert cost.total == cost.compute >= 1
    assert execution_cost(virtual_ns + more_ns, memory_mb + more_mb).total >= cost.total


def test_negative_amounts_are_refused():
    with pytest.raises(ValueError, match="cannot price"):
        execution_cost(-1, 0)


def test_units_are_millions_of_micro_units():
    assert in_units(120) == 0.00012
