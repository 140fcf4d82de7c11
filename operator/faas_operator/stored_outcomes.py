"""Outcomes in the store: streams, output files, their manifest and the trace as blobs by SHA-256, the rest
as one small column."""

from __future__ import annotations

from collections.abc import Iterable

from sqlmodel import Session

from faas_blueprint import tlv
from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import NotFound
from faas_blueprint.outcome import (
    OUTCOME_FIELDS,
    FileDigest,
    Outcome,
    OutcomeDigest,
    OutputFile,
    Stream,
    decode_manifest,
    decode_trace,
    encode_manifest,
    encode_trace,
    outcome_from_values,
    outcome_values,
)
from faas_operator.statement import Statement, Transaction
from faas_operator.tables import BlobRow

_KEEP_BLOB = Statement(
    "INSERT INTO blob (sha256, content, created_at) VALUES (:key, :content, :now) ON CONFLICT DO NOTHING"
)


def encode_outcome(summary: OutcomeDigest) -> bytes:
    """What is stored of an outcome besides its streams, files and state root."""
    return tlv.encode(OUTCOME_FIELDS, outcome_values(summary))


def decode_outcome(data: bytes) -> OutcomeDigest:
    """The inverse of `encode_outcome`."""
    return outcome_from_values(tlv.decode(OUTCOME_FIELDS, data))


def keep_outputs(within: Transaction, outcome: Outcome, now: float) -> None:
    """Store streams, files, manifest and trace as blobs, within the caller's transaction."""
    contents = (
        outcome.stdout.content,
        outcome.stderr.content,
        encode_manifest(outcome.manifest()),
        encode_trace(outcome.trace),
        *(file.content for file in outcome.files),
    )
    _keep(within, contents, now)


def keep_blob(within: Transaction, content: bytes, now: float) -> None:
    """Store bytes under their SHA-256, within the caller's transaction."""
    _keep(within, (content,), now)


def _keep(within: Transaction, contents: Iterable[bytes], now: float) -> None:
    """In one order everywhere: no deadlocks."""
    by_key = {sha256(content).hex(): content for content in contents}
    rows = [{"key": key, "content": content, "now": now} for key, content in sorted(by_key.items())]
    _KEEP_BLOB.run_many(within, rows)


def read_file(session: Session, summary: OutcomeDigest, path: str) -> bytes:
    """One output file. Raises NotFound."""
    for line in _manifest(session, summary):
        if line.path == path:
            return read_blob(session, line.sha256)
    raise NotFound(f"no output file {path!r}")


def whole_outcome(session: Session, summary: OutcomeDigest, state_root: Digest) -> Outcome:
    """An outcome with its streams and files. Raises NotFound when a blob is missing."""
    stdout, stderr = (
        Stream(read_blob(session, stream.sha256), stream.truncated)
        for stream in (summary.stdout, summary.stderr)
    )
    return Outcome(
        summary.status,
        summary.exit_code,
        summary.signal,
        summary.virtual_ns,
        stdout,
        stderr,
        state_root,
        tuple(OutputFile(line.path, read_blob(session, line.sha256)) for line in _manifest(session, summary)),
        summary.files.truncated,
        decode_trace(read_blob(session, summary.trace.sha256)),
    )


def read_blob(session: Session, digest: Digest) -> bytes:
    """The bytes with this SHA-256. Raises NotFound."""
    row = session.get(BlobRow, digest.hex())
    if row is None:
        raise NotFound(f"no blob with SHA-256 {digest.hex()} is stored")
    return row.content


def _manifest(session: Session, summary: OutcomeDigest) -> tuple[FileDigest, ...]:
    return decode_manifest(read_blob(session, summary.files.sha256))
