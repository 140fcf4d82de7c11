"""Who takes part: accounts with both kinds of key, and operators' keys for receipts."""

from __future__ import annotations

from dataclasses import dataclass

import sr25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_keys.main import KeyAPI


@dataclass(frozen=True)
class Person:
    """Someone with an account; `seed` has 32 bytes."""

    seed: bytes
    scheme: str

    @property
    def account(self) -> bytes:
        """The public key."""
        if self.scheme == "sr25519":
            return bytes(sr25519.pair_from_seed(self.seed)[0])
        return Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()

    @property
    def receipt_key(self) -> bytes:
        """The uncompressed public key that an operator registers: of the secp256k1 key with the same seed."""
        return b"\x04" + KeyAPI().PrivateKey(self.seed).public_key.to_bytes()


CUSTOMER = Person(b"\x01" * 32, "sr25519")
OTHER_CUSTOMER = Person(b"\x02" * 32, "ed25519")
OPERATOR = Person(b"\x03" * 32, "sr25519")
SECOND_OPERATOR = Person(b"\x04" * 32, "ed25519")
REGISTERED_ONLY = Person(b"\x05" * 32, "sr25519")
STRANGER = Person(b"\x06" * 32, "sr25519")
