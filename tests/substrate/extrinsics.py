"""A signed extrinsic taken apart and checked byte by byte, without any client's code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import sr25519
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNED_VERSION_4 = 0x84
_ED25519, _SR25519 = 0, 1


class InvalidTransaction(Exception):
    """Why a node does not take an extrinsic: its code and its words."""

    def __init__(self, message: str, data: str | None = None, code: int = 1010) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


BAD_SIGNATURE = ("Invalid Transaction", "Transaction has a bad signature")
STALE = ("Invalid Transaction", "Transaction is outdated")
UNPAYABLE = ("Invalid Transaction", "Inability to pay some fees (e.g. account balance too low)")


@dataclass(frozen=True)
class Signed:
    """A signed extrinsic's parts. `era` is None for an immortal one, else period and phase in blocks."""

    raw: bytes
    signer: bytes
    kind: int
    signature: bytes
    era: tuple[int, int] | None
    nonce: int
    tip: int
    extra: bytes
    call: bytes

    @property
    def hash(self) -> str:
        """Blake2b-256 of all bytes, as `0x…`."""
        return hash_of(self.raw)

    def birth(self, number: int) -> int:
        """The block that a mortal one names, seen from block `number`."""
        if self.era is None:
            return 0
        period, phase = self.era
        return (max(number, phase) - phase) // period * period + phase

    def check_signature(
        self, number: int, block_hash: Callable[[int], str], spec: int, transaction_version: int
    ) -> None:
        """Raises InvalidTransaction unless it is signed for this chain, runtime and time."""
        additional = spec.to_bytes(4, "little") + transaction_version.to_bytes(4, "little")
        additional += bytes.fromhex(block_hash(0)[2:])
        additional += bytes.fromhex(block_hash(self.birth(number))[2:])
        additional += b"\0"  # no metadata hash
        payload = self.call + self.extra + additional
        if len(payload) > 256:
            payload = hashlib.blake2b(payload, digest_size=32).digest()
        verify = _is_sr25519 if self.kind == _SR25519 else _is_ed25519
        if not verify(self.signature, payload, self.signer):
            raise InvalidTransaction(*BAD_SIGNATURE)


def hash_of(data: bytes) -> str:
    """Blake2b-256, as `0x…`."""
    return "0x" + hashlib.blake2b(data, digest_size=32).hexdigest()


def compact(value: int) -> bytes:
    """SCALE's compact integer."""
    if value < 1 << 6:
        return bytes([value << 2])
    if value < 1 << 14:
        return (value << 2 | 1).to_bytes(2, "little")
    if value < 1 << 30:
        return (value << 2 | 2).to_bytes(4, "little")
    width = (value.bit_length() + 7) // 8
    return bytes([(width - 4) << 2 | 3]) + value.to_bytes(width, "little")


def unsigned(call: bytes) -> bytes:
    """An inherent: a call that nobody signs."""
    return compact(1 + len(call)) + b"\x04" + call


def parse_signed(raw: bytes) -> Signed:
    """Raises InvalidTransaction with the code of what cannot be decoded."""
    try:
        return _parse(raw)
    except (IndexError, ValueError) as error:
        raise InvalidTransaction("Extrinsic could not be decoded", str(error), 1002) from error


def _parse(raw: bytes) -> Signed:
    length, at = _compact(raw, 0)
    if length != len(raw) - at:
        raise ValueError(f"length {length} said, {len(raw) - at} there")
    if raw[at] != SIGNED_VERSION_4:
        raise ValueError(f"version byte {raw[at]:#x}")
    if raw[at + 1] != 0:
        raise ValueError("the signer is not named by its account id")
    signer, at = raw[at + 2 : at + 34], at + 34
    kind = raw[at]
    if kind not in (_ED25519, _SR25519):
        raise ValueError(f"signature kind {kind}")
    signature, at = raw[at + 1 : at + 65], at + 65
    start = at
    era, at = _era(raw, at)
    nonce, at = _compact(raw, at)
    tip, at = _compact(raw, at)
    if raw[at] != 0:
        raise ValueError("checking the metadata's hash is not done here")
    at += 1
    return Signed(raw, signer, kind, signature, era, nonce, tip, raw[start:at], raw[at:])


def _era(raw: bytes, at: int) -> tuple[tuple[int, int] | None, int]:
    if raw[at] == 0:
        return None, at + 1
    encoded = int.from_bytes(raw[at : at + 2], "little")
    period = 2 << (encoded % 16)
    phase = (encoded >> 4) * max(period >> 12, 1)
    if not 4 <= period <= 65_536 or phase >= period:
        raise ValueError(f"era of {period} blocks, phase {phase}")
    return (period, phase), at + 2


def _compact(raw: bytes, at: int) -> tuple[int, int]:
    mode = raw[at] & 3
    if mode == 3:
        end = at + 5 + (raw[at] >> 2)
        return int.from_bytes(raw[at + 1 : end], "little"), end
    end = at + (1, 2, 4)[mode]
    return int.from_bytes(raw[at:end], "little") >> 2, end


def _is_sr25519(signature: bytes, message: bytes, key: bytes) -> bool:
    try:
        return bool(sr25519.verify(signature, message, key))
    except ValueError:
        return False  # no point of the curve


def _is_ed25519(signature: bytes, message: bytes, key: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
