"""Group `ledger`: charges in a database file, each held and settled in transactions of their own."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from benchmarks.figures import Figure, single
from benchmarks.setting import Setting
from faas_operator.ledger import GRANTS, REVENUE, Cause, Ledger, Posting, available, held
from faas_operator.store import Store

CHARGES = 500
CUSTOMERS = 10
WRITERS = 16


async def ledger(setting: Setting) -> list[Figure]:
    """Entries a second, on a disk that is made to have them, by one writer and by many at once."""
    with tempfile.TemporaryDirectory() as name:
        folder, times = Path(name), range(setting.few)
        one = [await asyncio.to_thread(_measured, folder / f"one-{number}", _in_turn) for number in times]
        many = [await asyncio.to_thread(_measured, folder / f"many-{number}", _at_once) for number in times]
        checked = await asyncio.to_thread(_check_ms, folder / "one-0")
    return [
        single(
            "ledger_writes_per_second", f"holds and settlements of {CHARGES} charges, one after another", one
        ),
        single("ledger_writes_at_once_per_second", f"the same from {WRITERS} threads", many),
        Figure("ledger_check_ms", f"adding up {2 * CHARGES:,} entries again", checked),
    ]


def _measured(path: Path, work: Callable[[Ledger], None]) -> float:
    with closing(Store.open(f"sqlite:///{path}")) as store:
        for customer in range(CUSTOMERS):
            grant = Posting(GRANTS, -CHARGES), Posting(available(str(customer)), CHARGES)
            store.ledger.post(Cause("grant", str(customer)), *grant)
        started = time.perf_counter()
        work(store.ledger)
        seconds = time.perf_counter() - started
        store.ledger.check()
        if store.ledger.balance(REVENUE) != CHARGES:
            raise AssertionError("the ledger lost a charge")
    return 2 * CHARGES / seconds


def _in_turn(ledger: Ledger) -> None:
    for number in range(CHARGES):
        _charge(ledger, number)


def _at_once(ledger: Ledger) -> None:
    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(lambda number: _charge(ledger, number), range(CHARGES)))


def _charge(ledger: Ledger, number: int) -> None:
    """Two credits set aside, one of them taken."""
    customer, name = str(number % CUSTOMERS), str(number)
    hold = Posting(available(customer), -2, floor=0), Posting(held(customer), 2)
    ledger.post(Cause("hold", name), *hold)
    settlement = Posting(held(customer), -2), Posting(REVENUE, 1), Posting(available(customer), 1)
    ledger.post(Cause("settlement", name), *settlement)


def _check_ms(path: Path) -> float:
    with closing(Store.open(f"sqlite:///{path}")) as store:
        started = time.perf_counter()
        store.ledger.check()
        return (time.perf_counter() - started) * 1000
