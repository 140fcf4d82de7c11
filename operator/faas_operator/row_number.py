"""The type of the numbers that a database counts its rows by."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer
from sqlalchemy.types import TypeDecorator


class RowNumber(TypeDecorator[int]):
    """Up to 2⁶³ on PostgreSQL. SQLite counts up by itself in a plain INTEGER only, which has as many."""

    impl = BigInteger().with_variant(Integer(), "sqlite")
    cache_ok = True
