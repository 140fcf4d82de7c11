"""Merging three trees of files: every rule, every kind, every strategy, and what must always hold."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from faas_blueprint.digests import ZERO_DIGEST, Digest, sha256
from faas_blueprint.errors import Divergence, InvalidRequest, MissingPrerequisite, NotFound
from faas_blueprint.file_manifest import FileEntry, FileKind, FileManifest, folders_above
from faas_blueprint.operation import Strategy
from faas_microvm.line_merge import merge_lines
from faas_microvm.merge import (
    ConflictKind,
    FileWrite,
    MergeResult,
    common_ancestor,
    files_of,
    merge_files,
)

Version = tuple[FileKind, int, bytes]
Tree = dict[str, Version]

STRATEGIES = tuple(Strategy)
THREE_WAY, OURS, THEIRS, UNION = STRATEGIES


def file(content: bytes | str, mode: int = 0o644) -> Version:
    return (FileKind.FILE, mode, content.encode() if isinstance(content, str) else content)


def link(target: str) -> Version:
    return (FileKind.LINK, 0o777, target.encode())


def folder(mode: int = 0o755) -> Version:
    return (FileKind.FOLDER, mode, b"")


def entries(tree: Tree) -> dict[str, FileEntry]:
    return {
        path: FileEntry(
            path, kind, mode, len(content), ZERO_DIGEST if kind is FileKind.FOLDER else sha256(content)
        )
        for path, (kind, mode, content) in tree.items()
    }


def merge(base: Tree, ours: Tree, theirs: Tree, strategy: Strategy = THREE_WAY) -> MergeResult:
    contents = {sha256(item[2]): item[2] for tree in (base, ours, theirs) for item in tree.values()}
    sides = entries(base), entries(ours), entries(theirs)
    return merge_files(*sides, lambda entry: contents[entry.sha256], strategy)


def applied(tree: Tree, result: MergeResult) -> Tree:
    """What a machine does with a result: it refuses what a file system would."""
    done = dict(tree)
    for path in result.deletions:
        assert not any(other.startswith(path + "/") for other in done)
        del done[path]
    for write in result.writes:
        there = done.get(write.path)
        assert there is None or there[0] is write.kind
        for above in folders_above(write.path):
            assert done[above][0] is FileKind.FOLDER
        done[write.path] = (write.kind, write.mode, write.content)
    return done


def merged(base: Tree, ours: Tree, theirs: Tree, strategy: Strategy = THREE_WAY) -> Tree:
    result = merge(base, ours, theirs, strategy)
    assert result.conflicts == ()
    return applied(ours, result)


def conflicts(base: Tree, ours: Tree, theirs: Tree, strategy: Strategy = THREE_WAY) -> list[tuple[str, str]]:
    result = merge(base, ours, theirs, strategy)
    assert (result.writes, result.deletions) == ((), ())
    return [(conflict.path, str(conflict.kind)) for conflict in result.conflicts]


LINES = "".join(f"{number}\n" for number in range(9))
FIRST = LINES.replace("0\n", "first\n")
LAST = LINES.replace("8\n", "last\n")


FULL = {"a": folder(), "a/b": file("")}


# What is no conflict, whatever the strategy


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("base", "ours", "theirs", "expected"),
    [
        ({}, {}, {}, {}),
        ({}, {"a": file("1")}, {"b": file("2")}, {"a": file("1"), "b": file("2")}),
        ({}, {"a": file("1")}, {"a": file("1")}, {"a": file("1")}),
        ({"a": file("0")}, {"a": file("1")}, {"a": file("1")}, {"a": file("1")}),
        ({"a": file("0")}, {"a": file("0")}, {"a": file("1")}, {"a": file("1")}),
        ({"a": file("0")}, {"a": file("1")}, {"a": file("0")}, {"a": file("1")}),
        ({"a": file("0")}, {}, {"a": file("0")}, {}),
        ({"a": file("0")}, {"a": file("0")}, {}, {}),
        ({"a": file("0")}, {}, {}, {}),
        ({"a": file(LINES)}, {"a": file(FIRST)}, {"a": file(LAST)}, {"a": file(FIRST.replace("8", "last"))}),
        ({"a": file("0")}, {"a": file("0", 0o755)}, {"a": file("1")}, {"a": file("1", 0o755)}),
        ({"a": file("0")}, {"a": file("1")}, {"a": file("0", 0o600)}, {"a": file("1", 0o600)}),
        ({"a": file("0")}, {"a": file("1", 0o600)}, {"a": file("0", 0o600)}, {"a": file("1", 0o600)}),
        ({"a": file("\0")}, {"a": file("\0", 0o755)}, {"a": file("\0\1")}, {"a": file("\0\1", 0o755)}),
        ({"a": link("x")}, {"a": link("y")}, {"a": link("x")}, {"a": link("y")}),
        ({"a": link("x")}, {"a": link("x")}, {"a": link("y")}, {"a": link("y")}),
        ({"a": file("0")}, {"a": link("x")}, {"a": link("x")}, {"a": link("x")}),
        ({"a": file("0")}, {"a": file("0")}, {"a": link("x")}, {"a": link("x")}),
        ({"a": file("0")}, {"a": file("0")}, FULL, FULL),
        (FULL, FULL, {"a": file("0")}, {"a": file("0")}),
        ({"a": folder()}, {"a": folder(0o700)}, FULL, {**FULL, "a": folder(0o700)}),
        ({"a": folder()}, {"a": folder()}, {"a": folder(0o700)}, {"a": folder(0o700)}),
        ({}, {"a": file("")}, {"a": file("x\n")}, {"a": file("x\n")}),
        ({"a": file("")}, {"a": file("x\n")}, {"a": file("")}, {"a": file("x\n")}),
        ({"a": file("x\n")}, {"a": file("")}, {"a": file("x\n")}, {"a": file("")}),
    ],
)  # fmt: skip
def test_no_conflict(base, ours, theirs, expected, strategy):
    assert merged(base, ours, theirs, strategy) == expected


def test_writes_and_deletions_are_in_order():
    base = {"d": folder(), "d/e": folder(), "d/e/f": file("0"), "x": folder(), "x/y": file("1")}
    theirs = {"d": file("now a file"), "n": folder(), "n/m": folder(), "n/m/o": file("2")}
    result = merge(base, base, theirs)
    assert result.deletions == ("x/y", "x", "d/e/f", "d/e", "d")
    assert [write.path for write in result.writes] == ["d", "n", "n/m", "n/m/o"]
    assert result.writes[0] == FileWrite("d", FileKind.FILE, 0o644, b"now a file")


# Conflicts, and what strategies make of them

CONFLICTS = {
    "content": (
        {"a": file("0\n")}, {"a": file("1\n")}, {"a": file("2\n")},
        [("a", "content")], {"a": file("1\n2\n")},
    ),
    "both added": ({}, {"a": file("1\n")}, {"a": file("2\n")}, [("a", "content")], {"a": file("1\n2\n")}),
    "binary": ({"a": file("0")}, {"a": file("1")}, {"a": file("2\0")}, [("a", "binary")], None),
    "binary before": ({"a": file("\0")}, {"a": file("1")}, {"a": file("2")}, [("a", "binary")], None),
    "mode": ({"a": file("0")}, {"a": file("0", 0o755)}, {"a": file("0", 0o600)}, [("a", "mode")], None),
    "mode, both added": ({}, {"a": file("0", 0o755)}, {"a": file("0", 0o600)}, [("a", "mode")], None),
    "mode of folders": ({}, {"a": folder(0o700)}, {"a": folder()}, [("a", "mode")], None),
    "content and mode": (
        {"a": file("0")}, {"a": file("1", 0o755)}, {"a": file("2", 0o600)},
        [("a", "content"), ("a", "mode")], None,
    ),
    "links": ({"a": link("0")}, {"a": link("1")}, {"a": link("2")}, [("a", "content")], None),
    "deleted by us": ({"a": file("0")}, {}, {"a": file("1")}, [("a", "delete-modify")], {"a": file("1")}),
    "deleted by them": ({"a": file("0")}, {"a": file("1")}, {}, [("a", "delete-modify")], {"a": file("1")}),
    "deleted, another mode": (
        {"a": file("0")}, {"a": file("0", 0o600)}, {}, [("a", "delete-modify")], {"a": file("0", 0o600)},
    ),
    "file and link": ({}, {"a": file("0")}, {"a": link("0")}, [("a", "type")], None),
    "file and folder": ({}, {"a": file("0")}, {"a": folder(), "a/b": file("")}, [("a", "type")], None),
    "folder and link": ({}, {"a": folder(), "a/b": file("")}, {"a": link("b")}, [("a", "type")], None),
    "file where they add": (
        {"a": folder()}, {"a": file("0")}, {"a": folder(), "a/b": file("")}, [("a", "type")], None,
    ),
    "they link away what we add to": (
        {"a": folder()}, {"a": folder(), "a/b": file("")}, {"a": link("/")}, [("a", "type")], None,
    ),
    "file where they change": (
        {"a": folder(), "a/b": file("0"), "a/c": file("")},
        {"a": file("0")},
        {"a": folder(), "a/b": file("1"), "a/c": file("")},
        [("a", "type"), ("a/b", "delete-modify")], None,
    ),
    "folders in folders": (
        {"a": folder(), "a/b": folder(), "a/b/c": file("0")},
        {"a": file("0")},
        {"a": folder(), "a/b": link("x")},
        [("a", "type"), ("a/b", "delete-modify")], None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CONFLICTS)
def test_conflicts(what):
    base, ours, theirs, expected, union = CONFLICTS[what]
    assert conflicts(base, ours, theirs) == expected
    assert conflicts(base, theirs, ours) == expected
    assert merged(base, ours, theirs, OURS) == ours
    assert merged(base, ours, theirs, THEIRS) == theirs
    if union is None:
        assert conflicts(base, ours, theirs, UNION)
    else:
        assert merged(base, ours, theirs, UNION) == union


def test_one_conflict_leaves_all_as_it_is_and_shows_both_sides():
    base = {"a": file("0"), "b": file("0"), "d": folder()}
    ours = {"a": file("1"), "b": file("0"), "d": folder(0o700)}
    theirs = {"b": file("2"), "c": file("3"), "d": folder(0o711)}
    result = merge(base, ours, theirs)
    assert (result.writes, result.deletions) == ((), ())
    deleted, mode = result.conflicts
    assert (deleted.path, deleted.kind) == ("a", ConflictKind.DELETE_MODIFY)
    assert (deleted.ours, deleted.theirs, deleted.base) == (b"1", None, b"0")
    assert (mode.ours, mode.theirs, mode.base) == (None, None, None)
    assert mode.ours_entry is not None
    assert mode.theirs_entry is not None
    assert (mode.ours_entry.mode, mode.theirs_entry.mode) == (0o700, 0o711)


def test_sides_are_taken_where_lines_clash_only():
    ours, theirs = FIRST.replace("4", "ours"), LAST.replace("4", "theirs")
    trees = {"a": file(LINES)}, {"a": file(ours)}, {"a": file(theirs)}
    both = FIRST.replace("8", "last")
    assert merged(*trees, OURS) == {"a": file(both.replace("4", "ours"))}
    assert merged(*trees, THEIRS) == {"a": file(both.replace("4", "theirs"))}
    assert merged(*trees, UNION) == {"a": file(both.replace("4", "ours\ntheirs"))}


def test_something_stays_in_a_folder_that_was_deleted():
    base = {"d": folder(0o700), "d/x": file("0"), "d/e": folder(), "d/e/y": file("1")}
    theirs = {**base, "d/e/new": file("2")}
    expected = {"d": folder(0o700), "d/e": folder(), "d/e/new": file("2")}
    assert merged(base, {}, theirs) == expected
    assert merged(base, theirs, {}) == expected


def test_the_side_that_is_taken_keeps_its_whole_folder():
    base = {"d": folder(), "d/x": file("0"), "d/y": file("1")}
    theirs = {**base, "d/y": file("2")}
    assert merged(base, {"d": file("x")}, theirs, THEIRS) == theirs
    assert merged(base, theirs, {"d": file("x")}, OURS) == theirs


# Texts


def test_line_ends_stay_as_they_are():
    base, ours, theirs = (text.replace("\n", "\r\n") for text in (LINES, FIRST, LAST))
    both = FIRST.replace("8", "last").replace("\n", "\r\n")
    assert merged({"a": file(base)}, {"a": file(ours)}, {"a": file(theirs)}) == {"a": file(both)}
    assert conflicts({"a": file(LINES)}, {"a": file(base)}, {"a": file(FIRST)}) == [("a", "content")]


def test_no_line_feed_at_the_end():
    base = LINES + "end"
    assert merged({"a": file(base)}, {"a": file(base + "\n")}, {"a": file(FIRST + "end")}) == {
        "a": file(FIRST + "end\n")
    }
    assert merged({}, {"a": file("1")}, {"a": file("2")}, UNION) == {"a": file("1\n2")}


def test_text_need_not_be_utf_8():
    base = b"\xff\n" + LINES.encode()
    ours, theirs = base.replace(b"0", b"\xfe"), base.replace(b"8", b"\xfd")
    both = ours.replace(b"8", b"\xfd")
    assert merged({"a": file(base)}, {"a": file(ours)}, {"a": file(theirs)}) == {"a": file(both)}


def test_text_that_looks_like_markers():
    marked = "<<<<<<< ours\n=======\n>>>>>>> theirs\n"
    trees = {"a": file(marked + LINES)}, {"a": file(marked + FIRST)}, {"a": file(marked + LAST)}
    assert merged(*trees) == {"a": file(marked + FIRST.replace("8", "last"))}


def test_many_clashes_in_one_text():
    def text(word: str) -> str:
        return "".join(f"{word}\n" + "".join(f"{number}.{n}\n" for n in range(4)) for number in range(300))

    trees = {"a": file(text("0"))}, {"a": file(text("1"))}, {"a": file(text("2"))}
    assert conflicts(*trees) == [("a", "content")]
    assert merged(*trees, UNION) == {"a": file(text("1\n2"))}


def test_nobodys_settings_count(monkeypatch, tmp_path):
    settings_file = tmp_path / ".gitconfig"
    settings_file.write_text("[merge]\n\tconflictStyle = diff3\n[core]\n\tautocrlf = true\n\teol = crlf\n")
    plain = merge_lines(b"0\n", b"1\n", b"2\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".git/config").write_text(settings_file.read_text())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings_file))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert merge_lines(b"0\n", b"1\n", b"2\n") == plain
    assert plain.content == b"<<<<<<< ours\n1\n=======\n2\n>>>>>>> theirs\n"
    assert sorted(os.listdir(tmp_path)) == [".git", ".gitconfig"]


def test_without_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPrerequisite, match="needs git"):
        merge_lines(b"", b"1", b"2")


# What is handed in


def test_content_that_is_not_the_listed_one():
    sides = entries({}), entries({}), entries({"a": file("1")})
    with pytest.raises(Divergence, match="a does not hold what"):
        merge_files(*sides, lambda entry: b"2")


def test_incomplete_manifests_are_not_merged():
    assert files_of(FileManifest(())) == {}
    with pytest.raises(InvalidRequest, match="incomplete"):
        files_of(FileManifest((), incomplete=True))


def name(letter: str) -> Digest:
    return sha256(letter.encode())


def parents(text: str) -> Mapping[Digest, Digest | None]:
    """`ab` says that b's parent is a; `.b` that it has none."""
    return {name(pair[1]): None if pair[0] == "." else name(pair[0]) for pair in text.split()}


@pytest.mark.parametrize(
    ("tree", "left", "right", "expected"),
    [
        (".a", "a", "a", "a"),
        (".a ab", "a", "b", "a"),
        (".a ab ac", "b", "c", "a"),
        (".a ab bc cd be", "d", "e", "b"),
        (".a ab bc cd be", "e", "d", "b"),
        (".a ab bc", "c", "b", "b"),
    ],
)
def test_common_ancestor(tree, left, right, expected):
    assert common_ancestor(parents(tree), name(left), name(right)) == name(expected)


@pytest.mark.parametrize(
    ("tree", "what"),
    [(".a .b", "no common"), (".a", "no snapshot"), (".a cb", "no snapshot"), (".a bb", "no common")],
)
def test_no_common_ancestor(tree, what):
    with pytest.raises(NotFound, match=what):
        common_ancestor(parents(tree), name("a"), name("b"))


# What must always hold

TEXTS = ("", "1\n", "1\n2\n3\n", "0\n2\n3\n", "1\n2\n4\n", "1", "\0")
versions = st.one_of(
    st.builds(file, st.sampled_from(TEXTS), st.sampled_from([0o644, 0o755])),
    st.builds(link, st.sampled_from("ab")),
    st.builds(folder, st.sampled_from([0o755, 0o700])),
)


def consistent(tree: Tree) -> Tree:
    """Without what lies in what is no folder."""
    found: Tree = {}
    for path in sorted(tree):
        if all(found.get(above, file(""))[0] is FileKind.FOLDER for above in folders_above(path)):
            found[path] = tree[path]
    return found


trees = st.dictionaries(
    st.sampled_from(["a", "a/a", "a/b", "a/a/a", "a-b", "b"]), versions, max_size=6
).map(consistent)  # fmt: skip
often = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(trees, trees)
@often
def test_one_side_alone(base, ours):
    assert merged(base, ours, base) == ours
    assert merged(base, base, ours) == ours
    assert merged(base, ours, ours) == ours


@given(trees, trees, trees)
@often
def test_sides_that_are_taken_leave_no_conflict_and_a_tree(base, ours, theirs):
    taken = merged(base, ours, theirs, OURS)
    assert consistent(taken) == taken
    assert merged(base, theirs, ours, THEIRS) == taken


@given(trees, trees, trees)
@often
def test_who_merges_makes_no_difference(base, ours, theirs):
    result, other = merge(base, ours, theirs), merge(base, theirs, ours)
    assert merge(base, ours, theirs) == result
    assert [item.path for item in result.conflicts] == [item.path for item in other.conflicts]
    assume(not result.conflicts)
    tree = applied(ours, result)
    assert tree == applied(theirs, other)
    assert consistent(tree) == tree
    for strategy in STRATEGIES:
        assert merged(base, ours, theirs, strategy) == tree


@given(trees, trees, trees)
@often
def test_union_lists_what_is_left_or_gives_a_tree(base, ours, theirs):
    result = merge(base, ours, theirs, UNION)
    if result.conflicts:
        listed = {item.path for item in merge(base, ours, theirs).conflicts}
        assert {item.path for item in result.conflicts} <= listed | {"a", "a/a"}
    else:
        tree = applied(ours, result)
        assert consistent(tree) == tree
