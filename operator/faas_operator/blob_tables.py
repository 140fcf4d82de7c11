"""The table of uploaded blobs. Nothing outside `blob_store` touches it."""

from __future__ import annotations

from sqlalchemy import LargeBinary
from sqlmodel import Field, SQLModel


class UploadedBlobRow(SQLModel, table=True):
    """Bytes that an account has brought for jobs to come; each account has its own copy."""

    __tablename__ = "uploaded_blob"

    sha256: str = Field(primary_key=True)
    account: str = Field(primary_key=True)
    size: int
    content: bytes = Field(sa_type=LargeBinary)
    expires_at: float = Field(index=True)
