"""Which part of a list is asked for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

Limit = Annotated[int, Query(ge=1, le=100, description="Entries at the most")]
Offset = Annotated[int, Query(ge=0, le=1 << 31, description="Entries to pass over; the newest come first")]

DEFAULT_LIMIT = 20
