"""The processes that share one database: which of them are alive, and which does what only one may do.

A process says from time to time that it is there. One that has not for LEASE_SECONDS, by the database's
clock, is dead for the others, as is one that they can see to be gone, being of the same host. What it had in
hand is ended (`execution_store`), and what it did for all is taken over.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from pathlib import Path

from sqlalchemy import Engine, delete
from sqlmodel import Session, col, select

from faas_microvm.orphans import process_numbering, process_started
from faas_operator.process_tables import DutyRow, ProcessRow
from faas_operator.transactions import database_time, lock

LEASE_SECONDS = 30.0
"""How long a process that says nothing is taken to be alive."""

BEAT_SECONDS = 5.0
"""How often it says that it is."""


OPERATOR_DUTY = "operator"
"""Whatever uses the operator's key on a chain: following it, posting results, settling; and the books."""


class Processes:
    """This process among those of its database. May be used from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.own = f"process_{secrets.token_hex(8)}"
        """This process's id. There is a row for it once it has something in hand."""
        self._host, self._pid = _host(), os.getpid()
        self._started = process_started(self._pid) or ""
        self._said: float | None = None
        self._saying = threading.Lock()

    @property
    def has_beaten(self) -> bool:
        """Whether it was said a moment ago that this process is there."""
        return self._said is not None and time.monotonic() - self._said < BEAT_SECONDS

    def beat(self) -> None:
        """Say that this process is there, unless it was said a moment ago. A transaction of its own."""
        with self._saying:
            if self.has_beaten:
                return
            said = time.monotonic()
            with Session(self._engine) as session:
                row = session.get(ProcessRow, self.own, with_for_update=True) or ProcessRow(
                    id=self.own, host=self._host, pid=self._pid, started=self._started, seen_at=0.0
                )
                row.seen_at = database_time(session)
                session.add(row)
                session.commit()
            self._said = said

    def alive(self, session: Session) -> set[str]:
        """The ids of the processes that have something in hand and are alive. A process says that it is there
        before it takes anything in hand: what it has is to be read before this is asked.
        """
        now = database_time(session)
        return {row.id for row in session.exec(select(ProcessRow)) if self._is_alive(row, now)}

    def take(self, duty: str) -> bool:
        """Whether this process is the one that does something; it is from now on if no other is.

        What goes on for ever is to be asked again before each round, and at least every LEASE_SECONDS.
        """
        self.beat()
        with Session(self._engine) as session:
            lock(session, f"duty {duty}")
            row = session.get(DutyRow, duty, with_for_update=True)  # who has it may be leaving
            if row is not None and row.process != self.own and row.process in self.alive(session):
                return False
            if row is None:
                session.add(DutyRow(name=duty, process=self.own))
            elif row.process != self.own:
                row.process = self.own
                session.add(row)
            session.commit()
        return True

    def give_back(self, duty: str) -> None:
        """Others may do it from now on."""
        with Session(self._engine) as session:
            session.execute(
                delete(DutyRow).where(col(DutyRow.name) == duty, col(DutyRow.process) == self.own)
            )
            session.commit()

    def leave(self) -> None:
        """This process has nothing in hand any more: others need not wait to take over."""
        if self._said is None:
            return
        with Session(self._engine) as session:
            session.execute(delete(ProcessRow).where(col(ProcessRow.id) == self.own))
            session.execute(delete(DutyRow).where(col(DutyRow.process) == self.own))
            session.commit()
        self._said = None

    def forget_dead(self, session: Session) -> None:
        """Drop the rows of the processes that are dead, and of what they alone did."""
        now = database_time(session)
        dead = [row for row in session.exec(select(ProcessRow)) if not self._is_alive(row, now)]
        for row in dead:
            as_it_was = (col(ProcessRow.id) == row.id, col(ProcessRow.seen_at) == row.seen_at)
            session.execute(delete(ProcessRow).where(*as_it_was))
        left = (
            col(DutyRow.process).in_([row.id for row in dead]),
            col(DutyRow.process).not_in(select(ProcessRow.id)),
        )
        session.execute(delete(DutyRow).where(*left))

    def _is_alive(self, row: ProcessRow, now: float) -> bool:
        if now - row.seen_at > LEASE_SECONDS:
            return False
        return row.host != self._host or process_started(row.pid) == row.started


def _host() -> str:
    """Names a kernel since it was booted, and a namespace of process numbers in it."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{process_numbering()}"
