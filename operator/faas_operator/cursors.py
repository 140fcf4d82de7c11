"""Where the reading of a chain's logs stands, by what is followed; within the caller's transaction."""

from __future__ import annotations

from sqlmodel import Session

from faas_operator.chain.interface import Block
from faas_operator.tables import CursorRow


def read_cursor(session: Session, name: str) -> Block | None:
    """The last block whose logs are stored."""
    row = session.get(CursorRow, name)
    return None if row is None else Block(row.block_number, row.block_hash)


def move_cursor(session: Session, name: str, last: Block) -> None:
    """Say that the logs up to a block are stored."""
    session.merge(CursorRow(deployment=name, block_number=last.number, block_hash=last.block_hash))
