"""Calls whose answers can be challenged, or have been found to differ."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "contested_call",
        sa.Column("deployment", sa.String(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("deployment", "service_id", "call_id"),
    )
