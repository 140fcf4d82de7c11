"""Bytes by their SHA-256: what runs put out or were given, and what accounts have uploaded for jobs to come.

What belongs to a run stays, so that anyone can run it again. An upload counts against its account, and is
gone after some days; a job that names it in time makes it the run's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Engine, delete, func
from sqlmodel import Session, col, select

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import InsufficientResources
from faas_blueprint.operation import Blob
from faas_operator.blob_tables import UploadedBlobRow
from faas_operator.stored_outcomes import keep_blob, read_blob
from faas_operator.transactions import lock, reading


@dataclass(frozen=True, slots=True)
class UploadedBlob:
    """A blob that an account has brought."""

    sha256: Digest
    size: int
    expires_at: float
    """Unix seconds."""


class BlobStore:
    """The blobs of one store. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    def read(self, digest: Digest) -> bytes:
        """The bytes with this SHA-256. Raises NotFound."""
        with Session(reading(self._engine)) as session:
            uploaded = session.exec(
                select(UploadedBlobRow.content)
                .where(UploadedBlobRow.sha256 == digest.hex(), UploadedBlobRow.expires_at > self._clock())
                .limit(1)
            ).first()
            return read_blob(session, digest) if uploaded is None else uploaded

    def contents(self, blobs: Iterable[Blob]) -> dict[Digest, bytes]:
        """The bytes of all, by SHA-256. Raises NotFound."""
        return {blob.sha256: self.read(blob.sha256) for blob in blobs}

    def keep(self, content: bytes) -> None:
        """Store what belongs to a run."""
        with Session(self._engine) as session:
            keep_blob(session, content, self._clock())
            session.commit()

    def upload(self, account: str, content: bytes, most_bytes: int, seconds: float) -> UploadedBlob:
        """Hold bytes for an account; if it has them already, from now on for so many seconds again.

        Raises InsufficientResources when the account would have more than `most_bytes`.
        """
        digest, now = sha256(content), self._clock()
        expires_at = now + seconds
        with Session(self._engine) as session:
            session.execute(delete(UploadedBlobRow).where(col(UploadedBlobRow.expires_at) <= now))
            session.commit()  # who deletes waits for nobody who waits for what is deleted
            lock(session, f"uploads of {account}")
            row = session.get(UploadedBlobRow, (digest.hex(), account), with_for_update=True)
            if row is None:
                sizes = select(func.sum(UploadedBlobRow.size)).where(UploadedBlobRow.account == account)
                held = session.exec(sizes).one() or 0
                if held + len(content) > most_bytes:
                    raise InsufficientResources(
                        f"the account holds {held} bytes of uploads, {most_bytes} at the most",
                        {"held_bytes": held, "most_bytes": most_bytes},
                    )
                row = UploadedBlobRow(
                    sha256=digest.hex(),
                    account=account,
                    size=len(content),
                    content=content,
                    expires_at=expires_at,
                )
            row.expires_at = expires_at
            session.add(row)
            session.commit()
        return UploadedBlob(digest, len(content), expires_at)
