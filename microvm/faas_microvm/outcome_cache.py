"""Outcomes that are known already: same profile, same snapshot, same job, same outcome.

Sound because runs are deterministic. How they are kept: `byte_cache`.
"""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.outcome import Outcome, OutputFile, Status, Stream
from faas_microvm.byte_cache import DEFAULT_BYTES, ByteCache


class OutcomeCache(ByteCache):
    """A bounded memory of outcomes."""

    def __init__(self, path: Path, capacity_bytes: int = DEFAULT_BYTES) -> None:
        super().__init__(path, "known_outcome", capacity_bytes)

    def get(self, key: Digest) -> Outcome | None:
        """The outcome under a key, if it is there and whole."""
        content = self.read(key)
        return None if content is None else _decode(content)

    def put(self, key: Digest, outcome: Outcome) -> None:
        """Keep an outcome: see `write`."""
        self.write(key, _encode(outcome))


def cache_key(
    profile_id: Digest, measurement: Digest, toolchain: Digest, job_digest: Digest, owner: bytes = b""
) -> Digest:
    """All that an outcome is a function of; `toolchain` is zero for languages that are not compiled.

    With whose it is, where what one has run is not for all to find.
    """
    return sha256(profile_id + measurement + toolchain + job_digest + owner)


def _encode(outcome: Outcome) -> bytes:
    """A line of JSON, then the bytes of both streams and of every file, compressed."""
    fields = {
        "status": int(outcome.status),
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "virtual_ns": outcome.virtual_ns,
        "state_root": outcome.state_root.hex(),
        "stdout": [len(outcome.stdout.content), outcome.stdout.truncated],
        "stderr": [len(outcome.stderr.content), outcome.stderr.truncated],
        "files": [[file.path, len(file.content)] for file in outcome.files],
        "files_truncated": outcome.files_truncated,
        "trace": [root.hex() for root in outcome.trace],
    }
    contents = (outcome.stdout.content, outcome.stderr.content, *(file.content for file in outcome.files))
    return zlib.compress(b"".join((json.dumps(fields).encode(), b"\n", *contents)), 1)


def _decode(content: bytes) -> Outcome:
    header, _, rest = zlib.decompress(content).partition(b"\n")
    fields = json.loads(header)
    data = io.BytesIO(rest)
    (out_size, out_cut), (error_size, error_cut) = fields["stdout"], fields["stderr"]
    return Outcome(
        Status(fields["status"]),
        fields["exit_code"],
        fields["signal"],
        fields["virtual_ns"],
        Stream(data.read(out_size), out_cut),
        Stream(data.read(error_size), error_cut),
        Digest(bytes.fromhex(fields["state_root"])),
        tuple(OutputFile(path, data.read(size)) for path, size in fields["files"]),
        fields["files_truncated"],
        tuple(Digest(bytes.fromhex(root)) for root in fields["trace"]),
    )
