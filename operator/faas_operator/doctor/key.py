"""Checks of the operator's keystore."""

from __future__ import annotations

import asyncio
from pathlib import Path

from faas_blueprint.errors import FatalError
from faas_blueprint.receipt import Address
from faas_operator import keystore
from faas_operator.doctor.finding import Finding, failed, ok, skipped, warning

_MAKE = "`faas operator register` makes one; to use another, set FAAS_KEYSTORE"


async def check_keystore(path: Path, password: str | None) -> Finding:
    """Whether the file is there, readable by its owner only, and opens."""
    return await asyncio.to_thread(_look_at, path, password)


def _look_at(path: Path, password: str | None) -> Finding:
    if not path.exists():
        return skipped("key", f"there is no keystore at {path}; {_MAKE}")
    try:
        own = keystore.stored_address(path)
        if password is not None:
            keystore.load(path, password)
    except FatalError as error:
        return failed("key", error.message, "set FAAS_KEYSTORE_PASSWORD aright, or restore the file")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return failed("key", f"{path} can be read by others (mode {mode:o})", f"chmod 600 {path}")
    if password is None:
        mend = "set FAAS_KEYSTORE_PASSWORD"
        return warning("key", f"{own} in {path}; not opened: no password is set", mend)
    return ok("key", f"{own} in {path} opens")


def own_address(path: Path) -> Address | None:
    """The address that the keystore names, if there is one to be read."""
    try:
        return keystore.stored_address(path)
    except FatalError:
        return None
