"""A runtime as its metadata describes it: calls, events, errors and storage by name, as bytes and back.

Values come with their own bytes, since a decoded string cannot be told from hexadecimal again. Takes the
packages of the extra `substrate`; asking nodes is others' business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xxhash
from scalecodec.base import RuntimeConfigurationObject, ScaleBytes
from scalecodec.type_registry import load_type_registry_preset
from scalecodec.utils.ss58 import ss58_encode

from faas_blueprint.errors import FatalError, InvalidRequest
from faas_blueprint.tangle.fields import length_of_fields

SS58_FORMAT = 42
"""How account ids are written here: Substrate's generic format."""


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """One event of a block."""

    extrinsic: int | None
    """The index of the extrinsic that it belongs to; None for a block's own."""
    pallet: str
    name: str
    values: Mapping[str, Any]
    raw: Mapping[str, bytes]
    """Each field's SCALE bytes; lists of Fields have no value, only these."""


class RuntimeTypes(RuntimeConfigurationObject):  # type: ignore[misc]
    """Types by their names. The package makes a class for each value of a type like `Vec<u8>`, most of the
    time that reading metadata takes; here there is one of each."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        super().__init__(ss58_format=SS58_FORMAT)
        self.update_type_registry(load_type_registry_preset("core"))

    def get_decoder_class(self, type_string: Any) -> Any:
        """The class of a type; None if there is none."""
        if not isinstance(type_string, str) or not type_string.endswith((">", ")", "]")):
            return super().get_decoder_class(type_string)  # it has a class of its own
        made = self._made.get(type_string)
        if made is None:
            made = self._made[type_string] = super().get_decoder_class(type_string)
        if made is not None:
            made.runtime_config = self  # some are other runtimes' as well
        return made

    def update_type_registry(self, type_registry: Any) -> None:
        """Take in more types."""
        super().update_type_registry(type_registry)
        self._made.clear()

    def add_portable_registry(self, metadata: Any, prefix: str = "scale_info") -> None:
        """Take in those of a runtime."""
        super().add_portable_registry(metadata, prefix)
        self._made.clear()  # names are read otherwise from now on


class RuntimeMetadata:
    """Of one spec version. Making one takes a moment; decoding is not safe for threads."""

    def __init__(self, encoded: bytes) -> None:
        """`encoded` is what `state_getMetadata` answers. Raises FatalError when it cannot be used."""
        self._types = RuntimeTypes()
        try:
            self._metadata = self._types.create_scale_object("MetadataVersioned", data=ScaleBytes(encoded))
            self._metadata.decode()
            self._types.add_portable_registry(self._metadata)
        except (ValueError, KeyError, NotImplementedError) as error:
            raise FatalError(f"the runtime's metadata cannot be read: {error}") from error
        self._pallets = {pallet.value["name"]: pallet for pallet in self._metadata.pallets}
        self._by_index = {pallet.value["index"]: pallet.value for pallet in self._metadata.pallets}

    def has(self, pallet: str) -> bool:
        """Whether the runtime has a pallet."""
        return pallet in self._pallets

    def extensions(self) -> list[str]:
        """Names of the signed extensions, in order."""
        described = self._metadata.value[1]["V14"]["extrinsic"]["signed_extensions"]
        return [str(item["identifier"]) for item in described]

    def call_index(self, pallet: str, name: str) -> bytes:
        """The two bytes that a call starts with."""
        entry = self._pallets[pallet].value
        numbers = [item["index"] for item in self._variants(entry["calls"]["ty"]) if item["name"] == name]
        return bytes([entry["index"], *numbers])

    def error(self, pallet: int, number: int) -> str:
        """`Pallet.Error` of a module error."""
        entry = self._by_index[pallet]
        names = [item["name"] for item in self._variants(entry["error"]["ty"]) if item["index"] == number]
        return f"{entry['name']}.{names[0] if names else number}"

    def storage_key(self, pallet: str, item: str, *keys: object) -> bytes:
        """Where a value stands."""
        function = self._pallets[pallet].get_storage_function(item)
        parts = [_twox128(pallet), _twox128(item)]
        for kind, hasher, key in zip(
            function.get_params_type_string(), function.get_param_hashers(), keys, strict=False
        ):
            parts.append(_hashed(hasher, bytes(self._types.create_scale_object(kind).encode(key).data)))
        return b"".join(parts)

    def storage_value(self, pallet: str, item: str, data: bytes) -> Any:
        """A value, decoded; a composite without its lists of Fields."""
        kind = self._pallets[pallet].get_storage_function(item).get_value_type_string()
        fields = self._definition(kind).get("composite", {}).get("fields", ())
        if not any(map(_holds_fields, fields)):
            return self._types.create_scale_object(kind, data=ScaleBytes(data)).decode()
        scale = ScaleBytes(data)
        values, _ = self._take_fields(scale, fields)
        if scale.offset != len(data):
            raise ValueError(f"{pallet}.{item} ends at byte {scale.offset} of {len(data)}")
        return values

    def events(self, data: bytes) -> list[RuntimeEvent]:
        """What `System.Events` holds."""
        scale = ScaleBytes(data)
        count = self._take(scale, "Compact<u32>")
        return [self._event(scale) for _ in range(count)]

    def _event(self, scale: ScaleBytes) -> RuntimeEvent:
        phase = scale.get_next_bytes(1)[0]
        extrinsic = int.from_bytes(scale.get_next_bytes(4), "little") if phase == 0 else None
        pallet, number = scale.get_next_bytes(2)
        entry = self._by_index[pallet]
        variant = next(item for item in self._variants(entry["event"]["ty"]) if item["index"] == number)
        values, raw = self._take_fields(scale, variant["fields"])
        self._take(scale, "Vec<H256>")
        return RuntimeEvent(extrinsic, entry["name"], variant["name"], values, raw)

    def _take_fields(
        self, scale: ScaleBytes, fields: Sequence[Mapping[str, Any]]
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Their values, of lists of Fields none, and the bytes of each."""
        values, raw = {}, {}
        for place, field in enumerate(fields):
            name, start = field["name"] or str(place), scale.offset
            if _holds_fields(field):
                try:
                    scale.offset += length_of_fields(bytes(scale.data[start:]))
                except InvalidRequest as error:  # nobody's request: the node's answer
                    raise ValueError(f"{name}: {error.message}") from error
            else:
                values[name] = self._take(scale, f"scale_info::{field['type']}")
            raw[name] = bytes(scale.data[start : scale.offset])
        return values, raw

    def _take(self, scale: ScaleBytes, kind: str) -> Any:
        return self._types.create_scale_object(kind, data=scale).decode(check_remaining=False)

    def _variants(self, type_id: int) -> list[dict[str, Any]]:
        variants: list[dict[str, Any]] = self._definition(f"scale_info::{type_id}")["variant"]["variants"]
        return variants

    def _definition(self, kind: str) -> dict[str, Any]:
        entry = self._metadata.portable_registry["types"][int(kind.removeprefix("scale_info::"))].value
        definition: dict[str, Any] = entry["type"]["def"]
        return definition


def ss58_address(account: bytes) -> str:
    """An account id of 32 bytes as decoded values hold it."""
    return str(ss58_encode(account, SS58_FORMAT))


def _holds_fields(field: Mapping[str, Any]) -> bool:
    """Whether it is a list of Fields: of a payload, one for each byte, so it is not decoded here."""
    return "Field<" in (field["typeName"] or "")


def _twox128(text: str) -> bytes:
    return b"".join(xxhash.xxh64_intdigest(text.encode(), seed).to_bytes(8, "little") for seed in (0, 1))


def _hashed(hasher: str, key: bytes) -> bytes:
    if hasher == "Identity":
        return key
    if hasher == "Blake2_128Concat":
        return hashlib.blake2b(key, digest_size=16).digest() + key
    raise FatalError(f"storage keys are not hashed by {hasher} here")
