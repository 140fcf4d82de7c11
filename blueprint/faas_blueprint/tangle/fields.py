"""Payloads as Fields: how the Services pallet of Tangle's Substrate chain carries what EVM carries as TLV.

A payload's values are the same on both chains, and so is its digest: it is always that of the TLV encoding.
Only the carriage differs. A schema becomes a list of FieldTypes, and a payload the SCALE bytes of a list of
Fields, kind for kind, but for these, which the pallet does not have or bounds at 1,024 bytes or items:

- String: a List of String, cut where characters end.
- Bytes: a List of Lists of Uint8. Bytes32, FixedBytes and Address: an Array of Uint8.
- List: a List of Lists of the item. An Array is one, of 1,024 items at the most.

Every chunk but the last is as full as it can be. Structs carry no names. Pure; no client library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import TypeVar

from faas_blueprint import tlv
from faas_blueprint.errors import InvalidRequest

T = TypeVar("T")

CHUNK = 1024
"""The pallet's MaxFieldsSize: bytes of a String, items of a List."""

MAX_FIELDS = 256
"""The pallet's bound on arguments."""


class _Value(IntEnum):
    """Numbers of Field's variants."""

    OPTIONAL = 0
    BOOL = 1
    STRING = 10
    ARRAY = 12
    LIST = 13
    STRUCT = 14


class _Type(IntEnum):
    """Numbers of FieldType's variants, which are others."""

    BOOL = 1
    UINT8 = 2
    STRING = 10
    OPTIONAL = 12
    ARRAY = 13
    LIST = 14
    STRUCT = 15


_ACCOUNT_ID = 100

_INTEGERS: Mapping[tlv.Kind, tuple[int, int, bool]] = {
    tlv.Kind.UINT8: (2, 1, False),
    tlv.Kind.INT8: (3, 1, True),
    tlv.Kind.UINT16: (4, 2, False),
    tlv.Kind.INT16: (5, 2, True),
    tlv.Kind.UINT32: (6, 4, False),
    tlv.Kind.INT32: (7, 4, True),
    tlv.Kind.UINT64: (8, 8, False),
    tlv.Kind.INT64: (9, 8, True),
}
"""Number (of the variant and of the type alike), width in bytes, and whether signed."""

_WIDTHS: Mapping[int, int] = {number: width for number, width, _ in _INTEGERS.values()} | {
    _Value.BOOL: 1,
    _ACCOUNT_ID: 32,
}
"""Bytes that plain Fields take after their number."""

_BYTE = bytes([_Type.UINT8])


def encode_types(schema: Sequence[tlv.Field]) -> bytes:
    """The Vec<FieldType> that a job's definition takes. Raises InvalidRequest for what has no FieldType."""
    return _compact(len(schema)) + b"".join(map(_type_of, schema))


def to_fields(schema: Sequence[tlv.Field], payload: bytes) -> bytes:
    """The Vec<Field> that carries a TLV payload. Raises InvalidRequest when it is none of the schema."""
    values = tlv.decode(schema, payload)
    return _compact(len(schema)) + b"".join(_encode(field, values[field.name]) for field in schema)


def from_fields(schema: Sequence[tlv.Field], data: bytes) -> bytes:
    """The TLV payload that a Vec<Field> carries: the inverse of `to_fields`. Raises InvalidRequest."""
    reader = _Reader(data)
    count = reader.compact()
    if count != len(schema):
        raise InvalidRequest(f"{count} arguments, expected {len(schema)}")
    values = {field.name: _decode(field, reader, field.name) for field in schema}
    if not reader.at_end():
        raise InvalidRequest("bytes left over after the last argument")
    return tlv.encode(schema, values)


def length_of_fields(data: bytes) -> int:
    """How many bytes a Vec<Field> at the start of `data` takes, whatever is in it. Raises InvalidRequest."""
    reader = _Reader(data)
    for _ in range(reader.compact()):
        _skip(reader)
    return reader.cursor


def _skip(reader: _Reader) -> None:
    kind = reader.take(1)[0]
    if kind in _WIDTHS:
        reader.take(_WIDTHS[kind])
        return
    match kind:
        case _Value.OPTIONAL:
            _skip_type(reader)
            if reader.take(1)[0]:
                _skip(reader)
        case _Value.STRING:
            reader.take(reader.compact())
        case _Value.ARRAY | _Value.LIST:
            _skip_type(reader)
            for _ in range(reader.compact()):
                _skip(reader)
        case _Value.STRUCT:
            reader.take(reader.compact())
            for _ in range(reader.compact()):
                reader.take(reader.compact())
                _skip(reader)
        case _:
            raise InvalidRequest(f"no Field has number {kind}")


def _skip_type(reader: _Reader) -> None:
    kind = reader.take(1)[0]
    match kind:
        case _Type.ARRAY:
            reader.take(8)
            _skip_type(reader)
        case _Type.OPTIONAL | _Type.LIST:
            _skip_type(reader)
        case _Type.STRUCT:
            for _ in range(reader.compact()):
                _skip_type(reader)


def _type_of(field: tlv.Field) -> bytes:
    if field.kind in _INTEGERS:
        return bytes([_INTEGERS[field.kind][0]])
    match field.kind:
        case tlv.Kind.BOOL:
            return bytes([_Type.BOOL])
        case tlv.Kind.STRING:
            return bytes([_Type.LIST, _Type.STRING])
        case tlv.Kind.BYTES:
            return bytes([_Type.LIST, _Type.LIST, _Type.UINT8])
        case tlv.Kind.ADDRESS | tlv.Kind.BYTES32 | tlv.Kind.FIXED_BYTES:
            return bytes([_Type.ARRAY]) + _width(field).to_bytes(8, "little") + _BYTE
        case tlv.Kind.ARRAY if field.array_length <= CHUNK:
            width = field.array_length.to_bytes(8, "little")
            return bytes([_Type.ARRAY]) + width + _type_of(field.children[0])
        case tlv.Kind.OPTIONAL:
            return bytes([_Type.OPTIONAL]) + _type_of(field.children[0])
        case tlv.Kind.LIST:
            return bytes([_Type.LIST, _Type.LIST]) + _type_of(field.children[0])
        case tlv.Kind.STRUCT:
            members = b"".join(map(_type_of, field.children))
            return bytes([_Type.STRUCT]) + _compact(len(field.children)) + members
    raise InvalidRequest(f"{field.name}: {field.kind.name} has no Field on Substrate")


def _width(field: tlv.Field) -> int:
    return {tlv.Kind.ADDRESS: 20, tlv.Kind.BYTES32: 32}.get(field.kind, field.array_length)


def _encode(field: tlv.Field, value: tlv.Value) -> bytes:
    """Of a value that the TLV decoder has checked."""
    if field.kind is tlv.Kind.OPTIONAL:
        head = bytes([_Value.OPTIONAL]) + _type_of(field.children[0])
        return head + (b"\0" if value is None else b"\1" + _encode(field.children[0], value))
    if isinstance(value, bool):
        return bytes([_Value.BOOL, value])
    if isinstance(value, int):
        number, width, signed = _INTEGERS[field.kind]
        return bytes([number]) + value.to_bytes(width, "little", signed=signed)
    if isinstance(value, str):
        return _list(bytes([_Type.STRING]), map(_string, _chunks_of_text(value)))
    if isinstance(value, bytes):
        if field.kind is tlv.Kind.BYTES:
            return _list(
                bytes([_Type.LIST]) + _BYTE,
                (_byte_list(value[at : at + CHUNK]) for at in range(0, len(value), CHUNK)),
            )
        return bytes([_Value.ARRAY]) + _BYTE + _compact(len(value)) + _spread(value)
    return _encode_members(field, value)


def _encode_members(field: tlv.Field, value: tlv.Value) -> bytes:
    if isinstance(value, Mapping):
        members = b"".join(b"\0" + _encode(child, value[child.name]) for child in field.children)
        return bytes([_Value.STRUCT, 0]) + _compact(len(field.children)) + members
    if isinstance(value, Sequence):
        child = field.children[0]
        kind = _type_of(child)
        if field.kind is tlv.Kind.ARRAY:
            items = b"".join(_encode(child, item) for item in value)
            return bytes([_Value.ARRAY]) + kind + _compact(len(value)) + items
        inner = (_list(kind, (_encode(child, item) for item in chunk)) for chunk in _chunks(value))
        return _list(bytes([_Type.LIST]) + kind, inner)
    raise InvalidRequest(f"{field.name}: {field.kind.name} has no Field on Substrate")


def _list(kind: bytes, items: Iterator[bytes]) -> bytes:
    encoded = list(items)
    if len(encoded) > CHUNK:
        raise InvalidRequest(f"more than {CHUNK} chunks of {CHUNK} do not fit a Field", {"most": CHUNK**2})
    return bytes([_Value.LIST]) + kind + _compact(len(encoded)) + b"".join(encoded)


def _string(text: bytes) -> bytes:
    return bytes([_Value.STRING]) + _compact(len(text)) + text


def _byte_list(data: bytes) -> bytes:
    return bytes([_Value.LIST]) + _BYTE + _compact(len(data)) + _spread(data)


def _spread(data: bytes) -> bytes:
    """Each byte as a Field of its own."""
    spread = bytearray([_Type.UINT8]) * (2 * len(data))
    spread[1::2] = data
    return bytes(spread)


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))


def _chunks_of_text(text: str) -> Iterator[bytes]:
    data, start = text.encode(), 0
    while start < len(data):
        end = min(start + CHUNK, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[start:end]
        start = end


def _decode(field: tlv.Field, reader: _Reader, path: str) -> tlv.Value:
    if field.kind in _INTEGERS:
        number, width, signed = _INTEGERS[field.kind]
        reader.expect(bytes([number]), path)
        return int.from_bytes(reader.take(width), "little", signed=signed)
    match field.kind:
        case tlv.Kind.BOOL:
            reader.expect(bytes([_Value.BOOL]), path)
            return bool(reader.number(path, 1))
        case tlv.Kind.STRING:
            kind = bytes([_Type.STRING])
            return _text(
                b"".join(_decode_list(reader, kind, path, lambda: _decode_string(reader, path))), path
            )
        case tlv.Kind.BYTES:
            kind = bytes([_Type.LIST]) + _BYTE
            return b"".join(_decode_list(reader, kind, path, lambda: _decode_bytes(reader, path)))
        case tlv.Kind.OPTIONAL:
            reader.expect(bytes([_Value.OPTIONAL]) + _type_of(field.children[0]), path)
            return _decode(field.children[0], reader, path) if reader.number(path, 1) else None
        case tlv.Kind.STRUCT:
            return _decode_struct(field, reader, path)
        case tlv.Kind.LIST:
            return _decode_items(field.children[0], reader, path)
        case tlv.Kind.ARRAY:
            return _decode_array(field, reader, path)
    reader.expect(bytes([_Value.ARRAY]) + _BYTE, path)
    if reader.compact() != _width(field):
        raise InvalidRequest(f"{path}: {_width(field)} bytes expected", {"field": path})
    return reader.spread(_width(field), path)


def _decode_struct(field: tlv.Field, reader: _Reader, path: str) -> dict[str, tlv.Value]:
    reader.expect(bytes([_Value.STRUCT]), path)
    reader.take(reader.compact())  # its name says nothing
    if reader.compact() != len(field.children):
        raise InvalidRequest(f"{path}: {len(field.children)} members expected", {"field": path})
    values: dict[str, tlv.Value] = {}
    for child in field.children:
        reader.take(reader.compact())
        values[child.name] = _decode(child, reader, f"{path}.{child.name}")
    return values


def _decode_items(child: tlv.Field, reader: _Reader, path: str) -> list[tlv.Value]:
    kind = _type_of(child)

    def chunk() -> list[tlv.Value]:
        return _decode_list(reader, kind, path, lambda: _decode(child, reader, path))

    return [item for items in _decode_list(reader, bytes([_Type.LIST]) + kind, path, chunk) for item in items]


def _decode_array(field: tlv.Field, reader: _Reader, path: str) -> list[tlv.Value]:
    child = field.children[0]
    reader.expect(bytes([_Value.ARRAY]) + _type_of(child), path)
    if reader.compact() != field.array_length:
        raise InvalidRequest(f"{path}: {field.array_length} items expected", {"field": path})
    return [_decode(child, reader, path) for _ in range(field.array_length)]


def _decode_list(reader: _Reader, kind: bytes, path: str, item: Callable[[], T]) -> list[T]:
    reader.expect(bytes([_Value.LIST]) + kind, path)
    return [item() for _ in range(reader.compact())]


def _decode_string(reader: _Reader, path: str) -> bytes:
    reader.expect(bytes([_Value.STRING]), path)
    return reader.take(reader.compact())


def _decode_bytes(reader: _Reader, path: str) -> bytes:
    reader.expect(bytes([_Value.LIST]) + _BYTE, path)
    return reader.spread(reader.compact(), path)


def _text(data: bytes, path: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path}: not UTF-8", {"field": path}) from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.cursor = 0

    def at_end(self) -> bool:
        return self.cursor == len(self._data)

    def take(self, count: int) -> bytes:
        end = self.cursor + count
        if end > len(self._data):
            raise InvalidRequest(f"the arguments end at byte {len(self._data)}, {end} needed")
        part = self._data[self.cursor : end]
        self.cursor = end
        return part

    def number(self, path: str, most: int) -> int:
        value = self.take(1)[0]
        if value > most:
            raise InvalidRequest(f"{path}: {value} is over {most}", {"field": path})
        return value

    def expect(self, start: bytes, path: str) -> None:
        found = self.take(len(start))
        if found != start:
            raise InvalidRequest(f"{path}: a Field of another type", {"field": path})

    def spread(self, count: int, path: str) -> bytes:
        data = self.take(2 * count)
        if data[::2].count(_Type.UINT8) != count:
            raise InvalidRequest(f"{path}: a Field of another type", {"field": path})
        return data[1::2]

    def compact(self) -> int:
        first = self.take(1)[0]
        match first & 3:
            case 0:
                return first >> 2
            case 1:
                return (first | self.take(1)[0] << 8) >> 2
            case 2:
                return int.from_bytes(bytes([first]) + self.take(3), "little") >> 2
        raise InvalidRequest("a length over any bound")


def _compact(value: int) -> bytes:
    if value < 1 << 6:
        return bytes([value << 2])
    if value < 1 << 14:
        return (value << 2 | 1).to_bytes(2, "little")
    return (value << 2 | 2).to_bytes(4, "little")
