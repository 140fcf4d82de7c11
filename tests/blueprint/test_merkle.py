"""The page tree against its plain definition."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.measurement import MachineState
from faas_blueprint.merkle import PAGE_SIZE, PageTree, hash_page, height_of, root_of_proof

PAGES = 64


def plain_root(pages: dict[int, bytes], first: int = 0, count: int = PAGES) -> bytes:
    """The definition, written down as it is said."""
    if count == 1:
        return hashlib.sha256(b"\0" + pages.get(first, bytes(PAGE_SIZE))).digest()
    quarter = count // 4
    return hashlib.sha256(
        b"\1" + b"".join(plain_root(pages, first + n * quarter, quarter) for n in range(4))
    ).digest()


def same(left: PageTree, right: PageTree) -> bool:
    """All nodes, as far as they can be seen."""
    indices = range(PAGES)
    return (
        left.root == right.root
        and [left.leaf(index) for index in indices] == [right.leaf(index) for index in indices]
        and [left.proof(index) for index in indices] == [right.proof(index) for index in indices]
    )


contents = st.dictionaries(
    st.integers(0, PAGES - 1),
    st.binary(min_size=1, max_size=8).map(lambda data: data.ljust(PAGE_SIZE, b"\0")),
    max_size=9,
)


def leaves(pages: dict[int, bytes]) -> dict[int, Digest]:
    return {index: hash_page(page) for index, page in pages.items()}


@given(contents, contents)
@settings(max_examples=40)
def test_built_changed_and_updated_trees_agree_with_the_definition(before, changes):
    tree = PageTree.build(PAGES, leaves(before))
    assert tree.root == plain_root(before)
    after = {**before, **changes}
    assert tree.changed_root(leaves(changes)) == plain_root(after)
    assert same(tree.with_changes(leaves(changes)), PageTree.build(PAGES, leaves(after)))


@given(st.lists(contents, max_size=5), contents, st.integers(0, PAGES - 1))
@settings(max_examples=40)
def test_descendants_of_descendants_are_like_trees_built_anew(generations, changes, index):
    pages: dict[int, bytes] = {}
    tree = base = PageTree.build(PAGES, {})
    for generation in generations:
        before, root = tree, tree.root
        tree = tree.with_changes(leaves(generation))
        pages |= generation
        assert before.root == root
        assert tree.levels is base.levels
    assert same(tree, PageTree.build(PAGES, leaves(pages)))
    assert tree.changed_root(leaves(changes)) == plain_root({**pages, **changes})
    assert root_of_proof(pages.get(index, bytes(PAGE_SIZE)), index, tree.proof(index)) == tree.root


def test_a_descendant_costs_what_differs_from_the_tree_that_was_built():
    tree = PageTree.build(PAGES, {})
    for number in range(100):
        tree = tree.with_changes({5: hash_page(number.to_bytes(PAGE_SIZE, "little"))})
    assert [list(nodes) for nodes in tree.changed] == [[1], [0], [0]]
    assert tree.with_changes({}).root == tree.root


def test_a_page_is_a_tree():
    tree = PageTree.build(1, {})
    leaf = hash_page(b"\1" * PAGE_SIZE)
    assert (tree.leaf(0), tree.proof(0)) == (tree.root, ())
    assert tree.with_changes({0: leaf}).leaf(0) == tree.changed_root({0: leaf}) == leaf


@pytest.mark.parametrize("index", [-1, PAGES])
def test_pages_outside_are_refused(index):
    tree = PageTree.build(PAGES, {})
    for call in (
        lambda: tree.leaf(index),
        lambda: tree.proof(index),
        lambda: tree.changed_root({0: tree.leaf(0), index: tree.leaf(0)}),
        lambda: tree.with_changes({index: tree.leaf(0)}),
    ):
        with pytest.raises(IndexError, match="of 64"):
            call()


@given(contents, st.integers(0, PAGES - 1), st.integers(1, PAGES), st.integers(0, PAGES * PAGE_SIZE - 1))
@settings(max_examples=60)
def test_a_proof_of_pages_side_by_side(pages, first, count, place):
    count = min(count, PAGES - first)
    tree = PageTree.build(PAGES, leaves(pages))
    run = b"".join(pages.get(index, bytes(PAGE_SIZE)) for index in range(first, first + count))
    proof = tree.proof(first, count)
    assert root_of_proof(run, first, proof) == tree.root
    place %= len(run)
    assert root_of_proof(run[:place] + bytes([run[place] ^ 1]) + run[place + 1 :], first, proof) != tree.root
    for level, siblings in enumerate(proof):
        for other in (siblings[32:], siblings + bytes(128)):
            if other != siblings:
                with pytest.raises(ValueError, match="proof"):
                    root_of_proof(run, first, (*proof[:level], other, *proof[level + 1 :]))


@given(contents, st.integers(0, PAGES - 1))
@settings(max_examples=40)
def test_a_proof_leads_to_the_root_and_to_no_other(pages, index):
    tree = PageTree.build(PAGES, leaves(pages))
    page = pages.get(index, bytes(PAGE_SIZE))
    proof = tree.proof(index)
    assert [len(siblings) for siblings in proof] == [96, 96, 96]
    assert root_of_proof(page, index, proof) == tree.root
    assert root_of_proof(b"\xff" + page[1:], index, proof) != tree.root
    if pages.get(index ^ 1, bytes(PAGE_SIZE)) != page:
        assert root_of_proof(page, index ^ 1, proof) != tree.root


def test_a_proof_for_an_index_outside_is_refused():
    tree = PageTree.build(PAGES, {})
    with pytest.raises(ValueError, match="too short"):
        root_of_proof(bytes(PAGE_SIZE), PAGES, tree.proof(0))


@pytest.mark.parametrize("pages", [b"", bytes(PAGE_SIZE - 1), bytes(PAGE_SIZE + 1)])
def test_a_proof_is_of_whole_pages(pages):
    with pytest.raises(ValueError, match="whole pages"):
        root_of_proof(pages, 0, PageTree.build(PAGES, {}).proof(0))


def test_only_full_trees():
    assert [height_of(n) for n in (1, 4, 64, 1 << 18)] == [0, 1, 3, 9]
    for count in (0, 2, 8, 63):
        with pytest.raises(ValueError, match="power of 4"):
            height_of(count)


def test_the_empty_gigabyte_is_pinned():
    tree = PageTree.build(1 << 18, {})
    assert to_hex(tree.root) == "0xb4354d7e27558e4ad3867b3a5a90473706d42d0619211b1cdedc4ceebc623ff7"
    state = MachineState(Digest(bytes(32)), tree.root, Digest(b"\1" * 32))
    assert to_hex(state.measurement()) == "0xe291311dd5d3fd3b16e6aa0472ef8069f9347926d293fd02fe301144374ace18"
