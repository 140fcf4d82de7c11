"""The measurement of a stopped machine: RAM, devices and machine profile in one hash.

A base snapshot's measurement and a finished job's state root are the same function of a stopped
machine, so a checkpoint of that machine is a snapshot whose measurement is already known.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from faas_blueprint.digests import Digest

_DOMAIN = b"faas machine state 1\0"


@dataclass(frozen=True, slots=True)
class MachineState:
    """The three parts of a measurement."""

    profile_id: Digest
    ram_root: Digest
    device_hash: Digest

    def measurement(self) -> Digest:
        """SHA-256 over domain and parts."""
        return Digest(hashlib.sha256(_DOMAIN + self.profile_id + self.ram_root + self.device_hash).digest())
