"""Operator keys in encrypted files (Web3 Secret Storage, version 3)."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_keys.main import KeyAPI

from faas_blueprint.digests import keccak256
from faas_blueprint.errors import FatalError
from faas_blueprint.receipt import Address, address

NO_SECRET_WORK = 1 << 10
"""Scrypt's N for keys that are worth nothing, of devnets and tests: there trying a password need not be
costly, and opening a file need not take a second."""


def create(path: Path, password: str, work: int | None = None) -> LocalAccount:
    """A new key, written to `path` with mode 0600, as `save` does it. Raises FatalError as that does."""
    account: LocalAccount = Account.create()
    save(path, account, password, work)
    return account


def save(path: Path, account: LocalAccount, password: str, work: int | None = None) -> None:
    """Write a key to a new file, whole or not at all; `work` is scrypt's N, a power of two, 2^18 by default.
    Raises FatalError when the file exists already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(Account.encrypt(account.key, password, iterations=work)).encode()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError as error:
        raise FatalError(f"{path} exists already; a key is never overwritten") from error
    finally:
        os.unlink(temporary)


def load(path: Path, password: str) -> LocalAccount:
    """The key of a file. Raises FatalError when it cannot be read or the password is wrong."""
    try:
        content = json.loads(path.read_text())
        account: LocalAccount = Account.from_key(Account.decrypt(content, password))
    except OSError as error:
        raise FatalError(f"the operator's keystore cannot be read: {error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise FatalError(f"{path} is not a keystore, or the password is wrong") from error
    return account


def stored_address(path: Path) -> Address:
    """The address that a keystore file names, without its password. Raises FatalError."""
    try:
        return address("0x" + str(json.loads(path.read_text())["address"]).removeprefix("0x"))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FatalError(f"{path} is not a keystore: {error}") from error


def address_of(key: bytes) -> Address:
    """The address of an uncompressed public key."""
    return address("0x" + keccak256(key[1:])[-20:].hex())


def public_key(account: LocalAccount) -> bytes:
    """The uncompressed public key: 65 bytes from 0x04, as Tangle registers it."""
    return b"\x04" + KeyAPI().PrivateKey(account.key).public_key.to_bytes()
