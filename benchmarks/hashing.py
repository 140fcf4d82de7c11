"""Group `hash`: what measuring memory costs."""

from __future__ import annotations

import random

from benchmarks.figures import Figure, single
from benchmarks.setting import Setting, milliseconds_of
from faas_blueprint.merkle import PAGE_SIZE
from faas_microvm.memory import hash_pages

MIBS = 32
CHANGED = 1000
MEASURED = 4000


async def hashing(setting: Setting) -> list[Figure]:
    """Pages that are not zero, spread over RAM, into the tree of the base snapshot."""
    tree = setting.snapshot.tree
    source = random.Random(1)
    count = MIBS * (1 << 20) // PAGE_SIZE
    places = source.sample(range(tree.page_count), count)
    pages = {index: source.randbytes(PAGE_SIZE) for index in places}
    measured = {index: pages[index] for index in places[:MEASURED]}
    measures = [milliseconds_of(lambda: tree.with_changes(hash_pages(measured))) for _ in range(setting.few)]
    whole = [milliseconds_of(lambda: tree.changed_root(hash_pages(pages))) for _ in range(setting.few)]
    leaves = hash_pages({index: pages[index] for index in places[:CHANGED]})
    roots = [milliseconds_of(lambda: tree.changed_root(leaves)) for _ in range(setting.few)]
    updates = [milliseconds_of(lambda: tree.with_changes(leaves)) for _ in range(setting.few)]
    return [
        single(
            "measure_ms_per_1000_pages",
            f"a new snapshot's memory measured, of {MEASURED:,} changed pages",
            [ms / MEASURED * 1000 for ms in measures],
        ),
        single(
            "hash_ms_per_mib", f"{MIBS} MiB of changed pages to the RAM root", [ms / MIBS for ms in whole]
        ),
        single("tree_root_1000_pages_ms", f"the root after {CHANGED:,} hashed pages changed", roots),
        single("tree_update_1000_pages_ms", "the same, with the whole new tree", updates),
    ]
