"""A block's state as a node keeps it: SCALE values under hashed keys, by the runtime's metadata."""

from __future__ import annotations

import hashlib
from typing import Any

import xxhash
from runtime_metadata import Runtime


def twox128(text: str) -> bytes:
    """The hash that pallets' and items' names have in keys."""
    return b"".join(xxhash.xxh64_intdigest(text.encode(), seed).to_bytes(8, "little") for seed in (0, 1))


def _hashed(hasher: str, key: bytes) -> bytes:
    match hasher:
        case "Identity":
            return key
        case "Blake2_128Concat":
            return hashlib.blake2b(key, digest_size=16).digest() + key
        case "Twox64Concat":
            return xxhash.xxh64_intdigest(key, 0).to_bytes(8, "little") + key
    raise NotImplementedError(hasher)


class Storage:
    """Reads and writes by pallet, item and keys. A copy is independent."""

    def __init__(self, runtime: Runtime, entries: dict[bytes, bytes] | None = None) -> None:
        self.runtime = runtime
        self.entries = {} if entries is None else entries

    def copy(self) -> Storage:
        """The same entries, to be changed."""
        return Storage(self.runtime, dict(self.entries))

    def get(self, pallet: str, item: str, *keys: object) -> Any:
        """The value; an item's default where it has one, else None."""
        function = self._function(pallet, item)
        data = self.entries.get(self.key(pallet, item, *keys))
        if data is None:
            if function.value["modifier"] != "Default":
                return None
            data = bytes(function.value_object["default"].value_object)
        return self.runtime.decode(function.get_value_type_string(), data)

    def put(self, pallet: str, item: str, *keys_and_value: object) -> None:
        """Set what stands under the keys to the last argument."""
        *keys, value = keys_and_value
        encoded = self.runtime.encode(self._function(pallet, item).get_value_type_string(), value)
        self.entries[self.key(pallet, item, *keys)] = encoded

    def remove(self, pallet: str, item: str, *keys: object) -> None:
        """Take an entry out."""
        self.entries.pop(self.key(pallet, item, *keys), None)

    def next_number(self, item: str) -> int:
        """Take the next number of a counter of the Services pallet."""
        number: int = self.get("Services", item)
        self.put("Services", item, number + 1)
        return number

    def key(self, pallet: str, item: str, *keys: object) -> bytes:
        """Where a value stands."""
        function = self._function(pallet, item)
        parts = [twox128(pallet), twox128(item)]
        kinds, hashers = function.get_params_type_string(), function.get_param_hashers()
        assert len(kinds) == len(keys), f"{pallet}.{item} has {len(kinds)} keys"
        for kind, hasher, key in zip(kinds, hashers, keys, strict=False):  # a plain item names a hasher too
            parts.append(_hashed(hasher, self.runtime.encode(kind, key)))
        return b"".join(parts)

    def _function(self, pallet: str, item: str) -> Any:
        return self.runtime.metadata.get_metadata_pallet(pallet).get_storage_function(item)
