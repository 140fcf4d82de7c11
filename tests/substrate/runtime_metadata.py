"""The real metadata of Tangle's runtime, as a node answers `state_getMetadata`.

The crate `tangle-subxt` carries it in version 15, which is what `state_call` answers; `state_getMetadata`
answers version 14, which is the same registry of types with less around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalecodec.base import ScaleBytes

from faas_blueprint.tangle.runtime_metadata import RuntimeTypes

_V15 = {
    "types": {
        "PalletMetadataV15": {
            "type": "struct",
            "type_mapping": [
                ["name", "Text"],
                ["storage", "Option<StorageMetadataV14>"],
                ["calls", "Option<PalletCallMetadataV14>"],
                ["event", "Option<PalletEventMetadataV14>"],
                ["constants", "Vec<PalletConstantMetadataV14>"],
                ["error", "Option<PalletErrorMetadataV14>"],
                ["index", "u8"],
                ["docs", "Vec<Text>"],
            ],
        },
        "ExtrinsicMetadataV15": {
            "type": "struct",
            "type_mapping": [
                ["version", "u8"],
                ["address_ty", "SiLookupTypeId"],
                ["call_ty", "SiLookupTypeId"],
                ["signature_ty", "SiLookupTypeId"],
                ["extra_ty", "SiLookupTypeId"],
                ["signed_extensions", "Vec<SignedExtensionMetadataV14>"],
            ],
        },
        "MetadataV15Head": {
            "type": "struct",
            "type_mapping": [
                ["types", "PortableRegistry"],
                ["pallets", "Vec<PalletMetadataV15>"],
                ["extrinsic", "ExtrinsicMetadataV15"],
                ["runtime_type", "SiLookupTypeId"],
            ],
        },
    }
}

_PREFIX = b"meta"


@dataclass(frozen=True)
class Runtime:
    """A runtime's types, and its metadata in both versions, encoded."""

    types: RuntimeTypes
    metadata: Any
    v14: bytes
    v15: bytes

    def encode(self, type_name: str, value: object) -> bytes:
        """SCALE bytes of a value."""
        return bytes(self.types.create_scale_object(type_name).encode(value).data)

    def decode(self, type_name: str, data: bytes) -> Any:
        """The value of SCALE bytes."""
        return self.types.create_scale_object(type_name, data=ScaleBytes(data)).decode()


def load_runtime(path: Path) -> Runtime:
    """Read the crate's file and make version 14 of it."""
    v15 = path.read_bytes()
    assert v15[:5] == _PREFIX + b"\x0f", "the crate's metadata is not version 15"
    reading = RuntimeTypes()
    reading.update_type_registry(_V15)
    head = reading.create_scale_object("MetadataV15Head", data=ScaleBytes(v15[5:]))
    values = head.decode(check_remaining=False)  # runtime APIs follow
    extrinsic = next(
        entry["id"]
        for entry in values["types"]["types"]
        if entry["type"]["path"] and entry["type"]["path"][-1] == "UncheckedExtrinsic"
    )
    values["extrinsic"]["ty"] = extrinsic
    encoded = reading.create_scale_object("MetadataV14").encode(values)
    v14 = _PREFIX + b"\x0e" + bytes(encoded.data)
    types = RuntimeTypes()
    metadata = types.create_scale_object("MetadataVersioned", data=ScaleBytes(v14))
    metadata.decode()
    types.add_portable_registry(metadata)
    return Runtime(types, metadata, v14, v15)
