"""Output files: their order, their manifest, and what the outcome's digest form says of them."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas_blueprint.digests import ZERO_DIGEST, sha256
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.outcome import (
    MAX_OUTPUT_FILES,
    FileDigest,
    FilesDigest,
    Outcome,
    OutputFile,
    Status,
    Stream,
    decode_manifest,
    encode_manifest,
    files_manifest,
)

names = st.text("abz!é🐎", min_size=1, max_size=5)
contents = st.dictionaries(names, st.binary(max_size=20), max_size=5)


def output(contents: dict[str, bytes]) -> tuple[OutputFile, ...]:
    """Files in canonical order."""
    return tuple(OutputFile(path, content) for path, content in sorted(contents.items()))


def outcome(*files: OutputFile) -> Outcome:
    return Outcome(Status.EXITED, 0, 0, 1, Stream(), Stream(), ZERO_DIGEST, files)


@given(contents)
def test_a_manifest_comes_back_and_is_in_the_order_of_bytes(made):
    files = output(made)
    manifest = decode_manifest(files_manifest(files))
    assert manifest == outcome(*files).manifest()
    assert [line.path for line in manifest] == sorted(made, key=str.encode)


@given(contents)
def test_the_digest_form_counts_adds_up_and_hashes_the_manifest(made):
    files = output(made)
    digest = outcome(*files).summary().files
    size = sum(map(len, made.values()))
    assert digest == FilesDigest(len(made), size, sha256(files_manifest(files)), False)


def test_the_manifest_byte_by_byte():
    one = hashlib.sha256(b"one").digest()
    expected = b"\x01" + b"\x03" + b"\x03a/b" + (3).to_bytes(8, "big") + one
    assert files_manifest([OutputFile("a/b", b"one")]) == expected
    assert files_manifest([]) == b"\x00"


@pytest.mark.parametrize("paths", [("b", "a"), ("a", "a"), ("a", "a/b"), ("a", "a!", "a/b")])
def test_files_out_of_order_are_no_outcome(paths):
    files = [OutputFile(path, b"") for path in paths]
    with pytest.raises(InvalidRequest):
        outcome(*files)
    with pytest.raises(InvalidRequest):
        files_manifest(files)


@pytest.mark.parametrize("path", ["", "/a", "../a", "a/../b", "a//b", "a\0", "x" * 256])
def test_a_path_out_of_the_folder_is_refused(path):
    with pytest.raises(InvalidRequest):
        OutputFile(path, b"")
    with pytest.raises(InvalidRequest):
        FileDigest(path, 0, ZERO_DIGEST)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x00",
        b"\x01\x03\x02.." + bytes(40),
        b"\x02" + 2 * (b"\x03\x01a" + bytes(40)),
        b"\x02\x03\x01b" + bytes(40) + b"\x03\x01a" + bytes(40),
    ],
)
def test_a_manifest_that_is_not_canonical_is_refused(data):
    with pytest.raises(InvalidRequest):
        decode_manifest(data)


def test_too_many_files_are_no_manifest():
    lines = [FileDigest(f"{number:05}", 0, ZERO_DIGEST) for number in range(MAX_OUTPUT_FILES + 1)]
    assert len(decode_manifest(encode_manifest(lines[:-1]))) == MAX_OUTPUT_FILES
    with pytest.raises(InvalidRequest, match="at the most"):
        encode_manifest(lines)
