"""Quotes that this operator has signed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "job_quote",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("expiry", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_job_quote_caller", "job_quote", ["caller"])
    op.create_index("ix_job_quote_expiry", "job_quote", ["expiry"])
