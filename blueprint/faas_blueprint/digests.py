"""The two hash functions and where each is used.

Keccak-256 where a contract compares (job, outcome, receipt), SHA-256 where bulk data is hashed
(pages, files, images): it is fast in hardware and cheap as an EVM precompile.
"""

from __future__ import annotations

import hashlib
from typing import NewType

from eth_hash.auto import keccak as _keccak

Digest = NewType("Digest", bytes)
"""32 bytes."""

ZERO_DIGEST = Digest(bytes(32))


def keccak256(data: bytes) -> Digest:
    """Keccak-256 as the EVM computes it."""
    return Digest(_keccak(data))


def sha256(data: bytes | bytearray | memoryview) -> Digest:
    """SHA-256 (FIPS 180-4)."""
    return Digest(hashlib.sha256(data).digest())


def to_hex(data: bytes) -> str:
    """`0x` and lower-case hexadecimal digits."""
    return "0x" + data.hex()


def digest_from_hex(text: str) -> Digest:
    """The inverse of `to_hex` for 32 bytes. Raises ValueError otherwise."""
    if not text.startswith("0x") or len(text) != 66:
        raise ValueError(f"expected 0x and 64 hexadecimal digits, got {text!r}")
    return Digest(bytes.fromhex(text[2:]))
