"""Tables of the processes that share a database, and of what only one of them does. `processes` alone touches
them."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class ProcessRow(SQLModel, table=True):
    """A process that has something in hand. The row goes when it ends, or is found dead."""

    __tablename__ = "process"

    id: str = Field(primary_key=True)
    host: str
    """Of one kernel and process namespace: there, the next two name a process."""
    pid: int
    started: str
    seen_at: float
    """By the database's clock."""


class DutyRow(SQLModel, table=True):
    """Something that one process alone does: for all, or with a branch that its run moves."""

    __tablename__ = "duty"

    name: str = Field(primary_key=True)
    process: str
