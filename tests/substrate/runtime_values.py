"""Calls and events by the runtime's metadata, with the raw bytes of each argument.

The raw bytes matter: decoded strings cannot be told from hexadecimal again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from extrinsics import InvalidTransaction
from field_check import length_of_fields
from runtime_metadata import Runtime
from scalecodec.base import ScaleBytes


@dataclass(frozen=True)
class Call:
    """A decoded call: arguments by name, and their bytes."""

    pallet: str
    name: str
    values: dict[str, Any]
    raw: dict[str, bytes]


def decode_call(runtime: Runtime, data: bytes) -> Call:
    """Raises InvalidTransaction when it is no call of this runtime."""
    try:
        pallet, variant = _variant(runtime, "calls", data)
        scale = ScaleBytes(data[2:])
        values, raw = {}, {}
        for field in variant.value["fields"]:
            start = scale.offset
            type_name = f"scale_info::{field['type']}"
            if "Field<" in (field["typeName"] or ""):
                scale.offset += length_of_fields(bytes(scale.data[start:]))
            else:
                value = runtime.types.create_scale_object(type_name, data=scale).decode(check_remaining=False)
                values[field["name"]] = value
            raw[field["name"]] = bytes(scale.data[start : scale.offset])
        if scale.offset != len(scale.data):
            raise ValueError("bytes left over after the call")
    except (ValueError, KeyError, StopIteration, IndexError) as error:
        raise InvalidTransaction("Call could not be decoded", repr(error), 1002) from error
    return Call(pallet, variant.value["name"], values, raw)


def encode_call(runtime: Runtime, pallet: str, name: str, **arguments: object) -> bytes:
    """The bytes of a call. Arguments given as bytes are encoded already."""
    return _encode(runtime, "calls", pallet, name, arguments)


def encode_event(runtime: Runtime, extrinsic: int, pallet: str, name: str, **fields: object) -> bytes:
    """An event record of an extrinsic. Fields given as bytes are encoded already."""
    event = _encode(runtime, "event", pallet, name, fields)
    return b"\0" + extrinsic.to_bytes(4, "little") + event + b"\0"


def error_number(runtime: Runtime, pallet: str, name: str) -> tuple[int, int]:
    """The numbers of a pallet and of one of its errors."""
    entry = _pallet(runtime, pallet)
    variants = _variants(runtime, entry["error"]["ty"])
    return entry["index"], next(item["index"] for item in variants if item["name"] == name)


def constant(runtime: Runtime, pallet: str, name: str) -> bytes:
    """A pallet's constant, as SCALE bytes."""
    entries = runtime.metadata.get_metadata_pallet(pallet).constants
    return bytes(next(entry.constant_value for entry in entries if entry.value["name"] == name))


def _encode(runtime: Runtime, part: str, pallet: str, name: str, arguments: dict[str, object]) -> bytes:
    entry = _pallet(runtime, pallet)
    variant = next(item for item in _variants(runtime, entry[part]["ty"]) if item["name"] == name)
    parts = [bytes([entry["index"], variant["index"]])]
    names = [field["name"] for field in variant["fields"]]
    assert set(names) == set(arguments), f"{pallet}.{name} takes {names}"
    for field in variant["fields"]:
        value = arguments[field["name"]]
        encoded = value if isinstance(value, bytes) else runtime.encode(f"scale_info::{field['type']}", value)
        parts.append(encoded)
    return b"".join(parts)


def _pallet(runtime: Runtime, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = runtime.metadata.get_metadata_pallet(name).value
    return entry


def _variants(runtime: Runtime, type_id: int) -> list[dict[str, Any]]:
    registry = runtime.metadata.portable_registry["types"]
    found: list[dict[str, Any]] = registry[type_id].value["type"]["def"]["variant"]["variants"]
    return found


def _variant(runtime: Runtime, part: str, data: bytes) -> tuple[str, Any]:
    for pallet in runtime.metadata.pallets:
        if pallet.value["index"] == data[0]:
            for variant in _variants(runtime, pallet.value[part]["ty"]):
                if variant["index"] == data[1]:
                    return pallet.value["name"], _Valued(variant)
    raise ValueError(f"there is no call {data[:2].hex()}")


@dataclass(frozen=True)
class _Valued:
    value: dict[str, Any]
