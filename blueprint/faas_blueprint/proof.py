"""Proofs about a snapshot that need nothing but the snapshot's measurement: no VM, no store, no operator.

A *page proof* shows what pages side by side hold. From the pages and the siblings of their paths
follows the RAM root, from that and the other two parts the measurement.

A *file proof* shows what a kept machine's file manifest says of one path. It holds all pages of the
manifest from its header up to the entry, and they are parsed from the start: bytes inside another
entry, such as a name that looks like one, are then never taken for an entry. As entries are sorted,
the first that lies behind the path (or the manifest's end) shows in the same way that there is no
such path, unless the manifest is incomplete.

What follows from the measurement alone is what is checked here; whose measurement it is (a base
snapshot's, a result's state root) is for the reader to know. Files: see `proof_json`.
"""

from __future__ import annotations

from dataclasses import dataclass

from faas_blueprint.digests import Digest, sha256, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.file_manifest import (
    HEADER_SIZE,
    MANIFEST_CAPACITY,
    MANIFEST_PAGE,
    FileEntry,
    FileKind,
    checked_path,
    decode_header,
    read_entries,
)
from faas_blueprint.measurement import MachineState
from faas_blueprint.merkle import PAGE_SIZE, PageTree, root_of_proof


class ProofRefuted(InvalidRequest):
    """A proof that can be read does not hold; the message names what is not as it must be."""


@dataclass(frozen=True, slots=True)
class PageProof:
    """What the pages from `index` on hold in the machine with this measurement."""

    measurement: Digest
    state: MachineState
    """The measurement's three parts."""
    index: int
    """Of the first page."""
    pages: bytes
    """One whole page or more, side by side."""
    siblings: tuple[bytes, ...]
    """Per level from the leaves up, as of `PageTree.proof`."""


@dataclass(frozen=True, slots=True)
class FileProof:
    """What the file manifest of the machine with this measurement says of a path."""

    manifest: PageProof
    """The manifest's first page up to the one in which the deciding entry ends."""
    path: str
    entry: FileEntry | None
    """None: there is no such path."""
    content: bytes | None = None
    """A file's content or a link's target, if it is to be shown as well."""


def prove_pages(tree: PageTree, state: MachineState, index: int, pages: bytes) -> PageProof:
    """The proof of pages of a machine. Raises InvalidRequest when they are not the machine's."""
    try:
        siblings = tree.proof(index, len(pages) // PAGE_SIZE)
    except IndexError as error:
        raise InvalidRequest(str(error)) from error
    proof = PageProof(state.measurement(), state, index, pages, siblings)
    verify_page_proof(proof)
    return proof


def prove_file(
    tree: PageTree, state: MachineState, manifest: bytes, path: str, content: bytes | None = None
) -> FileProof:
    """The proof of a path's entry, or that there is none; `manifest` is the machine's whole range for it.

    Raises InvalidRequest when the manifest is not the machine's, cannot be read, does not decide (it is
    incomplete) or says otherwise of the content.
    """
    try:
        entry, end = _find(manifest, path)
    except ValueError as error:
        raise InvalidRequest(str(error)) from error
    pages = manifest[: -(-end // PAGE_SIZE) * PAGE_SIZE]
    proof = FileProof(prove_pages(tree, state, MANIFEST_PAGE, pages), path, entry, content)
    verify_file_proof(proof)
    return proof


def verify_page_proof(proof: PageProof, measurement: Digest | None = None) -> None:
    """Check a proof, and that it is of the machine with `measurement`. Raises ProofRefuted."""
    try:
        root = root_of_proof(proof.pages, proof.index, proof.siblings)
    except ValueError as error:
        raise ProofRefuted(f"page {proof.index}: {error}") from error
    _same("RAM root", proof.state.ram_root, root)
    _same("measurement", proof.measurement, proof.state.measurement())
    if measurement is not None:
        _same("expected measurement", measurement, proof.measurement)


def verify_file_proof(
    proof: FileProof, measurement: Digest | None = None, content: bytes | None = None
) -> None:
    """Check a proof, that it is of the machine with `measurement`, and `content` against the entry.

    `content` is a file's content or a link's target. Raises ProofRefuted.
    """
    verify_page_proof(proof.manifest, measurement)
    if proof.manifest.index != MANIFEST_PAGE:
        raise ProofRefuted(f"page {proof.manifest.index} is not the manifest's first, {MANIFEST_PAGE} is")
    if len(proof.manifest.pages) > MANIFEST_CAPACITY:
        raise ProofRefuted(f"{len(proof.manifest.pages)} bytes are more than a manifest has")
    try:
        entry, _ = _find(proof.manifest.pages, proof.path)
    except ValueError as error:
        raise ProofRefuted(str(error)) from error
    _compare_entries(proof.path, proof.entry, entry)
    for shown in (proof.content, content):
        if shown is not None:
            _check_content(proof.path, entry, shown)


def _find(manifest: bytes, path: str) -> tuple[FileEntry | None, int]:
    """A path's entry, None when it is not there, and how many bytes show it.

    Raises ValueError when what is there of the manifest does not decide, or is not valid.
    """
    header = decode_header(manifest)
    wanted = checked_path(path).encode()
    count, end = 0, HEADER_SIZE
    for count, (entry, end) in enumerate(read_entries(manifest, header), 1):  # noqa: B007
        if entry.path == path:
            return entry, end
        if entry.path.encode() > wanted:
            break
    else:
        if count < header.count:
            raise ValueError(f"the entry of {path!r} is not inside the proven pages")
    if header.incomplete:
        raise ValueError(f"{path!r} is not listed, but the file manifest is incomplete")
    return None, end


def _compare_entries(path: str, claimed: FileEntry | None, found: FileEntry | None) -> None:
    if claimed is None and found is not None:
        raise ProofRefuted(f"{path!r} is said not to be there, but it is listed")
    if found is None and claimed is not None:
        raise ProofRefuted(f"{path!r} is said to be there, but it is not listed")
    if claimed is not None and found is not None:
        _same("kind of the entry", claimed.kind.name.lower(), found.kind.name.lower())
        _same("mode of the entry", f"{claimed.mode:04o}", f"{found.mode:04o}")
        _same("size of the entry", claimed.size, found.size)
        _same("sha256 of the entry", claimed.sha256, found.sha256)


def _check_content(path: str, entry: FileEntry | None, content: bytes) -> None:
    if entry is None or entry.kind is FileKind.FOLDER:
        raise ProofRefuted(f"{path!r} has no content: {'not there' if entry is None else 'a folder'}")
    _same("size of the content", entry.size, len(content))
    _same("sha256 of the content", entry.sha256, sha256(content))


def _same(what: str, claimed: str | int | bytes, found: str | int | bytes) -> None:
    if claimed != found:
        shown = [to_hex(value) if isinstance(value, bytes) else value for value in (found, claimed)]
        raise ProofRefuted(f"{what} is {shown[0]}, not {shown[1]}", {"field": what})
