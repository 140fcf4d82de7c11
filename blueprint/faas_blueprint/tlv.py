"""Tangle's schema and payload encoding (SchemaLib), the same in every ABI epoch.

A schema is a list of fields; a payload is their values concatenated without tags. Values map to
Python as: integers to `int`, Bool to `bool`, Address/Bytes32/FixedBytes/Bytes to `bytes`, String
to `str`, Optional to the child's value or `None`, Array/List to a list, Struct to a dict by field
name. Encoding is canonical: `encode(fields, decode(fields, data)) == data` or `decode` raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from faas_blueprint.errors import InvalidRequest

Value = bool | int | bytes | str | None | Sequence["Value"] | Mapping[str, "Value"]

MAX_DEPTH = 32
MAX_LIST_ITEMS = 10_000
SCHEMA_VERSION = 2


class Kind(IntEnum):
    """Field kinds, numbered as on-chain."""

    VOID = 0
    BOOL = 1
    UINT8 = 2
    INT8 = 3
    UINT16 = 4
    INT16 = 5
    UINT32 = 6
    INT32 = 7
    UINT64 = 8
    INT64 = 9
    UINT128 = 10
    INT128 = 11
    UINT256 = 12
    INT256 = 13
    ADDRESS = 14
    BYTES32 = 15
    FIXED_BYTES = 16
    STRING = 17
    BYTES = 18
    OPTIONAL = 19
    ARRAY = 20
    LIST = 21
    STRUCT = 22


_INTEGERS: dict[Kind, tuple[int, bool]] = {
    Kind.UINT8: (1, False),
    Kind.INT8: (1, True),
    Kind.UINT16: (2, False),
    Kind.INT16: (2, True),
    Kind.UINT32: (4, False),
    Kind.INT32: (4, True),
    Kind.UINT64: (8, False),
    Kind.INT64: (8, True),
    Kind.UINT128: (16, False),
    Kind.INT128: (16, True),
    Kind.UINT256: (32, False),
    Kind.INT256: (32, True),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One node of a schema. `array_length` counts an Array's items or a FixedBytes' bytes."""

    kind: Kind
    name: str = ""
    children: tuple[Field, ...] = ()
    array_length: int = 0


def optional(name: str, child: Field) -> Field:
    """A field that may be absent."""
    return Field(Kind.OPTIONAL, name, (child,))


def list_of(name: str, child: Field) -> Field:
    """A field with any number of items."""
    return Field(Kind.LIST, name, (child,))


def struct(name: str, *children: Field) -> Field:
    """A field made of named fields."""
    return Field(Kind.STRUCT, name, children)


def encode_schema(fields: Sequence[Field]) -> bytes:
    """The schema bytes that `createBlueprint` takes."""
    return bytes([SCHEMA_VERSION]) + len(fields).to_bytes(2, "big") + b"".join(map(_encode_node, fields))


def decode_schema(data: bytes) -> tuple[Field, ...]:
    """The inverse of `encode_schema`. Raises InvalidRequest."""
    reader = _Reader(data)
    if reader.take(1)[0] != SCHEMA_VERSION:
        raise InvalidRequest(f"schema version {data[0]} is not {SCHEMA_VERSION}")
    count = int.from_bytes(reader.take(2), "big")
    fields = tuple(_decode_node(reader, 0) for _ in range(count))
    reader.finish()
    return fields


def encode(fields: Sequence[Field], values: Mapping[str, Value]) -> bytes:
    """A payload for these fields. Raises InvalidRequest naming the field that does not fit."""
    unknown = set(values) - {field.name for field in fields}
    if unknown:
        raise InvalidRequest(f"unknown field {sorted(unknown)[0]!r}")
    missing = [field.name for field in fields if field.name not in values]
    if missing:
        raise InvalidRequest(f"missing field {missing[0]!r}")
    return b"".join(_encode_value(field, values[field.name], field.name) for field in fields)


def decode(fields: Sequence[Field], data: bytes) -> dict[str, Value]:
    """The values of a canonical payload. Raises InvalidRequest when any byte is off."""
    values, rest = decode_first(fields, data)
    if rest:
        raise left_over(rest)
    return values


def decode_first(fields: Sequence[Field], data: bytes) -> tuple[dict[str, Value], bytes]:
    """The values that a payload begins with, and the rest of it. Raises InvalidRequest."""
    reader = _Reader(data)
    values = {field.name: _decode_value(field, reader, field.name, 0) for field in fields}
    return values, reader.rest()


def left_over(rest: bytes) -> InvalidRequest:
    """What is wrong with a payload that goes on after its last field."""
    return InvalidRequest(f"{len(rest)} bytes left over at the end")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._cursor = 0

    def take(self, count: int) -> bytes:
        end = self._cursor + count
        if end > len(self._data):
            raise InvalidRequest(f"payload ends at byte {len(self._data)}, {end} needed")
        part = self._data[self._cursor : end]
        self._cursor = end
        return part

    def length(self) -> int:
        first = self.take(1)[0]
        if first < 0x80:
            return first
        if first < 0xC0:
            value = (first & 0x3F) << 8 | self.take(1)[0]
            minimal = value >= 0x80
        else:
            width = first & 0x3F
            if not 1 <= width <= 32:
                raise InvalidRequest(f"length of {width} bytes at byte {self._cursor}")
            raw = self.take(width)
            value = int.from_bytes(raw, "big")
            minimal = value >= 0x4000 and raw[0] != 0
        if not minimal:
            raise InvalidRequest(f"length before byte {self._cursor} is not in its shortest form")
        return value

    def rest(self) -> bytes:
        return self._data[self._cursor :]

    def finish(self) -> None:
        if rest := self.rest():
            raise left_over(rest)


def _encode_length(value: int) -> bytes:
    if value < 0x80:
        return bytes([value])
    if value < 0x4000:
        return bytes([0x80 | value >> 8, value & 0xFF])
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([0xC0 | len(raw)]) + raw


def _encode_name_length(value: int) -> bytes:
    if value < 0x80:
        return bytes([value])
    if value < 0x4000:
        return bytes([0x80 | value >> 8, value & 0xFF])
    if value < 0x200000:
        return (0xC00000 | value).to_bytes(3, "big")
    return (0xE0000000 | value).to_bytes(4, "big")


def _encode_node(field: Field) -> bytes:
    name = field.name.encode()
    return b"".join(
        (
            bytes([field.kind]),
            field.array_length.to_bytes(2, "big"),
            len(field.children).to_bytes(2, "big"),
            _encode_name_length(len(name)),
            name,
            *map(_encode_node, field.children),
        )
    )


def _decode_node(reader: _Reader, depth: int) -> Field:
    if depth > MAX_DEPTH:
        raise InvalidRequest("schema is nested too deeply")
    raw_kind = reader.take(1)[0]
    if raw_kind not in Kind._value2member_map_:
        raise InvalidRequest(f"unknown field kind {raw_kind}")
    array_length = int.from_bytes(reader.take(2), "big")
    child_count = int.from_bytes(reader.take(2), "big")
    first = reader.take(1)[0]
    extra = 0 if first < 0x80 else 1 if first < 0xC0 else 2 if first < 0xE0 else 3
    mask = (0x7F, 0x3F, 0x1F, 0x0F)[extra]
    name_length = int.from_bytes(bytes([first & mask]) + reader.take(extra), "big")
    try:
        name = reader.take(name_length).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("a field name is not UTF-8") from error
    children = tuple(_decode_node(reader, depth + 1) for _ in range(child_count))
    return Field(Kind(raw_kind), name, children, array_length)


def _fixed_width(field: Field) -> int | None:
    match field.kind:
        case Kind.ADDRESS:
            return 20
        case Kind.BYTES32:
            return 32
        case Kind.FIXED_BYTES:
            return field.array_length
        case _:
            return None


def _mismatch(path: str, expected: str, value: object) -> InvalidRequest:
    return InvalidRequest(f"{path}: expected {expected}, got {type(value).__name__}", {"field": path})


def _encode_value(field: Field, value: Value, path: str) -> bytes:
    kind = field.kind
    if kind in _INTEGERS:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _mismatch(path, "an integer", value)
        width, signed = _INTEGERS[kind]
        try:
            return value.to_bytes(width, "big", signed=signed)
        except OverflowError as error:
            raise InvalidRequest(f"{path}: {value} does not fit {kind.name}", {"field": path}) from error
    if kind is Kind.VOID:
        return b""
    if kind is Kind.BOOL:
        if not isinstance(value, bool):
            raise _mismatch(path, "a boolean", value)
        return bytes([value])
    if kind is Kind.STRING:
        if not isinstance(value, str):
            raise _mismatch(path, "a string", value)
        raw = value.encode()
        return _encode_length(len(raw)) + raw
    if kind is Kind.OPTIONAL:
        if value is None:
            return b"\0"
        child = _encode_value(field.children[0], value, path)
        return _encode_length(len(child)) + child
    if kind is Kind.STRUCT:
        if not isinstance(value, Mapping):
            raise _mismatch(path, "an object", value)
        return _encode_length(len(field.children)) + encode(field.children, value)
    if kind in (Kind.ARRAY, Kind.LIST):
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise _mismatch(path, "a list", value)
        return _encode_items(field, value, path)
    if not isinstance(value, bytes):
        raise _mismatch(path, "bytes", value)
    width_or_none = _fixed_width(field)
    if width_or_none is None:
        return _encode_length(len(value)) + value
    if len(value) != width_or_none:
        raise _mismatch(path, f"{width_or_none} bytes", value)
    return value


def _encode_items(field: Field, items: Sequence[Value], path: str) -> bytes:
    if field.kind is Kind.ARRAY and len(items) != field.array_length:
        raise InvalidRequest(f"{path}: expected {field.array_length} items, got {len(items)}")
    if len(items) > MAX_LIST_ITEMS:
        raise InvalidRequest(f"{path}: more than {MAX_LIST_ITEMS} items", {"field": path})
    prefix = _encode_length(len(items)) if field.kind is Kind.LIST else b""
    child = field.children[0]
    return prefix + b"".join(_encode_value(child, item, f"{path}[{i}]") for i, item in enumerate(items))


def _decode_value(field: Field, reader: _Reader, path: str, depth: int) -> Value:
    if depth > MAX_DEPTH:
        raise InvalidRequest(f"{path}: nested too deeply")
    kind = field.kind
    if kind in _INTEGERS:
        width, signed = _INTEGERS[kind]
        return int.from_bytes(reader.take(width), "big", signed=signed)
    if kind is Kind.VOID:
        return None
    if kind is Kind.BOOL:
        raw = reader.take(1)[0]
        if raw > 1:
            raise InvalidRequest(f"{path}: {raw} is not a boolean", {"field": path})
        return bool(raw)
    if kind is Kind.STRING:
        try:
            return reader.take(reader.length()).decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"{path}: not UTF-8", {"field": path}) from error
    if kind is Kind.OPTIONAL:
        return _decode_optional(field, reader, path, depth)
    if kind is Kind.STRUCT:
        count = reader.length()
        if count != len(field.children):
            raise InvalidRequest(f"{path}: {count} fields, expected {len(field.children)}")
        return {
            child.name: _decode_value(child, reader, f"{path}.{child.name}", depth + 1)
            for child in field.children
        }
    if kind in (Kind.ARRAY, Kind.LIST):
        count = field.array_length if kind is Kind.ARRAY else reader.length()
        if count > MAX_LIST_ITEMS:
            raise InvalidRequest(f"{path}: more than {MAX_LIST_ITEMS} items", {"field": path})
        child = field.children[0]
        return [_decode_value(child, reader, f"{path}[{i}]", depth + 1) for i in range(count)]
    width_or_none = _fixed_width(field)
    return reader.take(reader.length() if width_or_none is None else width_or_none)


def _decode_optional(field: Field, reader: _Reader, path: str, depth: int) -> Value:
    length = reader.length()
    if length == 0:
        return None
    child = _Reader(reader.take(length))
    value = _decode_value(field.children[0], child, path, depth + 1)
    child.finish()
    return value
