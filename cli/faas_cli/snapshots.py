"""What commands about snapshots share: finding one by the start of its name, opening the store, tables."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

from rich.table import Table

from faas_blueprint.digests import Digest
from faas_blueprint.errors import InvalidRequest, NotFound
from faas_cli.console import console

if TYPE_CHECKING:
    from faas_microvm.engine import Engine
    from faas_microvm.snapshot_record import SnapshotRecord
    from faas_microvm.snapshot_store import SnapshotStore

_NUMBERS = ("pages", "stored", "age", "virtual")

SHOWN = 16
"""Hexadecimal digits of a measurement in what people read."""

WIDEST = 10_000
"""Columns of a table; a terminal that has fewer goes on in its next line."""


@asynccontextmanager
async def opened_store() -> AsyncIterator[SnapshotStore]:
    """The store alone: no image is built and no machine is booted for it."""
    from faas_microvm.engine import open_store

    async with await open_store() as store:
        yield store


async def find_snapshot(engine: Engine, text: str) -> Digest:
    """The snapshot or branch that `text` names; the base is `base`. Raises NotFound, InvalidRequest."""
    if _names(text, engine.measurement):
        return engine.measurement
    return await find_stored(engine.library.store, text)


def base_named(text: str) -> Digest | None:
    """The base, where `text` names it; no machine is booted. Raises NotFound while the base is not made."""
    from faas_microvm.base import known_measurement

    base = known_measurement("base", None)
    if base is None and text == "base":
        raise NotFound("the base is not made yet: `faas snapshot measure` boots it")
    return base if base is not None and _names(text, base) else None


def _names(text: str, base: Digest) -> bool:
    digits = text.removeprefix("0x").lower()
    return text == "base" or (len(digits) >= 6 and base.hex().startswith(digits))


async def find_stored(store: SnapshotStore, text: str) -> Digest:
    """The same among the store's own."""
    branches = await store.list_branches()
    if text in branches:
        return branches[text]
    digits = text.removeprefix("0x").lower()
    if len(digits) < 6 or set(digits) - set("0123456789abcdef"):
        raise NotFound(f"{text!r} is neither a branch nor the first six or more digits of a snapshot")
    found = [r.measurement for r in await store.list() if r.measurement.hex().startswith(digits)]
    if not found:
        raise NotFound(f"no snapshot begins with {text}; `faas snapshot list` shows what there is")
    if len(found) > 1:
        raise InvalidRequest(f"{len(found)} snapshots begin with {text}; give more digits")
    return found[0]


def table_of(records: Iterable[SnapshotRecord], branches: dict[str, Digest]) -> Table:
    """The tree, each snapshot below its parent; as wide as it must be, since its names are to be typed."""
    table = Table(box=None, header_style="bold")
    for name in ("snapshot", "kind", "pages", "stored", "age", "virtual", "names"):
        side: Literal["left", "right"] = "right" if name in _NUMBERS else "left"
        table.add_column(name, justify=side, no_wrap=True)
    depths: dict[Digest, int] = {}
    for record in records:
        depth = depths.get(record.parent, -1) + 1
        depths[record.measurement] = depth
        names = [
            record.label or "",
            *(f"[{b}]" for b, head in branches.items() if head == record.measurement),
        ]
        table.add_row(
            "  " * depth + record.measurement.hex()[:SHOWN],
            record.kind,
            f"{record.changed_pages:,}",
            size_text(record.stored_bytes),
            age_text(time.time() - record.created_at),
            f"{record.virtual_ns / 1e9:.3f} s",
            " ".join(filter(None, names)).replace("[", "\\["),
        )
    table.width = console.measure(table, options=console.options.update(width=WIDEST)).maximum
    return table


def size_text(size: int) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1024  # type: ignore[assignment]
    return f"{size:,.1f} GiB"


def age_text(seconds: float) -> str:
    """A span of time for people."""
    for limit, unit, length in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
