"""What was paid for a call, and how often it has waited for an earlier one: its place in the queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Calls that are stored already go by age."""
    op.add_column("job", sa.Column("price", sa.String(), nullable=False, server_default="0" * 78))
    op.add_column("job", sa.Column("waits", sa.Integer(), nullable=False, server_default="0"))
