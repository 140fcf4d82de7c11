"""Which snapshots, branches and sessions belong to whom: the accounts' ids for the engine's measurements.

Rows only; the machines themselves are in the engine's store. A snapshot that its owner deleted keeps a
row that is marked so, until the store can let go of it: others may have it too, or have built on it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Engine, delete, func
from sqlmodel import Session, SQLModel, col, select

from faas_blueprint.digests import Digest
from faas_blueprint.errors import NotFound
from faas_blueprint.job import Mode
from faas_microvm.snapshot_record import SnapshotRecord
from faas_operator.execution_record import Conflict
from faas_operator.tables import BranchRow, SessionRow, SnapshotRow
from faas_operator.transactions import lock, reading

Details = Mapping[str, object]
Row = TypeVar("Row", bound=SQLModel)

BASE = "base"
"""The id of the base snapshot in every account."""


@dataclass(frozen=True, slots=True)
class SnapshotEntry:
    """A snapshot of an account."""

    id: str
    account: str
    measurement: Digest
    parent_id: str | None
    """The nearest snapshot of the account's that it was made from, or `base`."""
    mode: Mode
    kind: str
    paused: bool
    """Its job is still under way in it: it can be restored, and runs no other job."""
    execution_id: str | None
    branch_id: str | None
    """The branch in which it was made."""
    details: Details
    size_bytes: int
    """Of all that differs from the parent, before compression."""
    stored_bytes: int
    """What it added to the store."""
    created_at: float


@dataclass(frozen=True, slots=True)
class BranchEntry:
    """A branch of an account."""

    id: str
    account: str
    snapshot_id: str
    head_id: str
    parent_branch: str | None
    details: Details
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A session of an account."""

    name: str
    snapshot_id: str | None
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class SnapshotOrigin:
    """Where a new snapshot comes from."""

    mode: Mode
    parent_id: str | None = None
    execution_id: str | None = None
    branch_id: str | None = None
    paused: bool = False
    hidden: bool = False
    """A step on the way that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What went with a deletion, children first."""

    snapshots: tuple[str, ...]
    branches: tuple[str, ...]


class SnapshotCatalog:
    """Rows by id. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    # -- snapshots

    def add(
        self, account: str, record: SnapshotRecord, origin: SnapshotOrigin, details: Details
    ) -> SnapshotEntry:
        """An id for a snapshot of the store."""
        row = SnapshotRow(
            id="snap_" + secrets.token_hex(12),
            account=account,
            measurement=record.measurement,
            parent_id=origin.parent_id,
            mode=origin.mode,
            kind=record.kind,
            paused=origin.paused,
            execution_id=origin.execution_id,
            branch_id=origin.branch_id,
            details=json.dumps(dict(details)),
            size_bytes=record.logical_bytes,
            stored_bytes=record.stored_bytes,
            deleted=origin.hidden,
            created_at=self._clock(),
        )
        with Session(self._engine) as session:
            lock(session, _tree(account))
            session.add(row)
            session.flush()
            entry = _snapshot_of(row)
            session.commit()
        return entry

    def snapshot(self, account: str, snapshot_id: str) -> SnapshotEntry:
        """A snapshot of this account. Raises NotFound."""
        with Session(reading(self._engine)) as session:
            return _snapshot_of(_snapshot_row(session, account, snapshot_id))

    def snapshots(
        self,
        account: str,
        limit: int,
        offset: int,
        mode: Mode | None = None,
        parent_id: str | None = None,
        execution_id: str | None = None,
    ) -> tuple[Sequence[SnapshotEntry], int]:
        """Snapshots of an account, newest first, and how many there are in all."""
        asked = {"mode": mode, "parent_id": parent_id, "execution_id": execution_id}
        with Session(reading(self._engine)) as session:
            rows, total = _page(
                session, SnapshotRow, {"account": account, "deleted": False}, asked, limit, offset
            )
            return [_snapshot_of(row) for row in rows], total

    def id_of(self, account: str, measurement: Digest) -> str | None:
        """The newest id that an account has for a snapshot."""
        query = select(SnapshotRow.id).filter_by(account=account, measurement=measurement, deleted=False)
        with Session(reading(self._engine)) as session:
            return session.exec(query.order_by(col(SnapshotRow.number).desc())).first()

    def remove(self, account: str, snapshot_id: str, cascade: bool) -> Removed:
        """Take a snapshot away from its account, with all made from it if `cascade`.

        Raises NotFound, and Conflict while snapshots or branches of the account need it.
        """
        with Session(self._engine) as session:
            lock(session, _tree(account))
            doomed = [_snapshot_row(session, account, snapshot_id)]
            below = _descendants(session, account, snapshot_id)
            gone = {snapshot_id, *(row.id for row in below)} if cascade else {snapshot_id}
            branches = [
                row
                for row in session.exec(select(BranchRow).filter_by(account=account))
                if gone & {row.snapshot_id, row.head_id}
            ]
            if not cascade:
                _require_unneeded(snapshot_id, below, branches)
            for row in [*doomed, *below]:
                row.deleted = True
                session.add(row)
            for branch in branches:
                session.delete(branch)
            removed = Removed(
                tuple(row.id for row in reversed([*doomed, *below])), tuple(row.id for row in branches)
            )
            session.commit()
        return removed

    def unowned(self) -> list[Digest]:
        """Measurements that only deleted rows mean, newest first."""
        with Session(reading(self._engine)) as session:
            owned = select(SnapshotRow.measurement).filter_by(deleted=False)
            query = select(SnapshotRow).filter_by(deleted=True).where(
                col(SnapshotRow.measurement).not_in(owned)
            ).order_by(col(SnapshotRow.number).desc())  # fmt: skip
            return list(dict.fromkeys(Digest(row.measurement) for row in session.exec(query)))

    def forget(self, measurement: Digest) -> None:
        """Drop the deleted rows of a snapshot that the store has let go of."""
        with Session(self._engine) as session:
            session.execute(
                delete(SnapshotRow).where(
                    col(SnapshotRow.measurement) == measurement, col(SnapshotRow.deleted).is_(True)
                )
            )
            session.commit()

    # -- branches

    def add_branch(
        self, account: str, snapshot_id: str, parent_branch: str | None, details: Details
    ) -> BranchEntry:
        """A branch whose head is a snapshot."""
        now = self._clock()
        row = BranchRow(
            id="branch_" + secrets.token_hex(12),
            account=account,
            snapshot_id=snapshot_id,
            head_id=snapshot_id,
            parent_branch=parent_branch,
            details=json.dumps(dict(details)),
            created_at=now,
            updated_at=now,
        )
        with Session(self._engine) as session:
            lock(session, _tree(account))
            session.add(row)
            session.flush()
            entry = _branch_of(row)
            session.commit()
        return entry

    def branch(self, account: str, branch_id: str) -> BranchEntry:
        """A branch of this account. Raises NotFound."""
        with Session(reading(self._engine)) as session:
            return _branch_of(_branch_row(session, account, branch_id))

    def branches(
        self,
        account: str,
        limit: int,
        offset: int,
        snapshot_id: str | None = None,
        parent_branch: str | None = None,
    ) -> tuple[Sequence[BranchEntry], int]:
        """Branches of an account, newest first, and how many there are in all."""
        asked = {"snapshot_id": snapshot_id, "parent_branch": parent_branch}
        with Session(reading(self._engine)) as session:
            rows, total = _page(session, BranchRow, {"account": account}, asked, limit, offset)
            return [_branch_of(row) for row in rows], total

    def advance(self, account: str, branch_id: str, head_id: str) -> None:
        """Move a branch's head. Raises NotFound."""
        with Session(self._engine) as session:
            lock(session, _tree(account))
            row = _branch_row(session, account, branch_id)
            row.head_id, row.updated_at = head_id, self._clock()
            session.add(row)
            session.commit()

    def remove_branch(self, account: str, branch_id: str) -> None:
        """Forget a branch; its snapshots stay. Raises NotFound."""
        with Session(self._engine) as session:
            lock(session, _tree(account))
            session.delete(_branch_row(session, account, branch_id))
            session.commit()

    # -- sessions

    def use_session(self, account: str, name: str, snapshot_id: str | None) -> bool:
        """Note that a session is used; answers whether it is new.

        Raises Conflict when it began on another snapshot than a caller says.
        """
        now = self._clock()
        with Session(self._engine) as session:
            lock(session, f"session {account} {name}")
            row = session.get(SessionRow, (account, name))
            new = row is None
            if row is None:
                row = SessionRow(
                    account=account, name=name, snapshot_id=snapshot_id, created_at=now, updated_at=now
                )
            elif snapshot_id not in (None, row.snapshot_id):
                raise Conflict(f"session {name!r} is there already and began elsewhere", {"field": "session"})
            row.updated_at = now
            session.add(row)
            session.commit()
        return new

    def sessions(self, account: str, limit: int, offset: int) -> tuple[list[SessionEntry], int]:
        """Sessions of an account, used latest first, and how many there are in all."""
        query = select(SessionRow).filter_by(account=account)
        with Session(reading(self._engine)) as session:
            total = session.exec(select(func.count()).select_from(query.subquery())).one()
            rows = session.exec(query.order_by(col(SessionRow.updated_at).desc()).limit(limit).offset(offset))
            return [_session_of(row) for row in rows], total

    def session(self, account: str, name: str) -> SessionEntry:
        """Raises NotFound."""
        with Session(reading(self._engine)) as session:
            return _session_of(_session_row(session, account, name))

    def remove_session(self, account: str, name: str) -> None:
        """Raises NotFound."""
        with Session(self._engine) as session:
            lock(session, f"session {account} {name}")
            session.delete(_session_row(session, account, name))
            session.commit()


def _tree(account: str) -> str:
    """The lock of an account's snapshots and branches, which hang together."""
    return f"snapshots of {account}"


def _page(
    session: Session,
    table: type[Row],
    always: Mapping[str, object],
    asked: Mapping[str, object],
    limit: int,
    offset: int,
) -> tuple[Sequence[Row], int]:
    given = {name: value for name, value in asked.items() if value is not None}
    query = select(table).filter_by(**always, **given)
    total = session.exec(select(func.count()).select_from(query.subquery())).one()
    newest = SQLModel.metadata.tables[str(table.__tablename__)].c.number.desc()
    return session.exec(query.order_by(newest).limit(limit).offset(offset)).all(), total


def _snapshot_row(session: Session, account: str, snapshot_id: str) -> SnapshotRow:
    query = select(SnapshotRow).filter_by(account=account, id=snapshot_id, deleted=False)
    row = session.exec(query).one_or_none()
    if row is None:
        raise NotFound(f"no snapshot {snapshot_id!r}", {"snapshot_id": snapshot_id})
    return row


def _branch_row(session: Session, account: str, branch_id: str) -> BranchRow:
    row = session.exec(select(BranchRow).filter_by(account=account, id=branch_id)).one_or_none()
    if row is None:
        raise NotFound(f"no branch {branch_id!r}", {"branch_id": branch_id})
    return row


def _session_row(session: Session, account: str, name: str) -> SessionRow:
    row = session.get(SessionRow, (account, name))
    if row is None:
        raise NotFound(f"no session {name!r}")
    return row


def _descendants(session: Session, account: str, snapshot_id: str) -> list[SnapshotRow]:
    """Parents before children."""
    found: list[SnapshotRow] = []
    parents = [snapshot_id]
    while parents:
        query = select(SnapshotRow).filter_by(account=account, deleted=False)
        level = session.exec(query.where(col(SnapshotRow.parent_id).in_(parents))).all()
        found.extend(level)
        parents = [row.id for row in level]
    return found


def _require_unneeded(snapshot_id: str, below: Sequence[SnapshotRow], branches: Sequence[BranchRow]) -> None:
    children = [row.id for row in below if row.parent_id == snapshot_id]
    names = [row.id for row in branches]
    if children or names:
        raise Conflict(
            f"snapshot {snapshot_id} is needed by {', '.join([*children, *names])}; "
            "delete what needs it first, or all of it with ?cascade=true",
            {"snapshot_id": snapshot_id, "children": children, "branches": names},
        )


def _snapshot_of(row: SnapshotRow) -> SnapshotEntry:
    return SnapshotEntry(
        id=row.id,
        account=row.account,
        measurement=Digest(row.measurement),
        parent_id=row.parent_id,
        mode=Mode(row.mode),
        kind=row.kind,
        paused=row.paused,
        execution_id=row.execution_id,
        branch_id=row.branch_id,
        details=json.loads(row.details),
        size_bytes=row.size_bytes,
        stored_bytes=row.stored_bytes,
        created_at=row.created_at,
    )


def _branch_of(row: BranchRow) -> BranchEntry:
    return BranchEntry(
        id=row.id,
        account=row.account,
        snapshot_id=row.snapshot_id,
        head_id=row.head_id,
        parent_branch=row.parent_branch,
        details=json.loads(row.details),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _session_of(row: SessionRow) -> SessionEntry:
    return SessionEntry(row.name, row.snapshot_id, row.created_at, row.updated_at)
