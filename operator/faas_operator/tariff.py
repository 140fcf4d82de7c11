"""How prices of the table become amounts on a chain, and for how long they are quoted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from faas_blueprint.errors import NotServed
from faas_blueprint.job import LIMIT_RANGES, Job, Limits, Mode, make_job
from faas_blueprint.prices import (
    NANOCREDITS_PER_CREDIT,
    PriceTable,
    Reserved,
    execution_cost,
    most_use_of,
    reserved_cost,
)
from faas_blueprint.receipt import Address
from faas_operator.chain.evm import EvmAdapter

DEAREST_JOB = replace(
    make_job("python", "0"), limits=Limits(**{name: most for name, (_, most) in LIMIT_RANGES.items()})
)
DEAREST_JOB_SECONDS = LIMIT_RANGES["timeout_ms"][1] // 1000

CLOCK_SKEW_SECONDS = 60
"""By so much the chain's clock may be behind this host's: it takes no quote from its future."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """How prices are made; amounts are in the smallest unit of an asset."""

    prices: PriceTable
    credit_rates: Mapping[str, int]
    """What a credit costs, by asset; the zero address is the native one."""
    markup_percent: int = 0
    floor: int = 0

    def price(self, job: Job, mode: Mode, asset: Address) -> int:
        """The most that a run can cost, rounded up. Raises NotServed for an asset without a rate."""
        return self._amount(execution_cost(self.prices, mode, most_use_of(job)).total, asset)

    def dearest_price(self, asset: Address) -> int:
        """The most that any run can cost. Likewise."""
        return max(self.price(DEAREST_JOB, mode, asset) for mode in Mode)

    def service_price(self, reserved: Reserved, asset: Address) -> int:
        """What a service costs whose jobs are free. Likewise."""
        return self._amount(reserved_cost(self.prices, reserved), asset)

    def _amount(self, nanocredits: int, asset: Address) -> int:
        rate = self.credit_rates.get(asset)
        if rate is None:
            raise NotServed(f"this operator takes no payment in {asset}", {"asset": asset})
        amount = -(-nanocredits * rate * (100 + self.markup_percent) // (100 * NANOCREDITS_PER_CREDIT))
        return max(amount, self.floor)


async def validity(chain: EvmAdapter, now: int, seconds: int) -> tuple[int, int]:
    """The timestamp and the expiry of a quote that is to hold so long, by the chain's clock too. Raises
    ChainUnavailable."""
    chain_time = (await chain.rpc.head()).timestamp
    return max(chain_time, now - CLOCK_SKEW_SECONDS), max(chain_time, now) + seconds
