"""Tangle's schema and payload encoding (SchemaLib), as far as a client needs it.

A schema is a list of fields; a payload is their values one after the other, without tags. Values:
integers `int`, Bool `bool`, String `str`, bytes of all kinds `bytes`, Optional the child's value or
None, Array and List a list, Struct a dict by field name. Raises ValueError on what does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

Value = bool | int | bytes | str | None | Sequence["Value"] | Mapping[str, "Value"]

SCHEMA_VERSION = 2
MAX_DEPTH = 32
MAX_ITEMS = 10_000


class Kind(IntEnum):
    """Numbered as on-chain."""

    VOID, BOOL, UINT8, INT8, UINT16, INT16, UINT32, INT32, UINT64, INT64 = range(10)
    UINT128, INT128, UINT256, INT256, ADDRESS, BYTES32, FIXED_BYTES, STRING = range(10, 18)
    BYTES, OPTIONAL, ARRAY, LIST, STRUCT = range(18, 23)


@dataclass(frozen=True, slots=True)
class Field:
    """One node; `length` counts an Array's items or a FixedBytes' bytes."""

    kind: Kind
    name: str
    children: tuple[Field, ...] = ()
    length: int = 0


class Reader:
    """A payload being read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next bytes. Raises ValueError when there are fewer."""
        end = self._at + count
        if end > len(self._data):
            raise ValueError(f"the payload ends at byte {len(self._data)}, {end} needed")
        part = self._data[self._at : end]
        self._at = end
        return part

    def number(self, width: int) -> int:
        """Big-endian."""
        return int.from_bytes(self.take(width), "big")

    def size(self) -> int:
        """A length or count, in its shortest form."""
        start = self._at
        first = self.number(1)
        if first < 0x80:
            return first
        width = first & 0x3F
        value = (first & 0x3F) << 8 | self.number(1) if first < 0xC0 else self.number(width)
        if encode_size(value) != self._data[start : self._at]:
            raise ValueError(f"the length before byte {self._at} is not in its shortest form")
        return value

    def finish(self) -> None:
        """Raises ValueError when bytes are left."""
        if self._at != len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes left over")


def encode_size(value: int) -> bytes:
    """A length or count inside a payload."""
    if value < 0x80:
        return bytes([value])
    if value < 0x4000:
        return (0x8000 | value).to_bytes(2, "big")
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([0xC0 | len(raw)]) + raw


def encode_schema(fields: Sequence[Field]) -> bytes:
    """A schema as it stands on-chain."""
    return bytes([SCHEMA_VERSION]) + len(fields).to_bytes(2, "big") + b"".join(map(_encode_node, fields))


def decode_schema(data: bytes) -> tuple[Field, ...]:
    """The inverse of `encode_schema`."""
    reader = Reader(data)
    if reader.number(1) != SCHEMA_VERSION:
        raise ValueError(f"schema version {data[0]} is not {SCHEMA_VERSION}")
    fields = tuple(_decode_node(reader, 0) for _ in range(reader.number(2)))
    reader.finish()
    return fields


def _encode_node(field: Field) -> bytes:
    name = field.name.encode()
    if len(name) >= 0x4000:
        raise ValueError("a field name is too long")
    length = encode_size(len(name))  # names differ from payloads only from 16384 bytes on
    head = bytes([field.kind]) + field.length.to_bytes(2, "big") + len(field.children).to_bytes(2, "big")
    return head + length + name + b"".join(map(_encode_node, field.children))


def _decode_node(reader: Reader, depth: int) -> Field:
    if depth > MAX_DEPTH:
        raise ValueError("the schema is nested too deeply")
    kind, length, children = Kind(reader.number(1)), reader.number(2), reader.number(2)
    name = reader.take(reader.size()).decode()
    return Field(kind, name, tuple(_decode_node(reader, depth + 1) for _ in range(children)), length)


def encode(fields: Sequence[Field], values: Mapping[str, Value]) -> bytes:
    """A payload; `values` holds exactly the fields."""
    if set(values) != {field.name for field in fields}:
        odd = sorted(set(values) ^ {field.name for field in fields})
        raise ValueError(f"missing or unknown field {odd[0]!r}")
    return b"".join(_encode_value(field, values[field.name]) for field in fields)


def decode(fields: Sequence[Field], data: bytes) -> dict[str, Value]:
    """The values of a whole payload."""
    reader = Reader(data)
    values = {field.name: _decode_value(field, reader, 0) for field in fields}
    reader.finish()
    return values


def _integer(kind: Kind) -> tuple[int, bool] | None:
    """Width in bytes and whether signed."""
    if not Kind.UINT8 <= kind <= Kind.INT256:
        return None
    step, signed = divmod(kind - Kind.UINT8, 2)
    return (1 << step, bool(signed))


def _width(field: Field) -> int | None:
    widths = {Kind.ADDRESS: 20, Kind.BYTES32: 32, Kind.FIXED_BYTES: field.length}
    return widths.get(field.kind)


def _encode_value(field: Field, value: Value) -> bytes:
    integer = _integer(field.kind)
    match field.kind, value:
        case Kind.VOID, None:
            return b""
        case Kind.BOOL, bool():
            return bytes([value])
        case _, int() if integer and not isinstance(value, bool):
            return _encode_integer(field, value, *integer)
        case Kind.STRING, str():
            return encode_size(len(value.encode())) + value.encode()
        case ((Kind.BYTES | Kind.ADDRESS | Kind.BYTES32 | Kind.FIXED_BYTES), bytes()):
            width = _width(field)
            if width not in (None, len(value)):
                raise ValueError(f"{field.name}: expected {width} bytes, got {len(value)}")
            return value if width is not None else encode_size(len(value)) + value
        case Kind.OPTIONAL, _:
            child = b"" if value is None else _encode_value(field.children[0], value)
            return encode_size(len(child)) + child
        case Kind.STRUCT, Mapping():
            return encode_size(len(field.children)) + encode(field.children, value)
        case ((Kind.LIST | Kind.ARRAY), Sequence()) if not isinstance(value, str | bytes):
            return _encode_items(field, value)
    raise ValueError(f"{field.name}: {type(value).__name__} does not fit {field.kind.name}")


def _encode_integer(field: Field, value: int, width: int, signed: bool) -> bytes:
    try:
        return value.to_bytes(width, "big", signed=signed)
    except OverflowError as error:
        raise ValueError(f"{field.name}: {value} does not fit {field.kind.name}") from error


def _encode_items(field: Field, items: Sequence[Value]) -> bytes:
    if len(items) > MAX_ITEMS or (field.kind is Kind.ARRAY and len(items) != field.length):
        raise ValueError(f"{field.name}: {len(items)} items are too many or too few")
    count = encode_size(len(items)) if field.kind is Kind.LIST else b""
    return count + b"".join(_encode_value(field.children[0], item) for item in items)


def _decode_value(field: Field, reader: Reader, depth: int) -> Value:
    if depth > MAX_DEPTH:
        raise ValueError(f"{field.name}: nested too deeply")
    integer = _integer(field.kind)
    if integer:
        return int.from_bytes(reader.take(integer[0]), "big", signed=integer[1])
    match field.kind:
        case Kind.VOID:
            return None
        case Kind.BOOL:
            raw = reader.number(1)
            if raw > 1:
                raise ValueError(f"{field.name}: {raw} is not a boolean")
            return bool(raw)
        case Kind.STRING:
            return reader.take(reader.size()).decode()
        case Kind.OPTIONAL:
            return _decode_optional(field, reader.take(reader.size()), depth)
        case Kind.STRUCT:
            if reader.size() != len(field.children):
                raise ValueError(f"{field.name}: not {len(field.children)} fields")
            return {child.name: _decode_value(child, reader, depth + 1) for child in field.children}
        case Kind.LIST | Kind.ARRAY:
            count = field.length if field.kind is Kind.ARRAY else reader.size()
            if count > MAX_ITEMS:
                raise ValueError(f"{field.name}: over {MAX_ITEMS} items")
            return [_decode_value(field.children[0], reader, depth + 1) for _ in range(count)]
    width = _width(field)
    return reader.take(reader.size() if width is None else width)


def _decode_optional(field: Field, data: bytes, depth: int) -> Value:
    if not data:
        return None
    reader = Reader(data)
    value = _decode_value(field.children[0], reader, depth + 1)
    reader.finish()
    return value
