"""Jobs: canonical form, digests, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas_blueprint.digests import keccak256, to_hex
from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import (
    COMPILED_LANGUAGES,
    DEFAULT_EPOCH,
    ENTRY_FILES,
    PROGRAM_FILES,
    Job,
    Language,
    Limits,
    check_no_nesting,
    check_path,
    decode_job,
    encode_job,
    job_digest,
    make_job,
)

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
names = text.filter(lambda name: name and "=" not in name)
parts = st.text("abcxyzäß 0.9", min_size=1, max_size=8).filter(lambda part: part not in (".", ".."))
jobs = st.builds(
    make_job,
    st.sampled_from(list(Language)),
    text,
    stdin=st.binary(max_size=40),
    arguments=st.lists(text, max_size=4).map(tuple),
    environment=st.dictionaries(names, text, max_size=4),
    files=st.dictionaries(parts, st.binary(max_size=20), max_size=3),
    seed=st.integers(0, (1 << 64) - 1),
    epoch=st.integers(86_400, 4_102_444_800),
    limits=st.builds(Limits, timeout_ms=st.integers(1, 3_600_000), memory_mb=st.integers(16, 512)),
    keep=st.booleans(),
)


@given(jobs)
def test_a_payload_decodes_to_its_job_and_only_that(job: Job):
    payload = encode_job(job)
    assert decode_job(payload) == job
    assert job_digest(job) == keccak256(payload)


@given(jobs, st.data())
def test_no_other_bytes_decode_to_the_same_job(job: Job, data):
    payload = bytearray(encode_job(job))
    place = data.draw(st.integers(0, len(payload) - 1))
    payload[place] ^= data.draw(st.integers(1, 255))
    try:
        other = decode_job(bytes(payload))
    except InvalidRequest:
        return
    assert other != job
    assert encode_job(other) == bytes(payload)


def test_the_digest_is_pinned():
    assert (
        to_hex(job_digest(make_job("python", "print(1)")))
        == "0xb2088461cbd327ce7e1891baafa6435b44274489e5d68eb650dd1ed59873059b"
    )


def test_order_does_not_matter():
    one = make_job("python", "", environment={"B": "2", "A": "1"}, files={"b": b"", "a": b""})
    two = make_job("python", "", environment={"A": "1", "B": "2"}, files={"a": b"", "b": b""})
    assert one == two


def test_defaults_are_fixed():
    job = make_job("javascript", "")
    assert (job.seed, job.epoch, job.limits, job.keep) == (0, DEFAULT_EPOCH, Limits(), False)


def test_keeping_the_machine_is_another_job():
    assert job_digest(make_job("python", "", keep=True)) != job_digest(make_job("python", ""))


def test_every_language_has_a_file_and_the_compiled_ones_a_program():
    assert set(ENTRY_FILES) == set(Language)
    assert set(PROGRAM_FILES) == COMPILED_LANGUAGES


@pytest.mark.parametrize(
    ("language", "reserved"),
    [
        ("python", {"main.py", "output"}),
        ("javascript", {"main.js", "output"}),
        ("bash", {"main.sh", "output"}),
        ("rust", {"main.rs", "main", "output"}),
        ("go", {"main.go", "main", "output"}),
        ("typescript", {"main.ts", "main.js", "output"}),
    ],
)
def test_reserved_names_are_refused_and_others_are_not(language, reserved):
    names = {"main", "output", *(f"main.{ending}" for ending in ("py", "js", "sh", "rs", "go", "ts"))}
    for name in names - reserved:
        make_job(language, "", files={name: b""})
    for name in reserved:
        with pytest.raises(InvalidRequest, match=f"'{name}' is "):
            make_job(language, "", files={name: b""})


def test_a_file_may_lie_below_the_output_folder_but_not_below_a_program():
    assert make_job("rust", "", files={"output/a": b"x"}).files[0].path == "output/a"
    with pytest.raises(InvalidRequest, match="below another file"):
        make_job("rust", "", files={"main/a": b"x"})


@pytest.mark.parametrize("paths", [("a", "a!", "a/b"), ("a/b", "a/b/c/d"), ("x", "a/b", "a")])
def test_nested_files_are_found_whatever_sorts_between(paths):
    with pytest.raises(InvalidRequest, match="below another file"):
        check_no_nesting(paths)


def test_files_beside_each_other_do_not_nest():
    check_no_nesting(("a", "a!!", "a!/b", "ab", "b/a", "b/a!/c"))


@pytest.mark.parametrize("path", ["a", "a/b.txt", "ä/ö", ".hidden", "a..b", "x" * 255])
def test_paths_that_are_taken(path):
    check_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "a\0b",
        "x" * 256,
        "y/" * 600 + "y",
        "\ud800",
    ],
)
def test_paths_that_are_refused(path):
    with pytest.raises(InvalidRequest):
        check_path(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"language": "cobol"}, "'cobol' is not served"),
        ({"code": "\ud800"}, "Unicode"),
        ({"code": "x" * (5 << 20)}, "code is over"),
        ({"seed": -1}, "seed"),
        ({"seed": 1 << 64}, "seed"),
        ({"seed": True}, "seed"),
        ({"epoch": 0}, "epoch"),
        ({"epoch": 1 << 40}, "epoch"),
        ({"arguments": ("a\0b",)}, "NUL"),
        ({"environment": {"A=B": "x"}}, "environment"),
        ({"environment": {"": "x"}}, "environment"),
        ({"keep": 1}, "keep"),
        ({"files": {"main.py": b""}}, "code's own name"),
        ({"files": {"main.py/x": b""}}, "below another file"),
        ({"files": {"a": b"", "a/b": b""}}, "below another file"),
        ({"files": {"a": bytes(9 << 20), "b": bytes(9 << 20)}}, "inputs are"),
        ({"files": {"a": bytes((2 << 20) + 1)}, "limits": Limits(disk_mb=2)}, "disk"),
    ],
)
def test_bad_jobs_are_refused_by_name(changes, message):
    values = {"language": "python", "code": "", **changes}
    with pytest.raises(InvalidRequest, match=message):
        make_job(values.pop("language"), values.pop("code"), **values)


@pytest.mark.parametrize(
    "limits",
    [
        {"timeout_ms": 0},
        {"memory_mb": 15},
        {"memory_mb": 513},
        {"processes": 0},
        {"output_bytes": -1},
        {"disk_mb": 1.5},
    ],
)
def test_limits_out_of_range_are_refused(limits):
    with pytest.raises(InvalidRequest, match=next(iter(limits))):
        Limits(**limits)


def test_unsorted_parts_are_not_canonical():
    with pytest.raises(InvalidRequest, match="sorted"):
        Job(Language.PYTHON, "", environment=(("B", ""), ("A", "")))
