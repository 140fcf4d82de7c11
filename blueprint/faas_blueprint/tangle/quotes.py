"""Quotes for jobs and for services: the EIP-712 digests that operators sign, and the calls that use them.

A quote is a value of its own; what of it is signed and sent differs between epochs of the protocol, see
`QuoteTypes`. Tangle takes each digest once. Who signs, and for what price, is `faas_operator`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eth_abi.abi import encode
from eth_abi.exceptions import EncodingError

from faas_blueprint.digests import Digest, keccak256
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.receipt import DOMAIN_TYPE, Address
from faas_blueprint.tangle.abi import Function, Value, address_word, word

MAX_AGE_SECONDS = 3600
"""Tangle takes no quote whose timestamp is older."""

LEAST_PRICE = 100
"""In the smallest unit: Tangle takes no smaller one but zero."""


MIN_TTL_SECONDS, MAX_TTL_SECONDS = 3600, 365 * 24 * 3600
"""A requested service lasts so long; one from quotes is held to it here only, where the chain does not."""

PROCESSORS, MEMORY_MB, STORAGE_MB, EGRESS = range(4)
"""Kinds of `ResourceCommitment`; egress is counted in MB here."""


@dataclass(frozen=True, slots=True)
class JobQuote:
    """What one call of a service's job costs. Amounts are in the smallest unit of the service's asset."""

    requester: Address
    service_id: int
    job_index: int
    price: int
    timestamp: int
    """Unix seconds, as `expiry`."""
    expiry: int
    confidentiality: int
    """The service's own."""
    inputs_hash: Digest
    """Keccak-256 of the call's inputs."""


@dataclass(frozen=True, slots=True)
class SecurityCommitment:
    """How much of an operator's stake stands behind a service."""

    kind: int
    """0 for the native asset, 1 for a token."""
    token: Address
    exposure_bps: int


@dataclass(frozen=True, slots=True)
class ResourceCommitment:
    """What an operator sets aside of a kind."""

    kind: int
    count: int


@dataclass(frozen=True, slots=True)
class ServiceQuote:
    """What a new service costs up front: nothing where its jobs are paid one by one."""

    requester: Address
    blueprint_id: int
    ttl: int
    """Seconds."""
    total_cost: int
    """In wei."""
    timestamp: int
    expiry: int
    confidentiality: int = 0
    security: tuple[SecurityCommitment, ...] = ()
    resources: tuple[ResourceCommitment, ...] = ()


@dataclass(frozen=True, slots=True)
class SignedJobQuote:
    """A job's quote with its operator's signature."""

    quote: JobQuote
    signature: bytes
    operator: Address


@dataclass(frozen=True, slots=True)
class SignedServiceQuote:
    """Likewise a service's."""

    quote: ServiceQuote
    signature: bytes
    operator: Address


_SECURITY = "AssetSecurityCommitment"
_RESOURCE = "ResourceCommitment"
_ASSET_TYPE = "Asset(uint8 kind,address token)"
_SECURITY_TYPE = f"{_SECURITY}(Asset asset,uint16 exposureBps)"
_RESOURCE_TYPE = f"{_RESOURCE}(uint8 kind,uint64 count)"
_LISTS = f"{_SECURITY}[] securityCommitments,{_RESOURCE}[] resourceCommitments"

_JOB_FIELDS = (
    ("uint64", "serviceId"),
    ("uint8", "jobIndex"),
    ("uint256", "price"),
    ("uint64", "timestamp"),
    ("uint64", "expiry"),
)
_SERVICE_FIELDS = (
    ("uint64", "blueprintId"),
    ("uint64", "ttlBlocks"),
    ("uint256", "totalCost"),
    ("uint64", "timestamp"),
    ("uint64", "expiry"),
    ("uint8", "confidentiality"),
)
_REQUESTER = ("address", "requester")

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class QuoteTypes:
    """The typed data of one epoch."""

    job_fields: Fields
    service_fields: Fields
    """Those ahead of the two lists of commitments."""
    service_parts: tuple[str, ...]
    """The types that a service's quote is made of, in the order in which the contract names them."""
    binds_inputs: bool
    """Whether a job's quote is for one requester and its inputs; otherwise it is good for whoever has it, and
    for any inputs."""

    def job_digest(self, quote: JobQuote, chain_id: int, tangle: Address) -> Digest:
        """The 32 bytes that an operator signs. Raises InvalidRequest when a field does not fit."""
        struct = _head("JobQuoteDetails", self.job_fields) + _words(self.job_fields, _job_values(quote))
        return _digest(keccak256(struct), chain_id, tangle)

    def service_digest(self, quote: ServiceQuote, chain_id: int, tangle: Address) -> Digest:
        """Likewise."""
        names = ",".join(" ".join(field) for field in self.service_fields)
        kind = f"QuoteDetails({names},{_LISTS}){''.join(self.service_parts)}"
        struct = keccak256(kind.encode()) + _words(self.service_fields, _service_values(quote))
        security = b"".join(_security_hash(item) for item in quote.security)
        resources = b"".join(_resource_hash(item) for item in quote.resources)
        return _digest(keccak256(struct + keccak256(security) + keccak256(resources)), chain_id, tangle)

    def submit_job(self, inputs: bytes, quotes: Sequence[SignedJobQuote]) -> bytes:
        """Call data for a requester, who sends the sum of the prices along.

        Raises InvalidRequest without quotes, and where they are not of one job.
        """
        if len({(item.quote.service_id, item.quote.job_index) for item in quotes}) != 1:
            raise InvalidRequest("a job takes quotes for itself, at least one", {"field": "quotes"})
        first = quotes[0].quote
        signed = [
            (_picked(self.job_fields, _job_values(item.quote)), item.signature, item.operator)
            for item in quotes
        ]
        return self._submit_job.encode(first.service_id, first.job_index, inputs, signed)

    def create_service(
        self, quotes: Sequence[SignedServiceQuote], permitted_callers: Sequence[Address], config: bytes = b""
    ) -> bytes:
        """Call data for a requester, likewise."""
        if len({(item.quote.blueprint_id, item.quote.ttl) for item in quotes}) != 1:
            raise InvalidRequest("a service takes quotes for itself, at least one", {"field": "quotes"})
        first = quotes[0].quote
        signed = [(self._service_tuple(item.quote), item.signature, item.operator) for item in quotes]
        return self._create_service.encode(
            first.blueprint_id, signed, config, tuple(permitted_callers), first.ttl
        )

    @property
    def _submit_job(self) -> Function:
        quote = f"({','.join(kind for kind, _ in self.job_fields)})"
        return Function(
            "submitJobFromQuote", ("uint64", "uint8", "bytes", f"({quote},bytes,address)[]"), ("uint64",)
        )

    @property
    def _create_service(self) -> Function:
        kinds = [*(kind for kind, _ in self.service_fields), "((uint8,address),uint16)[]", "(uint8,uint64)[]"]
        quote = f"(({','.join(kinds)}),bytes,address)[]"
        return Function(
            "createServiceFromQuotes", ("uint64", quote, "bytes", "address[]", "uint64"), ("uint64",)
        )

    def _service_tuple(self, quote: ServiceQuote) -> tuple[Value, ...]:
        security = [((item.kind, item.token), item.exposure_bps) for item in quote.security]
        resources = [(item.kind, item.count) for item in quote.resources]
        return (*_picked(self.service_fields, _service_values(quote)), security, resources)


QUOTES: Mapping[str, QuoteTypes] = {
    "0.10": QuoteTypes(
        _JOB_FIELDS,
        _SERVICE_FIELDS,
        (_SECURITY_TYPE, _ASSET_TYPE, _RESOURCE_TYPE),  # EIP-712 would have them sorted
        binds_inputs=False,
    ),
    "0.19": QuoteTypes(
        (_REQUESTER, *_JOB_FIELDS, ("uint8", "confidentiality"), ("bytes32", "inputsHash")),
        (_REQUESTER, *_SERVICE_FIELDS, ("uint8", "operation"), ("uint64", "serviceId")),
        (_ASSET_TYPE, _SECURITY_TYPE, _RESOURCE_TYPE),
        binds_inputs=True,
    ),
}
"""By an epoch's name."""


def _job_values(quote: JobQuote) -> Mapping[str, Value]:
    return {
        "requester": quote.requester,
        "serviceId": quote.service_id,
        "jobIndex": quote.job_index,
        "price": quote.price,
        "timestamp": quote.timestamp,
        "expiry": quote.expiry,
        "confidentiality": quote.confidentiality,
        "inputsHash": quote.inputs_hash,
    }


def _service_values(quote: ServiceQuote) -> Mapping[str, Value]:
    return {
        "requester": quote.requester,
        "blueprintId": quote.blueprint_id,
        "ttlBlocks": quote.ttl,
        "totalCost": quote.total_cost,
        "timestamp": quote.timestamp,
        "expiry": quote.expiry,
        "confidentiality": quote.confidentiality,
        "operation": 0,  # a new service, not a longer life of one that is there
        "serviceId": 0,
    }


def _picked(fields: Fields, values: Mapping[str, Value]) -> tuple[Value, ...]:
    return tuple(values[name] for _, name in fields)


def _head(name: str, fields: Fields) -> Digest:
    return keccak256(f"{name}({','.join(' '.join(field) for field in fields)})".encode())


def _words(fields: Fields, values: Mapping[str, Value]) -> bytes:
    """Every field is of a static type, so this is EIP-712's encoding too."""
    try:
        return encode([kind for kind, _ in fields], _picked(fields, values))
    except (EncodingError, ValueError) as error:
        raise InvalidRequest(f"the quote does not fit its type: {error}") from error


def _security_hash(item: SecurityCommitment) -> Digest:
    asset = keccak256(_ASSET_TYPE.encode()) + word(item.kind) + address_word(item.token)
    kind = keccak256((_SECURITY_TYPE + _ASSET_TYPE).encode())
    return keccak256(kind + keccak256(asset) + word(item.exposure_bps))


def _resource_hash(item: ResourceCommitment) -> Digest:
    return keccak256(keccak256(_RESOURCE_TYPE.encode()) + word(item.kind) + word(item.count))


def _digest(struct: Digest, chain_id: int, tangle: Address) -> Digest:
    names = (DOMAIN_TYPE, "TangleQuote", "1")
    domain = b"".join(keccak256(name.encode()) for name in names) + word(chain_id) + address_word(tangle)
    return keccak256(b"\x19\x01" + keccak256(domain) + struct)
