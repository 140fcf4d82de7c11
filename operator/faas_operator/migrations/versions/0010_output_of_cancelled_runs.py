"""What runs had written that came to an end without an outcome."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("execution", sa.Column("said_stdout", sa.LargeBinary(), nullable=True))
    op.add_column("execution", sa.Column("said_stderr", sa.LargeBinary(), nullable=True))
    op.add_column("execution", sa.Column("said_truncated", sa.Boolean(), nullable=True))
