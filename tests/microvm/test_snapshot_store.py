"""The snapshot store in a local folder: the tree, damage, room, garbage, and being killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faas_blueprint.digests import Digest, sha256, to_hex
from faas_blueprint.errors import FatalError, InsufficientResources, InvalidRequest, NotFound
from faas_blueprint.merkle import PAGE_SIZE, ZERO_PAGE, PageTree
from faas_microvm.memory import hash_pages
from faas_microvm.page_table import COMPLETE_EVERY
from faas_microvm.snapshot_record import NewSnapshot
from faas_microvm.snapshot_store import SnapshotNeeded, SnapshotStore

BASE = sha256(b"base")
PROFILE = sha256(b"profile")
PAGES = 256
"""RAM of the machines of these tests."""


def page(number: int) -> bytes:
    """Half noise, half zero, as guest memory is; page 0 is zero."""
    return random.Random(number).randbytes(PAGE_SIZE // 2) + bytes(PAGE_SIZE // 2) if number else ZERO_PAGE


def numbered(numbers: Mapping[int, int]) -> dict[int, bytes]:
    return {index: page(number) for index, number in numbers.items()}


def fresh_pages(count: int, seed: int) -> dict[int, bytes]:
    return numbered({index: seed * 10_000 + index + 1 for index in range(count)})


def root_of(pages: Mapping[int, bytes]) -> Digest:
    return PageTree.build(PAGES, hash_pages(pages)).root


def new(
    pages: Mapping[int, bytes],
    parent: Digest = BASE,
    *,
    before: Mapping[int, bytes] | None = None,
    devices: bytes = b"devices" * 500,
    label: str | None = None,
) -> NewSnapshot:
    """A machine that had `before` (against the base) and changed `pages`."""
    return NewSnapshot(
        parent=parent,
        base=BASE,
        profile_id=PROFILE,
        ram_root=root_of({**(before or {}), **pages}) if max(pages, default=0) < PAGES else sha256(b"big"),
        devices=devices,
        virtual_ns=5,
        kind="checkpoint",
        pages=pages,
        hashes=hash_pages(pages),
        label=label,
        origin={"job": "0xab"},
    )


async def open_store(folder: Path, quota_bytes: int | None = None, index: str = "index.db") -> SnapshotStore:
    return await SnapshotStore.open(folder / "store", folder / index, quota_bytes)


def files(folder: Path, kind: str = "*") -> list[Path]:
    return sorted(path for path in folder.glob(f"store/{kind}/*") if path.is_file())


async def test_a_snapshot_comes_back_as_it_was_stored(tmp_path: Path):
    pages = {**fresh_pages(100, 1), 7: ZERO_PAGE}
    async with await open_store(tmp_path) as store:
        record = await store.put(new(pages, label="first"))
        assert record.measurement == new(pages).state.measurement()
        assert (record.kind, record.label, record.origin) == ("checkpoint", "first", {"job": "0xab"})
        assert record.changed_pages == 100
        assert record.logical_bytes == 100 * PAGE_SIZE + 3500
        assert 90 * PAGE_SIZE // 2 < record.stored_bytes < 110 * PAGE_SIZE // 2
    async with await open_store(tmp_path) as store:
        assert await store.get(record.measurement) == record
        loaded = await store.load(record.measurement)
    assert loaded.record == record
    assert loaded.pages == pages
    assert loaded.hashes == hash_pages(pages)
    assert loaded.devices == b"devices" * 500
    assert root_of(loaded.pages) == record.ram_root


async def test_storing_again_changes_nothing(tmp_path: Path):
    async with await open_store(tmp_path) as store:
        first = await store.put(new(fresh_pages(10, 1)))
        before = files(tmp_path)
        assert await store.put(new(fresh_pages(10, 1), label="again")) == first
        assert files(tmp_path) == before


async def test_what_stands_on_a_fetched_snapshot_was_not_made_here(tmp_path: Path):
    """Until a job makes the fetched one here too; a merge stands on both sides and their ancestor."""
    made, own = fresh_pages(3, 1), fresh_pages(3, 2)
    async with await open_store(tmp_path) as store:
        fetched = await store.put(replace(new(made), kind="fetched"))
        child = await store.put(new({50: page(7)}, fetched.measurement, before=made))
        ours = await store.put(new(own))
        sides = {"theirs": to_hex(child.measurement), "ancestor": to_hex(BASE)}
        merge = replace(new({51: page(8)}, ours.measurement, before=own), kind="merge", origin=sides)
        merged = await store.put(merge)
        assert await store.is_made_here(ours.measurement)
        for other in (fetched, child, merged):
            assert not await store.is_made_here(other.measurement)
        assert await store.put(replace(new(made), kind="fetched", label="again")) == fetched

        assert (await store.put(new(made))).kind == "checkpoint"
        assert (await store.put(replace(new(made), kind="fetched"))).kind == "checkpoint"
        for other in (fetched, child, merged):
            assert await store.is_made_here(other.measurement)
        await store.collect_garbage(0)
        assert (await store.load(child.measurement)).pages == {**made, 50: page(7)}
        with pytest.raises(NotFound):
            await store.is_made_here(sha256(b"unknown"))


async def test_a_snapshot_without_changed_pages(tmp_path: Path):
    async with await open_store(tmp_path) as store:
        record = await store.put(new({}, devices=b"only these"))
        loaded = await store.load(record.measurement)
    assert (loaded.pages, loaded.devices) == ({}, b"only these")


async def test_what_cannot_be_stored_is_refused(tmp_path: Path):
    async with await open_store(tmp_path) as store:
        with pytest.raises(NotFound, match=to_hex(sha256(b"nobody"))):
            await store.put(new(fresh_pages(1, 1), sha256(b"nobody")))
        parent = await store.put(new(fresh_pages(1, 1)))
        with pytest.raises(InvalidRequest, match="another base"):
            await store.put(replace(new(fresh_pages(1, 2), parent.measurement), base=sha256(b"other")))
        same = new({})
        with pytest.raises(InvalidRequest, match="nothing to store"):
            await store.put(replace(same, base=same.state.measurement()))
        with pytest.raises(ValueError, match="page 3 has 5 bytes"):
            await store.put(replace(same, devices=b"x", pages={3: b"short"}, hashes={3: sha256(b"")}))
        with pytest.raises(NotFound):
            await store.load(sha256(b"nobody"))
        assert len(await store.list()) == 1


async def test_the_tree_is_listed_parents_first(tmp_path: Path):
    async with await open_store(tmp_path) as store:
        first = await store.put(new(fresh_pages(3, 1)))
        second = await store.put(new(fresh_pages(3, 2)))
        below = await store.put(new(fresh_pages(3, 3), first.measurement))
        deeper = await store.put(new(fresh_pages(3, 4), below.measurement))
        other = await store.put(
            replace(new(fresh_pages(3, 5), sha256(b"base 2")), base=sha256(b"base 2"), devices=b"")
        )
        assert await store.list() == [first, below, deeper, second, other]
        assert await store.list(BASE) == [first, below, deeper, second]
        assert await store.children(BASE) == [first, second]
        assert await store.children(first.measurement) == [below]
        assert await store.children(deeper.measurement) == []


async def test_a_long_chain_is_read_in_few_objects(tmp_path: Path):
    """Complete tables bound what is read; a page of the past that changed again is not in them."""
    before: dict[int, bytes] = {}
    parent = BASE
    records = []
    async with await open_store(tmp_path) as store:
        for depth in range(2 * COMPLETE_EVERY + 5):
            changed = numbered({depth: depth + 1, (depth * 7) % 50: 5000 + depth, 60: 0 if depth % 2 else 9})
            record = await store.put(new(changed, parent, before=before, devices=b"%d" % depth))
            before = {**before, **changed}
            parent = record.measurement
            records.append((record, before))
    async with await open_store(tmp_path) as store:
        for record, pages in records:
            loaded = await store.load(record.measurement)
            assert loaded.pages == pages
            assert root_of(loaded.pages) == record.ram_root
        assert await store.collect_garbage(0) == 0


async def test_the_same_pages_are_stored_once(tmp_path: Path):
    async with await open_store(tmp_path) as store:
        pages = fresh_pages(200, 1)
        first = await store.put(new(pages))
        second = await store.put(new({**pages, 3: page(77)}, devices=b"other"))
        moved = {index + 20: content for index, content in pages.items()}
        third = await store.put(new(moved, first.measurement, before=pages))
        assert second.stored_bytes < 4 * PAGE_SIZE
        assert third.stored_bytes < 2 * PAGE_SIZE
        assert (await store.load(third.measurement)).pages == {**pages, **moved}
        twins = await store.put(new(numbered(dict.fromkeys(range(250), 123)), devices=b"twins"))
        assert twins.stored_bytes < 2 * PAGE_SIZE
    async with await open_store(tmp_path) as store:
        again = await store.put(new(pages, devices=b"after a restart"))
        assert again.stored_bytes < PAGE_SIZE


async def test_packs_stay_small(tmp_path: Path):
    pages = fresh_pages(2100, 1)
    async with await open_store(tmp_path) as store:
        record = await store.put(new(pages))
        assert len(files(tmp_path, "packs")) == 3
        assert (await store.load(record.measurement)).pages == pages


async def test_a_snapshot_that_is_needed_is_not_deleted(tmp_path: Path):
    async with await open_store(tmp_path) as store:
        root = await store.put(new(fresh_pages(3, 1)))
        left = await store.put(new(fresh_pages(3, 2), root.measurement))
        right = await store.put(new(fresh_pages(3, 3), root.measurement))
        deep = await store.put(new(fresh_pages(3, 4), right.measurement))
        with pytest.raises(SnapshotNeeded) as refused:
            await store.delete(root.measurement)
        assert (refused.value.code, refused.value.http_status) == ("CONFLICT", 409)
        assert refused.value.details["children"] == sorted(
            to_hex(child.measurement) for child in (left, right)
        )
        await store.set_branch("main", deep.measurement)
        with pytest.raises(SnapshotNeeded, match="branch main"):
            await store.delete(root.measurement, cascade=True)
        assert len(await store.list()) == 4
        await store.delete_branch("main")
        assert await store.delete(left.measurement) == [left.measurement]
        deleted = await store.delete(root.measurement, cascade=True)
        assert deleted == [deep.measurement, right.measurement, root.measurement]
        assert await store.list() == []
        with pytest.raises(NotFound, match=to_hex(root.measurement)):
            await store.delete(root.measurement)
        await store.collect_garbage(0)
        assert files(tmp_path) == []


async def test_branches(tmp_path: Path):
    async with await open_store(tmp_path) as store:
        first = await store.put(new(fresh_pages(3, 1)))
        second = await store.put(new(fresh_pages(3, 2), first.measurement))
        await store.set_branch("main", first.measurement)
        await store.set_branch("try-1.b", second.measurement)
        await store.set_branch("main", second.measurement)
        assert await store.get_branch("main") == second.measurement
        assert await store.list_branches() == {"main": second.measurement, "try-1.b": second.measurement}
        with pytest.raises(NotFound):
            await store.set_branch("main", sha256(b"nobody"))
        assert await store.get_branch("main") == second.measurement
        for name in ("", "../x", "a/b", ".hidden", "a" * 101):
            with pytest.raises(InvalidRequest):
                await store.set_branch(name, first.measurement)
        await store.delete_branch("main")
        with pytest.raises(NotFound, match="main"):
            await store.get_branch("main")
        with pytest.raises(NotFound):
            await store.delete_branch("main")


async def two_generations(folder: Path) -> tuple[Digest, Digest]:
    """A parent, and a child that still needs a page of each of its frames."""
    async with await open_store(folder) as store:
        parent = await store.put(new(fresh_pages(40, 1)))
        child = await store.put(new(fresh_pages(10, 2), parent.measurement, before=fresh_pages(40, 1)))
    return parent.measurement, child.measurement


async def load_anew(folder: Path, measurement: Digest) -> None:
    async with await open_store(folder) as store:
        await store.load(measurement)


async def assert_damaged(folder: Path, measurement: Digest) -> None:
    with pytest.raises(FatalError, match=f"snapshot {to_hex(measurement)} is damaged"):
        await load_anew(folder, measurement)


def objects_of(folder: Path, kind: str, child: Digest) -> list[Path]:
    """The files of a kind that the child is read from."""
    return [path for path in files(folder, kind) if kind != "snapshots" or path.stem == child.hex()]


@pytest.mark.parametrize("kind", ["snapshots", "tables", "packs"])
async def test_a_flipped_bit_names_the_snapshot(tmp_path: Path, kind: str):
    _, child = await two_generations(tmp_path)
    chance = random.Random(kind)
    for path in objects_of(tmp_path, kind, child):
        whole = path.read_bytes()
        for _ in range(40):
            bit = chance.randrange(8 * len(whole))
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            await assert_damaged(tmp_path, child)
        path.write_bytes(whole)
    await load_anew(tmp_path, child)


@pytest.mark.parametrize("kind", ["snapshots", "tables", "packs"])
async def test_a_short_long_or_empty_object_names_the_snapshot(tmp_path: Path, kind: str):
    _, child = await two_generations(tmp_path)
    for path in objects_of(tmp_path, kind, child):
        whole = path.read_bytes()
        for content in (b"", whole[:5], whole[: len(whole) // 2], whole[:-1], whole + b"\0{"):
            path.write_bytes(content)
            await assert_damaged(tmp_path, child)
        path.write_bytes(whole)


@pytest.mark.parametrize("kind", ["tables", "packs"])
async def test_a_missing_object_names_the_snapshot(tmp_path: Path, kind: str):
    _, child = await two_generations(tmp_path)
    for path in files(tmp_path, kind):
        content = path.read_bytes()
        path.unlink()
        await assert_damaged(tmp_path, child)
        path.write_bytes(content)


async def test_objects_of_another_name_are_noticed(tmp_path: Path):
    parent, child = await two_generations(tmp_path)
    for kind in ("snapshots", "tables", "packs"):
        one, other = files(tmp_path, kind)
        contents = one.read_bytes(), other.read_bytes()
        one.write_bytes(contents[1])
        other.write_bytes(contents[0])
        await assert_damaged(tmp_path, child)
        one.write_bytes(contents[0])
        other.write_bytes(contents[1])
    await load_anew(tmp_path, parent)


async def test_a_record_is_parsed_strictly(tmp_path: Path):
    _, child = await two_generations(tmp_path)
    path = tmp_path / "store" / "snapshots" / f"{child.hex()}.json"
    fields = json.loads(path.read_bytes())
    fields.pop("checksum")
    for change in ({"kind": "x"}, {"virtual_ns": True}, {"origin": {"a": 1}}, {"label": 3}, {"more": 1},
                   {"format": 2}, {"parent": "0x12"}, {"created_at": -1}):  # fmt: skip
        changed = {**fields, **change}
        text = json.dumps(changed, sort_keys=True, separators=(",", ":"))
        path.write_text(json.dumps({**changed, "checksum": sha256(text.encode()).hex()}))
        await assert_damaged(tmp_path, child)


async def test_a_damaged_snapshot_stops_listing_and_collecting_until_it_is_deleted(tmp_path: Path):
    parent, child = await two_generations(tmp_path)
    (tmp_path / "store" / "snapshots" / f"{child.hex()}.json").write_text("{")
    async with await open_store(tmp_path) as store:
        with pytest.raises(FatalError, match=to_hex(child)):
            await store.list()
        with pytest.raises(FatalError, match=to_hex(child)):
            await store.collect_garbage(0)
        await store.delete(child)
        assert [record.measurement for record in await store.list()] == [parent]
        assert await store.collect_garbage(0) > 0
        await store.load(parent)


async def test_a_damaged_snapshot_does_not_stop_others_from_being_stored(tmp_path: Path):
    _, child = await two_generations(tmp_path)
    (tmp_path / "store" / "snapshots" / f"{child.hex()}.json").write_text("{")
    async with await open_store(tmp_path) as store:
        pages = fresh_pages(10, 2)
        record = await store.put(new(pages, devices=b"shares the damaged one's pages"))
        assert (await store.load(record.measurement)).pages == pages


async def test_a_damaged_branch_is_named(tmp_path: Path):
    parent, _ = await two_generations(tmp_path)
    async with await open_store(tmp_path) as store:
        await store.set_branch("main", parent)
        path = tmp_path / "store" / "branches" / "main.json"
        whole = path.read_bytes()
        for bit in range(0, 8 * whole.index(b'"checksum"'), 5):
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            with pytest.raises(FatalError, match="branch main"):
                await store.get_branch("main")
        await store.set_branch("main", parent)
        assert await store.get_branch("main") == parent


async def test_a_damaged_pack_is_mended_by_storing_its_pages_again(tmp_path: Path):
    async with await open_store(tmp_path) as store:
        pages = fresh_pages(30, 1)
        record = await store.put(new(pages))
        (pack,) = files(tmp_path, "packs")
        pack.write_bytes(b"nothing")
        with pytest.raises(FatalError, match=pack.name):
            await store.load(record.measurement)
        again = await store.put(new(pages, devices=b"again"))
        assert (await store.load(again.measurement)).pages == pages
        assert (await store.load(record.measurement)).pages == pages


async def test_a_put_beyond_the_quota_leaves_nothing_behind(tmp_path: Path):
    async with await open_store(tmp_path, quota_bytes=120_000) as store:
        first = await store.put(new(fresh_pages(40, 1)))
        before = {path: path.read_bytes() for path in files(tmp_path)}
        with pytest.raises(InsufficientResources) as refused:
            await store.put(new(fresh_pages(40, 2)))
        assert {path: path.read_bytes() for path in files(tmp_path)} == before
        details = refused.value.details
        used = sum(map(len, before.values()))
        assert (details["used_bytes"], details["allowed_bytes"]) == (used, 120_000)
        assert str(details["needed_bytes"]) in refused.value.message
        usage = await store.usage()
        assert (usage.snapshots, usage.objects, usage.used_bytes) == (1, 3, used)
        small = await store.put(new({**fresh_pages(40, 1), 50: page(1)}))
        assert small.stored_bytes < PAGE_SIZE
        await store.delete(small.measurement)
        await store.delete(first.measurement)
        assert await store.collect_garbage(0) > 80_000
        await store.put(new(fresh_pages(40, 2)))


async def test_what_another_process_stored_counts_towards_the_quota(tmp_path: Path):
    async with (
        await open_store(tmp_path, quota_bytes=120_000, index="one.db") as one,
        await open_store(tmp_path, index="two.db") as two,
    ):
        await one.put(new(fresh_pages(2, 1)))
        await two.put(new(fresh_pages(40, 2)))
        with pytest.raises(InsufficientResources):
            await one.put(new(fresh_pages(60, 3)))


async def test_a_lost_or_broken_index_loses_nothing(tmp_path: Path):
    _, child = await two_generations(tmp_path)
    for content in (None, b"this is no database" * 100):
        for path in tmp_path.glob("index.db*"):
            path.unlink()
        if content:
            (tmp_path / "index.db").write_bytes(content)
        async with await open_store(tmp_path) as store:
            loaded = await store.load(child)
            assert len(loaded.pages) == 40
            await store.rebuild_index()
            assert (await store.put(new(loaded.pages, devices=content or b""))).stored_bytes < PAGE_SIZE


async def test_an_index_of_another_store_is_not_believed(tmp_path: Path):
    await two_generations(tmp_path)
    async with await SnapshotStore.open(tmp_path / "elsewhere", tmp_path / "index.db") as store:
        record = await store.put(new(fresh_pages(40, 1)))
        assert (await store.load(record.measurement)).pages == fresh_pages(40, 1)


async def test_pages_of_a_deleted_snapshot_are_stored_again(tmp_path: Path):
    """An index that is behind must not lead to packs that are about to go."""
    pages = fresh_pages(30, 1)
    async with await open_store(tmp_path) as store, await open_store(tmp_path, index="behind.db") as behind:
        await behind.put(new(pages))
        first = new(pages).state.measurement()
        await store.delete(first)
        second = await behind.put(new(pages, devices=b"second"))
        third = await behind.put(new(pages, devices=b"third"))
        assert second.stored_bytes > 30 * PAGE_SIZE // 2 > third.stored_bytes
        await store.collect_garbage(0)
        await behind.delete(second.measurement)
        await behind.collect_garbage(0)
        assert (await store.load(third.measurement)).pages == pages


async def test_what_was_deleted_just_now_stays_for_the_grace_period(tmp_path: Path):
    async with await open_store(tmp_path) as store:
        record = await store.put(new(fresh_pages(30, 1)))
        for path in [*files(tmp_path, "packs"), *files(tmp_path, "tables")]:
            _make_old(path, 100)
        await store.delete(record.measurement)
        assert await store.collect_garbage(50) == 0
        for path in files(tmp_path, "deleted"):
            _make_old(path, 100)
        assert await store.collect_garbage(50) > 30 * PAGE_SIZE // 2
        assert files(tmp_path) == []


def _make_old(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


async def test_what_a_killed_writer_left_is_collected(tmp_path: Path):
    async with await open_store(tmp_path) as store:
        await store.put(new(fresh_pages(3, 1)))
        for path in (tmp_path / "store/packs/ab#1", tmp_path / "store/packs" / ("cd" * 32)):
            path.write_bytes(b"half")
        assert await store.collect_garbage(60) == 0
        assert await store.collect_garbage(0) == 8


@dataclass
class Model:
    """What the store should hold: parent and content by measurement."""

    parents: dict[Digest, Digest] = field(default_factory=dict)
    pages: dict[Digest, dict[int, bytes]] = field(default_factory=dict)

    def below(self, name: Digest) -> set[Digest]:
        found = {name}
        while more := {child for child, parent in self.parents.items() if parent in found} - found:
            found |= more
        return found

    def forget(self, names: Iterable[Digest]) -> None:
        for name in names:
            del self.parents[name], self.pages[name]


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"),
            st.integers(0, 9),
            st.dictionaries(st.integers(0, 20), st.integers(0, 6), max_size=8),
        ),
        st.tuples(st.just("delete"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("collect"), st.just(0), st.none()),
        st.tuples(st.just("reopen"), st.just(0), st.booleans()),
    ),
    max_size=30,
)


@settings(max_examples=40, deadline=None)
@given(steps)
def test_any_history_equals_a_plain_model(history):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_replay(Path(folder), history))


async def _replay(folder: Path, history) -> None:
    model = Model()
    store = await open_store(folder)
    for number, (action, choice, argument) in enumerate(history):
        names = [BASE, *model.parents]
        chosen = names[choice % len(names)]
        if action == "put":
            before = model.pages.get(chosen, {})
            changed = numbered(argument)
            record = await store.put(new(changed, chosen, before=before, devices=b"%d" % number))
            model.parents[record.measurement] = chosen
            model.pages[record.measurement] = {**before, **changed}
        elif action == "delete" and chosen != BASE:
            doomed = model.below(chosen)
            if len(doomed) > 1 and not argument:
                with pytest.raises(SnapshotNeeded):
                    await store.delete(chosen)
            else:
                assert set(await store.delete(chosen, cascade=argument)) == doomed
                model.forget(doomed)
        elif action == "collect":
            await store.collect_garbage(0)
        elif action == "reopen":
            store.close()
            if argument:
                for path in folder.glob("index.db*"):
                    path.unlink()
            store = await open_store(folder)
    async with store:
        await _compare(store, model)
        await store.collect_garbage(0)
    async with await open_store(folder) as store:
        await _compare(store, model)
        if not model.parents:
            assert files(folder) == []


async def _compare(store: SnapshotStore, model: Model) -> None:
    listed = await store.list()
    assert {record.measurement: record.parent for record in listed} == model.parents
    order = [record.measurement for record in listed]
    for record in listed:
        assert record.parent == BASE or order.index(record.parent) < order.index(record.measurement)
        loaded = await store.load(record.measurement)
        assert loaded.pages == model.pages[record.measurement]
        assert root_of(loaded.pages) == record.ram_root


async def test_storing_deleting_and_collecting_at_once(tmp_path: Path):
    """Two stores on one folder, indexes apart; nothing that is listed at the end is damaged."""
    end = time.monotonic() + 2.5

    async def store_and_delete(store: SnapshotStore, seed: int) -> None:
        chance = random.Random(seed)
        mine: list[Digest] = []
        while time.monotonic() < end:
            parent = chance.choice([BASE, *(record.measurement for record in await store.list())])
            pages = numbered({index: chance.randrange(30) for index in range(chance.randrange(20))})
            try:
                record = await store.put(new(pages, parent, devices=chance.randbytes(20)))
                mine.append(record.measurement)
                if chance.random() < 0.7:
                    await store.delete(mine.pop(chance.randrange(len(mine))))
            except (NotFound, SnapshotNeeded):
                continue

    async def collect(store: SnapshotStore) -> None:
        while time.monotonic() < end:
            await store.collect_garbage(0.6)
            await asyncio.sleep(0.01)

    async with await open_store(tmp_path, index="a.db") as a, await open_store(tmp_path, index="b.db") as b:
        await asyncio.gather(
            store_and_delete(a, 1), store_and_delete(a, 2), store_and_delete(b, 3), collect(b)
        )
    async with await open_store(tmp_path) as store:
        listed = {record.measurement: record for record in await store.list()}
        assert listed
        for record in listed.values():
            assert record.parent == BASE or record.parent in listed
            await store.load(record.measurement)


WRITER = """
import asyncio, sys
from pathlib import Path
from random import Random
from faas_blueprint.digests import sha256
from faas_microvm.memory import hash_pages
from faas_microvm.snapshot_record import NewSnapshot
from faas_microvm.snapshot_store import SnapshotStore

async def main(folder, seed, count):
    chance = Random(seed)
    async with await SnapshotStore.open(folder / "store", folder / "index.db", 1 << 30) as store:
        print("ready", flush=True)
        parent = base = sha256(b"base")
        for number in range(count):
            pages = {n: Random(chance.randrange(400)).randbytes(4096) for n in range(chance.randrange(100))}
            made = await store.put(NewSnapshot(
                parent, base, sha256(b"profile"), sha256(chance.randbytes(8)), chance.randbytes(100),
                number, "checkpoint", pages, hash_pages(pages)))
            parent = made.measurement

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
"""


def start_writer(folder: Path, seed: int, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(folder), str(seed), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


async def test_two_processes_store_at_once(tmp_path: Path):
    writers = [start_writer(tmp_path, seed, 25) for seed in (1, 2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    for writer in writers:
        writer.communicate()
    async with await open_store(tmp_path) as store:
        records = await store.list()
        assert len(records) == 50
        for record in records:
            await store.load(record.measurement)
        assert sum(record.stored_bytes for record in records) < 2.5 * 400 * PAGE_SIZE


@pytest.mark.slow
async def test_a_killed_put_leaves_only_garbage(tmp_path: Path):
    chance = random.Random(5)
    for seed in range(5):
        with start_writer(tmp_path, seed, 100_000) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            await asyncio.sleep(chance.uniform(0.01, 0.15))
            writer.kill()
            writer.wait(30)
        async with await open_store(tmp_path) as store:
            records = await store.list()
            names = {record.measurement for record in records}
            for record in records:
                assert record.parent in names | {BASE}
                await store.load(record.measurement)
    async with await open_store(tmp_path) as store:
        await store.collect_garbage(0)
        for record in await store.list():
            await store.load(record.measurement)
        await store.rebuild_index()
        assert await store.collect_garbage(0) == 0
