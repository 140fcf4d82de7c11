"""Proofs of pages and files: what holds is accepted, and whatever is changed is refused and named."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faas_blueprint.digests import ZERO_DIGEST, Digest, sha256
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.file_manifest import (
    MANIFEST_CAPACITY,
    MANIFEST_PAGE,
    FileEntry,
    FileKind,
    FileManifest,
    encode_manifest,
    sort_entries,
)
from faas_blueprint.measurement import MachineState
from faas_blueprint.merkle import PAGE_SIZE, PageTree, hash_page
from faas_blueprint.proof import (
    FileProof,
    PageProof,
    ProofRefuted,
    prove_file,
    prove_pages,
    verify_file_proof,
    verify_page_proof,
)
from faas_blueprint.proof_json import proof_from_json, proof_to_json

EMPTY = PageTree.build(1 << 18, {})


def entry(path: str, content: bytes = b"") -> FileEntry:
    return FileEntry(path, FileKind.FILE, 0o644, len(content), sha256(content))


FOLDER = FileEntry("d", FileKind.FOLDER, 0o755, 0, ZERO_DIGEST)
LINK = FileEntry("e", FileKind.LINK, 0o777, 4, sha256(b"d/10"))
FILES = tuple(entry(f"d/{number:02}", b"%d" % number) for number in range(99))
MANIFEST = FileManifest(sort_entries((FOLDER, LINK, *FILES)))


class Kept:
    """RAM that holds a manifest and nothing else."""

    def __init__(self, manifest: bytes) -> None:
        self.region = manifest.ljust(MANIFEST_CAPACITY, b"\0")
        count = -(-len(manifest) // PAGE_SIZE)
        pages = [self.region[number * PAGE_SIZE : (number + 1) * PAGE_SIZE] for number in range(count)]
        leaves = {MANIFEST_PAGE + number: hash_page(page) for number, page in enumerate(pages)}
        self.tree = EMPTY.with_changes(leaves)
        self.state = MachineState(Digest(b"\1" * 32), self.tree.root, Digest(b"\2" * 32))

    def file(self, path: str, content: bytes | None = None) -> FileProof:
        return prove_file(self.tree, self.state, self.region, path, content)

    def pages(self, count: int) -> PageProof:
        return prove_pages(self.tree, self.state, MANIFEST_PAGE, self.region[: count * PAGE_SIZE])


@pytest.fixture(scope="module")
def kept():
    return Kept(encode_manifest(MANIFEST))


def test_every_entry_is_proven_and_pages_are_as_few_as_can_be(kept):
    sizes = []
    for listed in MANIFEST.entries:
        proof = kept.file(listed.path)
        assert proof.entry == listed
        verify_file_proof(proof, kept.state.measurement())
        sizes.append(len(proof.manifest.pages) // PAGE_SIZE)
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (1, 2)


def test_one_entry_lies_across_a_border(kept):
    """With the page it starts in alone it is not proven."""
    crossing = (PAGE_SIZE - 32) // 56
    proof = kept.file(MANIFEST.entries[crossing].path)
    assert len(proof.manifest.pages) == 2 * PAGE_SIZE
    with pytest.raises(ProofRefuted, match="not inside the proven pages"):
        verify_file_proof(replace(proof, manifest=kept.pages(1)))
    assert len(kept.file(MANIFEST.entries[crossing - 1].path).manifest.pages) == PAGE_SIZE


def test_contents(kept):
    verify_file_proof(kept.file("d/10", b"10"), content=b"10")
    verify_file_proof(kept.file("e", b"d/10"))
    with pytest.raises(ProofRefuted, match="sha256 of the content"):
        verify_file_proof(kept.file("d/10"), content=b"11")
    with pytest.raises(ProofRefuted, match="size of the content is 3, not 2"):
        verify_file_proof(kept.file("d/10"), content=b"100")
    with pytest.raises(ProofRefuted, match="a folder"):
        verify_file_proof(kept.file("d"), content=b"")
    with pytest.raises(InvalidRequest, match="sha256 of the content"):
        kept.file("d/10", b"11")


@pytest.mark.parametrize("path", ["a", "d/", "d/100", "d/98x", "f", "d/10/x"])
def test_absence(kept, path):
    if path == "d/":
        with pytest.raises(InvalidRequest, match="not a path"):
            kept.file(path)
        return
    proof = kept.file(path)
    assert proof.entry is None
    verify_file_proof(proof, kept.state.measurement())
    with pytest.raises(ProofRefuted, match="said to be there"):
        verify_file_proof(replace(proof, entry=entry(path)))
    with pytest.raises(ProofRefuted, match="no content: not there"):
        verify_file_proof(proof, content=b"")


def test_absence_is_not_shown_by_pages_that_end_before(kept):
    proof = FileProof(kept.pages(1), "f", None)
    with pytest.raises(ProofRefuted, match="not inside the proven pages"):
        verify_file_proof(proof)


def test_an_incomplete_manifest_shows_what_is_there_only():
    kept = Kept(encode_manifest(replace(MANIFEST, incomplete=True)))
    verify_file_proof(kept.file("e"))
    with pytest.raises(InvalidRequest, match="incomplete"):
        kept.file("f")
    with pytest.raises(ProofRefuted, match="incomplete"):
        verify_file_proof(FileProof(kept.pages(2), "f", None))


def test_an_empty_folder():
    kept = Kept(encode_manifest(FileManifest(())))
    verify_file_proof(kept.file("x"))


def test_a_name_that_reads_as_a_manifest_is_none():
    """A path may be as long as it likes, and begin a page with the magic."""
    trap = entry("a" * (PAGE_SIZE - 80) + "FAMSMAN1" + "\1" * 200)
    kept = Kept(encode_manifest(FileManifest((trap,))))
    assert kept.region[PAGE_SIZE:].startswith(b"FAMSMAN1")
    assert kept.file("z").entry is None
    shifted = prove_pages(kept.tree, kept.state, MANIFEST_PAGE + 1, kept.region[PAGE_SIZE : 2 * PAGE_SIZE])
    with pytest.raises(ProofRefuted, match="not the manifest's first"):
        verify_file_proof(FileProof(shifted, "z", None))


def test_a_manifest_elsewhere_in_memory_is_none():
    """A job can write what it wants into its own pages."""
    content = encode_manifest(MANIFEST).ljust(2 * PAGE_SIZE, b"\0")
    first = 4096
    tree = EMPTY.with_changes({first + n: hash_page(content[n * PAGE_SIZE :][:PAGE_SIZE]) for n in (0, 1)})
    state = MachineState(ZERO_DIGEST, tree.root, ZERO_DIGEST)
    pages = prove_pages(tree, state, first, content)
    with pytest.raises(ProofRefuted, match="page 4096 is not the manifest's first"):
        verify_file_proof(FileProof(pages, "e", LINK))
    with pytest.raises(ProofRefuted, match="RAM root"):
        verify_file_proof(FileProof(replace(pages, index=MANIFEST_PAGE), "e", LINK))


def test_a_machine_that_was_not_kept():
    state = MachineState(ZERO_DIGEST, EMPTY.root, ZERO_DIGEST)
    with pytest.raises(InvalidRequest, match="not kept"):
        prove_file(EMPTY, state, bytes(MANIFEST_CAPACITY), "a")
    with pytest.raises(ProofRefuted, match="not kept"):
        verify_file_proof(FileProof(prove_pages(EMPTY, state, MANIFEST_PAGE, bytes(PAGE_SIZE)), "a", None))


@pytest.mark.parametrize("count", [0, 1, 767, 768])
def test_all_of_the_range(kept, count):
    """Up to the whole range, and never beyond it."""
    if count == 0:
        with pytest.raises(InvalidRequest, match="0 pages"):
            kept.pages(0)
        return
    proof = FileProof(kept.pages(count), "d/00", FILES[0])
    verify_file_proof(proof)
    longer = prove_pages(kept.tree, kept.state, MANIFEST_PAGE, kept.region + bytes(PAGE_SIZE))
    with pytest.raises(ProofRefuted, match="more than a manifest"):
        verify_file_proof(replace(proof, manifest=longer))


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_a_flipped_byte_anywhere_is_refused(kept, data):
    proof = kept.file("d/98")
    flat = proof_to_json(proof)
    name = data.draw(st.sampled_from(["measurement", "profile_id", "ram_root", "device_hash", "pages"]))
    raw = bytearray.fromhex(str(flat[name])[2:])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ProofRefuted, match=r"RAM root|measurement"):
        verify_file_proof(proof_from_json({**flat, name: "0x" + raw.hex()}))


@pytest.mark.parametrize("level", range(9))
def test_siblings_that_are_changed_missing_or_more(kept, level):
    proof = kept.file("d/98").manifest
    siblings = proof.siblings
    assert [len(part) for part in siblings] == [64, *[96] * 8]
    flipped = bytes([siblings[level][0] ^ 1]) + siblings[level][1:]
    for other in (
        (*siblings[:level], flipped, *siblings[level + 1 :]),
        (*siblings[:level], *siblings[level + 1 :]),
        (*siblings, siblings[level]),
    ):
        with pytest.raises(ProofRefuted, match=r"RAM root|page 71936"):
            verify_page_proof(replace(proof, siblings=other))


def test_what_does_not_hold_is_named(kept):
    proof = kept.file("d/10")
    assert proof.entry is not None
    for field, value in (("kind", FileKind.LINK), ("mode", 0o600), ("size", 3), ("sha256", ZERO_DIGEST)):
        with pytest.raises(ProofRefuted, match=f"{field} of the entry is"):
            verify_file_proof(replace(proof, entry=replace(proof.entry, **{field: value})))
    with pytest.raises(ProofRefuted, match="is said not to be there"):
        verify_file_proof(replace(proof, entry=None))
    with pytest.raises(ProofRefuted, match="expected measurement is"):
        verify_file_proof(proof, measurement=ZERO_DIGEST)
    state = replace(proof.manifest.state, device_hash=ZERO_DIGEST)
    with pytest.raises(ProofRefuted, match="measurement is"):
        verify_page_proof(replace(proof.manifest, state=state))
    with pytest.raises(ProofRefuted, match="RAM root is"):
        verify_page_proof(replace(proof.manifest, index=MANIFEST_PAGE + 4))
    with pytest.raises(ProofRefuted, match="too short"):
        verify_page_proof(replace(proof.manifest, index=MANIFEST_PAGE + (1 << 18)))


def test_only_the_machines_own_pages_are_proven(kept):
    with pytest.raises(InvalidRequest, match="RAM root"):
        prove_pages(kept.tree, kept.state, 5, b"\1" * PAGE_SIZE)
    with pytest.raises(InvalidRequest, match="whole pages"):
        prove_pages(kept.tree, kept.state, 5, bytes(PAGE_SIZE + 1))
    with pytest.raises(InvalidRequest, match="of 262144"):
        prove_pages(kept.tree, kept.state, 1 << 18, bytes(PAGE_SIZE))


def test_json_and_back(kept):
    page = prove_pages(kept.tree, kept.state, 7, bytes(PAGE_SIZE))
    for proof in (page, kept.file("d/10", b"10"), kept.file("e"), kept.file("nothing"), kept.file("d")):
        assert proof_from_json(json.loads(json.dumps(proof_to_json(proof)))) == proof


MISTAKES = [
    ({"format": "faas page proof 1"}, "unknown field 'content'"),
    ({"format": "faas file proof 2"}, "the file is no proof"),
    ({"more": 1}, "unknown field 'more'"),
    ({"path": None}, "path: field|path: expected a text"),
    ({"path": "\ud800"}, "path: expected a text"),
    ({"measurement": "0x12"}, "measurement: expected 0x and 64"),
    ({"ram_root": 5}, "ram_root: expected a text"),
    ({"pages": "12"}, "pages: expected 0x"),
    ({"pages": "0xAB"}, "pages: expected 0x and lower-case"),
    ({"pages": "0x1 2"}, "pages: expected 0x"),
    ({"page_index": -1}, "page_index: expected an integer"),
    ({"page_index": True}, "page_index: expected an integer"),
    ({"siblings": "0x"}, "siblings: expected a list"),
    ({"siblings": ["0x"] * 33}, "siblings: expected a list"),
    ({"siblings": [5]}, r"siblings\[0\]: expected"),
    ({"entry": []}, "entry: expected an object"),
    ({"entry": {}}, "entry: field 'kind' is missing"),
    ({"entry": {"kind": "device", "mode": 0, "size": 0, "sha256": "0x"}}, "one of file, link, folder"),
    ({"content": 5}, "content: expected"),
]


@pytest.mark.parametrize(("change", "reason"), MISTAKES)
def test_json_is_read_strictly(kept, change, reason):
    with pytest.raises(InvalidRequest, match=reason):
        proof_from_json({**proof_to_json(kept.file("d/10", b"10")), **change})


@pytest.mark.parametrize("data", [None, [], "x", {}, {"format": ["faas page proof 1"]}])
def test_json_that_is_no_proof(data):
    with pytest.raises(InvalidRequest, match="is no proof"):
        proof_from_json(data)


def test_the_contracts_vectors_are_reproduced():
    folder = Path(__file__).parents[1] / "vectors"
    made = runpy.run_path(str(folder / "make_page_proofs.py"))["vectors"]()
    assert json.loads((folder / "page_proofs.json").read_text()) == made
