"""Operators' signed quotes for jobs and services: as values, what is signed, and the calls that use them.

What is signed and sent differs between ABI epochs of the protocol; a quote names its own. Whether one may be
paid is `quote_guard`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eth_abi.abi import encode
from eth_account import Account
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from faas_sdk.abi import Function
from faas_sdk.receipt import HALF_ORDER

LEAST_PRICE = 100
"""Tangle takes no smaller one but zero."""

MAX_AGE_SECONDS = 3600
"""Tangle takes no quote that was made longer ago."""


@dataclass(frozen=True, slots=True)
class Signed:
    """Who has signed a quote, for where."""

    operator: str
    """Its address, in lower case."""
    signature: bytes = field(repr=False)
    chain_id: int
    tangle: str
    """The contract's address, in lower case."""
    epoch: str
    """Of the contract's ABI: `0.10` or `0.19`."""


@dataclass(frozen=True, slots=True)
class JobQuote:
    """What an operator asks for one job."""

    requester: str
    service_id: int
    job_index: int
    price_wei: int
    timestamp: int
    """Unix seconds, as `expiry`."""
    expiry: int
    confidentiality: int
    inputs_hash: str
    """Keccak-256 of the inputs."""
    signed: Signed
    inputs: bytes = field(repr=False)
    """The job's canonical payload."""

    @property
    def digest(self) -> bytes:
        """The 32 bytes that are signed."""
        types = _types(self.signed)
        return _digest(_job_head(types) + _words(types.job, _job_values(self)), self.signed)


@dataclass(frozen=True, slots=True)
class SecurityCommitment:
    """How much of its stake an operator puts behind a service."""

    kind: int
    """0 for the native asset, 1 for a token."""
    token: str
    exposure_bps: int


@dataclass(frozen=True, slots=True)
class ResourceCommitment:
    """What it sets aside: kind 0 is processors, 1 MB of memory, 2 MB of storage, 3 MB of egress."""

    kind: int
    count: int


@dataclass(frozen=True, slots=True)
class ServiceQuote:
    """What an operator asks for serving a new service."""

    requester: str
    blueprint_id: int
    ttl: int
    """Seconds."""
    total_cost_wei: int
    """Nothing where the service's jobs are paid one by one."""
    timestamp: int
    expiry: int
    confidentiality: int
    security: tuple[SecurityCommitment, ...]
    resources: tuple[ResourceCommitment, ...]
    signed: Signed

    @property
    def digest(self) -> bytes:
        """The 32 bytes that are signed."""
        types = _types(self.signed)
        lists = (
            b"".join(_security_hash(item) for item in self.security),
            b"".join(
                keccak(_hash(_RESOURCE) + _word(item.kind) + _word(item.count)) for item in self.resources
            ),
        )
        words = _words(types.service, _service_values(self))
        return _digest(_service_head(types) + words + b"".join(map(keccak, lists)), self.signed)


def signer_of(quote: JobQuote | ServiceQuote) -> str | None:
    """The address that signed, in lower case; None when the signature is not valid."""
    signature = quote.signed.signature
    if len(signature) != 65 or int.from_bytes(signature[32:64], "big") > HALF_ORDER:
        return None
    try:
        return str(Account._recover_hash(quote.digest, signature=signature)).lower()
    except (BadSignature, ValidationError, ValueError):
        return None


# -- calls


def submit_job_function(epoch: str) -> Function:
    """`submitJobFromQuote` of an epoch."""
    kinds = ",".join(kind for kind, _ in _TYPES[epoch].job)
    return Function(
        "submitJobFromQuote", ("uint64", "uint8", "bytes", f"(({kinds}),bytes,address)[]"), ("uint64",)
    )


def create_service_function(epoch: str) -> Function:
    """`createServiceFromQuotes` likewise."""
    kinds = [*(kind for kind, _ in _TYPES[epoch].service), "((uint8,address),uint16)[]", "(uint8,uint64)[]"]
    quotes = f"(({','.join(kinds)}),bytes,address)[]"
    return Function(
        "createServiceFromQuotes", ("uint64", quotes, "bytes", "address[]", "uint64"), ("uint64",)
    )


def submit_job_call(quotes: Sequence[JobQuote]) -> bytes:
    """Call data, to be sent with the sum of the prices."""
    first = quotes[0]
    fields = _types(first.signed).job
    signed = [
        (_picked(fields, _job_values(quote)), quote.signed.signature, quote.signed.operator)
        for quote in quotes
    ]
    function = submit_job_function(first.signed.epoch)
    return function.call_data(first.service_id, first.job_index, first.inputs, signed)


def create_service_call(quotes: Sequence[ServiceQuote], callers: Sequence[str], config: bytes) -> bytes:
    """Call data, to be sent with the sum of the costs."""
    first = quotes[0]
    fields = _types(first.signed).service
    signed = []
    for quote in quotes:
        security = [((item.kind, item.token), item.exposure_bps) for item in quote.security]
        resources = [(item.kind, item.count) for item in quote.resources]
        terms = (*_picked(fields, _service_values(quote)), security, resources)
        signed.append((terms, quote.signed.signature, quote.signed.operator))
    function = create_service_function(first.signed.epoch)
    return function.call_data(first.blueprint_id, signed, config, list(callers), first.ttl)


# -- typed data

Fields = tuple[tuple[str, str], ...]

_ASSET = "Asset(uint8 kind,address token)"
_SECURITY = "AssetSecurityCommitment(Asset asset,uint16 exposureBps)"
_RESOURCE = "ResourceCommitment(uint8 kind,uint64 count)"
_LISTS = "AssetSecurityCommitment[] securityCommitments,ResourceCommitment[] resourceCommitments"
_REQUESTER = ("address", "requester")
_JOB: Fields = (
    ("uint64", "serviceId"),
    ("uint8", "jobIndex"),
    ("uint256", "price"),
    ("uint64", "timestamp"),
    ("uint64", "expiry"),
)
_SERVICE: Fields = (
    ("uint64", "blueprintId"),
    ("uint64", "ttlBlocks"),
    ("uint256", "totalCost"),
    ("uint64", "timestamp"),
    ("uint64", "expiry"),
    ("uint8", "confidentiality"),
)


@dataclass(frozen=True, slots=True)
class _Types:
    """What an epoch signs."""

    job: Fields
    service: Fields
    """Those ahead of the two lists of commitments."""
    parts: str
    """The types that a service's quote is made of; in the older epoch not sorted as EIP-712 would."""


_TYPES: Mapping[str, _Types] = {
    "0.10": _Types(_JOB, _SERVICE, _SECURITY + _ASSET + _RESOURCE),
    "0.19": _Types(
        (_REQUESTER, *_JOB, ("uint8", "confidentiality"), ("bytes32", "inputsHash")),
        (_REQUESTER, *_SERVICE, ("uint8", "operation"), ("uint64", "serviceId")),
        _ASSET + _SECURITY + _RESOURCE,
    ),
}


EPOCHS = frozenset(_TYPES)
"""Whose quotes are known."""


def _types(signed: Signed) -> _Types:
    return _TYPES[signed.epoch]


def _job_values(quote: JobQuote) -> Mapping[str, object]:
    return {
        "requester": quote.requester,
        "serviceId": quote.service_id,
        "jobIndex": quote.job_index,
        "price": quote.price_wei,
        "timestamp": quote.timestamp,
        "expiry": quote.expiry,
        "confidentiality": quote.confidentiality,
        "inputsHash": bytes.fromhex(quote.inputs_hash[2:]),
    }


def _service_values(quote: ServiceQuote) -> Mapping[str, object]:
    return {
        "requester": quote.requester,
        "blueprintId": quote.blueprint_id,
        "ttlBlocks": quote.ttl,
        "totalCost": quote.total_cost_wei,
        "timestamp": quote.timestamp,
        "expiry": quote.expiry,
        "confidentiality": quote.confidentiality,
        "operation": 0,  # a new service
        "serviceId": 0,
    }


def _picked(fields: Fields, values: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(values[name] for _, name in fields)


def _words(fields: Fields, values: Mapping[str, object]) -> bytes:
    return encode([kind for kind, _ in fields], _picked(fields, values))


def _declared(fields: Fields) -> str:
    return ",".join(" ".join(item) for item in fields)


def _job_head(types: _Types) -> bytes:
    return _hash(f"JobQuoteDetails({_declared(types.job)})")


def _service_head(types: _Types) -> bytes:
    return _hash(f"QuoteDetails({_declared(types.service)},{_LISTS}){types.parts}")


def _security_hash(item: SecurityCommitment) -> bytes:
    asset = keccak(_hash(_ASSET) + _word(item.kind) + encode(["address"], [item.token]))
    return keccak(_hash(_SECURITY + _ASSET) + asset + _word(item.exposure_bps))


def _resource_hash(item: ResourceCommitment) -> bytes:
    return keccak(_hash(_RESOURCE) + _word(item.kind) + _word(item.count))


def _hash(text: str) -> bytes:
    return keccak(text=text)


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _digest(struct: bytes, signed: Signed) -> bytes:
    kind = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    place = _word(signed.chain_id) + encode(["address"], [signed.tangle])
    domain = keccak(_hash(kind) + _hash("TangleQuote") + _hash("1") + place)
    return keccak(b"\x19\x01" + domain + keccak(struct))
