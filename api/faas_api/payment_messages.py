"""The messages of x402, version 2: what to pay, a payment, what became of it; base64 JSON in headers.

Their forms are the package's; what a payment must hold is stricter here, and whatever is wrong with it is one
error. Only signed transfers by EIP-3009 are taken.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from x402.http.utils import (
    decode_payment_signature_header,
    encode_payment_required_header,
    encode_payment_response_header,
)
from x402.schemas import (
    PaymentPayload,
    PaymentRequired,
    PaymentRequirements,
    ResourceInfo,
    SettleResponse,
)

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import Address, address
from faas_operator.chain.authorization import Authorization, TokenDomain
from faas_operator.payment_record import Payment
from faas_operator.payments import VALID_SECONDS, refused

PAYMENT_HEADER = "PAYMENT-SIGNATURE"

_SCHEME = "exact"

_Account = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
_Digits = Annotated[str, Field(pattern=r"^[0-9]{1,78}$")]


class _Transfer(BaseModel):
    model_config = ConfigDict(strict=True)

    payer: _Account = Field(alias="from")
    to: _Account
    value: _Digits
    valid_after: _Digits = Field(alias="validAfter")
    valid_before: _Digits = Field(alias="validBefore")
    nonce: str = Field(pattern=r"^0x[0-9a-fA-F]{64}$")


class _Signed(BaseModel):
    model_config = ConfigDict(strict=True)

    authorization: _Transfer
    signature: str = Field(pattern=r"^0x[0-9a-fA-F]{130}$")


def requirements(domain: TokenDomain, pay_to: Address, units: int) -> PaymentRequirements:
    """What a run takes."""
    return PaymentRequirements(
        scheme=_SCHEME,
        network=network(domain),
        asset=domain.token,
        amount=str(units),
        pay_to=pay_to,
        max_timeout_seconds=VALID_SECONDS,
        extra={"name": domain.name, "version": domain.version},
    )


def required_header(asked: PaymentRequirements, url: str, error: str) -> str:
    """`PAYMENT-REQUIRED`."""
    resource = ResourceInfo(url=url, description="One run of code", mime_type="application/json")
    return encode_payment_required_header(PaymentRequired(error=error, resource=resource, accepts=[asked]))


def response_header(payment: Payment, domain: TokenDomain) -> str:
    """`PAYMENT-RESPONSE` of a payment that is settled."""
    return encode_payment_response_header(
        SettleResponse(
            success=True,
            payer=payment.authorization.payer,
            transaction=payment.transaction_hash or "",
            network=network(domain),
            amount=str(payment.authorization.value),
        )
    )


def payment_of(header: str, domain: TokenDomain) -> Authorization:
    """The transfer that `PAYMENT-SIGNATURE` holds.

    Raises InvalidRequest for what is no payment, PaymentRequired for one of another chain, token or scheme.
    """
    try:
        payload = decode_payment_signature_header(header)
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise _malformed("it is not base64 of the JSON of a payment") from None
    if not isinstance(payload, PaymentPayload) or payload.x402_version != 2:
        raise _malformed("only version 2 of x402 is served")
    accepted = payload.accepted
    if accepted.scheme != _SCHEME:
        raise refused("wrong_scheme", f"only scheme {_SCHEME!r} is taken")
    if accepted.network != network(domain):
        raise refused("wrong_network", f"payments are made on {network(domain)}")
    if accepted.asset.lower() != domain.token:
        raise refused("wrong_token", f"payments are made in {domain.token}")
    try:
        signed = _Signed.model_validate(payload.payload)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in ("payload", *problem["loc"]))
        raise _malformed(f"{place}: {problem['msg']}") from None
    return _authorization(signed)


def network(domain: TokenDomain) -> str:
    """The chain's CAIP-2 name."""
    return f"eip155:{domain.chain_id}"


def _authorization(signed: _Signed) -> Authorization:
    transfer = signed.authorization
    value, after, before = (
        _uint256(name, digits)
        for name, digits in (
            ("value", transfer.value),
            ("validAfter", transfer.valid_after),
            ("validBefore", transfer.valid_before),
        )
    )
    return Authorization(
        payer=address(transfer.payer),
        to=address(transfer.to),
        value=value,
        valid_after=after,
        valid_before=before,
        nonce=bytes.fromhex(transfer.nonce[2:]),
        signature=bytes.fromhex(signed.signature[2:]),
    )


def _uint256(name: str, digits: str) -> int:
    number = int(digits)
    if number >= 1 << 256:
        raise _malformed(f"payload.authorization.{name}: it does not fit 256 bits")
    return number


def _malformed(problem: str) -> InvalidRequest:
    return InvalidRequest(f"{PAYMENT_HEADER}: {problem}", {"field": PAYMENT_HEADER})
