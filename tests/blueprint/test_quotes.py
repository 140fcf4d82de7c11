"""Digests of quotes, against eth-account's typed data, which is an implementation of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_account.messages import encode_typed_data

from faas_blueprint.digests import keccak256
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.quotes import (
    QUOTES,
    JobQuote,
    ResourceCommitment,
    SecurityCommitment,
    ServiceQuote,
    SignedJobQuote,
)

CHAIN, TANGLE = 31337, Address("0x" + "ab" * 20)
REQUESTER = Address("0x" + "cd" * 20)
JOB = JobQuote(REQUESTER, 3, 1, 10**18 + 7, 1_700_000_000, 1_700_000_600, 2, keccak256(b"inputs"))
SERVICE = ServiceQuote(
    REQUESTER,
    4,
    3600,
    12_345,
    1_700_000_000,
    1_700_000_600,
    1,
    (SecurityCommitment(1, TANGLE, 1000), SecurityCommitment(0, Address("0x" + "00" * 20), 7)),
    (ResourceCommitment(0, 2), ResourceCommitment(1, 512)),
)

JOB_TYPES = {
    "0.10": "serviceId:uint64 jobIndex:uint8 price:uint256 timestamp:uint64 expiry:uint64",
    "0.19": "requester:address serviceId:uint64 jobIndex:uint8 price:uint256 timestamp:uint64 expiry:uint64 "
    "confidentiality:uint8 inputsHash:bytes32",
}
_COMMITTED = "securityCommitments:AssetSecurityCommitment[] resourceCommitments:ResourceCommitment[]"
_SERVICE = (
    "blueprintId:uint64 ttlBlocks:uint64 totalCost:uint256 timestamp:uint64 expiry:uint64 "
    "confidentiality:uint8"
)
SERVICE_TYPE = f"requester:address {_SERVICE} operation:uint8 serviceId:uint64 {_COMMITTED}"
PARTS = {
    "Asset": "kind:uint8 token:address",
    "AssetSecurityCommitment": "asset:Asset exposureBps:uint16",
    "ResourceCommitment": "kind:uint8 count:uint64",
}


def typed(text: str) -> list[dict[str, str]]:
    return [dict(zip(("name", "type"), field.split(":"), strict=True)) for field in text.split()]


def digest(types: dict[str, str], values: dict[str, object]) -> bytes:
    primary = next(iter(types))
    names = {field["name"] for field in typed(types[primary])}
    signable = encode_typed_data(
        {"name": "TangleQuote", "version": "1", "chainId": CHAIN, "verifyingContract": TANGLE},
        {name: typed(text) for name, text in types.items()},
        {name: value for name, value in values.items() if name in names},
    )
    return bytes(keccak256(b"\x19" + signable.version + signable.header + signable.body))


@pytest.mark.parametrize("epoch", QUOTES)
def test_a_jobs_digest_is_that_of_typed_data(epoch: str) -> None:
    values = {
        "requester": REQUESTER,
        "serviceId": 3,
        "jobIndex": 1,
        "price": JOB.price,
        "timestamp": JOB.timestamp,
        "expiry": JOB.expiry,
        "confidentiality": 2,
        "inputsHash": JOB.inputs_hash,
    }
    expected = digest({"JobQuoteDetails": JOB_TYPES[epoch]}, values)
    assert QUOTES[epoch].job_digest(JOB, CHAIN, TANGLE) == expected


@pytest.mark.parametrize("quote", [SERVICE, replace(SERVICE, security=(), resources=())])
def test_a_services_digest_is_that_of_typed_data(quote: ServiceQuote) -> None:
    """The older epoch's type names its parts in an order that no library makes: the devnet has it."""
    values = {
        "requester": REQUESTER,
        "blueprintId": 4,
        "ttlBlocks": 3600,
        "totalCost": 12_345,
        "timestamp": quote.timestamp,
        "expiry": quote.expiry,
        "confidentiality": 1,
        "operation": 0,
        "serviceId": 0,
        "securityCommitments": [
            {"asset": {"kind": item.kind, "token": item.token}, "exposureBps": item.exposure_bps}
            for item in quote.security
        ],
        "resourceCommitments": [{"kind": item.kind, "count": item.count} for item in quote.resources],
    }
    expected = digest({"QuoteDetails": SERVICE_TYPE, **PARTS}, values)
    assert QUOTES["0.19"].service_digest(quote, CHAIN, TANGLE) == expected


def test_only_the_newer_epoch_binds_requester_and_inputs() -> None:
    for name, value in {
        "requester": TANGLE,
        "inputs_hash": keccak256(b"other"),
        "confidentiality": 0,
    }.items():
        other = replace(JOB, **{name: value})
        same = {
            epoch: types.job_digest(JOB, CHAIN, TANGLE) == types.job_digest(other, CHAIN, TANGLE)
            for epoch, types in QUOTES.items()
        }
        assert same == {"0.10": True, "0.19": False}, name
    assert {epoch: types.binds_inputs for epoch, types in QUOTES.items()} == {"0.10": False, "0.19": True}


@pytest.mark.parametrize("epoch", QUOTES)
def test_what_does_not_fit_is_refused(epoch: str) -> None:
    with pytest.raises(InvalidRequest, match="does not fit"):
        QUOTES[epoch].job_digest(replace(JOB, price=-1), CHAIN, TANGLE)
    signed = SignedJobQuote(JOB, bytes(65), TANGLE)
    for quotes in ([], [signed, replace(signed, quote=replace(JOB, service_id=4))]):
        with pytest.raises(InvalidRequest, match="at least one"):
            QUOTES[epoch].submit_job(b"inputs", quotes)
    with pytest.raises(InvalidRequest, match="at least one"):
        QUOTES[epoch].create_service([], [])


def test_another_chain_or_contract_makes_another_digest() -> None:
    types = QUOTES["0.19"]
    found = {types.job_digest(JOB, *place) for place in ((1, TANGLE), (2, TANGLE), (1, REQUESTER))}
    assert len(found) == 3
