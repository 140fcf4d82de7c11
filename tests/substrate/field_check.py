"""Fields as the Services pallet takes them: bounded as they are decoded, then checked against types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from extrinsics import InvalidTransaction

MAX_FIELDS = 256
MAX_FIELDS_SIZE = 1024
MAX_STRUCT_TYPES = 32

Tree = tuple[str, Any]
"""Kind of a value or type with what it holds."""

_INTEGERS = {2: ("Uint8", 1), 3: ("Int8", 1), 4: ("Uint16", 2), 5: ("Int16", 2), 6: ("Uint32", 4)}
_INTEGERS |= {7: ("Int32", 4), 8: ("Uint64", 8), 9: ("Int64", 8)}
_PLAIN_TYPES = {0: "Void", 1: "Bool", 10: "String", 100: "AccountId"} | {
    number: name for number, (name, _) in _INTEGERS.items()
}


class TypeMismatch(Exception):
    """Arguments are not those of the job."""


def read_fields(data: bytes) -> list[Tree]:
    """A Vec<Field>, whole. Raises InvalidTransaction when a bound is passed."""
    reader = _Reader(data)
    try:
        count = reader.compact(MAX_FIELDS)
        fields = [reader.field() for _ in range(count)]
        if reader.at != len(data):
            raise ValueError("bytes left over")
    except (ValueError, IndexError, KeyError) as error:
        raise InvalidTransaction("Verification Error: Execution failed", str(error), 1002) from error
    return fields


def length_of_fields(data: bytes) -> int:
    """How many bytes a Vec<Field> at the start of the data takes. Raises InvalidTransaction."""
    reader = _Reader(data)
    try:
        for _ in range(reader.compact(MAX_FIELDS)):
            reader.field()
    except (ValueError, IndexError, KeyError) as error:
        raise InvalidTransaction("Verification Error: Execution failed", str(error), 1002) from error
    return reader.at


def read_types(data: bytes) -> list[Tree]:
    """A Vec<FieldType>."""
    reader = _Reader(data)
    return [reader.type() for _ in range(reader.compact(MAX_FIELDS))]


def check_types(fields: list[Tree], types: list[Tree]) -> None:
    """Raises TypeMismatch."""
    if len(fields) != len(types):
        raise TypeMismatch(f"{len(types)} arguments expected, {len(fields)} given")
    for number, (field, expected) in enumerate(zip(fields, types, strict=True)):
        if not _fits(field, expected):
            raise TypeMismatch(f"argument {number} is not {expected[0]}")


def _fits(field: Tree, expected: Tree) -> bool:
    (kind, held), (wanted, detail) = field, expected
    if kind != wanted:
        return False
    match kind:
        case "Optional":
            declared, value = held
            return declared == detail and (value is None or _fits(value, detail))
        case "Array":
            declared, items = held
            length, child = detail
            return declared == child and len(items) == length and all(_fits(item, child) for item in items)
        case "List":
            declared, items = held
            return declared == detail and all(_fits(item, detail) for item in items)
        case "Struct":
            return len(held) == len(detail) and all(map(_fits, held, detail))
    return True


@dataclass
class _Reader:
    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        if len(part) != count:
            raise ValueError("the data ends early")
        self.at += count
        return part

    def compact(self, most: int) -> int:
        first = self.data[self.at]
        width = (1, 2, 4)[first & 3]
        value = int.from_bytes(self.take(width), "little") >> 2
        if value > most:
            raise ValueError(f"{value} is over the bound of {most}")
        return value

    def string(self) -> bytes:
        return self.take(self.compact(MAX_FIELDS_SIZE))

    def field(self) -> Tree:
        kind = self.take(1)[0]
        if kind in _INTEGERS:
            name, width = _INTEGERS[kind]
            return name, self.take(width)
        match kind:
            case 0:
                declared = self.type()
                return "Optional", (declared, self.field() if self.take(1)[0] else None)
            case 1:
                return "Bool", self.take(1)
            case 10:
                return "String", self.string()
            case 12 | 13:
                declared = self.type()
                items = [self.field() for _ in range(self.compact(MAX_FIELDS_SIZE))]
                return ("Array" if kind == 12 else "List"), (declared, items)
            case 14:
                self.string()
                members = []
                for _ in range(self.compact(MAX_FIELDS_SIZE)):
                    self.string()
                    members.append(self.field())
                return "Struct", members
            case 100:
                return "AccountId", self.take(32)
        raise ValueError(f"no field has number {kind}")

    def type(self) -> Tree:
        kind = self.take(1)[0]
        if kind in _PLAIN_TYPES:
            return _PLAIN_TYPES[kind], None
        match kind:
            case 12:
                return "Optional", self.type()
            case 13:
                length = int.from_bytes(self.take(8), "little")
                return "Array", (length, self.type())
            case 14:
                return "List", self.type()
            case 15:
                return "Struct", [self.type() for _ in range(self.compact(MAX_STRUCT_TYPES))]
        raise ValueError(f"no type has number {kind}")
