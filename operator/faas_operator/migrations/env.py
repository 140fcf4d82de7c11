"""Where Alembic finds the connection that it changes; it runs this file and no other module imports it."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from faas_operator.schema import ROWS

assert ROWS, "the tables are imported"

context.configure(connection=context.config.attributes["connection"], target_metadata=SQLModel.metadata)
with context.begin_transaction():
    context.run_migrations()
