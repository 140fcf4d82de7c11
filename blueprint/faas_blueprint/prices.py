"""What a run costs: a pure function of virtual time and declared memory, so anyone can work it out again.

Amounts are integers in micro-units of the account's currency (1 unit = 1 000 000). A run pays for the
time that its own clock counted and for the memory that it asked for over that time, never for how
busy the host was:

    compute = ⌈ virtual seconds × (24 + 3 × memory in GiB) ⌉ micro-units, and 1 at the least

24 per vCPU-second and 3 per GiB-second are the platform's price list (0.000024 and 0.000003 units).
Balances, discounts and what other modes add are not here.
"""

from __future__ import annotations

from dataclasses import dataclass

VCPU_SECOND_MICRO = 24
GIB_SECOND_MICRO = 3
MINIMUM_MICRO = 1
MICRO_PER_UNIT = 1_000_000

_MIB_PER_GIB = 1024
_NS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """The parts of a price in micro-units."""

    compute: int

    @property
    def total(self) -> int:
        """All parts together."""
        return self.compute


def execution_cost(virtual_ns: int, memory_mb: int) -> Cost:
    """The cost of one ephemeral run, rounded up once. Raises ValueError on negative amounts."""
    if virtual_ns < 0 or memory_mb < 0:
        raise ValueError(f"cannot price {virtual_ns} ns with {memory_mb} MiB")
    rate = VCPU_SECOND_MICRO * _MIB_PER_GIB + GIB_SECOND_MICRO * memory_mb
    compute = -(-virtual_ns * rate // (_MIB_PER_GIB * _NS_PER_SECOND))
    return Cost(max(compute, MINIMUM_MICRO))


def in_units(micro: int) -> float:
    """Micro-units as the decimal number that an API shows."""
    return micro / MICRO_PER_UNIT
