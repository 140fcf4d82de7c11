"""What differs between two file manifests."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from faas_blueprint.digests import ZERO_DIGEST, sha256, to_hex
from faas_blueprint.file_manifest import FileEntry, FileKind, FileManifest, sort_entries
from faas_microvm.file_diff import FileDiff, ModifiedFile, diff_files, diff_to_json

FOLDER = FileEntry("d", FileKind.FOLDER, 0o755, 0, ZERO_DIGEST)
FILE = FileEntry("d/a", FileKind.FILE, 0o644, 1, sha256(b"a"))
LINK = FileEntry("l", FileKind.LINK, 0o777, 1, sha256(b"d"))
BEFORE = FileManifest((FOLDER, FILE, LINK))

entries = st.builds(
    lambda path, mode, content: FileEntry(path, FileKind.FILE, mode, len(content), sha256(content)),
    st.sampled_from("abcd"),
    st.sampled_from([0o600, 0o644]),
    st.sampled_from([b"", b"x"]),
)
manifests = st.builds(
    FileManifest, st.lists(entries, unique_by=lambda entry: entry.path).map(sort_entries), st.booleans()
)


def test_added_removed_modified():
    longer = replace(FILE, size=2, sha256=sha256(b"ab"))
    more = replace(FILE, path="d/b")
    diff = diff_files(BEFORE, FileManifest((FOLDER, longer, more)))
    assert diff == FileDiff((more,), (LINK,), (ModifiedFile(FILE, longer),), False)
    assert diff.modified[0].path == "d/a"
    assert diff.modified[0].content_changed
    assert not diff.empty


def test_permission_bits_and_kind():
    other = replace(FILE, mode=0o755)
    file = replace(FILE, path="l")
    diff = diff_files(BEFORE, FileManifest((FOLDER, other, file)))
    assert diff.modified == (ModifiedFile(FILE, other), ModifiedFile(LINK, file))
    assert [item.content_changed for item in diff.modified] == [False, True]


def test_what_says_nothing_is_no_difference():
    after = FileManifest((replace(FOLDER, size=4096), FILE, replace(LINK, mode=0o755)))
    assert diff_files(BEFORE, after).empty


def test_incomplete_is_carried_along():
    incomplete = replace(BEFORE, incomplete=True)
    assert diff_files(incomplete, BEFORE).incomplete
    assert diff_files(BEFORE, incomplete).incomplete
    assert not diff_files(BEFORE, BEFORE).incomplete


def test_json():
    after = FileManifest((FOLDER, replace(FILE, mode=0o600), replace(FILE, path="x")), incomplete=True)
    data = json.loads(json.dumps(diff_to_json(diff_files(BEFORE, after))))
    plain = {"kind": "file", "mode": 0o644, "size": 1, "sha256": to_hex(FILE.sha256)}
    assert data == {
        "added": [{"path": "x", **plain}],
        "removed": [
            {"path": "l", "kind": "link", "mode": 0o777, "size": 1, "sha256": to_hex(LINK.sha256)},
        ],
        "modified": [{"path": "d/a", "before": plain, "after": {**plain, "mode": 0o600}}],
        "incomplete": True,
    }


@given(manifests, manifests)
def test_a_diff_leads_from_one_to_the_other_and_back(before, after):
    diff, back = diff_files(before, after), diff_files(after, before)
    found = before.by_path()
    for entry in diff.removed:
        del found[entry.path]
    found |= {entry.path: entry for entry in (*diff.added, *(item.after for item in diff.modified))}
    assert found == after.by_path()
    assert (diff.added, diff.removed) == (back.removed, back.added)
    assert diff.empty == (before.entries == after.entries)
