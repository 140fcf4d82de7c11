"""Quotes that this operator has signed, for jobs and for services."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    for name in ("job_quote", "service_quote"):
        op.create_table(
            name,
            sa.Column("digest", sa.String(), nullable=False),
            sa.Column("caller", sa.String(), nullable=False),
            sa.Column("terms", sa.Text(), nullable=False),
            sa.Column("expiry", sa.BigInteger(), nullable=False),
            sa.Column("made_at", sa.Float(), nullable=False),
            sa.PrimaryKeyConstraint("digest"),
        )
        op.create_index(f"ix_{name}_caller", name, ["caller"])
        op.create_index(f"ix_{name}_expiry", name, ["expiry"])
