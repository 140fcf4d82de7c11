"""Quotes for services that this operator has signed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "service_quote",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("expiry", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_service_quote_caller", "service_quote", ["caller"])
    op.create_index("ix_service_quote_expiry", "service_quote", ["expiry"])
