"""The file manifest: what the agent writes is read, all else is refused."""

from __future__ import annotations

import hashlib
import struct
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faas_blueprint.digests import ZERO_DIGEST, Digest, sha256
from faas_blueprint.file_manifest import (
    MANIFEST_CAPACITY,
    MANIFEST_PAGE,
    MANIFEST_PHYSICAL,
    FileEntry,
    FileKind,
    FileManifest,
    decode_header,
    decode_manifest,
    encode_manifest,
    folders_above,
    read_entries,
    sort_entries,
)

FILE = FileEntry("d/x.txt", FileKind.FILE, 0o644, 3, sha256(b"abc"))
LINK = FileEntry("link", FileKind.LINK, 0o777, 7, sha256(b"d/x.txt"))
FOLDER = FileEntry("d", FileKind.FOLDER, 0o755, 60, ZERO_DIGEST)
MANIFEST = FileManifest((FOLDER, FILE, LINK))

names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=6
).filter(lambda name: name not in (".", ".."))


def entry(path: str) -> FileEntry:
    return FileEntry(path, FileKind.FILE, 0o600, len(path), sha256(path.encode()))


def test_the_layout_is_the_agents():
    """Written down once more, by hand."""
    assert (MANIFEST_PHYSICAL, MANIFEST_PAGE, MANIFEST_CAPACITY) == (0x11900000, 0x11900, 3 << 20)
    body = struct.pack("<BBHIQ", 0, 0, 0o644, 7, 3) + hashlib.sha256(b"abc").digest() + b"d/x.txt\0"
    header = b"FAMSMAN1" + struct.pack("<IIQQ", 1, 1, len(body), 0)
    assert decode_manifest(header + body) == FileManifest((FILE,), incomplete=True)
    assert encode_manifest(FileManifest((FILE,), incomplete=True)) == header + body


@given(st.sets(names, max_size=8), st.booleans(), st.binary(max_size=99))
@settings(max_examples=60)
def test_what_is_encoded_is_decoded(paths, incomplete, behind):
    manifest = FileManifest(sort_entries([entry(path) for path in paths]), incomplete)
    encoded = encode_manifest(manifest)
    assert decode_manifest(encoded) == manifest
    assert decode_manifest(encoded + behind) == manifest


def test_an_empty_folder_and_all_kinds():
    assert decode_manifest(encode_manifest(FileManifest(()))) == FileManifest(())
    assert decode_manifest(encode_manifest(MANIFEST)) == MANIFEST
    assert MANIFEST.by_path()["link"] is LINK


def test_order_is_that_of_bytes():
    paths = ["Z", "a", "a-b", "a.b", "ab", "é", "\uffff", "\U00010000"]
    entries = tuple(entry(path) for path in paths)
    assert sort_entries(entries[::-1]) == entries
    assert decode_manifest(encode_manifest(FileManifest(entries))).entries == entries


@given(st.integers(0, 300))
def test_a_manifest_that_is_cut_gives_what_is_whole(size):
    encoded = encode_manifest(MANIFEST)
    if size < 32:
        with pytest.raises(ValueError, match="a header has 32 bytes"):
            decode_header(encoded[:size])
        return
    found = tuple(entry for entry, _ in read_entries(encoded[:size], decode_header(encoded)))
    assert found == MANIFEST.entries[: len(found)]
    if size < len(encoded):
        assert len(found) < 3
        with pytest.raises(ValueError, match="are there"):
            decode_manifest(encoded[:size])


def changed(offset: int, value: bytes) -> bytes:
    encoded = encode_manifest(MANIFEST)
    return encoded[:offset] + value + encoded[offset + len(value) :]


REFUSED = {
    "no manifest": (bytes(4096), "was not kept"),
    "another magic": (changed(7, b"2"), "was not kept"),
    "incomplete is 2": (changed(12, b"\2"), "header is not valid"),
    "reserved in the header": (changed(31, b"\1"), "header is not valid"),
    "larger than its room": (changed(16, struct.pack("<Q", MANIFEST_CAPACITY - 31)), "header is not valid"),
    "fewer entries than bytes": (changed(8, b"\2"), "the header says"),
    "more entries than bytes": (changed(8, b"\4"), "does not end within"),
    "an unknown kind": (changed(32, b"\3"), "entry at byte 32 is not valid"),
    "a folder with a hash": (changed(48, b"\1"), "entry at byte 32 is not valid"),
    "a file without a hash": (changed(88 + 16, bytes(32)), "entry at byte 88 is not valid"),
    "reserved in an entry": (changed(33, b"\1"), "entry at byte 32 is not valid"),
    "mode with a file type": (changed(34, struct.pack("<H", 0o100644)), "entry at byte 32 is not valid"),
    "padding": (changed(81, b"\1"), "not padded with zeros"),
    "a path longer than all": (changed(36, b"\xff\xff\xff\xff"), "does not end within"),
    "not UTF-8": (changed(80, b"\xff"), "not UTF-8"),
    "a zero in a path": (changed(80, b"\0"), "not a path"),
    "an empty path": (changed(36, b"\0"), "not a path"),
    "an absolute path": (changed(88 + 48, b"/"), "not a path"),
    "the folder itself": (changed(80, b"."), "not a path"),
    "not sorted": (changed(80, b"z"), "not sorted"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    data, reason = REFUSED[what]
    with pytest.raises(ValueError, match=reason):
        decode_manifest(data)


@pytest.mark.parametrize("path", ["/a", "a/", "a//b", "a/../b", "..", "./a", "\ud800"])
def test_paths_that_are_not_encoded(path):
    with pytest.raises(ValueError, match=r"not a path|surrogates"):
        encode_manifest(FileManifest((entry(path),)))


def test_twice_and_inside_a_file():
    with pytest.raises(ValueError, match="not sorted"):
        encode_manifest(FileManifest((LINK, LINK)))
    with pytest.raises(ValueError, match="'d' is no folder"):
        encode_manifest(FileManifest((replace(FILE, path="d"), entry("d-e"), FILE)))


def test_sameness_leaves_out_what_says_nothing():
    assert FOLDER.same_as(replace(FOLDER, size=4096))
    assert LINK.same_as(replace(LINK, mode=0o755))
    assert not FILE.same_as(replace(FILE, mode=0o755))
    assert not FILE.same_as(replace(FILE, sha256=Digest(bytes(31) + b"\1")))
    assert not FILE.same_as(None)


def test_folders_above():
    assert folders_above("a/b/c") == ["a", "a/b"]
    assert folders_above("a") == []


def test_a_full_manifest_is_read_quickly():
    entries = tuple(entry(f"folder-{number // 100:04}/{number:06}") for number in range(40_000))
    encoded = encode_manifest(FileManifest(entries))
    assert len(encoded) > MANIFEST_CAPACITY * 9 // 10
    started = time.process_time()
    decode_manifest(encoded)
    assert time.process_time() - started < 2
