"""What is looked at before a quote is paid: it is what was asked for, an operator has signed it, and Tangle
gives something for it.

1. `wrong_quote`: it is for this chain, contract and epoch, this service or blueprint, these inputs, this
   account; several are for the same, each of another operator.
2. `bad_signature`: its operator has signed just that.
3. `quote_expired`: it holds, and for long enough to get into a block.
4. `not_an_operator`: the operator serves the service, or may serve it.
5. `value_swallowed`: jobs are paid one by one. Elsewhere Tangle collects a quoted price, and pays nobody.
   `upfront_swallowed`: a new service whose jobs are paid one by one costs nothing. The older epoch takes
   what is quoted nevertheless, and every job is paid besides.
6. `too_few_operators`: those who have quoted can complete the job: no others may answer.
7. `unsecured`: each operator puts some of its stake behind the new service, and not over all of it. The
   contract does not look. `never_ends`, `ends_soon`: its time is between an hour and a year.
8. `price_too_high`, `wrong_value`: the sum is within what the caller allows, and what they say that it is.

Any of them raises SubmissionRefused with that word, FundsAtRisk where Tangle would have taken the money for
nothing; nothing was sent then. The checks of `guard` come before.
"""

from __future__ import annotations

from collections.abc import Sequence

from eth_utils.crypto import keccak

from faas_sdk import abi
from faas_sdk.abi import has, read
from faas_sdk.effects import Plan
from faas_sdk.errors import FundsAtRisk, SubmissionRefused
from faas_sdk.guard import (
    Deployment,
    blueprint_manager,
    chain_time,
    check_service,
    require_answers,
    require_contract,
    require_native,
    require_value,
    service_operators,
)
from faas_sdk.quotes import (
    LEAST_PRICE,
    MAX_AGE_SECONDS,
    JobQuote,
    ServiceQuote,
    create_service_function,
    signer_of,
    submit_job_function,
)

LEAST_SECONDS = 5
"""A quote that holds for less may be void when it gets into a block."""

LEAST_TTL, MOST_TTL = 3600, 365 * 24 * 3600
"""Seconds of a service; the contract holds only requested ones to it."""

ALL_BPS = 10_000


def check_job_quotes(
    at: Deployment,
    service_id: int,
    caller: str,
    maximum_wei: int | None,
    value_wei: int | None,
    quotes: Sequence[JobQuote],
) -> Plan[int]:
    """The sum to pay. Raises SubmissionRefused and ConnectionFailed."""
    first = quotes[0]
    service = yield from check_service(at, service_id, caller, first.job_index)
    now = yield from chain_time(at)
    yield from _require_place(at, first, submit_job_function(first.signed.epoch).selector)
    for quote in quotes:
        _require(quote.service_id == service_id, "service", quote.service_id, service_id)
        _require(quote.job_index == first.job_index, "job", quote.job_index, first.job_index)
        _require(quote.inputs == first.inputs, "inputs", "others", "those of the first")
        hashed = "0x" + keccak(quote.inputs).hex()
        _require(quote.inputs_hash == hashed, "inputs", quote.inputs_hash, hashed)
        _require(quote.requester == caller, "requester", quote.requester, caller)
        policy = service.confidentiality
        _require(quote.confidentiality == policy, "confidentiality", quote.confidentiality, policy)
        _require_signed(quote, now)
    _require_one_each(quotes)
    operators = yield from service_operators(at, service_id)
    for quote in quotes:
        if quote.signed.operator not in operators:
            raise SubmissionRefused(
                "not_an_operator", f"{quote.signed.operator} does not serve service {service_id}"
            )
    price = sum(quote.price_wei for quote in quotes)
    if service.pricing != abi.EVENT_DRIVEN:
        raise FundsAtRisk(
            "value_swallowed",
            f"jobs of service {service_id} are not paid one by one: Tangle would keep the {price} wei",
            {"price_wei": price},
        )
    yield from require_answers(at, service, first.job_index, len(quotes))
    yield from require_native(at, service_id)
    _require_price([quote.price_wei for quote in quotes], maximum_wei)
    require_value(service, price, value_wei)
    return price


def check_service_quotes(
    at: Deployment,
    caller: str,
    quotes: Sequence[ServiceQuote],
    maximum_wei: int,
    least_exposure_bps: int,
) -> Plan[int]:
    """The sum to pay. Raises likewise."""
    if not quotes:
        raise SubmissionRefused("wrong_quote", "a service takes quotes, at least one")
    first = quotes[0]
    yield from require_contract(at)
    now = yield from chain_time(at)
    yield from _require_place(at, first, create_service_function(first.signed.epoch).selector)
    for quote in quotes:
        _require(
            quote.blueprint_id == first.blueprint_id, "blueprint", quote.blueprint_id, first.blueprint_id
        )
        _require(quote.ttl == first.ttl, "ttl", quote.ttl, first.ttl)
        _require(quote.requester == caller, "requester", quote.requester, caller)
        _require_signed(quote, now)
        exposure = quote.security[0].exposure_bps if quote.security else ALL_BPS
        if not least_exposure_bps <= exposure <= ALL_BPS:
            raise SubmissionRefused(
                "unsecured",
                f"{quote.signed.operator} puts {exposure} of {ALL_BPS} of its stake behind the service, "
                f"{least_exposure_bps} at least is asked for",
                {"exposure_bps": exposure},
            )
    _require_one_each(quotes)
    _require_time(first.ttl)
    for quote in quotes:
        registered = (first.blueprint_id, quote.signed.operator)
        if not (yield from read(at.rpc, at.tangle, abi.IS_OPERATOR_REGISTERED, *registered)):
            raise SubmissionRefused(
                "not_an_operator", f"{registered[1]} is not registered for blueprint {first.blueprint_id}"
            )
    pricing, _ = yield from blueprint_manager(at, first.blueprint_id)
    cost = sum(quote.total_cost_wei for quote in quotes)
    if cost and pricing == abi.EVENT_DRIVEN:
        raise FundsAtRisk(
            "upfront_swallowed",
            f"services of blueprint {first.blueprint_id} cost nothing, as their jobs are paid one by one; "
            f"{cost} wei are asked for",
            {"cost_wei": cost},
        )
    _require_price([quote.total_cost_wei for quote in quotes], maximum_wei)
    return cost


def _require_place(at: Deployment, quote: JobQuote | ServiceQuote, selector: bytes) -> Plan[None]:
    """1. The contract knows quotes of this epoch. (All quotes of a call are of the first one's.)"""
    chain_id = yield from at.rpc.number("eth_chainId")
    _require(quote.signed.chain_id == chain_id, "chain", quote.signed.chain_id, chain_id)
    _require(quote.signed.tangle == at.tangle, "contract", quote.signed.tangle, at.tangle)
    if not (yield from has(at.rpc, at.tangle, selector)):
        raise _wrong("epoch", quote.signed.epoch, "another")


def _require_signed(quote: JobQuote | ServiceQuote, now: int) -> None:
    """2 and 3."""
    if signer_of(quote) != quote.signed.operator:
        raise SubmissionRefused("bad_signature", f"{quote.signed.operator} has not signed this quote")
    left = min(quote.expiry, quote.timestamp + MAX_AGE_SECONDS) - now
    if left < LEAST_SECONDS:
        raise SubmissionRefused(
            "quote_expired", f"the quote holds for {max(left, 0)} seconds: ask for another", {"left": left}
        )


def _require_one_each(quotes: Sequence[JobQuote] | Sequence[ServiceQuote]) -> None:
    """1. The same place for all, another operator for each."""
    places = {(quote.signed.chain_id, quote.signed.tangle, quote.signed.epoch) for quote in quotes}
    if len(places) > 1:
        raise SubmissionRefused("wrong_quote", "the quotes are for several deployments", {"part": "contract"})
    if len({quote.signed.operator for quote in quotes}) != len(quotes):
        raise SubmissionRefused("wrong_quote", "two quotes are of the same operator", {"part": "operator"})


def _require_time(ttl: int) -> None:
    """7. Of the service."""
    if LEAST_TTL <= ttl <= MOST_TTL:
        return
    message = f"a service from quotes lasts from {LEAST_TTL} to {MOST_TTL} seconds, not {ttl}"
    if 0 < ttl < LEAST_TTL:
        raise FundsAtRisk("ends_soon", message, {"ttl": ttl})
    raise SubmissionRefused("never_ends", message, {"ttl": ttl})


def _require_price(prices: Sequence[int], maximum: int | None) -> None:
    """8."""
    total = sum(prices)
    if maximum is not None and total > maximum:
        raise SubmissionRefused(
            "price_too_high",
            f"{total} wei are quoted, over the {maximum} that you allow",
            {"price_wei": total, "maximum_wei": maximum},
        )
    if any(0 < price < LEAST_PRICE for price in prices):
        raise SubmissionRefused(
            "wrong_quote", f"Tangle takes no price below {LEAST_PRICE}", {"part": "price"}
        )


def _require(right: bool, part: str, found: object, wanted: object) -> None:
    if not right:
        raise _wrong(part, found, wanted)


def _wrong(part: str, found: object, wanted: object) -> SubmissionRefused:
    return SubmissionRefused(
        "wrong_quote", f"the quote is for another {part}: {found}, not {wanted}", {"part": part}
    )
