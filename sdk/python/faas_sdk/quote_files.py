"""Quotes as JSON: as the API answers them, and as files; a job's with its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from faas_sdk.errors import ConnectionFailed
from faas_sdk.quotes import (
    EPOCHS,
    JobQuote,
    ResourceCommitment,
    SecurityCommitment,
    ServiceQuote,
    Signed,
)


def job_quote_from_json(data: Mapping[str, object], inputs: bytes | None = None) -> JobQuote:
    """What the API answered, for these inputs, or what `to_json` made. Raises ConnectionFailed."""
    try:
        terms = cast("Mapping[str, object]", data["quote"])
        return JobQuote(
            _address(terms["requester"]),
            _number(terms["service_id"]),
            _number(terms["job_index"]),
            _number(terms["price"]),
            _number(terms["timestamp"]),
            _number(terms["expiry"]),
            _number(terms["confidentiality"]),
            "0x" + _hex(terms["inputs_hash"]).hex(),
            _signed(data),
            _hex(data["inputs"]) if inputs is None else inputs,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConnectionFailed(f"this is no quote for a job: {error!r}") from error


def service_quote_from_json(data: Mapping[str, object]) -> ServiceQuote:
    """Likewise, for a service."""
    try:
        terms = cast("Mapping[str, object]", data["quote"])
        security = cast("list[Mapping[str, object]]", terms["security"])
        resources = cast("list[Mapping[str, object]]", terms["resources"])
        return ServiceQuote(
            _address(terms["requester"]),
            _number(terms["blueprint_id"]),
            _number(terms["ttl"]),
            _number(terms["total_cost"]),
            _number(terms["timestamp"]),
            _number(terms["expiry"]),
            _number(terms["confidentiality"]),
            tuple(
                SecurityCommitment(
                    _number(item["kind"]), _address(item["token"]), _number(item["exposure_bps"])
                )
                for item in security
            ),
            tuple(ResourceCommitment(_number(item["kind"]), _number(item["count"])) for item in resources),
            _signed(data),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConnectionFailed(f"this is no quote for a service: {error!r}") from error


def job_quote_to_json(quote: JobQuote) -> dict[str, object]:
    """As the API has it, and the inputs."""
    terms = {
        "requester": quote.requester,
        "service_id": quote.service_id,
        "job_index": quote.job_index,
        "price": str(quote.price_wei),
        "timestamp": quote.timestamp,
        "expiry": quote.expiry,
        "confidentiality": quote.confidentiality,
        "inputs_hash": quote.inputs_hash,
    }
    return {"quote": terms, **_signed_to_json(quote), "inputs": "0x" + quote.inputs.hex()}


def service_quote_to_json(quote: ServiceQuote) -> dict[str, object]:
    """As the API has it."""
    terms: dict[str, object] = {
        "requester": quote.requester,
        "blueprint_id": quote.blueprint_id,
        "ttl": quote.ttl,
        "total_cost": str(quote.total_cost_wei),
        "timestamp": quote.timestamp,
        "expiry": quote.expiry,
        "confidentiality": quote.confidentiality,
        "security": [
            {"kind": item.kind, "token": item.token, "exposure_bps": item.exposure_bps}
            for item in quote.security
        ],
        "resources": [{"kind": item.kind, "count": item.count} for item in quote.resources],
    }
    return {"quote": terms, **_signed_to_json(quote)}


def _signed(data: Mapping[str, object]) -> Signed:
    return Signed(
        _address(data["operator"]),
        _hex(data["signature"]),
        _number(data["chain_id"]),
        _address(data["tangle"]),
        _epoch(data["epoch"]),
    )


def _signed_to_json(quote: JobQuote | ServiceQuote) -> dict[str, object]:
    signed = quote.signed
    return {
        "operator": signed.operator,
        "signature": "0x" + signed.signature.hex(),
        "digest": "0x" + quote.digest.hex(),
        "chain_id": signed.chain_id,
        "tangle": signed.tangle,
        "epoch": signed.epoch,
    }


def _number(value: object) -> int:
    number = int(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << 256:
        raise ValueError(f"{value!r} is not a number from 0")
    return number


def _hex(value: object) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError(f"{value!r} is not 0x and hexadecimal digits")
    return bytes.fromhex(value[2:])


def _address(value: object) -> str:
    if len(_hex(value)) != 20:
        raise ValueError(f"{value!r} is not an address")
    return str(value).lower()


def _epoch(value: object) -> str:
    if value not in EPOCHS:
        raise ValueError(f"epoch {value!r} is unknown")
    return str(value)
