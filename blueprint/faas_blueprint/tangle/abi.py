"""Functions and events as ABI fragments, with their selectors and codecs.

Integers map to `int`, `bool` to `bool`, `address` to `0x…` lower-case, bytes to `bytes`, tuples and
arrays to tuples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar, cast

from eth_abi.abi import decode as _decode
from eth_abi.abi import encode as _encode
from eth_abi.exceptions import DecodingError, EncodingError

from faas_blueprint.digests import Digest, keccak256
from faas_blueprint.errors import ChainUnavailable, InvalidRequest
from faas_blueprint.receipt import Address

Value = int | bool | bytes | str | Sequence["Value"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """A view call: what to send, and how to read the answer."""

    data: bytes
    decode: Callable[[bytes], T]
    """Raises ChainUnavailable when the answer is not of this call."""


@dataclass(frozen=True, slots=True)
class Log:
    """A log entry, as far as its meaning goes."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True)
class Function:
    """A contract function."""

    name: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @cached_property
    def signature(self) -> str:
        """Such as `submitJob(uint64,uint8,bytes)`."""
        return f"{self.name}({','.join(self.inputs)})"

    @cached_property
    def selector(self) -> bytes:
        """Four bytes."""
        return keccak256(self.signature.encode())[:4]

    def encode(self, *arguments: Value) -> bytes:
        """Call data. Raises InvalidRequest when an argument does not fit."""
        try:
            return self.selector + _encode(self.inputs, arguments)
        except (EncodingError, ValueError) as error:
            raise InvalidRequest(f"{self.name}: {error}") from error

    def decode_arguments(self, data: bytes) -> tuple[Value, ...]:
        """The arguments of call data. Raises InvalidRequest when it is not of this function."""
        if data[:4] != self.selector:
            raise InvalidRequest(f"the call is not {self.signature}")
        try:
            return _decoded(self.inputs, data[4:])
        except DecodingError as error:
            raise InvalidRequest(f"{self.name}: {error}") from error

    def decode_outputs(self, data: bytes) -> tuple[Value, ...]:
        """The values that a call returned. Raises ChainUnavailable when they are not of this function."""
        try:
            return _decoded(self.outputs, data)
        except DecodingError as error:
            raise ChainUnavailable(f"the answer to {self.name} cannot be read: {error}") from error

    def read(self, make: Callable[[tuple[Value, ...]], T], *arguments: Value) -> Read[T]:
        """A view call whose outputs `make` turns into a value."""
        return Read(self.encode(*arguments), lambda data: make(self.decode_outputs(data)))


@dataclass(frozen=True)
class Event:
    """A contract event: types in declared order, `indexed` naming the places that are topics."""

    name: str
    types: tuple[str, ...]
    indexed: tuple[int, ...] = ()

    @cached_property
    def topic(self) -> Digest:
        """Topic 0."""
        return keccak256(f"{self.name}({','.join(self.types)})".encode())

    def matches(self, log: Log) -> bool:
        """Whether a log entry has this event's topic 0."""
        return bool(log.topics) and log.topics[0] == self.topic

    def decode(self, log: Log) -> tuple[Value, ...]:
        """The event's values in declared order. Raises ChainUnavailable when the log has another shape."""
        if not self.matches(log) or len(log.topics) != 1 + len(self.indexed):
            raise ChainUnavailable(f"a log with {len(log.topics)} topics is not a {self.name}")
        plain = [kind for place, kind in enumerate(self.types) if place not in self.indexed]
        try:
            topics = [
                _decoded((self.types[place],), topic)[0]
                for place, topic in zip(self.indexed, log.topics[1:], strict=True)
            ]
            values = list(_decoded(plain, log.data))
        except DecodingError as error:
            raise ChainUnavailable(f"a {self.name} log cannot be read: {error}") from error
        return tuple((topics if place in self.indexed else values).pop(0) for place in range(len(self.types)))

    def find(self, logs: Iterable[Log]) -> tuple[Value, ...]:
        """The values of the first log that is of this event. Raises ChainUnavailable when none is."""
        for log in logs:
            if self.matches(log):
                return self.decode(log)
        raise ChainUnavailable(f"there is no {self.name} among the logs")


def word(value: int) -> bytes:
    """A number as a topic of a log, and in a packed hash."""
    return value.to_bytes(32, "big")


def address_word(value: Address) -> bytes:
    """An address likewise."""
    return bytes(12) + bytes.fromhex(value[2:])


def as_int(values: tuple[Value, ...]) -> int:
    """The only output, an integer."""
    return cast(int, values[0])


def as_bool(values: tuple[Value, ...]) -> bool:
    """The only output, a boolean."""
    return cast(bool, values[0])


def as_address(values: tuple[Value, ...]) -> Address:
    """The only output, an address."""
    return cast(Address, values[0])


def as_addresses(values: tuple[Value, ...]) -> tuple[Address, ...]:
    """The only output, a list of addresses."""
    return tuple(cast("Sequence[Address]", values[0]))


def _decoded(types: Sequence[str], data: bytes) -> tuple[Value, ...]:
    return cast("tuple[Value, ...]", _decode(types, data))
