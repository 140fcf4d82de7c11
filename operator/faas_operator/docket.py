"""Which calls are contested, and how far the manager's events have been read: in one commit, so that a node
that dies forgets none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Engine, delete
from sqlmodel import Session, col, select

from faas_operator.chain.interface import Block
from faas_operator.court_tables import ContestedCallRow
from faas_operator.cursors import move_cursor, read_cursor
from faas_operator.transactions import lock

Place = tuple[int, int]
"""Service and call."""


@dataclass(frozen=True, slots=True)
class ContestedCall:
    """A call on the docket."""

    place: Place
    opened_at: float
    """Unix seconds; when this node first heard of it."""


class Docket:
    """The contested calls of one deployment. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float], deployment: str) -> None:
        self._engine = engine
        self._clock = clock
        self._deployment = deployment
        self._cursor = f"court {deployment}"

    def cursor(self) -> Block | None:
        """The last block whose events are on the docket."""
        with Session(self._engine) as session:
            return read_cursor(session, self._cursor)

    def enter(self, places: Iterable[Place], last: Block) -> None:
        """Take in the calls of a range of blocks, and move the cursor to its last block."""
        with Session(self._engine) as session:
            lock(session, self._cursor)
            for place in set(places):
                if session.get(ContestedCallRow, (self._deployment, *place)) is None:
                    service_id, call_id = place
                    row = ContestedCallRow(
                        deployment=self._deployment,
                        service_id=service_id,
                        call_id=call_id,
                        opened_at=self._clock(),
                    )
                    session.add(row)
            move_cursor(session, self._cursor, last)
            session.commit()

    def rewind(self, block: Block) -> None:
        """Set the cursor back."""
        self.enter((), block)

    def calls(self) -> list[ContestedCall]:
        """All of them, oldest first."""
        query = select(ContestedCallRow).where(ContestedCallRow.deployment == self._deployment)
        order = (col(ContestedCallRow.opened_at), col(ContestedCallRow.call_id))
        with Session(self._engine) as session:
            rows = session.exec(query.order_by(*order))
            return [ContestedCall((row.service_id, row.call_id), row.opened_at) for row in rows]

    def close(self, place: Place) -> None:
        """Nothing is left to be done for a call."""
        service_id, call_id = place
        statement = delete(ContestedCallRow).where(
            col(ContestedCallRow.deployment) == self._deployment,
            col(ContestedCallRow.service_id) == service_id,
            col(ContestedCallRow.call_id) == call_id,
        )
        with Session(self._engine) as session:
            session.execute(statement)
            session.commit()
