"""Which service requests an operator takes on. Pure: what is asked of the chain is `chain.requests`'s.

The price floor comes from the operator's one price table, by one figure: what the dearest job that a service
takes would be quoted at. That job lasts an hour, so a service that is paid for by time pays for it hour after
hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from faas_blueprint.definition import Pricing
from faas_blueprint.errors import NotServed
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.service_request import Confidentiality, ServiceTerms
from faas_operator.tariff import DEAREST_JOB_SECONDS, Tariff


@dataclass(frozen=True, slots=True)
class PriceFloor:
    """The least that is taken."""

    tariff: Tariff
    percent: int = 100
    """Of what the price table says; 0: anything is enough, in an asset that has a rate."""

    def against(self, terms: ServiceTerms) -> str | None:
        """Why a request's price is not enough; None when it is."""
        try:
            quoted = self.tariff.dearest_price(terms.asset)
        except NotServed:
            return f"it pays in {terms.asset}, for which FAAS_CREDIT_RATES has no rate"
        if not self.percent:
            return None
        hundredths = quoted * self.percent * terms.operators
        if terms.pricing is Pricing.EVENT_DRIVEN:
            return _too_cheap(terms.job_rates, _ceiling(hundredths, 100))
        if terms.pricing is Pricing.SUBSCRIPTION:
            least = _ceiling(hundredths * terms.interval, 100 * DEAREST_JOB_SECONDS)
            if terms.rate < least:
                return f"an interval of {terms.interval} s pays {terms.rate}, the floor is {least}"
            if terms.amount < terms.rate:
                return f"the first deposit is {terms.amount}, an interval costs {terms.rate}"
            return None
        if not terms.ttl:
            return "it is paid for once and has no end"
        least = _ceiling(hundredths * terms.ttl, 100 * DEAREST_JOB_SECONDS)
        if terms.amount < least:
            return f"it pays {terms.amount} for {terms.ttl} s, the floor is {least}"
        return None


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """What the settings say of it; the default takes everyone, at any price."""

    requesters: frozenset[Address] = frozenset()
    """Whose requests are taken; empty: anyone's."""
    services_at_most: int | None = None
    """Services of the blueprint that are served at once, open or approved; None: any number."""
    floor: PriceFloor | None = None

    def against_requester(self, requester: Address) -> str | None:
        """Why nothing is taken from somebody; None when it is."""
        if self.requesters and requester not in self.requesters:
            return f"{requester} is not among FAAS_APPROVED_REQUESTERS"
        return None

    def against(self, terms: ServiceTerms, serving: int) -> str | None:
        """Why a request is not taken while so many services are served; None when it is."""
        reason = self.against_requester(terms.requester)
        if reason is not None:
            return reason
        if terms.confidentiality == Confidentiality.TEE_REQUIRED:
            return "it asks for an enclave, which this node has not"
        reason = None if self.floor is None else self.floor.against(terms)
        if reason is None and self.services_at_most is not None and serving >= self.services_at_most:
            return f"{serving} services are served, FAAS_SERVICES_AT_MOST is {self.services_at_most}"
        return reason


@dataclass(frozen=True, slots=True)
class Approvals:
    """What became of the open requests that ask for an operator, by their ids."""

    approved: tuple[int, ...]
    refused: dict[int, str]
    """With the reason; they stay open."""


def _too_cheap(rates: Mapping[int, int], least: int) -> str | None:
    for index, rate in sorted(rates.items()):
        if rate < least:
            return f"job {index} pays {rate}, the floor is {least}"
    return None


def _ceiling(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
