"""Outcomes commit to a trace: those from before, which have none, say that it is empty."""

from __future__ import annotations

import hashlib
import time

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"

_OF_NOTHING = hashlib.sha256(b"")
_NO_TRACE = b"\x02" + bytes(4) + _OF_NOTHING.digest()
"""A structure of two fields, as it ends an encoded outcome: a trace without roots."""

_BLOB = sa.table(
    "blob",
    sa.column("sha256", sa.String()),
    sa.column("content", sa.LargeBinary()),
    sa.column("created_at", sa.Float()),
)


def upgrade() -> None:
    for name in ("job", "execution"):
        table = sa.table(name, sa.column("outcome", sa.LargeBinary()))
        longer = table.c.outcome.op("||")(sa.literal(_NO_TRACE, sa.LargeBinary()))
        values = {"outcome": sa.cast(longer, sa.LargeBinary())}
        op.execute(table.update().where(table.c.outcome.is_not(None)).values(values))
    key = _OF_NOTHING.hexdigest()
    connection = op.get_bind()
    if connection.execute(sa.select(_BLOB.c.sha256).where(_BLOB.c.sha256 == key)).first() is None:
        connection.execute(_BLOB.insert().values(sha256=key, content=b"", created_at=time.time()))
