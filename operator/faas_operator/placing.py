"""Where a run starts: from the ids that a caller gives to the engine's setting, and back to an id."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from typing import TypeVar
from weakref import WeakValueDictionary

from faas_blueprint.digests import Digest
from faas_blueprint.errors import InvalidRequest, NotFound
from faas_blueprint.job import Mode
from faas_microvm.engine import Engine
from faas_microvm.execution import Execution
from faas_microvm.modes import Setting
from faas_microvm.to_its_end import to_its_end
from faas_operator.execution_record import Placement
from faas_operator.processes import Processes
from faas_operator.snapshot_catalog import SnapshotCatalog, SnapshotOrigin
from faas_operator.snapshot_keeping import SnapshotKeeping, store_branch, store_session
from faas_operator.until_stored import until_answered

Answer = TypeVar("Answer")

_SESSION_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_OWN_NAME = "sess_"
"""Begins the names of sessions that we name: who gives such a name means one that is there."""

TURN_SECONDS = 0.1
"""Between two looks whether another process is through with a branch."""


class Placing:
    """Places runs of any account. Runs that move the same branch wait for each other, in whatever process."""

    def __init__(
        self, engine: Engine, catalog: SnapshotCatalog, keeping: SnapshotKeeping, processes: Processes
    ) -> None:
        self._engine = engine
        self._catalog = catalog
        self._keeping = keeping
        self._processes = processes
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def check(self, account: str, placement: Placement) -> Placement:
        """The placement, with a session's name chosen where it is left open.

        Raises InvalidRequest for what does not go together, NotFound for what is not the account's.
        """
        _require_fitting(placement)
        if placement.snapshot_id is not None:
            await self._keeping.require_runnable(account, placement.snapshot_id)
        if placement.branch_id is not None:
            await asyncio.to_thread(self._catalog.branch, account, placement.branch_id)
        if placement.mode is Mode.PERSISTENT and placement.session is None:
            return replace(placement, session=new_session_name())
        if placement.session is not None and placement.session.startswith(_OWN_NAME):
            await asyncio.to_thread(self._catalog.session, account, placement.session)
        return placement

    @asynccontextmanager
    async def setting(self, account: str, placement: Placement) -> AsyncIterator[Setting]:
        """What the engine takes. A branch stays as it is for others until the block is left."""
        if placement.session is not None:
            yield await self._session(account, placement)
        elif placement.branch_id is not None:
            name = store_branch(account, placement.branch_id)
            moves = placement.mode.keeps
            async with self._turn(name) if moves else nullcontext():
                branch = await asyncio.to_thread(self._catalog.branch, account, placement.branch_id)
                head = await self._keeping.measurement(account, branch.head_id)
                yield Setting(placement.mode, head, name if moves else None, owner=account.encode())
        else:
            start = await self._start(account, placement.snapshot_id)
            yield Setting(placement.mode, start, owner=account.encode())

    @asynccontextmanager
    async def _turn(self, branch: str) -> AsyncIterator[None]:
        """Nobody else moves the branch, in this process or another."""
        async with self._locks.setdefault(branch, asyncio.Lock()):
            try:
                while not await _asked(self._processes.take, branch):  # noqa: ASYNC110  # others tell nothing
                    await asyncio.sleep(TURN_SECONDS)
                yield
            finally:
                await _asked(self._processes.give_back, branch)

    async def keep(
        self, account: str, placement: Placement, execution_id: str, execution: Execution
    ) -> str | None:
        """Enter the machine that a run left, if it was kept, and move its branch there, however long the
        database is away."""
        measurement, branch_id = execution.snapshot, placement.branch_id
        if measurement is None:
            return None
        origin = SnapshotOrigin(
            placement.mode,
            parent_id=await until_answered(lambda: self.started_on(account, placement)),
            execution_id=execution_id,
            branch_id=branch_id,
        )
        entry = await until_answered(lambda: self._keeping.enter(account, measurement, origin))
        if branch_id is not None:
            await until_answered(lambda: self._advance(account, branch_id, entry.id))
        return entry.id

    async def started_on(self, account: str, placement: Placement) -> str | None:
        """The id of the snapshot that a run so placed starts on, or that its session began on; None for the
        base and where it is not known any more."""
        try:
            if placement.branch_id is not None:
                return (await asyncio.to_thread(self._catalog.branch, account, placement.branch_id)).head_id
            if placement.session is not None:
                return (
                    await asyncio.to_thread(self._catalog.session, account, placement.session)
                ).snapshot_id
        except NotFound:
            return None
        return placement.snapshot_id

    async def _advance(self, account: str, branch_id: str, head_id: str) -> None:
        try:
            await asyncio.to_thread(self._catalog.advance, account, branch_id, head_id)
        except NotFound:  # it was deleted while this ran
            await self._keeping.unpoint(store_branch(account, branch_id))

    async def _start(self, account: str, snapshot_id: str | None) -> Digest | None:
        """A fork needs to be told what it forks; any other run starts on the base by itself."""
        return None if snapshot_id is None else await self._keeping.measurement(account, snapshot_id)

    async def _session(self, account: str, placement: Placement) -> Setting:
        assert placement.session is not None
        name = store_session(account, placement.session)
        async with self._locks.setdefault(name, asyncio.Lock()):
            await self.open_session(account, placement.session, placement.snapshot_id)
        return Setting(Mode.PERSISTENT, branch=name)

    async def open_session(self, account: str, session: str, snapshot_id: str | None) -> None:
        """Note a session; a new one begins on a snapshot. Raises Conflict, NotFound."""
        start = await self._start(account, snapshot_id)
        new = await asyncio.to_thread(self._catalog.use_session, account, session, snapshot_id)
        if new and start is not None and start != self._engine.measurement:
            await self._engine.library.store.set_branch(store_session(account, session), start)


async def _asked(ask: Callable[[str], Answer], branch: str) -> Answer:
    """Done or not when this ends, however it does: no thread takes a turn that nobody waits for any more."""
    return await until_answered(lambda: to_its_end(asyncio.to_thread(ask, branch)))


def new_session_name() -> str:
    """A name that nobody has."""
    return _OWN_NAME + secrets.token_hex(12)


def _require_fitting(placement: Placement) -> None:
    mode = placement.mode
    if placement.snapshot_id is not None and placement.branch_id is not None:
        raise InvalidRequest("give a snapshot or a branch to start on, not both", {"field": "branch_id"})
    if mode is Mode.BRANCHED and placement.snapshot_id is None and placement.branch_id is None:
        raise InvalidRequest(
            "mode branched takes a snapshot_id or a branch_id to fork; 'base' is the machine that every "
            "run starts on",
            {"field": "snapshot_id"},
        )
    if placement.session is not None and mode is not Mode.PERSISTENT:
        raise InvalidRequest("only mode persistent has a session", {"field": "session"})
    if placement.branch_id is not None and mode is Mode.PERSISTENT:
        raise InvalidRequest(
            "a session is no branch: begin it on the branch's head snapshot", {"field": "branch_id"}
        )
    if placement.session is not None and not _SESSION_NAME.fullmatch(placement.session):
        raise InvalidRequest(
            "a session's name has up to 64 letters, digits, '.', '_' and '-'", {"field": "session"}
        )
