"""Compiled programs that are known already: same toolchain, same source, same program.

Sound because compiling is a run like any other, and deterministic. How they are kept: `byte_cache`.
"""

from __future__ import annotations

from pathlib import Path

from faas_blueprint.digests import Digest, sha256
from faas_microvm.byte_cache import DEFAULT_BYTES, ByteCache


class ProgramCache(ByteCache):
    """A bounded memory of programs."""

    def __init__(self, path: Path, capacity_bytes: int = DEFAULT_BYTES) -> None:
        super().__init__(path, "program", capacity_bytes)

    def get(self, key: Digest) -> bytes | None:
        """The program under a key, if it is there and whole."""
        return self.read(key)

    def put(self, key: Digest, program: bytes) -> None:
        """Keep a program: see `write`."""
        self.write(key, program)


def program_key(toolchain: Digest, source: bytes) -> Digest:
    """All that a compiled program is a function of: the toolchain snapshot's measurement and the source."""
    return sha256(toolchain + sha256(source))
