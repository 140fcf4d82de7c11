"""What `faas run --json` and `faas run` say of output files and toolchain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from faas_blueprint.digests import ZERO_DIGEST, sha256, to_hex
from faas_blueprint.job import Language, make_job
from faas_blueprint.outcome import Outcome, OutputFile, Status, Stream
from faas_cli.run import EXTENSIONS, LANGUAGES, report, tell_of_files
from faas_microvm.execution import Execution

FILES = (OutputFile("a/b", b"one"), OutputFile("c", b""))


def outcome(files=FILES, truncated=False) -> Outcome:
    return Outcome(Status.EXITED, 0, 0, 5, Stream(), Stream(), sha256(b"root"), files, truncated)


def reported(ended: Outcome, toolchain=ZERO_DIGEST) -> dict[str, object]:
    job = make_job("rust", "fn main() {}")
    return report(job, Execution(ended, ZERO_DIGEST, ZERO_DIGEST, 1.0, toolchain=toolchain))


def test_files_are_listed_with_size_and_hash():
    made = reported(outcome())
    assert made["files"] == [
        {"path": file.path, "size": len(file.content), "sha256": to_hex(sha256(file.content))}
        for file in FILES
    ]
    assert made["files_truncated"] is False
    assert reported(outcome((), True))["files_truncated"] is True


def test_the_roots_on_the_way_are_listed():
    assert reported(outcome())["trace"] == []
    ended = replace(outcome(), trace=(sha256(b"first"), sha256(b"second")))
    assert reported(ended)["trace"] == [to_hex(sha256(b"first")), to_hex(sha256(b"second"))]


def test_the_toolchain_is_named_where_there_is_one():
    assert "toolchain" not in reported(outcome())
    assert reported(outcome(), sha256(b"compiler"))["toolchain"] == to_hex(sha256(b"compiler"))


@pytest.mark.parametrize(
    ("ended", "folder", "said"),
    [
        (outcome(()), None, ""),
        (outcome(), None, "2 output files, --output FOLDER writes them out"),
        (outcome(), "here", "2 output files, now in here"),
        (outcome(truncated=True), "here", "not everything"),
    ],
)
def test_people_are_told_of_files(capsys, ended, folder, said):
    tell_of_files(ended, folder)
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert bool(err) is bool(said)


def test_every_language_has_an_extension_and_is_in_the_help():
    assert set(EXTENSIONS.values()) == set(Language)
    assert LANGUAGES == "python, javascript, bash, rust, go or typescript"
