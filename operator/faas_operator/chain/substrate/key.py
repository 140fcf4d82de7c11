"""The key that signs an operator's extrinsics: sr25519 or ed25519, used and never shown.

Kept encrypted as polkadot.js exports an account ("JSON backup", version 3): scrypt, XSalsa20-Poly1305,
PKCS#8.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import NoReturn

import sr25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from faas_blueprint.errors import FatalError

_HEADER = bytes.fromhex("3053020101300506032b657004220420")
_DIVIDER = bytes.fromhex("a123032100")
_SCRYPT_BYTES = 44
_ENCODING = ["scrypt", "xsalsa20-poly1305"]


class AccountKey:
    """Signs for one account. `account` is its id: the 32 bytes of the public key."""

    __slots__ = ("__secret", "account", "kind")

    def __init__(self, scheme: str, secret: bytes, public: bytes) -> None:
        """`secret`: 64 bytes for sr25519 as schnorrkel has them, the 32-byte seed for ed25519."""
        if scheme not in ("sr25519", "ed25519"):
            raise FatalError(f"extrinsics are signed with sr25519 or ed25519, not {scheme}")
        self.__secret = secret
        self.account = public
        self.kind = 1 if scheme == "sr25519" else 0
        """Number of the signature's kind in SCALE."""

    @classmethod
    def from_seed(cls, seed: bytes, scheme: str) -> AccountKey:
        """The key of a 32-byte seed."""
        if scheme == "sr25519":
            public, secret = sr25519.pair_from_seed(seed)
            return cls(scheme, secret, public)
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        return cls(scheme, seed, public)

    def sign(self, payload: bytes) -> bytes:
        """64 bytes."""
        if self.kind == 1:
            return bytes(sr25519.sign((self.account, self.__secret), payload))
        return Ed25519PrivateKey.from_private_bytes(self.__secret).sign(payload)

    def __repr__(self) -> str:
        return f"AccountKey(0x{self.account.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key cannot be copied or pickled")


def load(path: Path, password: str) -> AccountKey:
    """The key of an account file. Raises FatalError when it cannot be read or the password is wrong."""
    try:
        content = json.loads(path.read_text())
        encoded, encoding = base64.b64decode(content["encoded"]), content["encoding"]
        if encoding["type"] != _ENCODING or encoding["content"][0] != "pkcs8":
            raise FatalError(f"{path} is not encrypted as this node reads it: {encoding}")
        scheme = str(encoding["content"][1])
        return _opened(encoded, password, scheme)
    except OSError as error:
        raise FatalError(f"the account file cannot be read: {error}") from error
    except (ValueError, TypeError, KeyError, IndexError, CryptoError) as error:
        raise FatalError(f"{path} is no account file, or the password is wrong") from error


def _opened(encoded: bytes, password: str, scheme: str) -> AccountKey:
    salt, numbers = encoded[:32], encoded[32:_SCRYPT_BYTES]
    n, p, r = (int.from_bytes(numbers[at : at + 4], "little") for at in (0, 4, 8))
    if n > 1 << 20 or r > 16 or p > 16:
        raise ValueError("a scrypt that costs too much")
    derived = hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 << 20, dklen=64)
    box = encoded[_SCRYPT_BYTES:]
    plain = SecretBox(derived[:32]).decrypt(box[24:], box[:24])
    if not plain.startswith(_HEADER):
        raise ValueError("no PKCS#8")
    body = plain[len(_HEADER) :]
    secret = body[: -32 - len(_DIVIDER)]
    if body[-32 - len(_DIVIDER) : -32] != _DIVIDER:
        raise ValueError("no PKCS#8")
    if scheme == "ed25519":
        return AccountKey.from_seed(secret[:32], scheme)
    public, secret = sr25519.pair_from_ed25519_secret_key(secret)  # as the file has it
    return AccountKey(scheme, secret, public)
