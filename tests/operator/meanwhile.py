"""What another process does between two steps of one that shares its database."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Self

from sqlalchemy import event

from faas_operator.store import Store


class Meanwhile:
    """It begins once, and gets as far as it can before it has to wait for the one."""

    def __init__(self, other: Callable[[], Any]) -> None:
        self._other = other
        self._thread = ThreadPoolExecutor(1)
        self._begun: Future[Any] | None = None

    def before(self, store: Store, statement: str) -> Self:
        """Begin when SQLAlchemy is about to execute a statement of a store's; any part of it is given."""
        return self._at("before_cursor_execute", store, statement)

    def after(self, store: Store, statement: str) -> Self:
        """Begin when it has."""
        return self._at("after_cursor_execute", store, statement)

    def begins(self) -> None:
        """Now, if it has not yet."""
        if self._begun is None:
            self._begun = self._thread.submit(self._other)
            wait([self._begun], 0.25)

    def ends(self) -> Any:
        """What it answers; raises what it raises."""
        assert self._begun is not None, "it never began"
        with self._thread:
            return self._begun.result(60)

    def _at(self, name: str, store: Store, wanted: str) -> Self:
        def is_executed(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if wanted in statement:
                self.begins()

        event.listen(store._engine, name, is_executed)
        return self
